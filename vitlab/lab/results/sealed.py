"""Scores on stars kept for gates alone: opened for one gate at a time, each opening counted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from zlib import crc32

from vitlab.contract.job import Result, other_job, read_result
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.contract.reading import Unreadable, parse, read_regular
from vitlab.contract.validation import known_fields
from vitlab.docs.judge.phrases import phrase
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.model.gates.conditions import Comparison, Threshold, is_model, model_key
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import Roadmap
from vitlab.jobs.files import open_appending
from vitlab.lab.results.job_results import Finished


@dataclass(frozen=True)
class Opening:
    """One look at the kept stars: jobs scored on them, for a gate."""

    t: float
    """Unix seconds."""
    roadmap: str
    """From the lab's root."""
    gate: str
    stars: int
    jobs: tuple[str, ...]


def record_opening(
    lab: LabPaths, roadmap: Roadmap, gate: Gate, stars: int, jobs: Sequence[str]
) -> None:
    """Append an opening to the lab's file."""
    own = lab.relative(roadmap.document.path) if roadmap.document.path else ""
    # As it is read: of a name that is no UTF-8 not every byte.
    record = parse(json.dumps(asdict(Opening(time.time(), own, gate.id, stars, tuple(jobs)))))
    with os.fdopen(open_appending(lab.openings), "a", encoding="utf-8") as file:
        before = read_regular(lab.openings)
        torn = not before.endswith(b"\n") and before != b""
        record["number"] = before.count(b"\n") + torn + 1
        file.write("\n" * torn + json.dumps({**record, "crc32": _sum(record)}) + "\n")


def _sum(record: Mapping[str, object]) -> int:
    """Of a line without its sum, by which one changed since is known."""
    return crc32(json.dumps(record).encode())


def openings(lab: LabPaths, roadmap: Roadmap) -> list[Opening]:
    """Of a roadmap's gates, oldest first; `UsageError` for a file that is not as it was written."""
    own = lab.relative(roadmap.document.path) if roadmap.document.path else ""
    try:
        lines = read_regular(lab.openings).decode().splitlines()
    except FileNotFoundError:
        return []
    except (Unreadable, UnicodeDecodeError) as error:
        raise UsageError(f"{lab.openings}: {getattr(error, 'why', error)}") from None
    found = []
    for number, line in enumerate(lines, 1):
        try:
            record = parse(line)
            if record.pop("crc32", None) not in (None, _sum(record)):
                why = "changed since it was written (without crc32 it is taken as it is)"
                raise UsageError(f"{lab.openings}:{number}: {why}")
            if record.get("number", 0) > number:  # two branches that became one repeat some
                why = f"opening {record['number']}: a line before it is missing; put it back"
                raise UsageError(f"{lab.openings}:{number}: {why}")
            one = Opening(**{**known_fields(Opening, record), "jobs": tuple(record["jobs"])})
            texts = (one.roadmap, one.gate, *one.jobs)
            if not all(isinstance(text, str) for text in texts) or not isinstance(one.stars, int):
                raise TypeError
            found.append(one)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"{lab.openings}:{number}: not a record of an opening") from error
    return [one for one in found if one.roadmap == own]


def candidates(gate: Gate, newest: Iterable[Finished]) -> list[Finished]:
    """The full results that a gate may be judged by and whose stars may be kept for gates."""
    return [one for one in bearing(gate, newest) if _is_scored(one)]


def bearing(gate: Gate, newest: Iterable[Finished]) -> list[Finished]:
    """The full results that bear on a gate: of its MVPs, and of models its rules name."""
    named: set[str | None] = set()
    for rule in gate.rules:
        if isinstance(rule.condition, Comparison):
            named |= {model_key(rule.condition.left), model_key(rule.condition.right)}
        elif isinstance(rule.condition, Threshold) and is_model(model_key(rule.condition.of or "")):
            named.add(model_key(rule.condition.of or ""))
    return [
        one
        for one in newest
        if one.result.profile == "full"
        and (one.result.mvp in gate.mvps or model_key(one.result.model_name) in named)
    ]


def _is_scored(one: Finished) -> bool:
    result = one.result
    return result.profile == "full" and result.error_kind == "stars"


def on_kept_stars(newest: Sequence[Finished], opened: Sequence[Opening]) -> list[Finished]:
    """The results with full ones as scored on the kept stars; without those not opened.

    Controls stay as they are: they decide nothing, and warn.
    """
    jobs = {name: one.stars for one in opened for name in one.jobs}
    kept = []
    for one in newest:
        if not _is_scored(one) or one.result.data.get("permuted"):
            kept.append(one)
        elif sealed := on_stars(one, jobs.get(one.job.name, 0)):
            kept.append(replace(one, result=sealed))
    return kept


def on_stars(one: Finished, stars: int) -> Result | None:
    """A job's result on so many kept stars; None where it has none that is its own.

    It may have been opened since for another gate, on another number of stars.
    """
    sealed = read_result(one.job.paths.sealed)
    own = sealed and sealed.n.get("test") == stars and not other_job(sealed, one.job.spec)
    return sealed if own else None


def with_openings(
    verdict: Verdict, roadmap: Roadmap, opened: Sequence[Opening], waiting: int
) -> Verdict:
    """The verdict with how often its stars were opened; `waiting`: results not opened for it."""
    parts = [phrase("unopened", verdict.id)]
    if opened:
        parts = [phrase("openings", len(opened), opened[-1].stars)]
        parts += [phrase("not_opened", waiting, verdict.id)] if waiting else []
    told = [phrase("as_is", verdict.because), *parts], [
        phrase("as_is", verdict.because_in_document), *parts,
    ]  # fmt: skip
    english, own = (phrase("list", *one) for one in told)
    return replace(
        verdict,
        because=english.text("en"),
        because_in_document=own.text(roadmap.language),
    )
