"""What an experiment's results are checked for, and what made them, in a report's phrases."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from vitlab.contract.config import GRID_SOURCES
from vitlab.contract.contradictions import find_contradictions
from vitlab.contract.excluded import excluded_text
from vitlab.contract.job import Result
from vitlab.contract.reading import read_regular
from vitlab.contract.world import read_world
from vitlab.docs.judge.ceiling import Ceiling
from vitlab.docs.judge.checks import check_lines, control_fails
from vitlab.docs.judge.conclusion import value_text
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.text.inline import code
from vitlab.jobs.files import read_json
from vitlab.jobs.git import differ
from vitlab.lab.results.ceilings import Bounds, ceiling_in, ceiling_of, is_tested
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.repeats import grouped
from vitlab.lab.results.run_settings import seed_of, settings_of


def sanity_checks(results: Sequence[Finished], known: Bounds) -> list[Phrase]:
    """The checks of an experiment's runs; what failed is marked. `known`: the lab's ceilings."""
    disagreeing = [
        phrase("sanity_contradiction", one.result.run, found)
        for one in results
        for found in find_contradictions(one.result.values)
    ]
    disagreeing += _code(results)
    scored = [one for one in results if is_tested(one.result)]
    if not scored:
        return disagreeing
    controls = [one for one in scored if one.result.data.get("permuted")]
    models = [one for one in scored if not one.result.data.get("permuted")]
    return [
        *disagreeing,
        *check_lines([one.result for one in models]),
        *(_control(one.result) for one in controls),
        *_ceiling(models, known),
        *_excluded([one.result for one in scored]),
    ]


def _code(results: Sequence[Finished]) -> list[Phrase]:
    """Seeds of a program that was changed while they waited, or before more were added."""
    phrases = []
    for group in grouped(one for one in results if one.job.spec.recipe == "command"):
        records = [read_json(one.job.paths.started) for one in group.members]
        changes = {_diff(one) for one in group.members}
        commits = dict.fromkeys(str(record.get("commit") or "") for record in records)
        if len(changes) > 1 or differ(str(records[0].get("repository") or ""), *commits):
            shown = ", ".join(dict.fromkeys(map(_commit, records)))
            phrases.append(phrase("sanity_code", group.name, len(records), shown))
    return phrases


def _diff(one: Finished) -> int:
    with contextlib.suppress(OSError):
        return zlib.crc32(read_regular(one.job.paths.code_diff))
    return 0


def _commit(started: Mapping[str, Any]) -> str:
    return str(started.get("commit") or "-")[:12] + ("+" if started.get("dirty") else "")


def _excluded(results: Sequence[Result]) -> list[Phrase]:
    """What runs left out of their files; nothing for simulated stars."""
    of_files = [one for one in results if one.data.get("source", "grid") not in GRID_SOURCES]
    counted = [(one, excluded_text(one.data.get("excluded"), one.n)) for one in of_files]
    if any(text is None for _, text in counted):
        return [phrase("sanity_excluded_unknown")]
    some = [phrase("sanity_excluded_some", one.run, text) for one, text in counted if text]
    return some or [phrase("sanity_excluded") for _ in counted[:1]]


def provenance(results: Sequence[Finished]) -> list[Phrase]:
    """Commit, configuration and seed of each run."""
    phrases = []
    for one in results:
        folder = one.job.paths.folder  # a resumed job may have run several versions
        attempts = [*sorted(folder.glob("started.*.json")), one.job.paths.started]
        commit = ", ".join(dict.fromkeys(_commit(read_json(path)) for path in attempts))
        seed = seed_of(settings_of(one.job.spec))
        phrases.append(
            phrase(
                "made_by",
                one.result.run,
                code(commit),
                code(one.job.spec.hash),
                "-" if seed is None else seed,
            )
        )
    return phrases


def _control(result: Result) -> Phrase:
    """A model trained on the labels of other stars must know nothing of the test set."""
    key = "sanity_control_bad" if control_fails(result) else "sanity_control"
    return phrase(key, result.run, value_text(result, result.headline))


def _ceiling(models: Sequence[Finished], known: Bounds) -> list[Phrase]:
    below: dict[Ceiling, list[Result]] = {}
    for one in models:
        ceiling = ceiling_of(one.result, known, one.result.headline)
        if ceiling is not None:
            below.setdefault(ceiling, []).append(one.result)
    phrases = []
    for ceiling, results in below.items():
        over = [result.run for result in results if ceiling.leaks(result, result.headline)]
        highest = max(result.values.get(result.headline) or 0.0 for result in results)
        if over:
            phrases.append(phrase("sanity_ceiling_bad", str(ceiling), ", ".join(over)))
        else:
            phrases.append(phrase("sanity_ceiling", str(ceiling), f"{highest:.3f}"))
    phrases += dict.fromkeys(
        phrase("sanity_trial_ceiling", str(bound), bound.trial)
        for one in models
        if (bound := ceiling_in(read_world(one.result.world), known, one.result.headline))
        and not ceiling_of(one.result, known, one.result.headline)
    )
    if any(read_world(one.result.world) is None for one in models):
        phrases.append(phrase("sanity_no_world"))
    return phrases or ([phrase("sanity_no_ceiling")] if models else [])
