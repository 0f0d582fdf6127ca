"""The world of a result: what its spectra were drawn from. Scores compare only within one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

FLUX, FLUX_AND_ERROR = "flux", "flux and error"
"""What a model is shown of each spectrum; errors made from the noisy flux add nothing to it."""
DISTURBED = "disturbed"
"""A key of a world that results without it do not have."""
LABEL_RANGES = {"T_eff": (3750.0, 6000.0), "log_g": (1.0, 5.0), "M_H": (-2.5, 0.75)}
"""K, dex (cgs), dex: from where to where simulated stars are drawn."""
LABEL_BETA = 0.7
"""Both parameters of the Beta distribution each label is drawn from: slightly more weight at the
ends, so that the edges of the grid are learned too."""


@dataclass(frozen=True)
class World:
    """A population of spectra, and what is known of each."""

    simulator: str
    """Hash of the grid, the sky and the noise model; empty for the spectra of a file."""
    prior: str
    """How the labels are distributed, in words; empty for a file, whose hash stands for it."""
    mag: tuple[float, float] | None
    """Range of the uniform magnitudes; None for a file."""
    noise: float
    """Factor on every sigma."""
    inputs: str
    """What a model is shown of each spectrum: `FLUX` or `FLUX_AND_ERROR`."""
    file: str = ""
    """Hash of a file's spectra; empty for simulated ones."""
    disturbed: str = ""
    """What changes each spectrum besides noise, in words; empty for nothing."""

    def record(self) -> dict[str, object]:
        """As the value of `world` in a result."""
        whole = asdict(self)
        return whole if self.disturbed else {k: x for k, x in whole.items() if k != DISTURBED}

    def at(self, mag: float) -> World:
        """The same with all stars at one magnitude."""
        return replace(self, mag=(mag, mag))


def prior_text() -> str:
    """How the labels of simulated stars are distributed."""
    ranges = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in LABEL_RANGES.items())
    return f"{ranges}, each Beta({LABEL_BETA:g}, {LABEL_BETA:g})"


def read_world(record: object) -> World | None:
    """The world in a result; None where it has none (an older one, a program's) or half of one."""
    known = set(World.__dataclass_fields__) - {DISTURBED}
    if not isinstance(record, Mapping) or not known <= set(record):
        return None
    texts = [record[name] for name in ("simulator", "prior", "inputs", "file")]
    texts.append(record.get(DISTURBED, ""))
    noise, mag = record["noise"], record["mag"]
    numbers = [noise, *mag] if isinstance(mag, list | tuple) and len(mag) == 2 else [noise]
    finite = [isinstance(x, int | float) and math.isfinite(x) for x in numbers]
    if not all(finite) or not all(isinstance(text, str) for text in texts):
        return None
    simulator, prior, inputs, file, disturbed = texts
    if (len(numbers) == 3) != bool(simulator) or bool(simulator) == bool(file):
        return None
    edges = (float(mag[0]), float(mag[1])) if simulator else None
    return World(simulator, prior, edges, float(noise), inputs, file, disturbed)


def same_spectra(left: object, right: object) -> bool:
    """Whether two results are known to be about one population of spectra.

    What each model is shown of them may differ.
    """
    ours, theirs = read_world(left), read_world(right)
    if ours is None or theirs is None:
        return False
    return replace(ours, inputs="") == replace(theirs, inputs="")
