"""How each MVP stands: what the roadmap says of it, and what its jobs do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vitlab.contract.job import Done, Lost, Queued, Result, Running
from vitlab.contract.value import Value, score_text
from vitlab.docs.judge.conclusion import best_result
from vitlab.docs.judge.phrases import phrase
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import Bounds, ceilings
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.launches import has_headline
from vitlab.lab.results.repeats import grouped
from vitlab.lab.results.sound import faults, parted, told
from vitlab.lab.writeback.sync_ledger import unwritten

BY_HAND = "running (document)"
"""No job of vitlab runs, and none has ended since: a person says so."""
ENDED = "ended"
"""Its jobs have ended, and the roadmap says that it runs."""


@dataclass(frozen=True)
class Standing:
    """How one MVP stands, besides the status that its row states."""

    word: str | None = None
    """`running`, though the row does not say so; of a row that says it, while nothing runs:
    `queued`, `held`, `lost`, `ENDED` or `BY_HAND`. None: the row says it all."""
    stated: str | None = None
    """The R2 that the roadmap states of it, as written; None where it states none."""

    @property
    def stated_text(self) -> str | None:
        """`0.713 (document)`: no job's; None where the roadmap states none."""
        return f"{self.stated} (document)" if self.stated else None

    def status(self, mvp: Mvp) -> str | None:
        """How it stands, for people; None where no status is known."""
        return self.word or mvp.status


def standings(
    lab: Lab | None, roadmap: Roadmap, jobs: Sequence[Job], *, quick: bool = False
) -> Mapping[str, Standing]:
    """MVP id -> how it stands; `jobs`: those of the roadmap, `quick`: without stated numbers.

    Without a lab there are no jobs, and all is as the document says.
    """
    alive = [job for job in jobs if not isinstance(job.state, Done) and not job.foreign]
    stated = {} if quick else _stated_numbers(roadmap)
    return {
        mvp.id: Standing(_word(lab, mvp, alive, jobs) if lab else None, stated.get(mvp.id))
        for mvp in roadmap.mvps
    }


@dataclass(frozen=True)
class Best:
    """The best headline of an MVP's runs."""

    result: Result
    """Of several seeds their mean."""
    is_only: bool
    """Whether all its runs are of one model."""

    @property
    def shown(self) -> str:
        """`0.727`, `0.727 (demo)` of a trial, `0.727 (demo, MLP)` beside other models.

        `0.950 (T_eff)` of another label than log g.
        """
        one, value = self.result, Value.parse(self.result.headline)
        marks = [value.label or ""] if value.short != value.symbol else []
        marks += [one.profile] if one.profile != "full" else []
        marks += [one.model_name] if not self.is_only else []
        text = score_text(one.headline, one.values.get(one.headline))
        return f"{text} ({', '.join(marks)})" if marks else text

    @property
    def record(self) -> dict[str, object]:
        """For programs."""
        one = self.result
        return {
            "value": one.headline,
            "number": one.values.get(one.headline),
            "error": one.errors.get(one.headline),
            "profile": one.profile,
            "run": one.run,
            "model": one.model_name,
        }


def best_scores(
    lab: Lab | None, jobs: Sequence[Job], tell: Callable[[str], None]
) -> Mapping[str, Best]:
    """The best of each MVP of a roadmap by its `jobs`, as `best_of` says."""
    known = ceilings(all_jobs(lab.paths)) if lab else {}
    return best_of(latest(finished(jobs)), known, tell)


def best_of(
    results: Sequence[Finished], known: Bounds, tell: Callable[[str], None]
) -> Mapping[str, Best]:
    """MVP id -> the best headline of its full runs, or else of trials; `known`: the ceilings.

    Seeds of one run are one, with their mean. What is no result is told, by its reason.
    """
    sound, left = parted(grouped(results), faults(results, known))
    for one in told((f"MVP-{group.first.mvp} {group.name}", fault) for group, fault in left):
        tell(phrase("not_a_result", one).text("en"))
    of_mvp: dict[str, list[Result]] = {}
    for group in sound:
        of_mvp.setdefault(group.first.mvp, []).append(group.as_one())
    found = {}
    for mvp_id, mine in of_mvp.items():
        full = [one for one in mine if one.profile == "full" and has_headline(one)]
        if best := best_result(full or mine):
            found[mvp_id] = Best(best, len({one.model_name for one in full or mine}) == 1)
    return found


def _word(lab: Lab, mvp: Mvp, alive: Sequence[Job], jobs: Sequence[Job]) -> str | None:
    """`alive`: those of `jobs` that have not ended, which are few."""
    mine = [job for job in alive if job.spec.mvp == mvp.id]
    running = [job.spec.profile for job in mine if isinstance(job.state, Running)]
    if mvp.status != "running":  # a trial leaves what is done as it is
        return "running" if "full" in running or (running and mvp.status != "done") else None
    waiting = [job for job in mine if isinstance(job.state, Queued)]
    if running:
        return None
    if waiting:
        return "held" if all(job.held for job in waiting) else "queued"
    if any(isinstance(job.state, Lost) for job in mine):
        return "lost"
    return ENDED if unwritten(lab, [j for j in jobs if j.spec.mvp == mvp.id]) else BY_HAND


def _stated_numbers(roadmap: Roadmap) -> Mapping[str, str]:
    """MVP id -> the R2 that the roadmap states of it; found once, and kept with the roadmap."""
    known: dict[str, Mapping[str, str]] = vars(roadmap)
    if "_stated_numbers" not in known:
        from vitlab.docs.lint.numbers import stated_r2  # the first picture shows none

        once = {mvp.id: mvp for mvp in roadmap.mvps}  # a table may repeat one a thousand times
        found = ((name, stated_r2(roadmap, mvp)) for name, mvp in once.items())
        known["_stated_numbers"] = {name: text for name, text in found if text is not None}
    return known["_stated_numbers"]
