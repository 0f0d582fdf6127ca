"""A lab in memory for the screen: the shapes of the records, none of their work."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from tests.tui.fakestars import FakeGraph
from vitlab.contract.events import Event
from vitlab.contract.job import Done, Queued, Running, Spec, state_word
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.docs.judge.ceiling import Share
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.save import FileChange, Reverted
from vitlab.jobs import gpus, slurm, store
from vitlab.jobs.experiment.settings import Notify
from vitlab.jobs.gpus import Device
from vitlab.jobs.logs.tail import LogTail
from vitlab.jobs.queue import notice
from vitlab.lab import adoption, launch, new_plan
from vitlab.lab.conclusions import decisions
from vitlab.lab.conclusions.decisions import Accepted, Preview
from vitlab.lab.inspector.client import Client
from vitlab.lab.inspector.star import Sources
from vitlab.lab.live import mvp_summary, snapshot
from vitlab.lab.live.mvp_summary import MvpSummary, Score
from vitlab.lab.live.snapshot import JobView
from vitlab.lab.progress import Progress, fold
from vitlab.lab.results import rows
from vitlab.lab.results.rows import ResultRow
from vitlab.lab.writeback import edits, status_sync, writeback
from vitlab.lab.writeback.edits import PastWrite
from vitlab.plot.series import Line
from vitlab.tui import actions, navigation, selection
from vitlab.tui.screens import dialogs
from vitlab.tui.screens import launch as launch_screen
from vitlab.tui.screens import new_plan as new_plan_screen
from vitlab.tui.terminal import export
from vitlab.tui.watch.reader import LabReader
from vitlab.tui.widgets.meters import cpu_times

ROADMAP = "roadmaps/vit_roadmap.md"

PLAN = (
    ("1.0", "ViT 1M Scaling", "Gate-1", "running", "VIT-20251226-vit-1m-large-01"),
    ("1.1", "ViT Sweep Analysis", None, "done", "VIT-20251227-vit-sweep-01"),
    ("2.0", "LightGBM 1M Baseline 同口径", "Gate-2", "planned", None),
    ("3.0", "Scaling Curve (N-sweep)", "Gate-3", "planned", None),
    ("4.0", "Tokenization Ablation", "Gate-4", "planned", None),
    ("5.0", "Loss/Label Norm Study", None, "analysing", None),
    ("6.0", "PE Ablation", None, "failed", None),
    ("7.0", "Multi-task", None, None, None),
)


def mvp(
    mvp_id: str,
    name: str,
    gate: str | None = None,
    status: str | None = None,
    exp_id: str | None = None,
) -> Any:
    return SimpleNamespace(
        id=mvp_id,
        name=name,
        phase="1",
        gate=gate,
        status=status,
        exp_id=exp_id,
        report=None,
        line=1,
    )


def gate(gate_id: str, title: str, *rules: tuple[str, str]) -> Any:
    return SimpleNamespace(
        id=gate_id,
        title=title,
        status=None,
        rules=tuple(SimpleNamespace(if_=a, then=b, condition=None) for a, b in rules),
        mvps=(f"{gate_id}.0",),
        status_text="",
        line=1,
    )


def verdict(gate_id: str, word: str, because: str) -> Any:
    return Verdict(gate_id, word, because)  # type: ignore[arg-type]


def job(name: str, run: str, state: Any, **more: Any) -> Any:
    """A `JobView`; `mvp`, `step`, `of`, `values`, `health`, `why`, `eta` as wanted."""
    folder = Path("/lab/experiments") / more.pop("exp", "VIT-20251226-vit-1m-large-01") / name
    spec = Spec(
        mvp=more.pop("mvp", "1.0"),
        run=run,
        profile=more.pop("profile", "demo"),
        recipe="vit",
        config={},
        exp_id=folder.parent.name,
        roadmap=ROADMAP,
        submitted=more.pop("submitted", 0.0),
    )
    shape: dict[str, Any] = {
        one.name: one.default for one in fields(JobView) if one.default is not MISSING
    }
    shape |= {
        "step": 0,
        "of": 0,
        "epoch": None,
        "values": {},
        "health": "",
        "why": "",
        "seconds": 0.0,
        "eta": None,
        "epochs": "",
        "progress": Progress(),
        "state_word": state_word(state),
    }
    health = str(more.get("health", "")).partition(": ")[2]
    shape["warnings"] = (health,) if health else ()
    shape |= {"paths": JobPaths(folder), "spec": spec, "state": state, **more}
    return _of_fields(tuple(shape))(**shape)


@cache
def _of_fields(names: tuple[str, ...]) -> Any:
    """A class that `replace` works on, whose objects can be changed."""
    return make_dataclass("FakeJob", names)


def usual_jobs() -> tuple[Any, ...]:
    return (
        job("20251226-120000-sweep", "sweep", Done(0, 90, "ok", 0), mvp="1.1", seconds=90.0,
            step=900, of=900, values={"test/r2/log_g": 0.6912}),
        job("20251227-090000-lost", "Run 0", Done(0, 9, "oom", 1, "CUDA out of memory"),
            step=12, of=200, seconds=9.0),
        job("20251227-100000-run-1", "Run 1", Running(0, 7, "cpu"), step=112_000, of=200_000,
            values={"val/r2/log_g": 0.7132}, health="ok", seconds=3600.0, eta=2820.0, submitted=1),
        job("20251227-100001-run-2", "Run 2", Running(0, 8, "cpu"), step=9_000, of=200_000,
            values={"val/r2/log_g": 0.4021}, health="warn: throughput fell by half",
            seconds=600.0, eta=15_000.0, submitted=2),
        job("20251227-100002-run-3", "Run 3", Queued(3.0), why="the CPU is busy", submitted=3),
    )  # fmt: skip


def held_job() -> Any:
    return job("20251227-100002-run-3", "Run 3", Queued(3.0), held=True, submitted=3)


def usual_view(**more: Any) -> Any:
    gates = (
        gate("1", "1M 200ep 完成 + Test 指标", ("若 R² > 0.70", "✅ 论文主结果就绪")),
        gate("2", "LightGBM 1M Baseline 对比", ("若 ViT > LGBM", "✅ Transformer 优势成立")),
        gate("3", "Scaling Curve (N → Performance)"),
        gate("4", "Tokenization Ablation"),
    )
    shape: dict[str, Any] = {
        "path": Path("/lab") / ROADMAP,
        "names": frozenset({ROADMAP}),
        "elsewhere": frozenset(),
        "roadmap": SimpleNamespace(
            title="ViT Roadmap: Scaling to Fisher Ceiling",
            language="en",
            mvps=tuple(mvp(*m) for m in PLAN),
            gates=gates,
        ),
        "jobs": usual_jobs(),
        "verdicts": {
            "1": verdict("1", "open", "no full result of MVP-1.0 yet; demo says 0.713"),
            "2": verdict("2", "fail", "LGBM 0.71 > ViT 0.69 on the same test set"),
            "3": verdict("3", "manual", "no rule could be read"),
            "4": verdict("4", "pass", "R² 0.72 > 0.70"),
        },
        "faults": {},
        "next": SimpleNamespace(id="2.0", why="this week, P0.2"),
        "passed_over": (),
        "problems": (),
        "experiments": frozenset({"1.0", "2.0", "3.0"}),
        "ceilings": {},
        "standings": {},
        "proposals": (),
        "pending": 1,
    }
    return SimpleNamespace(**{**shape, **more})


@dataclass
class FakeTail:
    """Gives its items once."""

    items: list[Any]
    unfinished: str = ""

    def poll(self) -> list[Any]:
        items, self.items = self.items, []
        return items


@dataclass
class FakeLab:
    """Stands for a `Lab`: the lab's functions, called with it, answer from here (`install`)."""

    current: ClassVar[FakeLab | None] = None
    """The last one made: for functions that are not given the lab."""

    view: Any = field(default_factory=usual_view)
    keys: dict[str, str] = field(default_factory=dict)
    theme: str = "dark"
    notify: Notify = field(default_factory=Notify)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    error: str | None = None
    changes: tuple[Any, ...] = ((),)
    summary: tuple[str, ...] = ("MVP-2.0: R² = 0.61",)
    steps: tuple[str, ...] = ("MVP-2.0",)
    edited: list[str] = field(default_factory=list)
    """What is said of documents that an editor has open."""
    shown_diffs: list[str] = field(
        default_factory=lambda: [
            "--- a/roadmaps/vit_roadmap.md\n+++ b/roadmaps/vit_roadmap.md\n@@ -98,3 +98,3 @@\n"
            "-| 2.0 | LightGBM 1M Baseline | 1 | Gate-2 | ⏳ | - | - |\n"
            "+| 2.0 | LightGBM 1M Baseline | 1 | Gate-2 | 🚀 | `VIT-01` | [[hub|x]] |\n"
        ]
    )
    lines: list[str] = field(
        default_factory=lambda: [f"epoch {i}: loss [/bold] {i}" for i in range(40)]
    )
    chosen: str = "demo"
    findings: tuple[Any, ...] = ()
    place: str = "local"
    changed: str = ""
    places: tuple[str, ...] = ("local",)
    gpus: tuple[Device, ...] = ()
    toured: str = ""
    """What it says when asked whether the tour is due."""
    lines_of_roadmaps: tuple[Any, ...] = ()
    graphs: dict[str, FakeGraph] = field(default_factory=dict)
    progresses: dict[str, Progress] = field(default_factory=dict)
    """Job -> the way to its stars."""
    refused: bool = False
    proposed: list[Preview] = field(default_factory=list)
    """What assistants propose."""
    files: Path = Path("/lab")
    """Where documents are said to be."""
    exported: list[str] = field(default_factory=list)
    folder: Path | None = None
    """Where the jobs' files really are; None for nowhere."""
    roadmap: Path | None = Path("/lab") / ROADMAP

    def __post_init__(self) -> None:
        FakeLab.current = self
        self.settings = SimpleNamespace(
            keys=self.keys, profile="demo", theme=self.theme, notify=self.notify
        )
        self.paths = LabPaths(Path("/lab"))
        self.main_thread = threading.get_ident()
        if self.folder is not None:
            view = self.view
            jobs = tuple(self._moved(one) for one in view.jobs)
            self.view = SimpleNamespace(**{**vars(view), "jobs": jobs})

    def _moved(self, one: Any) -> Any:
        """The job with its files below `folder`, so that its log can be read by seeking."""
        assert self.folder is not None
        paths = JobPaths(self.folder / one.paths.folder.name)
        return SimpleNamespace(**{**vars(one), "paths": paths})

    def _ask(self, *words: Any) -> None:
        assert threading.get_ident() != self.main_thread, "files are read off the event loop"
        self.asked.append(words)
        if self.error:
            raise UsageError(self.error)

    def read(self, _: Path | None, **__: object) -> Any:
        assert threading.get_ident() != self.main_thread
        return self.view

    def summaries(self, _: Path | None, *__: object) -> Any:
        return self.lines_of_roadmaps

    def summarize(self, _: Path, mvp_id: str, ended: Sequence[JobPaths]) -> MvpSummary:
        assert threading.get_ident() != self.main_thread
        if self.error:
            raise UsageError(self.error)
        found = next((mvp for mvp in self.view.roadmap.mvps if mvp.id == mvp_id), None)
        if found is None:  # the document has changed meanwhile
            raise UsageError(f"no MVP {mvp_id!r}")
        launched = mvp_id in self.view.experiments
        return MvpSummary(
            found,
            facts=(("目标", "验证 ViT 在 1M 光谱上的性能 [/b]"), ("验收", "R²_test > 0.70")),
            experiment=f"experiments/{mvp_id}.yaml" if launched else "",
            profiles=("smoke", "demo", "full") if launched else (),
            runs=("Run 1", "Run 2"),
            scores={job.name: Score(0.6912, 0.0204) for job in ended},
            conclusion="R² = 0.69 ± 0.02 [[hub|x]]" if ended else "",
            report="roadmaps/exp_sweep.md" if ended else "",
        )

    def tour(self) -> str:
        assert threading.get_ident() != self.main_thread
        said, self.toured = self.toured, ""
        return said

    def devices(self) -> Sequence[Device]:
        assert threading.get_ident() != self.main_thread
        return self.gpus

    def job(self, paths: JobPaths) -> Any:
        return next((one for one in self.view.jobs if one.paths == paths), None)

    def plan(self, request: Any) -> Any:
        asked = (request.mvp, request.profile)
        asked += (request.backend,) if request.backend != "local" else ()
        self._ask("plan", *asked)
        spec = SimpleNamespace(run="Run 1", recipe="vit", device="auto", exp_id="VIT-01")
        return SimpleNamespace(
            request=request, specs=(spec,), changes=((),), findings=self.findings, asked=asked
        )

    def launch(self, plan: Any) -> Any:
        self._ask("launch", *plan.asked)
        job = JobPaths(Path("/lab/experiments/VIT-01/run-1"))
        return SimpleNamespace(jobs=(job,), notice=lambda _: self.changed)

    def stop(self, job: JobPaths) -> None:
        self._ask("stop", job.name)

    def resume(self, job: JobPaths, here: bool = False) -> None:
        assert here or not self.job(job).foreign  # what it would run was shown
        self._ask("resume", job.name)

    def hold(self, job: JobPaths) -> None:
        self._ask("hold", job.name)

    def release(self, job: JobPaths) -> None:
        self._ask("release", job.name)

    def move(self, job: JobPaths, places: int | None) -> None:
        self._ask("move", job.name, places)

    def prioritise(self, job: JobPaths, by: int) -> None:
        self._ask("prioritise", job.name, by)

    def pending(self, _: Path) -> Any:
        self._ask("pending")
        return SimpleNamespace(changes=self.changes, mvps=("2.0",), summary=self.summary,
                               steps=self.steps, left=())  # fmt: skip

    def accept(self, waiting: Any) -> list[Path]:
        self._ask("accept", waiting.mvps)
        return [Path("/lab") / ROADMAP]

    def results(self) -> tuple[Any, ...]:
        def one(job: Any, score: float, lr: float) -> Any:
            return ResultRow(job.paths.name, job.spec.mvp, job.spec.run, "demo", "ViT [/b]",
                            "test/r2/log_g", score, 0.01, Share(0.9, 0.01), 10_000, 90.0, 1.0,
                            {"train.lr": lr, "train.batch": 64},
                            {"test/mae/log_g": 0.1})  # fmt: skip

        return tuple(
            one(job, 0.69 + 0.03 * i, 0.001 + 0.002 * i) for i, job in enumerate(self.view.jobs[:2])
        )

    def gaps(self, reference: str) -> dict[str, tuple[float, float]]:
        self._ask("gaps", reference)
        others = [one.job for one in self.results() if one.job != reference]
        return dict.fromkeys(others, (0.03, 0.004))

    def proposals(self) -> tuple[Preview, ...]:
        return tuple(self.proposed)

    def accept_proposal(self, number: int, because: str) -> Accepted:
        self._ask("accepted", number, because)
        self.proposed = [one for one in self.proposed if one.proposal.number != number]
        return Accepted((Path("/lab") / ROADMAP,))

    def dismiss_proposal(self, number: int) -> None:
        self._ask("dismissed", number)
        self.proposed = [one for one in self.proposed if one.proposal.number != number]

    def document_state(self, *_: Any) -> Any:
        change: Any = SimpleNamespace(path=Path("/lab") / ROADMAP)
        step = SimpleNamespace(mvp="2.0", summary="MVP-2.0: R² = 0.61", conclusion="R² = 0.61 [/b]",
                               changes=(change,))  # fmt: skip
        finding = SimpleNamespace(
            line=7, kind="broken-row", message="6 cells [/b]", fix=((),), is_note=False
        )
        problem = SimpleNamespace(path=change.path, finding=finding, fix=change)
        return SimpleNamespace(
            updates=() if self.refused else (step,),
            refused=("2.0",) if self.refused else (),
            past=(PastWrite(3, False, (change,), "MVP-1.0", 1.7e9),),
            problems=(problem,),
        )

    def worded(self, _: Path, mvp_id: str, sentence: str) -> Any:
        self._ask("worded", mvp_id, sentence)
        return SimpleNamespace(mvp=mvp_id, summary=f"MVP-{mvp_id}: {sentence}", conclusion=sentence,
                               changes=())  # fmt: skip

    def write(self, _: Path, mvp_id: str, sentence: str | None) -> list[Path]:
        self._ask("write", mvp_id, sentence)
        return [Path("/lab") / ROADMAP]

    def refuse(self, _: Path, mvp_id: str) -> None:
        self._ask("refuse", mvp_id)
        self.refused = True

    def offer(self, _: Path, mvp_id: str) -> None:
        self._ask("offer", mvp_id)
        self.refused = False

    def fix(self, problem: Any) -> list[Path]:
        self._ask("fix", problem.finding.line)
        return [problem.path]

    def create(self, *asked: Any) -> Any:
        self._ask("create", asked[-1])
        change = SimpleNamespace(path=Path("/lab") / ROADMAP, old_text="", new_text="")
        return SimpleNamespace(id="8.0", roadmap=change.path, changes=(change,), notes=())

    def save_new(self, new: Any) -> list[Path]:
        self._ask("save_new", new.id)
        return [new.roadmap]

    def undo(self) -> Reverted:
        self._ask("undo")
        made = FileChange(Path("/lab/roadmaps/exp_m.md"), "a", "", (), removed=True)
        changed = FileChange(Path("/lab") / ROADMAP, "a", "b", ())
        return Reverted("MVP-2.0: status running", (changed, made))

    def redo(self) -> Reverted:
        self._ask("redo")
        return Reverted("", (FileChange(Path("/lab") / ROADMAP, "b", "a", ()),))

    def diffs(self, _: Any) -> list[str]:
        return self.shown_diffs

    def progress(self, job: JobPaths) -> Progress:
        if job.name not in self.progresses:
            self.progresses[job.name] = fold(Progress(), self.events(job))
        return self.progresses[job.name]

    def forget_progress(self, keep: Any) -> None:
        pass

    def events(self, job: JobPaths) -> list[Event]:
        top = 0.72 if "run-1" in job.name else 0.45
        count = 112 if "run-1" in job.name else 9
        return [
            Event("eval", float(i), {"step": 1000 * i, "epoch": i, "split": "val",
                  "values": {"val/r2/log_g": -20.0 if i == 0 else top * (1 - 0.9**i),
                             "train/loss": 1.0 / (i + 1)}})
            for i in range(count)
        ]  # fmt: skip

    def spectrograph(self, job: JobPaths, sources: Sources | None = None) -> FakeGraph:
        """Of test stars by the job's name, of observed ones by their path."""
        name = job.name if sources is None else sources.path
        self.asked.append(("spectrograph", name))
        graph = self.graphs.setdefault(name, FakeGraph())
        graph.closed = False
        return graph

    def levels(self, metric: str) -> tuple[Line, ...]:
        return (Line(0.7, "Gate-1 at 0.7"),) if "/r2/" in metric else ()

    def profiles(self, _: Path, mvp_id: str) -> tuple[str, ...]:
        assert mvp_id
        assert threading.get_ident() != self.main_thread
        return ("smoke", "demo", "full")

    def choice(self) -> tuple[str, str]:
        return self.chosen, self.place

    def remember(self, choice: tuple[str, str]) -> None:
        self.chosen, self.place = choice

    def section(self, _: Path, mvp_id: str) -> tuple[Path, int]:
        self._ask("section", mvp_id)
        return self.files / ROADMAP, 7

    def experiment(self, spec: Spec) -> tuple[Path, int]:
        self._ask("experiment", spec.run)
        return self.files / "experiments" / "one.yaml", 3

    def conclusion(self, _: Path, mvp_id: str) -> str:
        self._ask("conclusion", mvp_id)
        return "R² = 0.71 [/b]" if mvp_id == "1.0" else ""

    def export(self, name: str, ending: str, text: str) -> Path:
        name = re.sub(r"-\d{8}-\d{6}$", "", name)  # the time
        self._ask("export", name, ending)
        self.exported.append(text)
        return Path(f"/lab/exports/{name}.{ending}")

    def announce(self, job: Any) -> None:
        self._ask("announce", job.spec.run)

    def debug(self, screen: Any, errors: Any) -> str:
        self._ask("debug")
        return "\n".join(["[screen]", *(f"{a} {b}" for a, b in screen), *errors])


WITH_LAB: dict[Callable[..., Any], str | Callable[..., Any]] = {
    snapshot.read_snapshot: "read",
    snapshot.read_running: lambda *_: None,
    snapshot.roadmap_summaries: "summaries",
    mvp_summary.summarize_mvp: "summarize",
    mvp_summary.locate_mvp: "section",
    mvp_summary.locate_experiment: "experiment",
    mvp_summary.read_conclusion: "conclusion",
    launch.advance_queue: lambda _: None,
    launch.plan_launch: "plan",
    launch.launch: "launch",
    launch.stop: "stop",
    launch.resume: "resume",
    launch.hold: "hold",
    launch.release: "release",
    launch.move: "move",
    launch.change_priority: "prioritise",
    adoption.candidates: lambda _: [],
    rows.result_rows: "results",
    rows.gaps: "gaps",
    status_sync.sync_status: lambda *_: [],
    edits.accept_automatically: lambda *_: [],
    decisions.previews: "proposals",
    decisions.waiting: lambda lab: tuple(one.proposal.number for one in lab.proposed),
    decisions.accept: "accept_proposal",
    decisions.dismiss: "dismiss_proposal",
    edits.accept: "accept",
    edits.document_state: "document_state",
    edits.plan_update: "worded",
    edits.write: "write",
    edits.refuse: "refuse",
    edits.propose_again: "offer",
    edits.fix: "fix",
    edits.undo: "undo",
    edits.redo: "redo",
    edits.pending_results: "pending",
    writeback.plan_mvp: lambda *_: None,
    new_plan.plan_mvp: "create",
    new_plan.plan_gate: "create",
    new_plan.plan_plan: "create",
    new_plan.save_new: "save_new",
    new_plan_screen.hypotheses: lambda _, __: {"H1.1 more stars help [/b]": "H1.1"},
    new_plan_screen.rule_words: lambda _, __, ___: "understood as: R² > 0.7",
    actions.profiles_of: "profiles",
    actions.roadmap_there: lambda _, shown: shown,
    launch_screen.last_choice: "choice",
    launch_screen.remember_choice: "remember",
    dialogs.diffs: "diffs",
    navigation.greeting: "tour",
}
"""Functions whose first argument is the lab -> what a `FakeLab` does in their place."""

WITHOUT_LAB: dict[Callable[..., Any], str | Callable[..., Any]] = {
    gpus.devices: "devices",
    cpu_times: lambda _: (0, 0),
    slurm.is_here: lambda lab: "slurm" in lab.places,
    store.read_job: "job",
    launch.preview: lambda _, __: [],
    notice.notify: lambda lab, _, job, __: lab.announce(job),
    edits.open_in_editors: lambda lab, _: lab.edited,
    Client: "spectrograph",
    selection.debug_text: lambda lab, session, screen: lab.debug(
        screen, [one.text for one in session.messages.errors]
    ),
    export.save_new: lambda lab, _, *parts: lab.export(*parts),
    LogTail: lambda lab, *_: FakeTail(list(lab.lines)),
}
"""The others, for which the last lab that was made answers."""


def install(setattr_: Callable[[Any, str, Any], None]) -> None:
    """Have the lab's functions answer from a `FakeLab`, where that is the lab."""
    FakeLab.current = None
    for real, fake in WITH_LAB.items():
        _replace(real, _with_lab(real, fake), setattr_)
    for real, fake in WITHOUT_LAB.items():
        _replace(real, _without_lab(real, fake), setattr_)
    levels = LabReader.levels
    setattr_(
        LabReader,
        "levels",
        lambda reader, view, metric: (
            reader._lab.levels(metric)
            if isinstance(reader._lab, FakeLab)
            else levels(reader, view, metric)
        ),
    )


def _replace(real: Any, fake: Any, setattr_: Callable[[Any, str, Any], None]) -> None:
    """Where it is defined, and wherever the screen has imported it by its name."""
    name: str = real.__name__
    modules = {key for key in sys.modules if key.startswith("vitlab.tui")} | {real.__module__}
    for module in (sys.modules[key] for key in sorted(modules)):
        if vars(module).get(name) is real:
            setattr_(module, name, fake)


def _with_lab(real: Callable[..., Any], fake: str | Callable[..., Any]) -> Callable[..., Any]:
    def call(lab: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(lab, FakeLab):
            return real(lab, *args, **options)
        return _called(fake, lab)(*args, **options)

    return call


def _without_lab(real: Callable[..., Any], fake: str | Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        lab = FakeLab.current
        if lab is None:
            return real(*args, **options)
        return _called(fake, lab)(*args, **options)

    return call


def _called(fake: str | Callable[..., Any], lab: FakeLab) -> Callable[..., Any]:
    """A method by its name, which a subclass may have its own way, or a function of the lab."""
    return getattr(lab, fake) if isinstance(fake, str) else partial(fake, lab)
