"""The colour and marker of a model, the same in every figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitlab.plot.chart import PALETTE
from vitlab.plot.series import Rgb

KNOWN = ("ViT", "LightGBM", "MLP", "Ridge", "TemplateFit")
"""Models with a style of their own in every lab, by its place; others come after them."""
INKS: tuple[Rgb, ...] = tuple(PALETTE[i] for i in (6, 1, 2, 3, 5, 0))
"""Okabe and Ito's palette without yellow and grey, which are hard to see on white paper."""
MARKERS = "os^DvPX*"
DASHES: Any = (
    *("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5))),
    *((0, (8, 2)), (0, (1, 3)), (0, (4, 1.5, 1, 1.5, 1, 1.5))),
)
PLACES = len(INKS) * len(MARKERS) // 2
"""Styles that differ; of more models two are alike."""


@dataclass(frozen=True)
class Style:
    """Of a curve: colour and marker are its model's, dash and filling tell its runs apart."""

    place: int = 0
    """The model's."""
    variant: int = 0
    """The run's, among those of the model in one figure."""

    @property
    def ink(self) -> Rgb:
        return INKS[self.place % len(INKS)]

    @property
    def color(self) -> tuple[float, float, float]:
        """As matplotlib takes it."""
        red, green, blue = self.ink
        return red / 255, green / 255, blue / 255

    @property
    def marker(self) -> str:
        return MARKERS[self.place % len(MARKERS)]

    @property
    def dash(self) -> Any:
        return DASHES[(self.variant + self.variant // 4) % len(DASHES)]

    @property
    def filled(self) -> bool:
        return self.variant % 2 == 0
