"""Which results may be quoted: those of models whose checks pass, of whole configurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vitlab.contract.job import Result
from vitlab.docs.judge.checks import checks_of, control_fails, failed_phrases
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.lab.results.ceilings import Bounds, with_ceiling
from vitlab.lab.results.job_results import Finished, plans_of
from vitlab.lab.results.repeats import Group, grouped

NAMED = 3
"""Runs that are told by name of those with one fault."""


def faults_of(result: Result, known: Bounds) -> list[Phrase]:
    """Why one result is none: a check that fails, or a value above its ceiling.

    Nothing for a ceiling, which is no model's.
    """
    is_bound = result.recipe == "ceiling"
    return [] if is_bound else failed_phrases(checks_of(with_ceiling(result, known)))


def faults(results: Iterable[Finished], known: Bounds) -> dict[str, Phrase]:
    """Job -> why its numbers may not be quoted, for those of which they may not.

    A configuration falls with any of its seeds: a mean of those that pass would be chosen by their
    numbers. With a control that has learned something every model of its MVP and profile falls.
    """
    every = list(results)
    plans = plans_of(every)

    def launch(one: Finished) -> tuple[str, str, str]:
        return plans[one.job.spec.roadmap], one.result.mvp, one.result.profile

    controls = {launch(one): one.result.run for one in every if control_fails(one.result)}
    found: dict[str, Phrase] = {}
    for group in grouped(one for one in every if not one.result.data.get("permuted")):
        own = [line for one in group.members for line in faults_of(one.result, known)]
        control = controls.get(launch(group.members[0]))
        if control is not None and group.first.recipe != "ceiling":
            own.append(phrase("control_failed", control))
        if own:
            found |= {one.job.name: own[0] for one in group.members}
    return found


def parted(
    groups: Iterable[Group], why: Mapping[str, Phrase]
) -> tuple[list[Group], list[tuple[Group, Phrase]]]:
    """The groups that may be quoted, and the others with the reason; `why`: their `faults`."""
    known = [(group, why.get(group.members[0].job.name)) for group in groups]
    sound = [group for group, fault in known if fault is None]
    return sound, [(group, fault) for group, fault in known if fault is not None]


def told(left: Iterable[tuple[str, Phrase]]) -> list[Phrase]:
    """Which runs are no results and why, a phrase for each reason; at most `NAMED` by name."""
    of_reason: dict[Phrase, list[str]] = {}
    for name, why in left:
        of_reason.setdefault(why, []).append(name)
    return [
        phrase("reason", phrase("and_others", first, rest) if rest else first, why)
        for why, names in of_reason.items()
        for first, rest in [(", ".join(names[:NAMED]), len(names[NAMED:]))]
    ]


def sound_of(groups: Sequence[Group], known: Bounds) -> list[Group]:
    """Those of the groups that may be quoted."""
    return parted(groups, faults([one for group in groups for one in group.members], known))[0]


def without_numbers(results: Iterable[Finished], why: Mapping[str, Phrase]) -> list[Finished]:
    """The same, with no number where it is no result; `why`: their `faults`."""
    return [
        replace(one, result=replace(one.result, values={}, errors={}))
        if one.job.name in why
        else one
        for one in results
    ]
