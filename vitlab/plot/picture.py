"""A figure before it is drawn: curves, points and levels in panels, for paper and terminal."""

from __future__ import annotations

from dataclasses import dataclass

from vitlab.plot.series import Line

FIGURES = ("scaling", "snr", "parity", "residuals", "ablation", "training")
"""The figures there are, by name."""


@dataclass(frozen=True)
class Curve:
    """Some points, joined or not."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    errors: tuple[float, ...] = ()
    """Standard errors of `y`, as long as it; () where there are none."""
    joined: bool = True
    """False: points alone."""
    reference: bool = False
    """A bound, not a measurement: drawn without marks, in grey, its errors as a band."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    title: str = ""
    lines: tuple[Line, ...] = ()
    """Horizontal levels, each with its kind in the label."""
    log_x: bool = False
    names: tuple[str, ...] = ()
    """Names of x = 0, 1, 2, ...; then `y` against them lies on its side."""
    diagonal: bool = False
    """Draw y = x, the axes alike."""


@dataclass(frozen=True)
class Picture:
    """A figure."""

    title: str
    panels: tuple[Panel, ...]
