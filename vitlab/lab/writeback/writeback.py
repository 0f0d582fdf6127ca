"""From ended jobs to the edits that report them in the roadmap, its hub, and reports."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vitlab.contract.job import SIZES, Done, Result
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value
from vitlab.docs.judge.conclusion import (
    best_result,
    conclusion,
    count_text,
    profile_mark,
    value_text,
)
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.judge.phrases import Phrase
from vitlab.docs.judge.verdict import STANDING
from vitlab.docs.model.hub import Hub, parse_hub
from vitlab.docs.model.roadmap import Mvp, Roadmap, parse_roadmap
from vitlab.docs.save import FileChange, change, create
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.new_report import has_results, results_edits
from vitlab.docs.write.report import report_names, report_text
from vitlab.docs.write.results import RunLink, foreign_links, record_results, run_links
from vitlab.docs.write.rows import set_key_number
from vitlab.docs.write.status import set_end, unique_edits
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab, passing_over
from vitlab.lab.linked_files import (
    earlier_saves,
    find_hub,
    foreign_report,
    left_alone,
    linked_changes,
    linked_gate_changes,
    merged,
    path_from,
    report_path,
    state_before_run,
)
from vitlab.lab.results.ceilings import Bounds
from vitlab.lab.results.findings import findings
from vitlab.lab.results.job_results import Finished, finished, latest, of_roadmap, other_seeds
from vitlab.lab.results.launches import (
    LaunchEnd,
    has_ended,
    has_headline,
    last_launch,
    launch_end,
    partly_run,
)
from vitlab.lab.results.ranking import Pairs, judged_gates, pairs_of, rank_runs
from vitlab.lab.results.repeats import Group, grouped, groups_beside
from vitlab.lab.results.run_settings import settings_of
from vitlab.lab.results.sound import faults, sound_of, without_numbers
from vitlab.lab.writeback.checks.outdated import gate_updates, own_cells
from vitlab.lab.writeback.figure_files import existing_figures
from vitlab.lab.writeback.run_links import run_links_of
from vitlab.lab.writeback.sanity import provenance, sanity_checks
from vitlab.lab.writeback.sync_ledger import launch_to_write

_OURS = re.compile(r"\w_(?:test|val)=-?\d")
"""In every conclusion and key metric that vitlab writes of a score."""
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
    is_own: bool = False
    """Whether the conclusion is a person's."""
    left: tuple[str, ...] = ()
    """What stays as it is in files beside the roadmap, and why: a line each."""
    is_reported: bool = False
    """Whether its numbers stand in its report: they were written once."""


@dataclass(frozen=True)
class Pending:
    """What waits to be written into a roadmap's documents."""

    path: Path
    """The roadmap."""
    changes: tuple[FileChange, ...]
    """One for each file, of all MVPs together."""
    mvps: tuple[str, ...]
    summary: tuple[str, ...]
    left: tuple[str, ...] = ()
    """Of all its MVPs."""
    steps: tuple[str, ...] = ()
    """The writes in turn, each undone on its own: `MVP-1.0`, of those MVPs that change a file."""
    gates: tuple[str, ...] = ()
    """Bare ids of those whose result is written anew, as their models have further seeds."""
    reported: tuple[str, ...] = ()
    """Those of `mvps` whose numbers stand in their report, and that change a file all the same."""


def pending(lab: Lab, roadmap_path: Path, mvp_id: str | None = None) -> Pending:
    """What the documents lack of the ended jobs, of one MVP or of all.

    Several MVPs are planned one after the other, each on the text the one before leaves.
    """
    roadmap = lab.read_roadmap(roadmap_path)
    mvps = [roadmap.mvp(mvp_id)] if mvp_id is not None else roadmap.mvps
    changes, updates, errors = list[FileChange](), list[MvpUpdate](), dict[str, Exception]()
    for each in dict.fromkeys(mvp.id for mvp in mvps):
        texts = {change.path: change.new_text for change in changes}
        with passing_over(f"MVP-{each}: nothing is written of it", errors):
            if (update := plan_mvp(lab, roadmap_path, each, texts)) is not None:
                updates.append(update)
                changes = merged([*changes, *update.changes])
    lab.tell_passed_over(errors, bool(updates))
    texts = {change.path: change.new_text for change in changes}
    gates = gate_updates(lab, roadmap_path, texts, None if mvp_id is None else mvps[0].id)
    changes = merged([*changes, *(one for gate in gates for one in gate.changes)])
    return Pending(
        roadmap_path,
        tuple(changes),
        tuple(update.mvp for update in updates),
        (*(one.summary for one in updates), *(one.summary for one in gates)),
        tuple(dict.fromkeys(line for update in updates for line in update.left)),
        (
            *(f"MVP-{update.mvp}" for update in updates if update.changes),
            *(f"Gate-{one.gate}" for one in gates),
        ),
        tuple(gate.gate for gate in gates),
        tuple(update.mvp for update in updates if update.is_reported and update.changes),
    )


def plan_mvp(
    lab: Lab,
    roadmap_path: Path,
    mvp_id: str,
    texts: Texts | None = None,
    own_conclusion: str | None = None,
) -> MvpUpdate | None:
    """The update for one MVP; None when it has no launch whose end is to be written.

    `own_conclusion`: a person's own, in place of the one drawn from the results.
    """
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    mine = launch_to_write(lab, _of_mvp(jobs, mvp_id))
    if not mine:
        return None
    return _update(lab, roadmap_path, jobs, mine, texts or {}, own_conclusion)


def _update(
    lab: Lab, path: Path, jobs: Sequence[Job], mine: Sequence[Job], texts: Texts, own: str | None
) -> MvpUpdate:
    """The update for `mine`, an ended launch; `jobs`: all of the roadmap."""
    roadmap = parse_roadmap(_document(path, texts), lab.vocabulary_of(path))
    mvp = roadmap.mvp(mine[-1].spec.mvp)
    end = launch_end(lab, mvp, mine, _of_mvp(jobs, mine[-1].spec.mvp))
    links = list(run_links_of(lab, mine, jobs, path.parent))
    told = [*other_seeds(mine, jobs), *mine]
    ended = sorted(latest(finished(told)), key=lambda one: one.job.spec.submitted)
    if not (groups := [one for one in grouped(ended) if has_headline(one.as_one())]):
        return _without_numbers(lab, roadmap, mvp, mine, end, links, texts)
    everything = latest(finished(jobs))
    pairs = pairs_of(lab, everything)
    would_be = _verdicts(lab, roadmap, mvp, everything, pairs)
    verdicts = would_be if mine[-1].spec.profile == "full" else {}  # a trial closes no gate
    bare = without_numbers(ended, faults(ended, pairs.bounds))
    rows = [g for g in grouped(bare) if g.members[0].job in [x.members[0].job for x in groups]]
    results = [x.result for x in bare if has_headline(x.result)] or [x.result for x in ended]
    beside = groups_beside(lab, mvp.id, everything)
    ranking, judged = rank_runs(told, everything, pairs), list(verdicts.values())
    found = findings(ended, everything, pairs) + _laws(ended, pairs.bounds) + partly_run(lab, mine)
    report = _Report(
        roadmap=roadmap,
        mvp=mvp,
        results=[one.result for one in bare],
        rows=rows,
        links=links,
        verdicts=verdicts,
        would_be=would_be,
        conclusion=own or conclusion(results, roadmap.language, judged, ranking, found),
        exp_id=mine[-1].spec.exp_id,
        jobs=[one.job.name for one in ended],
        date=_date(mine),
        checks=sanity_checks(ended, pairs.bounds),
        made_by=provenance(ended),
        settings=[_ran_with(lab, one) for one in ended],
        others=sound_of([one for one in beside if _like(one) in map(_like, rows)], pairs.bounds),
    )
    left = left_alone(lab, roadmap, mvp.id, end.status)
    files = report.changes(lab, path, end.status, texts)
    foreign = foreign_report(lab, roadmap, mvp.id, mine[-1].spec.exp_id, files)
    lines = (report.conclusion, *end.reasons, *foreign_links(roadmap, mvp, links), *foreign, *left)
    about = f"MVP-{mvp.id}: {'; '.join(dict.fromkeys(lines))}", report.conclusion
    said = report.is_written(lab, path, texts)
    return MvpUpdate(mvp.id, files, tuple(mine), *about, bool(own), tuple(left), said)


def _laws(ended: Sequence[Finished], known: Bounds) -> list[Phrase]:
    """What the scaling laws of a sweep over sizes say; nothing for fewer than `SIZES`."""
    sizes = {(one.result.n.get("train"), one.result.model.get("params")) for one in ended}
    if len(sizes) < SIZES:
        return []
    from vitlab.lab.results.scaling import law_phrases, scalings  # they load numpy and scipy

    with contextlib.suppress(UsageError):  # not judged by an R2
        return law_phrases(scalings(ended, known))
    return []


def _ran_with(lab: Lab, one: Finished) -> Mapping[str, object]:
    """The settings of a run, and the steps it took: training may end before its last epoch."""
    settings, progress = settings_of(one.job.spec), lab.progress(one.job.paths)
    trains = one.job.spec.recipe == "command" or any(name.startswith("train.") for name in settings)
    of = f" of {progress.of}" if progress.of > progress.step else ""
    steps = {"train.steps": f"{progress.step}{of}"} if progress.of and trains else {}
    return {**settings, **steps}


def _verdicts(
    lab: Lab, roadmap: Roadmap, mvp: Mvp, everything: Sequence[Finished], evidence: Pairs
) -> dict[str, Verdict]:
    """The verdict of each gate the MVP belongs to."""
    gates = [gate for gate in roadmap.gates if mvp.id in gate.mvps]
    return {one.id: one for one in judged_gates(lab, gates, roadmap, everything, evidence)}


@dataclass(frozen=True)
class _Report:
    """What is reported of one MVP."""

    roadmap: Roadmap
    mvp: Mvp
    results: Sequence[Result]
    """Without numbers where these are no results."""
    rows: Sequence[Group]
    """The same with repeats over seeds as one: what has a row in roadmap and hub."""
    links: Sequence[RunLink]
    jobs: Sequence[str]
    """Names of the jobs of `results`."""
    verdicts: Mapping[str, Verdict]
    would_be: Mapping[str, Verdict]
    """Also those of trials, which decide nothing."""
    conclusion: str
    exp_id: str
    date: str
    checks: Sequence[Phrase] = ()
    made_by: Sequence[Phrase] = ()
    settings: Sequence[Mapping[str, object]] = ()
    """What each of `results` ran with."""
    others: Sequence[Group] = ()
    """Of other MVPs, those alike (`_like`) that may be quoted."""

    @property
    def profile(self) -> str:
        return self.results[0].profile

    def changes(
        self, lab: Lab, roadmap_path: Path, status: str, texts: Texts
    ) -> tuple[FileChange, ...]:
        """The roadmap's change, the report's, and the hub's if there is one."""
        report = self.report(lab, roadmap_path, texts)
        link = path_from(roadmap_path.parent, report.path)
        edits = record_results(
            self.roadmap,
            self.mvp.id,
            [group.as_one() for group in self.rows],
            status,
            self.conclusion,
            link,
            self.would_be,
            self.date,
            self.profile,
            self.figures(roadmap_path),
            self.links,
            [one for one in self.results if has_headline(one)],
            own_cells(lab, self.roadmap, self.mvp.id),
            _reads_as_ours(lab, roadmap_path),
        )
        changes = [change(self.roadmap.document, edits)] if edits else []
        changes += [report, *self.hub(lab, report.path.stem, texts)]
        texts = {**texts, **{one.path: one.new_text for one in changes}}
        changes += linked_changes(lab, self.roadmap, self.mvp.id, status, texts)
        changes += self.gates(lab, changes, texts)
        return tuple(one for one in merged(changes) if one.old_text != one.new_text)

    def gates(self, lab: Lab, changes: Sequence[FileChange], texts: Texts) -> Iterator[FileChange]:
        """The verdicts that the roadmap now has, and gates opened again, in the files beside it."""
        texts = {**texts, **{one.path: one.new_text for one in changes}}
        path = self.roadmap.document.path
        after = self.roadmap.reread(_document(path, texts)) if path else self.roadmap
        for verdict in self.verdicts.values():
            gate = after.gate(verdict.id)
            if verdict.reopens or STANDING.get(gate.status or "") == verdict.verdict:
                made = linked_gate_changes(lab, self.roadmap, gate, gate.status or "", texts)
                texts |= {one.path: one.new_text for one in made}
                yield from made

    def figures(self, roadmap_path: Path) -> dict[str, str]:
        """The figures of these runs, and of no earlier ones."""
        return existing_figures(roadmap_path, self.mvp.id, self.profile, self.jobs)

    def report_path(self, lab: Lab, roadmap_path: Path, texts: Texts) -> Path:
        """The report that is there, or the new one's path."""
        paths = map(roadmap_path.with_name, report_names(self.mvp, self.exp_id, self.date))
        return report_path(lab, self.roadmap, self.mvp.id, self.exp_id, paths, texts)

    def report_text(self, roadmap_path: Path) -> str:
        """What a report of these results alone says."""
        return report_text(
            self.roadmap,
            self.mvp.id,
            self.results,
            exp_id=self.exp_id,
            conclusion=self.conclusion,
            date=self.date,
            command=f"vitlab run {self.mvp.id} --profile {self.profile}",
            verdicts=self.verdicts,
            figures=list(self.figures(roadmap_path).values()),
            checks=self.checks,
            made_by=self.made_by,
            settings=self.settings,
        )

    def is_written(self, lab: Lab, roadmap_path: Path, texts: Texts) -> bool:
        """Whether the numbers stand in the report already."""
        path = self.report_path(lab, roadmap_path, texts)
        is_there = path in texts or path.exists()
        return is_there and has_results(_document(path, texts), self.report_text(roadmap_path))

    def report(self, lab: Lab, roadmap_path: Path, texts: Texts) -> FileChange:
        """The report: a new file beside the roadmap, or what an existing one lacks."""
        path = self.report_path(lab, roadmap_path, texts)
        text = self.report_text(roadmap_path)
        if path not in texts and not path.exists():
            return create(path, text)
        document = _document(path, texts)
        edits = results_edits(document, text, self.exp_id, _written_by_saves(lab, path))
        if not edits:
            return FileChange(path, document.text, document.text, ())
        return change(document, edits)

    def hub(self, lab: Lab, source: str, texts: Texts) -> list[FileChange]:
        """The hub's key numbers, one for the best run of each model, and its change log.

        A number that another MVP wrote is replaced by a better one alone.
        """
        path = find_hub(lab, self.roadmap)
        if path is None:
            return []
        hub = parse_hub(_document(path, texts), lab.vocabulary)
        edits: list[Edit] = []
        for name in dict.fromkeys(group.first.model_name for group in self.rows):
            group = _best([one for one in self.rows if one.first.model_name == name])
            if group is None:
                continue
            best = group.as_one()
            judged = Value.parse(best.headline)
            of = "" if judged.is_ceiling or not judged.split else f" ({judged.split})"
            # A program's runs are often called `main`, in every MVP.
            label = self.mvp.name if name == "main" and self.mvp.name else name
            indicator = f"{label} {judged.short}{of}{profile_mark(best.profile)}"
            # A ceiling is of fewer stars than its bounds are, and is trained on none.
            splits = () if judged.is_ceiling else ("train", "test")
            sizes = "/".join(count_text(best.n[key]) for key in splits if key in best.n)
            seeds = group.repeats.seeds_phrase(None) if len(group.members) > 1 else None
            of_seeds = seeds.text(self.roadmap.language) if seeds else ""
            condition = ", ".join(filter(None, (sizes, of_seeds, f"MVP-{self.mvp.id}")))
            value = value_text(best, best.headline)
            if not self._stands(hub, indicator, group):
                edits += set_key_number(hub, indicator, value, condition, source, self.date)
        return [change(hub.document, edits)] if edits else []

    def _stands(self, hub: Hub, indicator: str, new: Group) -> bool:
        """Whether a key number is that of another MVP's runs, which is better than a new one.

        Also one of another roadmap that leads to this hub.
        Better is decided on validation, among runs on the same stars; what was measured on others
        replaces nothing, nor do fewer seeds the mean over several.
        """
        row = next((one for one in hub.key_numbers if one.text("indicator") == indicator), None)
        if row is None:
            return False
        for group in (one for one in self.others if _like(one) == _like(new)):
            other = group.as_one()
            is_shown = row.text("value") == value_text(other, other.headline)
            if is_shown and f"MVP-{other.mvp}" in (row.text("condition") or f"MVP-{other.mvp}"):
                is_like = other.data.get("hash") == new.first.data.get("hash")
                is_surer = len(group.members) > len(new.members)
                return not is_like or is_surer or _best([new, group]) is not new
        return False


def _like(group: Group) -> tuple[str, str, str]:
    """Equal for runs whose numbers stand for one another in the hub."""
    one = group.as_one()
    return one.model_name, one.headline, one.profile


def _best(groups: Sequence[Group]) -> Group | None:
    """That whose headline is best on validation, see `best_result`."""
    results = [group.as_one() for group in groups]
    best = best_result(results)
    return next((group for group, one in zip(groups, results, strict=True) if one is best), None)


def _written_by_saves(lab: Lab, path: Path) -> Callable[[str], bool]:
    """Tells whether a text stands in a document since one of its last saves."""
    saves = cache(lambda: list(earlier_saves(lab.journal, path)))
    return lambda body: any(body in (new or "") and body not in (old or "") for old, new in saves())


def _reads_as_ours(lab: Lab, path: Path) -> Callable[[str], bool]:
    """Tells whether a conclusion is vitlab's: one of the last saves wrote it.

    Or it stood there before these (in a copied lab, which has none), in the words of vitlab.
    """
    is_written = _written_by_saves(lab, path)
    oldest = cache(lambda: [old or "" for old, _ in earlier_saves(lab.journal, path)][-1:])

    def is_ours(cell: str) -> bool:
        is_older = all(cell in text for text in oldest())
        return is_written(cell) or (is_older and bool(_OURS.search(cell)))

    return is_ours


def _of_mvp(jobs: Iterable[Job], mvp_id: str) -> list[Job]:
    return [job for job in jobs if job.spec.mvp == mvp_id]


def _without_numbers(
    lab: Lab,
    roadmap: Roadmap,
    mvp: Mvp,
    jobs: Sequence[Job],
    end: LaunchEnd,
    links: Sequence[RunLink],
    texts: Texts,
) -> MvpUpdate:
    """Status and links alone: words and numbers that stand in the documents stay."""
    before = state_before_run(lab.journal, roadmap, mvp.id) if mvp.status == "running" else None
    over = set_end(roadmap, mvp.id, end.status, False, before)
    edits = unique_edits([*over, *run_links(roadmap, mvp, links)])
    changes = [change(roadmap.document, edits)] if edits else []
    if edits and mvp.status != end.status:
        changes += linked_changes(lab, roadmap, mvp.id, end.status, texts)
    summary = "; ".join([_end_text(mvp, end), *foreign_links(roadmap, mvp, links)])
    left = left_alone(lab, roadmap, mvp.id, end.status) if changes else []
    return MvpUpdate(mvp.id, tuple(changes), tuple(jobs), summary, left=tuple(left))


def end_summary(lab: Lab, roadmap_path: Path, mvp_id: str) -> str:
    """One line on how an MVP's last launch ended; empty where it has none, or it still runs."""
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    mine = last_launch(_of_mvp(jobs, mvp_id))
    if not mine or not has_ended(mine):
        return ""
    return _update(lab, roadmap_path, jobs, mine, {}, None).summary


def _end_text(mvp: Mvp, end: LaunchEnd) -> str:
    reasons = end.reasons or ("no numbers, and none were expected",)
    if end.stays:
        return f"MVP-{mvp.id}: {'; '.join(reasons)}; the MVP stays {end.status}"
    return f"MVP-{mvp.id}: {end.status}: {'; '.join(reasons)}"


def _date(jobs: Sequence[Job]) -> str:
    """The day the last of the jobs ended."""
    ended = max(job.state.ended for job in jobs if isinstance(job.state, Done))
    return datetime.date.fromtimestamp(ended).isoformat()


def _document(path: Path, texts: Texts) -> Document:
    return Document(texts[path], path) if path in texts else read(path)
