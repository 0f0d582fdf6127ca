"""Cases kept as markdown files: a document, commands on it, and what each of them prints.

    %%%% A title
    %%% document survey_roadmap.md
    %%% set 2.0 running
    %%% diff
    -| a line | before |
    +| a line | after |

The lines after a command are what it prints; after `document` and `results` they are what it reads.
`python -m tests.docs.cases FILE ...` writes what the commands print now: read its diff.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.docs.documents import HERE, document_path, here
from tests.docs.facts import hub_facts, roadmap_facts
from vitlab.contract.job import STATUSES, Result
from vitlab.contract.paths import UsageError
from vitlab.contract.world import FLUX, World
from vitlab.docs.judge.comparison import NoEvidence
from vitlab.docs.judge.conclusion import conclusion
from vitlab.docs.judge.errors import SeedScatter
from vitlab.docs.judge.gates import Verdict, judge, thresholds
from vitlab.docs.lint.document import fix_all, lint, lint_document
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import Roadmap, launch_order, parse_roadmap, passed_over
from vitlab.docs.model.status_sites import kept_places
from vitlab.docs.text.edit import Edit, apply, unified
from vitlab.docs.text.source import Document, read
from vitlab.docs.text.tables import tables_of
from vitlab.docs.write.gate_decisions import gate_status, set_gate
from vitlab.docs.write.hub import set_statement, status_word
from vitlab.docs.write.hub_rows import add_statement
from vitlab.docs.write.new_files import plan_texts
from vitlab.docs.write.new_gate import (
    GateEdits,
    added_gate,
    checked_gate_id,
    is_as_given,
    next_gate_id,
    written_condition,
)
from vitlab.docs.write.new_mvp import MvpEdits, added_mvp, checked_mvp_id, next_mvp_id
from vitlab.docs.write.new_report import Skeleton
from vitlab.docs.write.report import report_names, report_text
from vitlab.docs.write.results import link_report, record_results
from vitlab.docs.write.rows import link_figures, set_key_number
from vitlab.docs.write.status import record_launch, set_progress, set_status
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.writeback.contradictions import lint_file, lint_fixes
from vitlab.lab.writeback.gate_edits import gate_changes

CASES = HERE / "cases"
DATE = "2026-01-02"


@dataclass(frozen=True)
class Step:
    """One command and the lines below it."""

    command: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One case of a file."""

    title: str
    steps: tuple[Step, ...]

    @property
    def is_here(self) -> bool:
        """Whether every document that the case names is in this checkout."""
        named = [s.command.split()[1] for s in self.steps if s.command.startswith("document ")]
        return here(*named) == named


def load(path: Path) -> tuple[str, list[Case]]:
    """The text before the first case, and the cases."""
    head, *parts = re.split(r"^%%%% ", path.read_text(encoding="utf-8"), flags=re.M)
    cases = []
    for part in parts:
        title, *steps = re.split(r"^%%% ", part, flags=re.M)
        split = [step.rstrip("\n").split("\n") for step in steps]
        cases.append(Case(title.strip(), tuple(Step(s[0], tuple(s[1:])) for s in split)))
    return head, cases


def dump(head: str, cases: list[Case]) -> str:
    texts = []
    for case in cases:
        steps = ["\n".join([f"%%% {step.command}", *step.lines]) for step in case.steps]
        texts.append("\n".join([f"%%%% {case.title}", *steps]) + "\n")
    return head + "\n".join(texts)


def run(case: Case) -> Iterator[tuple[Step, tuple[str, ...]]]:
    """Each step with the lines that should stand below it."""
    bench = Bench()
    for step in case.steps:
        yield step, tuple(bench.answer(step))


def result(line: str) -> Result:
    """A result from `MVP MODEL R2 key=value ...`: a full run on 1M spectra unless it says else.

    R2 is that of the test set, `-` for none; on validation it is 0.01 more. Keys: `run profile
    wandb headline`, `val` and any `split/metric/label`, `n` (training spectra), `hash` and
    `overlap` of the data, `world` (a simulator's; empty: not known).
    """
    mvp, model, r2, *pairs = shlex.split(line)
    keys = dict(pair.split("=", 1) for pair in pairs)
    values: dict[str, float | None] = {}
    if r2 != "-":
        values = {"test/r2/log_g": float(r2), "val/r2/log_g": round(float(r2) + 0.01, 9),
                  "test/mae/log_g": 0.3}  # fmt: skip
    if "val" in keys:
        keys["val/r2/log_g"] = keys.pop("val")
    values |= {k: None if v == "none" else float(v) for k, v in keys.items() if "/" in k}
    data = {"source": "simulated", "hash": keys.get("hash", "h1")}
    if not data["hash"]:
        data = {}
    name = keys.get("world", "a grid")
    plain = Result(
        mvp=mvp,
        run=keys.get("run", "main"),
        profile=keys.get("profile", "full"),
        recipe="x",
        values=values,
        errors={"test/r2/log_g": 0.004},
        n={"train": int(keys.get("n", 10**6)), "val": 1000, "test": 10_000},
        model={"name": model, "params": 4_900_000},
        data=data | ({"overlap": int(keys["overlap"])} if "overlap" in keys else {}),
        best={"epoch": 187, "step": 1},
        seconds=12.0,
        wandb=keys.get("wandb"),
        world=World(name, "a prior", (20.5, 22.5), 1.0, FLUX).record() if name else {},
    )
    return replace(plain, headline=keys["headline"]) if "headline" in keys else plain


@dataclass(frozen=True)
class Stated(NoEvidence):
    """A scatter of 0.003 over seeds is known of every model."""

    def seed_scatter(self, result: Result, name: str) -> SeedScatter | None:  # noqa: ARG002
        return SeedScatter(0.003)


def changed_lines(old: str, new: str, marks: str = "+-") -> list[str]:
    """The lines of a diff that say something, context and positions left out."""
    return [line for line in unified(old, new, "x").splitlines()[2:] if line[:1] in marks]


@dataclass
class Bench:
    """A document, the results of its MVPs, and the commands of the cases."""

    text: str = ""
    first: str = ""
    shown: str = ""
    """The text at the last `diff`, `added` or `results`."""
    results: list[Result] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """The files of a lab, by their paths from its root."""

    def answer(self, step: Step) -> list[str]:
        """What a command prints; of one that reads the lines below it, these."""
        name, _, rest = step.command.partition(" ")
        if name == "document":
            text = read(document_path(rest)).text if rest else "\n".join(step.lines) + "\n"
            self.text = self.first = self.shown = text
            return list(step.lines)
        if name == "file":
            self.files[rest] = "\n".join(step.lines) + "\n"
            return list(step.lines)
        if name == "results":
            self.results, self.shown = [result(line) for line in step.lines], self.text
            return list(step.lines)
        if name == "has":
            return [line for line in step.lines if line in self.text]
        if name == "lacks":
            return [line for line in step.lines if line not in self.text]
        if name == "replace":
            old, new = rest.split(" => ")
            assert old in self.text, old
            self.text = self.shown = self.text.replace(old, new)
            return []
        try:
            command: Callable[..., list[str] | None] = getattr(self, f"do_{name}")
            return command(*shlex.split(rest)) or []
        except UsageError as error:
            return [f"error: {error}"]

    @property
    def roadmap(self) -> Roadmap:
        return parse_roadmap(Document(self.text))

    def change(self, edits: list[Edit]) -> None:
        self.text = apply(self.text, edits)

    def verdicts(self) -> dict[str, Verdict]:
        roadmap = self.roadmap
        return {gate.id: judge(gate, self.results, roadmap, Stated()) for gate in roadmap.gates}

    # What prints.

    def do_read(self, *kinds: str) -> list[str]:
        facts = roadmap_facts(Document(self.text))
        return [
            line for kind, lines in facts.items() if not kinds or kind in kinds for line in lines
        ]

    def do_hub(self) -> list[str]:
        return [line for lines in hub_facts(Document(self.text)).values() for line in lines]

    def do_cells(self) -> list[str]:
        tables = tables_of(Document(self.text))
        return ["".join(f"[{c.text}]" for c in r.cells) for t in tables for r in t.rows]

    def do_order(self) -> list[str]:
        order = [f"{mvp.id}: {mvp.why}" for mvp in launch_order(self.roadmap)]
        return order + [f"passed over: {mvp.id}: {mvp.why}" for mvp in passed_over(self.roadmap)]

    def do_kept(self, mvp: str) -> list[str]:
        return kept_places(self.roadmap, mvp)

    def do_lint(self) -> list[str]:
        return [f"{f.line} {f.kind}" for f in lint(self.roadmap, None)]

    def do_lint_hub(self) -> list[str]:
        return [f"{f.line} {f.kind}" for f in lint_document(parse_hub(Document(self.text)))]

    def do_lint_lab(self, name: str) -> list[str]:
        """What is found when one of the files is linted, files around it too."""
        with tempfile.TemporaryDirectory() as folder:
            lab = self._lab(Path(folder))
            root = lab.paths.root
            return [
                f"{(f.path or root / name).relative_to(root)}:{f.line} {f.kind}: {f.message}"
                for f in lint_file(lab, root / name)
            ]

    def do_mend_lab(self, name: str) -> list[str]:
        """Make the safe fixes of one of the files and those around it; prints what changed."""
        with tempfile.TemporaryDirectory() as folder:
            lab = self._lab(Path(folder))
            lines = []
            for change in lint_fixes(lab, lab.paths.root / name):
                path = str(change.path.relative_to(lab.paths.root))
                lines += [path, *changed_lines(change.old_text or "", change.new_text)]
                self.files[path] = change.new_text
            return lines

    def do_gate_lab(self, name: str, gate: str, status: str, because: str = "") -> list[str]:
        """Decide a gate in one of the files; prints what changed in it and those around it."""
        with tempfile.TemporaryDirectory() as folder:
            lab = self._lab(Path(folder))
            lines = []
            for change, _ in gate_changes(lab, lab.paths.root / name, gate, status, because):
                path = str(change.path.relative_to(lab.paths.root))
                lines += [path, *changed_lines(change.old_text or "", change.new_text)]
            return lines

    def _lab(self, root: Path) -> Lab:
        root = root.resolve()
        for name, text in {"vitlab.yaml": "", **self.files}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return open_lab(root)

    def do_judge(self, values: str = "") -> list[str]:
        lines = []
        for verdict in self.verdicts().values():
            lines.append(f"Gate-{verdict.id} {verdict.verdict}: {verdict.because}")
            lines += [f"  rule: {verdict.rule}"] if values and verdict.rule else []
            lines += [f"  {k} = {v:.6g}" for k, v in verdict.values.items() if values]
        return lines

    def do_thresholds(self) -> list[str]:
        return [f"{name} {value:g}" for g in self.roadmap.gates for name, value in thresholds(g)]

    def do_diff(self, since: str = "") -> list[str]:
        old, self.shown = self.first if since == "first" else self.shown, self.text
        return changed_lines(old, self.text)

    def do_added(self) -> list[str]:
        old, self.shown = self.shown, self.text
        return [line[1:] for line in changed_lines(old, self.text, "+")]

    def do_board(self) -> list[str]:
        """The first fenced block."""
        document = Document(self.text)
        return [document.line_text(i) for i in range(*document.fences[0].content)]

    def do_section(self, title: str) -> list[str]:
        """What stands below the heading with these words, without empty lines."""
        document = Document(self.text)
        (heading,) = [h for h in document.headings if title in h.title]
        lines = range(heading.index + 1, document.section_end(heading))
        return [line for i in lines if (line := document.line_text(i)).strip()]

    def do_show(self) -> list[str]:
        return self.text.rstrip("\n").split("\n")

    # What changes the document.

    def do_set(self, mvp: str, status: str, before: str = "") -> None:
        memory = parse_roadmap(Document(self.first)) if before else None
        self.change(set_status(self.roadmap, mvp, status, memory, DATE))

    def do_every_status_and_back(self, before: str = "") -> None:
        """Each MVP through every status and back, one after the other."""
        for mvp in self.roadmap.mvps:
            for status in (*STATUSES, mvp.status or ""):
                self.do_set(mvp.id, status, before)

    def do_launch(self, mvp: str, exp_id: str) -> None:
        self.change(record_launch(self.roadmap, mvp, exp_id, DATE))

    def do_progress(self, mvp: str, epochs: str, metric: str, run: str = "") -> None:
        epoch, of = map(int, epochs.split("/"))
        name, value = metric.split("=")
        score = (name, float(value))
        self.change(set_progress(self.roadmap, mvp, epoch, of, score, run or None))

    def do_finish(self, mvp: str, status: str) -> None:
        roadmap = self.roadmap
        mine = [r for r in self.results if r.mvp == mvp]
        verdicts = {i: v for i, v in self.verdicts().items() if mvp in roadmap.gate(i).mvps}
        sentence = conclusion(mine, roadmap.language, list(verdicts.values()))
        report = "./exp_x_20260102.md"
        profile = mine[0].profile
        self.change(
            record_results(roadmap, mvp, mine, status, sentence, report, verdicts, DATE, profile)
        )

    def do_report(self, mvp: str, exp_id: str) -> list[str]:
        """Print the report's file name and make the report the document."""
        roadmap = self.roadmap
        mine = [r for r in self.results if r.mvp == mvp]
        verdicts = {i: v for i, v in self.verdicts().items() if mvp in roadmap.gate(i).mvps}
        sentence = conclusion(mine, roadmap.language, list(verdicts.values()))
        self.text = report_text(roadmap, mvp, mine, exp_id=exp_id, conclusion=sentence, date=DATE,
                                command=f"vitlab run {mvp}", verdicts=verdicts)  # fmt: skip
        return [next(report_names(roadmap.mvp(mvp), exp_id, DATE))]

    def do_link(self, mvp: str, path: str) -> None:
        self.change(link_report(self.roadmap, mvp, path))

    def do_figures(self, mvp: str, *links: str) -> None:
        self.change(link_figures(self.roadmap, mvp, dict(link.split("=") for link in links)))

    def do_mend(self) -> None:
        self.text = fix_all(self.roadmap, None)

    def do_new_plan(self, topic: str, language: str, kind: str) -> None:
        """Make the new plan's roadmap or hub the document."""
        texts = plan_texts(topic, language, DATE, "A. Stronomer", "")
        self.text = self.first = self.shown = texts[kind == "hub"][1]

    def do_new_mvp(self, name: str, *given: str) -> None:
        """`given`: `id=2.1`, `gate=1`, `hypothesis=H1: text`."""
        fields, roadmap = dict(one.split("=", 1) for one in given), self.roadmap
        wanted = fields.get("id")
        mvp = checked_mvp_id(roadmap, wanted) if wanted else next_mvp_id(roadmap)
        gate = roadmap.gate(fields["gate"]) if "gate" in fields else None
        add = MvpEdits(roadmap, mvp, name, gate, fields.get("hypothesis", ""), "", DATE)
        self.change(add.all())
        added_mvp(roadmap, self.roadmap, mvp)

    def do_new_gate(self, name: str, condition: str, *given: str) -> list[str]:
        """`given`: `mvp=1.0`, `yes=text`, `no=text`, `id=3`; prints a rule left to a person."""
        fields, roadmap = dict(one.split("=", 1) for one in given), self.roadmap
        wanted = fields.get("id")
        gate = checked_gate_id(roadmap, wanted) if wanted else next_gate_id(roadmap)
        mvp = roadmap.mvp(fields["mvp"]) if "mvp" in fields else None
        rule = written_condition(condition)
        yes, no = fields.get("yes", ""), fields.get("no", "")
        self.change(GateEdits(roadmap, gate, name, rule, mvp, yes, no, DATE).all())
        made = added_gate(roadmap, self.roadmap, gate)
        return [] if is_as_given(made, rule) else ["manual"]

    def do_report_before(self, mvp: str) -> list[str]:
        """Print the name of the report an MVP has before it runs, and make it the document."""
        roadmap = self.roadmap
        gate = next((gate for gate in roadmap.gates if mvp in gate.mvps), None)
        name = roadmap.mvp(mvp).name
        new = Skeleton(roadmap, mvp, name, DATE, gate, "H1: wider is better", "hub.md", "plan.md")
        self.text = self.shown = new.text()
        return [next(new.file_names())]

    def do_key_number(self, indicator: str, value: str, condition: str, source: str) -> None:
        hub = parse_hub(Document(self.text))
        self.change(set_key_number(hub, indicator, value, condition, source, DATE))

    def do_hub_set(self, name: str, status: str, evidence: str = "", before: str = "") -> None:
        """`-` for no status; the word of a status is as `vitlab hub set` takes it."""
        hub = parse_hub(Document(self.text))
        memory = parse_hub(Document(self.first)) if before else None
        given = None if status == "-" else status_word(status)
        self.change(set_statement(hub, name, given, status, evidence, memory))

    def do_gate(self, name: str, status: str, because: str = "", before: str = "") -> None:
        memory = parse_roadmap(Document(self.first)) if before else None
        self.change(set_gate(self.roadmap, name, gate_status(status), because, memory))

    def do_hub_add(self, kind: str, text: str, evidence: str = "") -> None:
        self.change(add_statement(parse_hub(Document(self.text)), kind, text, evidence))


def main(paths: list[str]) -> None:
    for path in [Path(name) for name in paths] or sorted(CASES.glob("*.md")):
        head, cases = load(path)
        new = [
            Case(c.title, tuple(Step(s.command, lines) for s, lines in run(c))) if c.is_here else c
            for c in cases
        ]
        path.write_text(dump(head, new), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
