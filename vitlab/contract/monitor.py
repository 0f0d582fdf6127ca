"""The values a training can be judged by, and how far each is from perfect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitlab.contract.strict import ConfigError, unknown

IDEAL = {"r2": 1.0, "mae": 0.0, "rmse": 0.0, "bias": 0.0, "scatter": 0.0}
"""What each score of a label is at best; a training can be judged by the distance from it."""
HONEST = {"pull2": 1.0, "within1": 0.6827, "within2": 0.9545}
"""The same for the calibration of predicted errors (`loss: nll`)."""
MEAN_R2, LOSS = "val/r2", "val/loss"


def check_monitor(name: str, labels: Sequence[str], loss: str) -> None:
    """`ConfigError` for a value no validation will have."""
    scores = [*IDEAL, *(HONEST if loss == "nll" else ())]
    known = [MEAN_R2, LOSS, *(f"val/{score}/{label}" for score in scores for label in labels)]
    if name not in known:
        raise ConfigError("config.train.monitor", unknown(f"value {name!r}", name, known))


def distance(name: str, values: Mapping[str, float], labels: Sequence[str]) -> float:
    """How far the monitored one of a validation's values is from perfect: smaller is better."""
    if name == LOSS:
        return values[LOSS]
    if name == MEAN_R2:
        return 1 - sum(values[f"val/r2/{label}"] for label in labels) / len(labels)
    return abs(values[name] - (IDEAL | HONEST)[name.split("/")[1]])
