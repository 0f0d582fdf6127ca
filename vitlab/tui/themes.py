"""The colours: one accent on calm ground, dark, light and with much contrast."""

from __future__ import annotations

from textual.theme import Theme

from vitlab.plot.series import Rgb

DARK = Theme(
    name="vitlab-dark",
    primary="#e0a458",
    accent="#e0a458",
    foreground="#d8dee6",
    background="#0e1217",
    surface="#0e1217",
    panel="#1b232d",
    success="#86bd8b",
    warning="#e5c07b",
    error="#ee7c83",
    dark=True,
    variables={
        "muted": "#98a4b3",
        "rim": "#2c3744",
        "block-cursor-background": "#2a3541",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#1b232d",
        "footer-key-foreground": "#e0a458",
        "border": "#e0a458",
    },
)

LIGHT = Theme(
    name="vitlab-light",
    primary="#8a5100",
    accent="#8a5100",
    foreground="#1d232b",
    background="#fbfaf7",
    surface="#fbfaf7",
    panel="#ece9e2",
    success="#2b6e33",
    warning="#7a5c00",
    error="#b3261e",
    dark=False,
    variables={
        "muted": "#565f6a",
        "rim": "#c9c4b8",
        "block-cursor-background": "#e3ddcf",
        "block-cursor-foreground": "#000000",
        "block-cursor-blurred-background": "#ece9e2",
        "footer-key-foreground": "#8a5100",
        "border": "#8a5100",
    },
)

CONTRAST = Theme(
    name="vitlab-high-contrast",
    primary="#ffd75f",
    accent="#ffd75f",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#121212",
    success="#87ff87",
    warning="#ffd787",
    error="#ffafaf",
    dark=True,
    variables={
        "muted": "#d0d0d0",
        "rim": "#a8a8a8",
        "block-cursor-background": "#303030",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#1c1c1c",
        "footer-key-foreground": "#ffd75f",
        "border": "#ffd75f",
    },
)

THEMES = {"dark": DARK, "light": LIGHT, "high-contrast": CONTRAST}
"""As the settings call them, in the order the key takes them."""


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two `#rrggbb` colours, 1 to 21, by WCAG 2.2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def legible(color: Rgb, ground: str) -> Rgb:
    """A curve's colour, darkened until a legend in it is read on a light ground; its hue stays."""
    while contrast("#{:02x}{:02x}{:02x}".format(*color), ground) < 4.5 and _luminance(ground) > 0.5:
        color = (color[0] * 9 // 10, color[1] * 9 // 10, color[2] * 9 // 10)
    return color


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
