"""What must hold before a number is believed: no leak, no result above what can be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vitlab.contract.result import Result
from vitlab.docs.inline import code
from vitlab.docs.phrases import Phrase, say
from vitlab.docs.sentence import number
from vitlab.jobs.jsonfiles import read_json
from vitlab.records.ceilings import LEAK, Ceiling, World, ceiling_of, ceilings
from vitlab.records.groups import flattened
from vitlab.records.results import Finished

CHANCE = 3.0
"""Times 1 / (n - 1) from which on predictions know something of other stars' labels: the mean over
50 permutations scatters by a fifth of it."""


def checks(mine: Sequence[Finished], everything: Sequence[Finished]) -> list[Phrase]:
    """What was looked at for the runs of an experiment; what failed is marked."""
    scored = [one for one in mine if any(k.startswith("test/") for k in one.result.values)]
    if not scored:
        return []
    controls = [one for one in scored if one.result.data.get("permuted")]
    meant = [one for one in scored if not one.result.data.get("permuted")]
    found = [_chance(one.result) for one in meant]
    told = [phrase for phrase in found if phrase is not None]
    bad = [phrase for phrase in told if phrase.key.endswith("_bad")]
    return [
        *(bad or told[:1]),
        *(_control(one.result) for one in controls),
        *_ceiling(meant, ceilings(one.job for one in everything)),
        _overlap([one.result for one in meant]),
    ]


def made_by(mine: Sequence[Finished]) -> list[Phrase]:
    """Which code, which configuration and which seed gave each run."""
    found = []
    for one in mine:
        started = read_json(one.job.paths.started)
        commit = str(started.get("commit") or "-")[:12] + ("+" if started.get("dirty") else "")
        seed = flattened(one.job.spec).get("train.seed", "-")
        found.append(say("made_by", one.result.run, code(commit), code(one.job.spec.hash), seed))
    return found


def _chance(result: Result) -> Phrase | None:
    """Predictions held against the labels of other stars."""
    n = result.n.get("test", 0)
    values = [
        value
        for name, value in result.values.items()
        if name.startswith("test/r2_permuted/") and value is not None
    ]
    if n < 3 or not values:
        return None
    chance = 1 / (n - 1)
    key = "sanity_chance_bad" if max(values) > CHANCE * chance else "sanity_chance"
    return say(key, f"{max(values):.2g}", f"{chance:.2g}")


def _control(result: Result) -> Phrase:
    """A model that was trained on the labels of other stars knows nothing of the test set."""
    name = result.headline
    value, error = result.values.get(name), result.errors.get(name, 0.0)
    bad = value is not None and value > LEAK * max(error, 1 / max(result.n.get("test", 1), 1))
    key = "sanity_control_bad" if bad else "sanity_control"
    return say(key, result.run, number(result, name))


def _ceiling(mine: Sequence[Finished], known: Mapping[World, Ceiling]) -> list[Phrase]:
    found: dict[Ceiling, list[Result]] = {}
    for one in mine:
        ceiling = ceiling_of(one.job.spec, known, one.result.headline)
        if ceiling is not None:
            found.setdefault(ceiling, []).append(one.result)
    told = []
    for ceiling, results in found.items():
        over = [result.run for result in results if ceiling.leaks(result, result.headline)]
        highest = max(result.values.get(result.headline) or 0.0 for result in results)
        if over:
            told.append(say("sanity_ceiling_bad", f"{ceiling.r2:.3f}", ", ".join(over)))
        else:
            told.append(say("sanity_ceiling", f"{ceiling.r2:.3f}", f"{highest:.3f}"))
    return told or ([say("sanity_no_ceiling")] if mine else [])


def _overlap(results: Sequence[Result]) -> Phrase:
    counts = [result.data.get("overlap") for result in results]
    known = [count for count in counts if isinstance(count, int)]
    if any(known):
        return say("sanity_overlap_bad", max(known))
    return say(
        "sanity_overlap" if known and len(known) == len(counts) else "sanity_overlap_unknown"
    )
