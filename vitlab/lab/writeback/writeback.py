"""From ended jobs to the edits that report them in the roadmap, its hub, and reports."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vitlab.contract.job import Done, Killed, Queued, Result, Running
from vitlab.contract.paths import FIGURE_FOLDER, UsageError
from vitlab.contract.value import Value
from vitlab.docs.judge.conclusion import (
    best_result,
    conclusion,
    count_text,
    profile_mark,
    value_text,
)
from vitlab.docs.judge.gates import Verdict, judge
from vitlab.docs.judge.phrases import Phrase
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import Mvp, Roadmap, parse_roadmap
from vitlab.docs.save import FileChange, change, create
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Document, Span, read
from vitlab.docs.write.report import report_name, report_text
from vitlab.docs.write.results import record_results
from vitlab.docs.write.rows import link_figure, set_key_number
from vitlab.docs.write.status import set_status
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import provenance, sanity_checks
from vitlab.lab.results.job_results import Finished, finished, latest, of_roadmap
from vitlab.lab.results.ranking import pairs_of, rank_runs
from vitlab.lab.results.repeats import grouped
from vitlab.lab.writeback.sync_ledger import unwritten
from vitlab.plot.figures import FIGURES

Texts = Mapping[Path, str]
"""The files as earlier updates of the same plan leave them."""


@dataclass(frozen=True)
class MvpUpdate:
    """All that the ended jobs of one MVP add to the documents."""

    mvp: str
    changes: tuple[FileChange, ...]
    jobs: tuple[Job, ...]
    summary: str
    """One line for people."""
    conclusion: str = ""
    """Empty where there are no numbers to draw one from."""


@dataclass(frozen=True)
class Pending:
    """What waits to be written into a roadmap's documents."""

    path: Path
    """The roadmap."""
    changes: tuple[FileChange, ...]
    """One for each file, of all MVPs together."""
    mvps: tuple[str, ...]
    summary: tuple[str, ...]


def pending(lab: Lab, roadmap_path: Path, mvp_id: str | None = None) -> Pending:
    """What the documents lack of the ended jobs, of one MVP or of all.

    Several MVPs are planned one after the other, each on the text the one before leaves.
    """
    roadmap = lab.read_roadmap(roadmap_path)
    mvps = [roadmap.mvp(mvp_id)] if mvp_id is not None else roadmap.mvps
    changes: dict[Path, FileChange] = {}
    updates = []
    for each in dict.fromkeys(mvp.id for mvp in mvps):
        texts = {path: change.new_text for path, change in changes.items()}
        update = plan_mvp(lab, roadmap_path, each, texts)
        if update is None:
            continue
        updates.append(update)
        for new in update.changes:
            first = changes.get(new.path, new)
            changes[new.path] = replace(new, old_text=first.old_text)
    return Pending(
        roadmap_path,
        tuple(changes.values()),
        tuple(update.mvp for update in updates),
        tuple(update.summary for update in updates),
    )


def plan_mvp(
    lab: Lab,
    roadmap_path: Path,
    mvp_id: str,
    texts: Texts | None = None,
    own_conclusion: str | None = None,
) -> MvpUpdate | None:
    """The update for one MVP; None when its last launch still runs, or is written already.

    `own_conclusion`: a person's own, in place of the one drawn from the results.
    """
    texts = texts or {}
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    mine = last_launch([job for job in jobs if job.spec.mvp == mvp_id])
    if not unwritten(lab, mine) or any(isinstance(j.state, Queued | Running) for j in mine):
        return None
    document = _document(roadmap_path, texts)
    roadmap = parse_roadmap(document, lab.vocabulary)
    mvp = roadmap.mvp(mvp_id)
    ended = latest(finished(mine))
    results = [_with_wandb_path(one, roadmap_path.parent) for one in ended]
    rows = [_with_wandb_path(one, roadmap_path.parent) for one in _seeds_as_one(ended)]
    status = end_status(mvp, mine, len(results))
    if not results:
        edits = set_status(roadmap, mvp.id, status)
        changes = (change(document, edits),) if edits else ()
        summary = f"MVP-{mvp.id}: {status}: {_reasons(mine)}"
        return MvpUpdate(mvp.id, changes, tuple(mine), summary)
    everything = latest(finished(jobs))
    evidence = pairs_of(lab, everything)
    gates = [gate for gate in roadmap.gates if mvp.id in gate.mvps]
    known = [one.result for one in everything]
    verdicts = {gate.id: judge(gate, known, roadmap, evidence) for gate in gates}
    ranking = rank_runs(mine, everything, evidence)
    report = _Report(
        roadmap=roadmap,
        mvp=mvp,
        results=results,
        rows=rows,
        verdicts=verdicts,
        conclusion=own_conclusion
        or conclusion(results, roadmap.language, list(verdicts.values()), ranking),
        exp_id=mine[-1].spec.exp_id,
        date=_date(mine),
        checks=sanity_checks(ended, everything),
        made_by=provenance(ended),
    )
    summary = f"MVP-{mvp.id}: {report.conclusion}"
    files = report.changes(lab, roadmap_path, status, texts)
    return MvpUpdate(mvp.id, files, tuple(mine), summary, report.conclusion)


@dataclass(frozen=True)
class _Report:
    """What is reported of one MVP."""

    roadmap: Roadmap
    mvp: Mvp
    results: Sequence[Result]
    rows: Sequence[Result]
    """The same with repeats over seeds as one: what has a row in roadmap and hub."""
    verdicts: Mapping[str, Verdict]
    conclusion: str
    exp_id: str
    date: str
    checks: Sequence[Phrase] = ()
    made_by: Sequence[Phrase] = ()

    @property
    def profile(self) -> str:
        return self.results[0].profile

    def changes(
        self, lab: Lab, roadmap_path: Path, status: str, texts: Texts
    ) -> tuple[FileChange, ...]:
        """The roadmap's change, the report's, and the hub's if there is one."""
        report = self.report(roadmap_path.parent, texts)
        link = f"./{report.path.relative_to(roadmap_path.parent).as_posix()}"
        edits = record_results(
            self.roadmap,
            self.mvp.id,
            self.rows,
            status,
            self.conclusion,
            link,
            self.verdicts,
            self.date,
            self.profile,
            existing_figures(roadmap_path.parent, self.mvp.id, self.profile),
        )
        changes = [change(self.roadmap.document, edits)] if edits else []
        changes += [report, *self.hub(lab, report.path.stem, texts)]
        return tuple(one for one in changes if one.old_text != one.new_text)

    def report(self, folder: Path, texts: Texts) -> FileChange:
        """The report beside the roadmap: a new file, or appended to the old one below a rule."""
        path = folder / report_name(self.mvp, self.exp_id, self.date)
        text = report_text(
            self.roadmap,
            self.mvp.id,
            self.results,
            exp_id=self.exp_id,
            conclusion=self.conclusion,
            date=self.date,
            command=f"vitlab run {self.mvp.id} --profile {self.profile}",
            verdicts=self.verdicts,
            figures=list(existing_figures(folder, self.mvp.id, self.profile).values()),
            checks=self.checks,
            made_by=self.made_by,
        )
        if path not in texts and not path.exists():
            return create(path, text)
        document = _document(path, texts)
        if text in document.text:
            return FileChange(path, document.text, document.text, ())
        end = len(document.text)
        rule = f"{document.newline}---{document.newline}{document.newline}"
        return change(document, [Edit(Span(end, end), "", rule + text)])

    def hub(self, lab: Lab, source: str, texts: Texts) -> list[FileChange]:
        """The hub's key numbers, one for the best run of each model, and its change log."""
        path = find_hub(lab, self.roadmap)
        if path is None:
            return []
        hub = parse_hub(_document(path, texts), lab.vocabulary)
        edits: list[Edit] = []
        for name in dict.fromkeys(result.model_name for result in self.rows):
            best = best_result([result for result in self.rows if result.model_name == name])
            if best is None:
                continue
            judged = Value.parse(best.headline)
            of = "" if judged.is_ceiling or not judged.split else f" ({judged.split})"
            indicator = f"{name} {judged.short}{of}{profile_mark(best.profile)}"
            sizes = "/".join(count_text(best.n[key]) for key in ("train", "test") if key in best.n)
            condition = ", ".join(part for part in (sizes, f"MVP-{self.mvp.id}") if part)
            value = value_text(best, best.headline)
            edits += set_key_number(hub, indicator, value, condition, source, self.date)
        return [change(hub.document, edits)] if edits else []


def find_hub(lab: Lab, roadmap: Roadmap) -> Path | None:
    """The first hub the roadmap names that is there and inside the lab."""
    if roadmap.document.path is None:
        return None
    folder = roadmap.document.path.parent
    for name in re.findall(r"[\w./-]*hub[\w.-]*\.md", roadmap.document.text):
        with contextlib.suppress(UsageError):  # a hub outside the lab is never written
            path = lab.paths.inside((folder / name).absolute())
            if path.is_file():
                return path
    return None


def last_launch(jobs: Sequence[Job]) -> list[Job]:
    """The newest job of each run of the profile launched last, oldest first."""
    ordered = sorted(jobs, key=lambda job: job.spec.submitted)
    newest = {j.spec.run: j for j in ordered if j.spec.profile == ordered[-1].spec.profile}
    return sorted(newest.values(), key=lambda job: job.spec.submitted)


def end_status(mvp: Mvp, jobs: Sequence[Job], good: int) -> str:
    """The status after `jobs` ended, `good` of them well; only a full run can make it done."""
    profile = jobs[-1].spec.profile
    if profile != "full" and mvp.status == "done":
        return "done"
    if not good:
        ends = [job.state.end for job in jobs if isinstance(job.state, Done)]
        killed = len(ends) == len(jobs) and all(isinstance(end, Killed) for end in ends)
        return "paused" if killed else "failed"
    if profile != "full":
        return "analysing"
    return "done" if good == len(jobs) else "partial"


def _seeds_as_one(ended: Sequence[Finished]) -> list[Finished]:
    return [replace(group.members[0], result=group.as_one()) for group in grouped(ended)]


def _reasons(jobs: Sequence[Job]) -> str:
    states = [job.state for job in jobs if isinstance(job.state, Done)]
    return "; ".join(dict.fromkeys(state.detail or state.outcome for state in states))


def _date(jobs: Sequence[Job]) -> str:
    """The day the last of the jobs ended."""
    ended = max(job.state.ended for job in jobs if isinstance(job.state, Done))
    return datetime.date.fromtimestamp(ended).isoformat()


def _with_wandb_path(one: Finished, folder: Path) -> Result:
    """The result, with the folder of an offline W&B run as a path from the roadmap's folder."""
    result = one.result
    if result.wandb is None or "://" in result.wandb:
        return result
    files = (one.job.paths.folder / result.wandb).resolve()
    path = Path(os.path.relpath(files, folder.resolve())).as_posix()
    return replace(result, wandb=path)


def _document(path: Path, texts: Texts) -> Document:
    return Document(texts[path], path) if path in texts else read(path)


def figure_stem(roadmap: Path, mvp: str | None, profile: str, figure: str) -> Path:
    """A figure's file without ending, `img/mvp_3.0_scaling_demo`; None: it shows several MVPs."""
    name = re.sub(r"[^\w.-]+", "_", mvp or "")
    head = f"mvp_{name}_" if mvp is not None else ""
    tail = "" if profile == "full" else f"_{profile}"
    return roadmap.parent / FIGURE_FOLDER / f"{head}{figure}{tail}"


def figure_stem_of(lab: Lab, results: Sequence[Finished], figure: str) -> Path:
    """As `figure_stem` for a figure of these jobs, beside the roadmap of the first."""
    mvps = dict.fromkeys(one.result.mvp for one in results)
    # Of trials and full runs together, the name tells of the trials.
    profile = min({one.result.profile for one in results}, key=lambda name: (name == "full", name))
    roadmap = lab.paths.inside(results[0].job.spec.roadmap)
    return figure_stem(roadmap, next(iter(mvps)) if len(mvps) == 1 else None, profile, figure)


def existing_figures(folder: Path, mvp: str, profile: str) -> dict[str, str]:
    """The figures an MVP has: name -> path from `folder`, the roadmap's."""
    names = {name: figure_stem(folder / "roadmap", mvp, profile, name).name for name in FIGURES}
    return {
        name: f"./{FIGURE_FOLDER}/{file}.png"
        for name, file in names.items()
        if (folder / FIGURE_FOLDER / f"{file}.png").is_file()
    }


def link_in_reports(lab: Lab, results: Sequence[Finished], picture: Path) -> list[FileChange]:
    """The changes that link `picture` in the existing reports of the MVPs it shows."""
    roadmap_path = lab.paths.inside(results[0].job.spec.roadmap)
    if not roadmap_path.is_file():
        return []
    roadmap = lab.read_roadmap(roadmap_path)
    wanted = {one.result.mvp for one in results}
    changes = []
    for mvp in roadmap.mvps:
        if mvp.id not in wanted or not mvp.report:
            continue
        try:
            path = lab.paths.inside(roadmap_path.parent / mvp.report)
        except UsageError:
            continue  # a report outside the lab is never written
        if path.suffix != ".md" or not path.is_file():
            continue
        link = Path(os.path.relpath(picture, path.parent)).as_posix()
        document = read(path)
        edits = link_figure(document, link if link.startswith(".") else f"./{link}")
        changes += [change(document, edits)] if edits else []
    return list({one.path: one for one in changes}.values())
