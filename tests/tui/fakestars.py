"""The stars of a job in memory: a spectrum with lines, a pixel without datum, some models."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.waiting import Gate
from vitlab.contract.paths import UsageError
from vitlab.lab.inspector.star import Mark, Prediction, Share, StarList, StarSheet, Trace

PIXELS = 876
WAVE = tuple(7100.0 + 2 * i for i in range(PIXELS))
MASKED = 40
MARKS = (
    Mark("TiO 7126", 7125.6, 7160.0),
    Mark("K I 7699", 7698.965, 7698.965, 0),
    Mark("Fe I 8468", 8468.407, 8468.407, 1),
    Mark("Ca II 8498", 8498.023, 8498.023, 0),
    Mark("Ca II 8542", 8542.091, 8542.091, 0),
    Mark("Ca II 8662", 8662.141, 8662.141, 0),
)
TRUE = {"log_g": (1.0, 2.0, 3.0, 4.0, 4.5), "M_H": (0.0, -1.0, -2.0, 0.5, 0.25)}
PREDICTED = {"log_g": (1.1, 2.8, 3.0, 3.5, 4.6), "M_H": (0.9, -1.0, -2.0, 0.5, 0.25)}
"""Worst first: 1, 3, 0 or 4, 2 for log_g, 0 for M_H."""


def bump(wave: float, centre: float, width: float) -> float:
    return math.exp(-(((wave - centre) / width) ** 2))


def star_list(**more: Any) -> StarList:
    shape: dict[str, Any] = {
        "job": "some/job",
        "model": "ViT 1.0 Run 1 [/b]",
        "labels": ("log_g", "M_H"),
        "wave": WAVE,
        "vacuum": False,
        "true": TRUE,
        "predicted": PREDICTED,
        "snr": (3.0, 5.0, 8.0, 13.0, 21.0),
        "mag": (22.4, 22.0, 21.5, 21.0, math.nan),
        "marks": MARKS,
    }
    return StarList(**{**shape, **more})


def sheet(number: int, label: str, **more: Any) -> StarSheet:
    lines = [mark.wave for mark in MARKS if mark.name.startswith("Ca")]
    clean = [1 - 0.5 * sum(bump(wave, line, 6) for line in lines) for wave in WAVE]
    sigma = [0.05 + 0.2 * bump(wave, 7700, 20) for wave in WAVE]
    noise = [math.sin(7.3 * i + number) * 1.5 for i in range(PIXELS)]
    flux = [c + s * n for c, s, n in zip(clean, sigma, noise, strict=True)]
    flux[MASKED] = sigma[MASKED] = math.nan
    hangs = [0.02 * bump(w, 8542, 9) - 0.01 * bump(w, 8662, 9) for w in WAVE]
    best = [0.05 * bump(w, 8498, 7) for w in WAVE]
    true = {name: values[number] for name, values in TRUE.items()}
    said = {name: values[number] for name, values in PREDICTED.items()}
    shape: dict[str, Any] = {
        "number": number,
        "label": label,
        "true": true,
        "mag": star_list().mag[number],
        "snr": star_list().snr[number],
        "flux": tuple(flux),
        "sigma": tuple(sigma),
        "clean": tuple(clean),
        "guesses": (
            Prediction("some/job", "ViT 1.0 Run 1 [/b]", said, {"log_g": 0.21}),
            Prediction("some/ridge", "Ridge 2.0 专家", {"log_g": true["log_g"] + 1}),
            Prediction("some/trees", "LightGBM 2.0", {"log_g": true["log_g"] - 0.3}),
        ),
        "response": Trace("gradient x 1 sigma", "dex/sigma", tuple(hangs)),
        "attention": Trace("attention rollout", "share", tuple([1 / PIXELS] * PIXELS)),
        "best": Trace("information", "dex/sigma", tuple(best)),
        "bound": 0.31,
        "scatter": 0.12,
        "agreement": 0.42,
        "shares": (Share("Ca II 8498", 0.6, 0.01), Share("Ca II 8542", 0.1, None)),
    }
    return StarSheet(**{**shape, **more})


@dataclass
class FakeGraph:
    """Stands for the process that knows the stars; remembers what it was asked."""

    stars: StarList = field(default_factory=star_list)
    error: str = ""
    """What is wrong with the job."""
    more: dict[str, Any] = field(default_factory=dict)
    """What is special about its stars."""
    gate: Gate = field(default_factory=Gate)
    """Stars come only while it is set."""
    opening: Gate = field(default_factory=Gate)
    asked: list[tuple[int, str]] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self._main = threading.get_ident()

    def open(self, progress: Callable[[str], object]) -> StarList:
        assert threading.get_ident() != self._main
        progress("reading the checkpoint")
        self.opening.wait()
        if self.error:
            raise UsageError(self.error)
        return self.stars

    def star(
        self, number: int, label: str, progress: Callable[[str], object] = lambda _: None
    ) -> StarSheet:
        assert threading.get_ident() != self._main
        self.asked.append((number, label))
        progress(f"comparing star {number} with the grid")
        self.gate.wait()
        return sheet(number, label, **self.more)

    def close(self) -> None:
        self.closed = True
        self.opening.set()
