"""What results say to a draft's numbers, and what several of these say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vitlab.contract.contradictions import find_contradictions
from vitlab.contract.value import IN_SIGMA, LABEL, SIGMA
from vitlab.lab.paper.mention import Mention
from vitlab.lab.paper.readings import changes, follows

Verdict = Literal[
    "right", "rounded wrongly", "of another run", "stale", "of another unit", "contradiction",
    "not backed", "not checked", "not read",
]  # fmt: skip
WRONG = frozenset((
    "rounded wrongly", "of another run", "stale", "of another unit", "contradiction", "not backed",
))  # fmt: skip
Certainty = Literal["certain", "likely", "unsure"]
_BESIDE = 6
"""Digits of right numbers in its sentence that make a guess a claim: no accident."""
_LEAST_SCORE = 0.2
"""A smaller number may as well be a difference."""


@dataclass(frozen=True)
class Checked:
    """What results say to one number."""

    line: int
    text: str
    verdict: Verdict
    value: float | None = None
    """What it should be, in the draft's unit; None where results do not say one."""
    job: str | None = None
    why: str = ""
    certainty: Certainty = "certain"


def computed(found: Sequence[tuple[Mention, Checked]]) -> list[tuple[Mention, Checked]]:
    """The same; what follows from the right numbers of its own sentence is right."""
    right: dict[int, list[float]] = {}
    for one, checked in found:
        if checked.verdict == "right" and one.kind in ("score", "ceiling") and one.sentence:
            right.setdefault(one.sentence, []).append(one.value)
    return [(one, _in_its_sentence(one, x, right.get(one.sentence, []))) for one, x in found]


def proven(
    found: Sequence[tuple[Mention, Checked]],
) -> Iterator[tuple[Mention, Checked]]:
    """Without the guesses that the numbers beside them do not bear out.

    Those of its sentence, or one of these and those of its paragraph.
    """
    scores: dict[int, list[tuple[Mention, Checked]]] = {}
    for one, checked in found:
        if one.kind == "score" and one.metric == "r2":
            scores.setdefault(one.paragraph, []).append((one, checked))
    for one, checked in found:
        if one.is_guess and checked.verdict != "right":
            near = scores.get(one.paragraph, [])
            beside = [(x, y) for x, y in near if x.sentence == one.sentence]
            right = sum(checked.verdict == "right" for _, checked in beside)
            is_likely = one.value >= _LEAST_SCORE and 2 * right >= len(beside) and bears_out(near)
            if not (is_likely or bears_out(beside)):
                continue
        yield one, checked


def bears_out(group: Sequence[tuple[Mention, Checked]]) -> bool:
    """Whether so many of these numbers are right, of so many digits, that it is no accident."""
    right = [one for one, checked in group if checked.verdict == "right"]
    return sum(one.digits for one in right) >= _BESIDE and 2 * len(right) >= len(group)


def _in_its_sentence(one: Mention, checked: Checked, numbers: Sequence[float]) -> Checked:
    if checked.verdict in WRONG and follows(one, numbers):
        return replace(checked, verdict="right", why="")
    if checked.verdict != "not checked" or len(numbers) != 2 or not changes(one, numbers):
        return checked
    if follows(one, numbers):
        return replace(checked, verdict="right", why="")
    value = changes(one, numbers)[0]
    why = f"{numbers[0]:.4g} and {numbers[1]:.4g} in the same sentence give {value:.3g}"
    return replace(checked, verdict="not backed", value=value, why=why, certainty="likely")


def contradictions(found: Sequence[tuple[Mention, Checked]]) -> Iterator[Checked]:
    """Scores of one model that cannot all be true; told where results do not back all of them."""
    groups: dict[tuple[object, ...], list[tuple[Mention, Checked]]] = {}
    for one, checked in found:
        if one.kind == "score" and one.unit != "%":
            key = one.models, one.size, one.label or LABEL, one.split or "test"
            groups.setdefault(key, []).append((one, checked))
    for (_, _, label, split), members in groups.items():
        by_metric: dict[str, set[float]] = {}
        for one, _ in members:
            tail = "_sigma" if one.unit == SIGMA and one.metric in IN_SIGMA else ""
            by_metric.setdefault(one.metric + tail, set()).add(one.value)
        unexplained = [x for _, x in members if x.verdict != "right" and x.value is None]
        if unexplained and all(len(values) == 1 for values in by_metric.values()):
            values = {f"{split}/{name}/{label}": min(v) for name, v in by_metric.items()}
            last = members[-1][0]
            for contradiction in find_contradictions(values):
                yield Checked(last.line, last.text, "contradiction", why=contradiction.text("en"))
