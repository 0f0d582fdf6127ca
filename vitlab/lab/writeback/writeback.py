"""From ended jobs to the edits that report them, and the ledger of what is written."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vitlab.contract.job import Done, Killed, Queued, Result, Running
from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.value import Value
from vitlab.docs.judge.conclusion import best_of, conclusion, mark, number, spectra
from vitlab.docs.judge.gates import Verdict, judge
from vitlab.docs.judge.phrases import Phrase
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import Mvp, Roadmap, parse_roadmap
from vitlab.docs.save import FileChange, change, create
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Document, Span, read
from vitlab.docs.write.report import report_name, report_text
from vitlab.docs.write.results import finish
from vitlab.docs.write.rows import set_key_number
from vitlab.docs.write.status import set_status
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import provenance, sanity_checks
from vitlab.lab.results.job_results import Finished, finished, latest, of_roadmap
from vitlab.lab.results.pairs import pairs_of
from vitlab.lab.results.ranking import rank_runs
from vitlab.lab.results.repeats import grouped
from vitlab.lab.writeback.figure_paths import drawn


@dataclass(frozen=True)
class _Mark:
    """One accepted write."""

    jobs: dict[str, float]
    """Job name -> unix seconds of the end that was written; a resumed job ends anew."""
    texts: list[str]
    """Digests of the texts it left, by which its undo is known."""
    undone: bool = False
    """Taken back, so its jobs count as unwritten; kept for a redo."""


def unwritten(lab: Lab, jobs: Iterable[Job]) -> list[Job]:
    """The ended jobs whose end no accepted write has told yet."""
    marks = [one for one in _read(lab) if not one.undone]
    told = {(name, end) for one in marks for name, end in one.jobs.items()}
    return [
        job
        for job in jobs
        if isinstance(job.state, Done) and (job.paths.name, job.state.ended) not in told
    ]


def mark_written(lab: Lab, jobs: Sequence[Job], texts: Iterable[str]) -> None:
    """Remember that the ends of `jobs` are written, by a write that left `texts`."""
    ends = {job.paths.name: job.state.ended for job in jobs if isinstance(job.state, Done)}
    _save(lab, [*_read(lab), _Mark(ends, [_digest(text) for text in texts])])


def is_marked(lab: Lab, text: str) -> bool:
    """Whether a write that left `text` stands."""
    return any(_digest(text) in one.texts and not one.undone for one in _read(lab))


def unmark(lab: Lab, texts: Iterable[str]) -> None:
    """The write that left `texts` was undone: it is proposed again."""
    _turn(lab, texts, undone=True)


def remark(lab: Lab, texts: Iterable[str]) -> None:
    """The write that leaves `texts` was made again."""
    _turn(lab, texts, undone=False)


def _turn(lab: Lab, texts: Iterable[str], *, undone: bool) -> None:
    meant = {_digest(text) for text in texts}
    marks = _read(lab)
    turned = [replace(one, undone=undone) if meant & set(one.texts) else one for one in marks]
    if turned != marks:
        _save(lab, turned)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _read(lab: Lab) -> list[_Mark]:
    try:
        records = json.loads(lab.paths.private.sync_ledger.read_bytes())
        return [
            _Mark(dict(one["jobs"]), list(one["texts"]), one.get("undone") is True)
            for one in records
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def _save(lab: Lab, marks: Sequence[_Mark]) -> None:
    lab.paths.private.make()
    records = [asdict(one) for one in marks]
    write_atomic(lab.paths.private.sync_ledger, json.dumps(records, indent=0).encode())


Texts = Mapping[Path, str]
"""The files as earlier steps of the same plan will leave them."""


@dataclass(frozen=True)
class Step:
    """All that one MVP's ended jobs add to the documents."""

    mvp: str
    changes: tuple[FileChange, ...]
    jobs: tuple[Job, ...]
    summary: str
    """One line for people."""
    sentence: str = ""
    """The conclusion; empty where there are no numbers to draw one from."""


@dataclass(frozen=True)
class Pending:
    """What a write would do, shown before it is done."""

    path: Path
    """The roadmap."""
    changes: tuple[FileChange, ...]
    """One for each file touched, all MVPs together."""
    mvps: tuple[str, ...]
    summary: tuple[str, ...]


def pending(lab: Lab, roadmap_path: Path, mvp_id: str | None = None) -> Pending:
    """What the documents lack of the jobs that ended; of one MVP when named.

    Several MVPs are planned one after the other, each on the text the one before leaves.
    """
    roadmap = lab.read_roadmap(roadmap_path)
    wanted = [roadmap.mvp(mvp_id)] if mvp_id is not None else roadmap.mvps
    whole: dict[Path, FileChange] = {}
    steps = []
    for mvp_id_ in dict.fromkeys(mvp.id for mvp in wanted):
        texts = {path: one.new_text or "" for path, one in whole.items()}
        step = plan_mvp(lab, roadmap_path, mvp_id_, texts)
        if step is None:
            continue
        steps.append(step)
        for one in step.changes:
            first = whole.get(one.path, one)
            whole[one.path] = replace(one, old_text=first.old_text)
    return Pending(
        roadmap_path,
        tuple(whole.values()),
        tuple(step.mvp for step in steps),
        tuple(step.summary for step in steps),
    )


def plan_mvp(
    lab: Lab,
    roadmap_path: Path,
    mvp_id: str,
    texts: Texts | None = None,
    sentence: str | None = None,
) -> Step | None:
    """The step for one MVP; None when its last launch still runs, or is written already.

    `sentence`: a person's own conclusion, in place of the one the results make.
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
    results = [_linked(one, roadmap_path.parent) for one in ended]
    seedless = [_linked(one, roadmap_path.parent) for one in _seeds_as_one(ended)]
    status = end_status(mvp, mine, len(results))
    if not results:
        edits = set_status(roadmap, mvp.id, status)
        told = tuple(change(document, one) for one in (edits,) if one)
        return Step(mvp.id, told, tuple(mine), f"MVP-{mvp.id}: {status}: {_reasons(mine)}")
    everything = latest(finished(jobs))
    known = [one.result for one in everything]
    evidence = pairs_of(lab, everything)
    gates = [gate for gate in roadmap.gates if mvp.id in gate.mvps]
    verdicts = {gate.id: judge(gate, known, roadmap, evidence) for gate in gates}
    stands = rank_runs(mine, everything, evidence)
    story = _Story(
        roadmap=roadmap,
        mvp=mvp,
        results=results,
        rows=seedless,
        verdicts=verdicts,
        sentence=sentence or conclusion(results, roadmap.language, list(verdicts.values()), stands),
        exp_id=mine[-1].spec.exp_id,
        date=_date(mine),
        checks=sanity_checks(ended, everything),
        made_by=provenance(ended),
    )
    changes = story.changes(lab, roadmap_path, status, texts)
    summary = f"MVP-{mvp.id}: {story.sentence}"
    return Step(mvp.id, changes, tuple(mine), summary, story.sentence)


@dataclass(frozen=True)
class _Story:
    """What there is to tell of one MVP."""

    roadmap: Roadmap
    mvp: Mvp
    results: Sequence[Result]
    rows: Sequence[Result]
    """The same, repeats over seeds as one: what roadmap and hub have a row for."""
    verdicts: Mapping[str, Verdict]
    sentence: str
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
        edits = finish(
            self.roadmap,
            self.mvp.id,
            self.rows,
            status,
            self.sentence,
            link,
            self.verdicts,
            self.date,
            self.profile,
            drawn(roadmap_path.parent, self.mvp.id, self.profile),
        )
        found = [change(self.roadmap.document, edits)] if edits else []
        found += [report, *self.hub(lab, report.path.stem, texts)]
        return tuple(one for one in found if one.old_text != one.new_text)

    def report(self, folder: Path, texts: Texts) -> FileChange:
        """The report beside the roadmap: made, or gone on with below a rule when it is there."""
        path = folder / report_name(self.mvp, self.exp_id, self.date)
        text = report_text(
            self.roadmap,
            self.mvp.id,
            self.results,
            exp_id=self.exp_id,
            sentence=self.sentence,
            date=self.date,
            command=f"vitlab run {self.mvp.id} --profile {self.profile}",
            verdicts=self.verdicts,
            figures=list(drawn(folder, self.mvp.id, self.profile).values()),
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
        """The hub's key numbers, the best of each model, and its change log."""
        path = find_hub(lab, self.roadmap)
        if path is None:
            return []
        hub = parse_hub(_document(path, texts), lab.vocabulary)
        edits: list[Edit] = []
        for name in dict.fromkeys(result.model_name for result in self.rows):
            best = best_of([result for result in self.rows if result.model_name == name])
            if best is None:
                continue
            judged = Value.parse(best.headline)
            of = "" if judged.is_ceiling or not judged.split else f" ({judged.split})"
            indicator = f"{name} {judged.short}{of}{mark(best.profile)}"
            sizes = "/".join(spectra(best.n[key]) for key in ("train", "test") if key in best.n)
            condition = ", ".join(part for part in (sizes, f"MVP-{self.mvp.id}") if part)
            value = number(best, best.headline)
            edits += set_key_number(hub, indicator, value, condition, source, self.date)
        return [change(hub.document, edits)] if edits else []


def find_hub(lab: Lab, roadmap: Roadmap) -> Path | None:
    """The hub the roadmap names first, if it is there and inside the lab."""
    if roadmap.document.path is None:
        return None
    folder = roadmap.document.path.parent
    for name in re.findall(r"[\w./-]*hub[\w.-]*\.md", roadmap.document.text):
        with contextlib.suppress(UsageError):  # a hub outside the lab is not ours to write
            path = lab.paths.inside((folder / name).absolute())
            if path.is_file():
                return path
    return None


def last_launch(jobs: Sequence[Job]) -> list[Job]:
    """The newest job of each run, of the profile launched last; oldest first."""
    ordered = sorted(jobs, key=lambda job: job.spec.submitted)
    newest = {j.spec.run: j for j in ordered if j.spec.profile == ordered[-1].spec.profile}
    return sorted(newest.values(), key=lambda job: job.spec.submitted)


def end_status(mvp: Mvp, jobs: Sequence[Job], good: int) -> str:
    """What the plan may say now: only a full run ends an MVP."""
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


def _linked(one: Finished, folder: Path) -> Result:
    """The result with the files of an offline W&B run as a path from the roadmap's folder."""
    result = one.result
    if result.wandb is None or "://" in result.wandb:
        return result
    files = (one.job.paths.folder / result.wandb).resolve()
    path = Path(os.path.relpath(files, folder.resolve())).as_posix()
    return replace(result, wandb=path)


def _document(path: Path, texts: Texts) -> Document:
    return Document(texts[path], path) if path in texts else read(path)
