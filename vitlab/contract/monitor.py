"""Which values a training can be judged by."""

from __future__ import annotations

from collections.abc import Sequence

from vitlab.contract.validation import ConfigError, unknown
from vitlab.contract.value import CALIBRATION, LOSS, MEAN_R2, SCORES, Value


def check_monitor(name: str, labels: Sequence[str], loss: str) -> None:
    """`ConfigError` for a value no validation will have."""
    scores = [*SCORES, *(CALIBRATION if loss == "nll" else ())]
    values = [Value("val", score, label) for score in scores for label in labels]
    known = [MEAN_R2, LOSS, *map(str, values)]
    if name not in known:
        raise ConfigError("config.train.monitor", unknown(f"value {name!r}", name, known))
