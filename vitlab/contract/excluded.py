"""Spectra of a file that a run leaves out: why, and how many of each split."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Mapping

UNREAD = "?"
USABLE = "."
REASONS = {
    "e": "no positive finite error",
    "m": "every pixel masked",
    "f": "no valid flux",
    "p": "data in under half of the pixels",
    "c": "constant flux",
    "n": "median flux not positive",
}
"""Why a spectrum is unusable, by the code of its row: one character a row, `USABLE` if it is."""
MAX_EXCLUDED = 0.05
"""Default of `data.max_excluded`: the share of a split that may be left out."""

Counts = dict[str, int]
"""Reason -> spectra; each spectrum counts once, under its first reason."""


def no_label(name: str) -> str:
    """The reason for a spectrum whose label `name` is missing or impossible."""
    return f"no valid {name}"


def pack(codes: str) -> str:
    """One ASCII character a row, compressed for JSON."""
    return base64.b64encode(zlib.compress(codes.encode("ascii"))).decode("ascii")


def unpack(text: str) -> str:
    """The inverse of `pack`."""
    return zlib.decompress(base64.b64decode(text)).decode("ascii")


def split_rows(rows: int, sizes: Mapping[str, int]) -> dict[str, range]:
    """The rows of each split of a file: training rows are its first, test rows its last."""
    test = rows - sizes["test"]
    return {
        "train": range(sizes["train"]),
        "val": range(test - sizes["val"], test),
        "test": range(test, rows),
    }


def count(codes: str, labels: Mapping[str, str], rows: range) -> tuple[Counts, int]:
    """How many of `rows` are left out and why, and how many have been read.

    `codes`: of all spectra. `labels`: name of a label -> one character a row, `USABLE` if it is.
    """
    reasons: Counter[str] = Counter()
    part = codes[rows.start : rows.stop]
    columns = [(no_label(name), known[rows.start : rows.stop]) for name, known in labels.items()]
    for k, code in enumerate(part):
        why = REASONS.get(code) or next((n for n, known in columns if known[k] != USABLE), None)
        if why is not None:
            reasons[why] += 1
    unread = sum(
        code == UNREAD and all(known[k] == USABLE for _, known in columns)
        for k, code in enumerate(part)
    )
    return dict(reasons), len(part) - unread


def sentence(split: str, counts: Mapping[str, int], of: int) -> str:
    """`test: 5 of 10 spectra left out (50%): 4 constant flux, 1 no valid log_g`."""
    number = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    reasons = ", ".join(f"{n:,} {why}" for why, n in ranked)
    share = share_text(number, of)
    return f"{split}: {number:,} of {of:,} spectra left out ({share}): {reasons}"


def excluded_text(record: object, sizes: Mapping[str, int]) -> str | None:
    """`test 5 of 10 (5 constant flux)` from a result's `data.excluded` and `n`.

    Empty when nothing was left out; None when it was not counted.
    """
    if not isinstance(record, dict):
        return None
    parts = []
    for split, counts in record.items():
        if counts:
            number = sum(counts.values())
            reasons = ", ".join(f"{n:,} {why}" for why, n in counts.items())
            parts.append(f"{split} {number:,} of {number + sizes.get(split, 0):,} ({reasons})")
    return "; ".join(parts)


def share_text(number: float, of: float) -> str:
    """`12%`, `0.3%`; never 0% for a number above 0, nor 100% for less than all."""
    share = 100 * number / of
    if share >= 10:
        return f"{min(round(share), 99) if number < of else 100}%"
    return f"{max(share, 0.001):.2g}%"


def refusal(split: str, counts: Mapping[str, int], of: int, limit: float) -> str | None:
    """Why a split is refused: none of it is left, or more than the share `limit` is left out."""
    number = sum(counts.values())
    if not of or (number < of and number <= limit * of):
        return None
    why = sentence(split, counts, of)
    if number == of:
        return f"{why}; none is left"
    return f"{why}, and config.data.max_excluded is {limit:g}"
