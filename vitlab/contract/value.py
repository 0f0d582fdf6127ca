"""Names of values: split, metric and label, and from these unit, symbol and which way is better.

Names are `split/metric/label`: `test/r2/log_g`, `val/loss`, `ceiling@21.5/r2_bayes/log_g`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeVar

T = TypeVar("T")
Number = float | None

NAME = re.compile(r"[\w.-]+(/[\w.-]+)+")
"""A name allowed in an experiment file or on the command line."""
LABEL = "log_g"
"""The default label."""
HEADLINE = f"test/r2/{LABEL}"
"""The value a run is judged by unless its experiment file names another."""
TRAIN = "train"
"""The split whose numbers are often running means."""
MEAN_R2, LOSS = "val/r2", "val/loss"
TRAIN_LOSS, LEARNING_RATE, SPEED = "train/loss", "train/lr", "perf/samples_per_s"
WAIT, MEMORY, MFU = "perf/wait", "perf/memory", "perf/mfu"
"""Share of the time for which training waited for its data; GB on the GPU, or resident on a CPU;
FLOPs of the network over the measured peak of the GPU."""
SCORES = ("r2", "mae", "rmse", "bias", "scatter")
"""Metrics of predicted labels."""
CALIBRATION = ("pull2", "within1", "within2")
"""Metrics of predicted errors (`loss: nll`, `mixture`)."""
LOG_SCORE, LOG_SCORE_EXACT, NATS_LOST = "log_score", "log_score_exact", "nats_lost"
COVERED = (50, 68, 90, 95)
"""Nominal percentages of the central intervals whose coverage is scored."""
DENSITY = (LOG_SCORE, *(f"coverage{share}" for share in COVERED), "pit_ks")
"""Metrics of a predicted density: mean ln density at the truth in nats (per unit of the label),
coverage, and the greatest distance of the probability integral transforms from uniform."""
SIGMA = "σ"
"""The unit of a number in standard deviations of its label, as a normalised network reports it."""
_UNITS = {"T_eff": "K", "log_g": "dex", "M_H": "dex", "a_M": "dex", "C_M": "dex"}
_LABELS = {"log_g": "log g", "M_H": "[M/H]", "a_M": "[α/M]", "C_M": "[C/M]"}
"""Labels as a figure's axis writes them, where that is not their name."""
SNR = "S/N per pixel"
"""What the S/N of a star is, at an axis: the median over its pixels."""
_CEILING = "ceiling"


@dataclass(frozen=True)
class Better:
    """Which of two numbers of one metric is better."""

    way: Literal["larger", "smaller", "nearest"]
    target: float = 0.0
    """The best possible number; 0 where there is none."""

    def distance(self, number: Number) -> float:
        """Distance from the best possible, smaller is better; inf for None, NaN and infinities."""
        if number is None or not math.isfinite(number):
            return math.inf
        off = number - self.target
        return {"larger": -off, "smaller": off, "nearest": abs(off)}[self.way]

    def gain(self, number: float, other: float) -> float:
        """By how much `number` is better than `other`; negative when it is worse."""
        return self.distance(other) - self.distance(number)


LARGER, SMALLER = Better("larger"), Better("smaller")


@dataclass(frozen=True)
class Metric:
    """Properties of a metric."""

    symbol: str
    better: Better | None = None
    """None: not known, or neither way is better."""
    unit: str | None = ""
    """`label`: the label's unit; empty: dimensionless; None: not known."""


_R2 = Better("larger", 1.0)
_METRICS = {
    "r2": Metric("R²", _R2),
    "r2_bayes": Metric("R²_Bayes", _R2),
    "r2_crlb_mean": Metric("R²_CRLB", _R2),
    "r2_crlb_median": Metric("R²_CRLB (median)", _R2),
    "r2_linear": Metric("R²_linear", _R2),
    "mae": Metric("MAE", SMALLER, "label"),
    "rmse": Metric("RMSE", SMALLER, "label"),
    "bias": Metric("bias", Better("nearest", 0.0), "label"),
    "label_std": Metric("label_std", None, "label"),
    "scatter": Metric("scatter", SMALLER, "label"),
    "rho": Metric("ρ", _R2),
    "sigma": Metric("σ", SMALLER, "label"),
    "sigma_crlb": Metric("σ_CRLB", None, "label"),
    "pull2": Metric("pull²", Better("nearest", 1.0)),
    "within1": Metric("within 1σ", Better("nearest", 0.6827)),
    "within2": Metric("within 2σ", Better("nearest", 0.9545)),
    LOG_SCORE: Metric("ln p", LARGER, "nat"),
    LOG_SCORE_EXACT: Metric("ln p (exact)", LARGER, "nat"),
    NATS_LOST: Metric("nats lost", Better("nearest", 0.0), "nat"),
    "pit_ks": Metric("PIT KS", SMALLER),
    "chi2": Metric("χ²", Better("nearest", 1.0)),
    "loss": Metric("loss", SMALLER),
    "nll": Metric("NLL", SMALLER),
    "mse": Metric("MSE", SMALLER, None),
    "acc": Metric("accuracy", LARGER),
    "accuracy": Metric("accuracy", LARGER),
    "lr": Metric("lr"),
    "samples_per_s": Metric("samples_per_s", LARGER, "1/s"),
    "wait": Metric("wait", SMALLER),
    "memory": Metric("memory", None, "GB"),
    "mfu": Metric("MFU", LARGER),
    "snr": Metric("S/N"),
}
IN_SIGMA = ("mae", "rmse", "bias", "scatter")
"""Metrics that may be in units of the label's standard deviation."""
_NORMALISED = {name: f"{name}_sigma" for name in IN_SIGMA}
"""A metric -> the same in units of the label's standard deviation: never comparable with it."""
_METRICS |= {twin: replace(_METRICS[name], unit=SIGMA) for name, twin in _NORMALISED.items()}
_COVERAGE = re.compile(r"coverage(\d+)")
"""`coverage68`, `coverage683`, `coverage95`: fraction of stars inside an interval, nominally .68,
.683, .95."""


@dataclass(frozen=True)
class Value:
    """The parts of a value's name; a missing part is empty.

    A name with one part is a metric without a split, with two a split and a metric. A malformed
    name (`a//b`, `/a`) counts as a metric.
    """

    split: str
    """`train`, `val`, `test`, `perf`, `ceiling`, `ceiling@21.5`, `ceiling@20.5-21`, ..."""
    metric: str
    label: str = ""
    """`log_g`, ...; for some values a statistic instead (`ceiling/snr/median`)."""

    @staticmethod
    @lru_cache(4096)
    def parse(name: str) -> Value:
        """Parse any name; `str` returns the same name."""
        parts = name.split("/", 2)
        if not all(parts) or len(parts) == 1:
            return Value("", name)
        return Value(*parts)

    def __str__(self) -> str:
        return "/".join(part for part in (self.split, self.metric, self.label) if part)

    def on(self, split: str) -> Value:
        """The same value on another split."""
        return replace(self, split=split)

    @property
    def live(self) -> Value:
        """The value to show while a job runs: on validation instead of test."""
        return self.on("val") if self.split == "test" else self

    @property
    def anywhere(self) -> Value:
        """The same value without a split, for comparing across splits."""
        return self.on("")

    @property
    def normalised(self) -> Value | None:
        """The same value in units of the label's standard deviation: `val/mae_sigma/log_g`.

        None where there is no such value, as of R²; of a normalised value itself.
        """
        twin = self.metric if self.is_normalised else _NORMALISED.get(self.metric)
        return replace(self, metric=twin) if twin else None

    @property
    def is_normalised(self) -> bool:
        """Whether it is in units of the label's standard deviation, so never beside dex or K."""
        return self._known.unit == SIGMA

    @property
    def is_ceiling(self) -> bool:
        """Whether its split is a ceiling (`ceiling`, `ceiling@21.5`)."""
        return self.split.partition("@")[0] == _CEILING

    @property
    def mag(self) -> float | None:
        """The magnitude of a ceiling; None over a range (`ceiling@20.5-21`) or all stars."""
        try:
            return float(self.split.partition("@")[2]) if self.is_ceiling else None
        except ValueError:
            return None

    @property
    def better(self) -> Better | None:
        """Which way is better; None where not known, and then no number is called best."""
        return self._known.better

    @property
    def unit(self) -> str | None:
        """`dex`, `K`, `σ`; empty when dimensionless, None when not known."""
        unit = self._known.unit
        return unit_of(self.label) if unit == "label" else unit

    @property
    def mark(self) -> str:
        """What must follow each number of a normalised value: ` σ`; empty for others."""
        return f" {SIGMA}" if self.is_normalised else ""

    @property
    def symbol(self) -> str:
        """The metric as printed: `R²`; an unknown one by its name. Its number has the `mark`."""
        return self._known.symbol

    @property
    def short(self) -> str:
        """The head of a column: `R²`, `MAE(T_eff)`, `MAE[σ]`; the default label is left out."""
        label = f"({self.label})" if self.label not in ("", LABEL) else ""
        return self.symbol + label + (f"[{SIGMA}]" if self.is_normalised else "")

    @property
    def printed(self) -> str:
        """As written before a number in documents: `R²_test`, `MAE(T_eff)_val`, `R²_Bayes`."""
        label = f"({self.label})" if self.label not in ("", LABEL) else ""
        split = f"_{self.split}" if self.split and not self.is_ceiling else ""
        return self.symbol + label + split

    @property
    def axis(self) -> str:
        """As a figure's axis says it: `test R² of log g`, `test MAE of T_eff [K]`."""
        of = f" of {_LABELS.get(self.label, self.label)}" if self.label else ""
        return f"{self.split} {self.symbol}{of}".lstrip() + _bracketed(self.unit)

    @property
    def _known(self) -> Metric:
        if self.metric in _METRICS:
            return _METRICS[self.metric]
        if match := _COVERAGE.fullmatch(self.metric):
            nominal = float(f"0.{match[1]}")
            return Metric(f"coverage {100 * nominal:g}%", Better("nearest", nominal))
        return Metric(self.metric, None, None)

    def best(self, items: Iterable[T], number: Callable[[T], Number]) -> T | None:
        """The item with the best finite number (the first on a tie), or None.

        Also None for two or more items when it is not known which way is better.
        """
        known = [one for one in items if (x := number(one)) is not None and math.isfinite(x)]
        better = self.better
        if better is None:
            return known[0] if len(known) == 1 else None
        return min(known, key=lambda one: better.distance(number(one)), default=None)

    def ranked(self, items: Iterable[T], number: Callable[[T], Number]) -> list[T]:
        """The items, best first, those without a finite number last.

        The order is kept when it is not known which way is better.
        """
        return sorted(items, key=lambda one: self.rank(number(one)))

    def rank(self, number: Number) -> tuple[bool, str, float]:
        """A sort key: best first, None and NaN last.

        Numbers of several values can be sorted together: they are grouped by metric and label.
        """
        known = number is not None and math.isfinite(number)
        far = self.better.distance(number) if self.better and known else 0.0
        return not known, str(self.anywhere), far


def ceiling_split(low: float | None = None, high: float | None = None) -> str:
    """The split of a ceiling: over all stars, at one magnitude, or from `low` to `high`."""
    ends = [f"{mag:g}" for mag in (low, high) if mag is not None]
    return _CEILING + ("@" + "-".join(ends) if ends else "")


def unit_of(label: str) -> str | None:
    """The unit of a stellar label; None for an unknown one."""
    return _UNITS.get(label)


def axis_of_label(label: str, prefix: str = "") -> str:
    """As a figure's axis says it: `log g [dex]`, `true T_eff [K]`."""
    return f"{prefix} {_LABELS.get(label, label)}".lstrip() + _bracketed(unit_of(label))


def _bracketed(unit: str | None) -> str:
    return f" [{unit}]" if unit else ""


def judged_by(headlines: Iterable[str]) -> str:
    """The value several runs are judged by: the most common headline (the first on a tie)."""
    return next((name for name, _ in Counter(headlines).most_common(1)), HEADLINE)


def shown(headline: str, values: Mapping[str, Number]) -> Number:
    """The number to show for a run: its headline, or on validation until there is a test score.

    A headline that is there and not finite is None: no number before it stands for it.
    """
    if headline in values:
        return values[headline]
    return values.get(_live_name(headline))


@lru_cache(4096)
def _live_name(headline: str) -> str:
    return str(Value.parse(headline).live)  # asked for thousands of jobs at every look


def score_text(headline: str, value: float | None, digits: int = 3) -> str:
    """A number of a column headed `R²`; one of another metric has its name: `MAE 0.370 σ`."""
    if value is None:
        return ""
    one = Value.parse(headline)
    name = "" if one.metric == "r2" else f"{one.symbol} "
    return f"{name}{value:.{digits}f}{one.mark}"


def shown_text(
    headline: str, values: Mapping[str, Number], *, runs: bool = False, digits: int = 3
) -> str:
    """What `shown` finds, for a column headed `R²`; `0.713 val` where no test will follow.

    `runs`: a running job has no other number than on validation yet.
    """
    text = score_text(headline, shown(headline, values), digits)
    return f"{text} val" if text and not runs and headline not in values else text


def rounded(number: float, error: float | None) -> tuple[str, str]:
    """A number and its error in digits, with as many decimals as two figures of the error need.

    Without an error above 0 four figures, and `""`. A minus is a hyphen.
    """
    if error is None or not math.isfinite(error) or not error > 0:
        digits = 3 - math.floor(math.log10(abs(number))) if number else 3
        return _unsigned_zero(f"{number:.{min(max(digits, 0), 8)}f}"), ""
    digits = next((d for d in range(9) if error >= 10 ** (1 - d) * 0.95), 8)
    return _unsigned_zero(f"{number:.{digits}f}"), f"{error:.{digits}f}"


def _unsigned_zero(text: str) -> str:
    return text if text.strip("+-0.") else text.lstrip("+-")


def measured(number: float, error: float | None, *, signed: bool = False) -> str:
    """`0.711 ± 0.004`, `0.800 ± 0.012`: with the error's first digit, or two where it is a 1.

    Without an error above 0 four figures. Signed: a difference, `+0.052 ± 0.012`, of two
    figures without an error.
    """
    if error is None or not math.isfinite(error) or not error > 0:
        return f"{number:+.2g}" if signed else f"{number:.4g}"
    digit, _, power = f"{error:.1e}".partition("e")
    decimals = min(max(-int(power) + (digit < "2"), 0), 9)
    text = _unsigned_zero(f"{number:{'+' if signed else ''}.{decimals}f}")
    return f"{text} ± {error:.{decimals}f}"


def for_choosing(headline: str, values: Mapping[str, Number]) -> Number:
    """The number to select runs by: on validation, so that the test set selects nothing.

    None for a test score without one on validation; of another split the headline itself.
    """
    value = Value.parse(headline)
    validated = values.get(str(value.on("val")))
    return validated if validated is not None or value.split == "test" else values.get(headline)


def distance(name: str, values: Mapping[str, float], labels: Sequence[str]) -> float:
    """Distance of the monitored validation value from the best possible, smaller is better.

    `val/r2` is the mean over the labels.
    """
    value = Value.parse(name)
    names = [name] if name != MEAN_R2 else [str(replace(value, label=one)) for one in labels]
    assert value.better is not None, name
    return value.better.distance(sum(values[one] for one in names) / len(names))
