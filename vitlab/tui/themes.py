"""The colours: one accent on calm ground, dark and light."""

from __future__ import annotations

from textual.theme import Theme

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
        "muted": "#8a96a5",
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
    primary="#9a5b00",
    accent="#9a5b00",
    foreground="#1d232b",
    background="#fbfaf7",
    surface="#fbfaf7",
    panel="#ece9e2",
    success="#2b6e33",
    warning="#7a5c00",
    error="#b3261e",
    dark=False,
    variables={
        "muted": "#5c6570",
        "rim": "#c9c4b8",
        "block-cursor-background": "#e3ddcf",
        "block-cursor-foreground": "#000000",
        "block-cursor-blurred-background": "#ece9e2",
        "footer-key-foreground": "#9a5b00",
        "border": "#9a5b00",
    },
)
