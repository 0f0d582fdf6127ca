"""Commands on the plan itself: status, gates, set, sync, undo."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vitlab.commands.common import (
    Options,
    add_json,
    agreed,
    existing,
    judge_gates,
    lab_around,
    note_lost_roadmaps,
    note_unreadable_jobs,
    print_errors,
    print_json,
    print_note,
    print_table,
    results_lab,
    roadmap_of,
    tell_broken,
    this_lab,
    warn_of_editors,
)
from vitlab.contract.paths import LabPaths, UsageError, real
from vitlab.contract.terminal import print_exact
from vitlab.docs.journal import Journal
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, next_mvp, parse_roadmap, passed_over
from vitlab.docs.model.vocabulary import default_vocabulary
from vitlab.docs.save import Reverted, save
from vitlab.docs.save import redo as redo_lone
from vitlab.docs.save import undo as undo_lone
from vitlab.docs.text.edit import unified
from vitlab.docs.text.source import read
from vitlab.docs.write.gate_decisions import find_gate
from vitlab.jobs.store import all_jobs
from vitlab.lab.conclusions.documents import lint_all
from vitlab.lab.documents import keep_columns, read_columns
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import advance_queue
from vitlab.lab.live.standing import ENDED, best_scores, standings
from vitlab.lab.results.job_results import newest_results, of_roadmap
from vitlab.lab.results.sealed import candidates, on_stars, record_opening
from vitlab.lab.tray.proposals import Tray
from vitlab.lab.writeback.contradictions import lint_fixes
from vitlab.lab.writeback.decisions import check_done, check_reason, decide_gate, give_status
from vitlab.lab.writeback.edits import (
    accept,
    journal_of,
    linked_notes,
    only_undo,
    pending_results,
    redo,
    status_changes,
    status_notes,
    undo,
)
from vitlab.lab.writeback.gate_edits import gate_changes


def _status_options(status: argparse.ArgumentParser) -> None:
    status.add_argument("roadmap", nargs="?", metavar="ROADMAP", help="default: the whole lab")
    status.add_argument(
        "--as",
        dest="columns",
        metavar="COLUMNS",
        help='the meaning of the columns of a plan in another shape: "Milestone=id, State=status"; '
        "saved in vitlab.yaml",
    )
    add_json(status)
    status.set_defaults(handler=show_status)


def _lint_options(lint: argparse.ArgumentParser) -> None:
    lint.add_argument("roadmap", nargs="?", metavar="ROADMAP", help="default: the whole lab")
    lint.add_argument("--fix", action="store_true", help="fix what is safe, and print the diff")
    add_json(lint)
    lint.set_defaults(handler=lint_documents)


def _gates_options(gates: argparse.ArgumentParser) -> None:
    gates.add_argument("roadmap", nargs="?", metavar="ROADMAP", help="default: the lab's first")
    gates.add_argument("--open", metavar="ID", help="score its models on the stars kept for gates")
    add_json(gates)
    gates.set_defaults(handler=show_gates)


def _set_options(change: argparse.ArgumentParser) -> None:
    change.add_argument("roadmap", metavar="ROADMAP")
    which = change.add_mutually_exclusive_group(required=True)
    which.add_argument("--mvp", metavar="ID")
    which.add_argument("--gate", metavar="ID", help="decide a gate, or open it again")
    change.add_argument("--status", required=True, metavar="WORD", help="planned, passed, ...")
    change.add_argument("--because", default="", metavar="TEXT", help="your reason")
    change.add_argument("--dry-run", action="store_true", help="print the diff, write nothing")
    change.set_defaults(handler=set_status)


def _sync_options(sync: argparse.ArgumentParser) -> None:
    sync.add_argument("mvp", nargs="?", metavar="MVP", help="default: all that have ended")
    sync.add_argument("--roadmap", metavar="FILE")
    sync.add_argument("--dry-run", action="store_true", help="print the diffs, write nothing")
    sync.add_argument("--yes", action="store_true", help="do not ask (it asks only in a terminal)")
    sync.set_defaults(handler=sync_results)


def _undo_options(undo: argparse.ArgumentParser) -> None:
    undo.set_defaults(handler=undo_last)


def _redo_options(redo: argparse.ArgumentParser) -> None:
    redo.set_defaults(handler=redo_last)


_REASON = " (--because TEXT)"
MVP_KEYS = (
    "id", "name", "phase", "gate", "status", "status_text", "exp_id", "report", "line",
)  # fmt: skip
VERDICT_KEYS = ("id", "verdict", "by_hand", "because", "rule")


def show_status(args: argparse.Namespace) -> int:
    """`vitlab status`: one roadmap, or every roadmap of the lab."""
    if args.roadmap is None:
        if args.columns:
            raise UsageError("--as applies to one document; name it")
        lab = this_lab(looking=True)
        advance_queue(lab)
        paths = lab.roadmaps()
        if not paths:
            raise UsageError(lab.no_roadmap)
        reports = []
        faults: list[tuple[Path, UsageError]] = []
        for path in paths:
            try:
                reports.append(_status(lab, path))
            except UsageError as error:  # a broken roadmap does not hide the others
                faults.append((path, error))
        tell_broken(faults)
        broken = 2 if faults else 0
        _note_unreadable(lab)
        if args.json:
            print_json({"roadmaps": [report for report, *_ in reports]})
            return broken
    else:
        path = existing(args.roadmap)
        around = _explained(path, args.columns) if args.columns else lab_around(path, looking=True)
        if around is not None:
            advance_queue(around)
            _note_unreadable(around, path)
        try:
            reports, broken = [_status(around, path)], 0
        except NoMvpTable as error:
            if args.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise
            print(error)
            columns = input('which are they ("Milestone=id, State=status")? ')
            reports, broken = [_status(_explained(path, columns), path)], 0
        if args.json:
            print_json(reports[0][0])
            return 0
    for position, (report, scores, verdicts) in enumerate(reports):
        print("\n" * (position > 0) + report["roadmap"])
        _print_status(report, scores, verdicts)
    return broken


def _note_unreadable(lab: Lab, roadmap: Path | None = None) -> None:
    """Tell which jobs and experiment files cannot be read, the latter of one roadmap or of all."""
    note_unreadable_jobs(lab)
    if lab.paths.experiment_files():
        from vitlab.jobs.experiment.experiment import unreadable  # it loads YAML

        for line in unreadable(lab.paths, lab.paths.relative(roadmap) if roadmap else None):
            print(f"vitlab: {line}", file=sys.stderr)


def _explained(path: Path, columns: str) -> Lab:
    """The lab around a document, or a new one, whose settings now say what its columns are."""
    given = read_columns(columns)
    lab = lab_around(path)
    here = Path.cwd() if real(path).is_relative_to(Path.cwd()) else real(path).parent
    paths = lab.paths if lab else LabPaths(here)
    words = (lab.vocabulary if lab else default_vocabulary()).with_given(given)
    parse_roadmap(read(path), words)  # what reads nothing is not kept
    name = paths.relative(path)
    keep_columns(paths.settings, {**(lab.settings.tables if lab else {}), name: given})
    print(f"vitlab: wrote to {paths.settings}: {name}: {columns}", file=sys.stderr)
    return open_lab(paths.root)


def _note_other_words(roadmap: Roadmap) -> None:
    """Tell where the MVPs of a plan in other words were taken from."""
    if not roadmap.mvps:
        return  # a new plan
    first = roadmap.mvps[0].entry
    if first.kind == "task":
        source = "the items of its check lists are"
    else:
        cells = (v for v in roadmap.views if any(e.row is first.row for e in v.entries))
        view = next(cells, None)
        header = view.headers[view.columns["mvp"]] if view else ""
        if view is None or "mvp" in roadmap.vocabulary.columns([header]):
            return
        source = f"the rows below {header!r} (line {view.table.line}) are"
    name = roadmap.document.name
    note = f"{name}: no table of MVPs; {source} read as such (--as changes that)"
    print(f"vitlab: note: {note}", file=sys.stderr)


def _status(lab: Lab | None, path: Path) -> tuple[dict[str, Any], list[str | None], list[str]]:
    """What is known of a roadmap, the best R2 of each MVP, and the verdict of each gate."""
    roadmap, verdicts = judge_gates(lab, path)
    _note_other_words(roadmap)
    if lab and not real(path).is_relative_to(real(lab.paths.root)):
        lab.tell(f"{path} is {real(path)}, outside the lab: it is read, never written")
    following, held = next_mvp(roadmap), passed_over(roadmap)
    jobs = of_roadmap(lab, all_jobs(lab.paths), path) if lab else []
    stand, best = standings(lab, roadmap, jobs), best_scores(lab, jobs, print_note)
    scores = [x.shown if (x := best.get(m.id)) else stand[m.id].stated_text for m in roadmap.mvps]
    report = {
        "roadmap": lab.paths.relative(path) if lab else str(path),
        "mvps": [
            {key: getattr(mvp, key) for key in MVP_KEYS}
            | ({"standing": word} if (word := stand[mvp.id].word) else {})
            | ({"best": best[mvp.id].record} if mvp.id in best else {})
            for mvp in roadmap.mvps
        ],
        "gates": [
            {
                "id": gate.id,
                "title": gate.title,
                "status": gate.status,
                "rules": [{"if": rule.if_, "then": rule.then} for rule in gate.rules],
                "verdict": verdict.verdict,
                "by_hand": verdict.by_hand,
                "line": gate.line,
            }
            for gate, verdict in zip(roadmap.gates, verdicts, strict=True)
        ],
        "next": following.id if following else None,
        "passed_over": [vars(one) for one in held],
    }
    return report, scores, [verdict.shown for verdict in verdicts]


def _print_status(
    report: dict[str, Any], scores: Sequence[str | None], verdicts: Sequence[str]
) -> None:
    rows = [
        (*(m[key] for key in ("id", "name", "phase", "gate")),
         m.get("standing") or m["status"] or m["status_text"], score, m["exp_id"])
        for m, score in zip(report["mvps"], scores, strict=True)
    ]  # fmt: skip
    print_table(("MVP", "NAME", "PHASE", "GATE", "STATUS", "R2", "EXP_ID"), rows)
    if ended := [m["id"] for m in report["mvps"] if m.get("standing") == ENDED]:
        print_note(f"{', '.join(ended)}: all jobs have ended; `vitlab sync` writes the outcome")
    if report["gates"]:
        print()
        gates = [
            (g["id"], g["title"], g["status"], verdict)
            for g, verdict in zip(report["gates"], verdicts, strict=True)
        ]
        print_table(("GATE", "TITLE", "STATUS", "VERDICT"), gates)
    print(f"\nnext: {report['next'] or 'nothing'}")
    for one in report["passed_over"]:
        print(f"skipped: {one['id']} ({one['why']})")


def show_gates(args: argparse.Namespace) -> int:
    """`vitlab gates`: each gate's verdict, with its rule and values."""
    path = roadmap_of(args)
    if args.open:
        _open_gate(lab_around(path), path, args.open)
    if (lab := lab_around(path)) is not None:
        note_unreadable_jobs(lab)
    roadmap, verdicts = judge_gates(lab, path)
    if args.json:
        print_json(
            [
                {k: getattr(v, k) for k in VERDICT_KEYS}
                | {"status": gate.status, "values": dict(v.values)}
                | ({"needs": asdict(v.needs)} if v.needs else {})
                for gate, v in zip(roadmap.gates, verdicts, strict=True)
            ]
        )
    else:
        rows = [(v.id, v.shown, v.because) for v in verdicts]
        print_table(("GATE", "VERDICT", "BECAUSE"), rows, wrap=True)
        for verdict in verdicts:
            for line in verdict.needs.ways(verdict.id) if verdict.needs else ():
                print(f"Gate-{verdict.id} needs: {line}")
    return 0


def _open_gate(lab: Lab | None, path: Path, gate_id: str) -> None:
    """Score what a gate is judged by on the stars kept for gates, and count the opening."""
    stars = lab.settings.gate_stars if lab else 0
    if lab is None or not stars:
        raise UsageError("--open: no stars are kept for gates (gate_stars in vitlab.yaml)")
    from vitlab.recipes.sealed import score_sealed  # it loads torch

    roadmap = lab.read_roadmap(path)
    gate, scored = find_gate(roadmap, gate_id), []
    for one in candidates(gate, newest_results(lab, path)):
        try:
            if on_stars(one, stars) is None:
                print(f"scoring {one.job.name} on {stars} stars", file=sys.stderr)
                score_sealed(one.job.paths, stars)
            scored.append(one.job.name)
        except UsageError as error:
            print(f"vitlab: {error}", file=sys.stderr)
    if not scored:
        raise UsageError(f"Gate-{gate.id}: no full result to score on the stars kept for gates")
    record_opening(lab.paths, roadmap, gate, stars, scored)


def lint_documents(args: argparse.Namespace) -> int:
    """`vitlab lint`: contradictions and breaks, each with its line and reason."""
    paths = [existing(args.roadmap)] if args.roadmap else this_lab().roadmaps()
    if not paths:
        raise UsageError(this_lab().no_roadmap)
    records: dict[tuple[Any, ...], dict[str, Any]] = {}  # two roadmaps lead to one board
    broken: list[tuple[Path, UsageError]] = []
    labs: dict[Path, Lab] = {}  # each keeps the roadmaps it has read
    for path in paths:
        try:
            if lab := lab_around(path):
                lab = labs.setdefault(lab.paths.root, lab)
            found = _lint(path, lab, fix=args.fix, printed=not args.json)
        except UsageError as error:  # a broken file does not hide the others
            if args.roadmap:
                raise
            broken.append((path, error))
            continue
        for record in found:
            known = len(records)
            records.setdefault(tuple(record.values()), record)
            if len(records) > known and not args.json:
                marks = " (--fix fixes it)" * ("fix" in record) + " (a note)" * ("note" in record)
                print("{file}:{line}: {kind}: {message}".format(**record) + marks)
    tell_broken(broken)
    if args.json:
        print_json([*records.values()])
    return 2 if broken else int(not all(one.get("note") for one in records.values()))


def _lint(path: Path, lab: Lab | None, *, fix: bool, printed: bool) -> list[dict[str, Any]]:
    """What is found in one document and the files around it, after the fixes."""
    if fix and (changes := lint_fixes(lab, path)):
        for one in changes if printed else ():
            print_exact(unified(one.old_text, one.new_text, _shown(one.path, path)))
        save(changes, journal_of(lab), what="fix")
        warn_of_editors([one.path for one in changes])
    records: list[dict[str, Any]] = []
    for finding in lint_all(lab, path):
        record = {"file": _shown(finding.path or path, path), "line": finding.line}
        record |= {"kind": finding.kind, "message": finding.message}
        record |= {"fix": "; ".join(x.new.strip() for x in finding.fix)} if finding.fix else {}
        records.append(record | ({"note": True} if finding.is_note else {}))
    return records


def _shown(path: Path, like: Path) -> str:
    """A path as a person wrote the one of a document: from here, or from the root."""
    if real(path) == real(like):
        return str(like)
    return str(path) if like.is_absolute() else os.path.relpath(path)


def set_status(args: argparse.Namespace) -> int:
    """`vitlab set`: print the diff, and write it unless it is a dry run."""
    path = existing(args.roadmap)
    lab = lab_around(path)
    if args.gate:
        return _set_gate(args, lab, path)
    because = args.because.strip()
    if lab:
        check_done(lab, path, args.mvp, args.status, because, _REASON)
    changes = status_changes(lab, path, args.mvp, args.status)
    if not changes and not (lab and because):
        return 0
    for one in changes:
        other = lab.paths.relative(one.path) if lab and one is not changes[0] else ""
        print_exact(unified(one.old_text, one.new_text, other or str(args.roadmap)))
    if not args.dry_run:
        if lab:
            give_status(lab, path, args.mvp, args.status, because, changes)
        else:
            save(changes, journal_of(lab), what=f"MVP-{args.mvp}: status {args.status}")
        warn_of_editors([one.path for one in changes])
    if not changes:
        print_errors([f"MVP-{args.mvp}: is {args.status} already; your reason is kept"])
        return 0
    print_errors(f"{args.roadmap}: {line}" for line in status_notes(lab, changes[0], args.mvp))
    print_errors(linked_notes(lab, changes, args.mvp, args.status) if lab else ())
    return 0


def _set_gate(args: argparse.Namespace, lab: Lab | None, path: Path) -> int:
    because = args.because.strip()
    if lab:
        check_reason(lab, path, args.gate, args.status, because, _REASON)
    changes = gate_changes(lab, path, args.gate, args.status, because)
    for change, lost in changes:
        own = change is changes[0][0] and real(change.path) == real(path)
        name = str(args.roadmap) if own or lab is None else lab.paths.relative(change.path)
        print_exact(unified(change.old_text, change.new_text, name))
        print_errors(f"{name}: {only_undo(line)}" for line in lost)
    if not args.dry_run:
        files = [change for change, _ in changes]
        if lab:
            decide_gate(lab, path, args.gate, args.status, because, files)
        else:
            save(files, journal_of(lab), what=f"Gate-{args.gate}")
        warn_of_editors(change.path for change in files)
    return 0


def sync_results(args: argparse.Namespace) -> int:
    """`vitlab sync`: the diffs of every file touched, and the write."""
    lab = results_lab()
    note_lost_roadmaps(lab)
    count = 0
    broken: list[tuple[Path, UsageError]] = []
    paths = [lab.roadmap_path(args.roadmap)] if args.roadmap else lab.roadmaps()
    if args.mvp:
        paths = [lab.roadmap_with(args.mvp, args.roadmap)]
    for path in paths:
        try:
            plan = pending_results(lab, path, args.mvp)
        except UsageError as error:
            if args.roadmap or args.mvp:
                raise
            broken.append((path, error))
            continue
        for change in plan.changes:
            print_exact(unified(change.old_text, change.new_text, lab.paths.relative(change.path)))
        print_errors(plan.left)
        # A plan without changes is accepted too: its jobs have nothing the documents lack.
        wanted = bool(plan.mvps or plan.gates) and not args.dry_run
        if wanted and (args.yes or not plan.changes or agreed("write this?")):
            written = accept(lab, plan)
            if written:
                names = ", ".join(map(lab.paths.relative, written))
                what = ", ".join(("the last write", *plan.steps[1:][-1:]))
                print(f"wrote {names}; `vitlab undo` undoes {what}", file=sys.stderr)
            warn_of_editors(written)
        count += len(plan.changes)
    tell_broken(broken)
    if not count and not broken:
        print("nothing to write: no finished job has results that were not written")
    if waiting := len(Tray(lab).waiting()):
        print_note(f"`vitlab tray` shows what assistants propose ({waiting})")
    return 2 if broken else 0


def undo_last(_: argparse.Namespace) -> int:
    """`vitlab undo`: the files of the last write are as they were before it."""
    return _revert(undo, undo_lone, "undo", "restored")


def redo_last(_: argparse.Namespace) -> int:
    """`vitlab redo`: the write that was undone last is repeated."""
    return _revert(redo, redo_lone, "redo", "wrote")


def _revert(
    call: Callable[[Lab], Reverted], lone: Callable[[Journal], Reverted], word: str, deed: str
) -> int:
    lab = lab_around(Path.cwd() / "any", looking=True)
    done = call(lab) if lab else lone(replace(journal_of(None), tell=print_note))
    if not done.what and not done.changes:
        raise UsageError(f"{lab.paths.root if lab else Path.cwd()}: nothing to {word}")
    if done.what:
        print(f"{word}ne: {done.what}")
    for change in done.changes:
        name = lab.paths.relative(change.path) if lab else change.path
        print(f"{'removed' if change.removed else deed} {name}")
    return 0


OPTIONS: Options = {
    "status": _status_options,
    "lint": _lint_options,
    "gates": _gates_options,
    "set": _set_options,
    "sync": _sync_options,
    "undo": lambda parser: parser.set_defaults(handler=undo_last),
    "redo": lambda parser: parser.set_defaults(handler=redo_last),
}
