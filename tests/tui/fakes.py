"""A lab in memory for the screen: the shapes of the records, none of their work."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.tui.fakestars import FakeGraph
from vitlab.contract.events import Event
from vitlab.contract.job import Done, Queued, Running, Spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.jobs.experiment.settings import Notify
from vitlab.jobs.gpus import Device
from vitlab.lab.live.mvp_summary import MvpSummary, Score
from vitlab.lab.progress import Progress, fold
from vitlab.lab.results.rows import ResultRow
from vitlab.plot.series import Line

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
    return SimpleNamespace(id=gate_id, verdict=word, because=because, rule=None, values={})


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
        "step": 0,
        "of": 0,
        "epoch": None,
        "values": {},
        "health": "",
        "why": "",
        "seconds": 0.0,
        "eta": None,
        "held": False,
        "left": False,
        "priority": 0,
        "order": 0.0,
        "progress": Progress(),
    }
    return SimpleNamespace(paths=JobPaths(folder), spec=spec, state=state, **{**shape, **more})


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
        "roadmap": SimpleNamespace(
            title="ViT Roadmap: Scaling to Fisher Ceiling",
            mvps=tuple(mvp(*m) for m in PLAN),
            gates=gates,
        ),
        "jobs": usual_jobs(),
        "verdicts": {
            "1": verdict("1", "open", "no full result of MVP-1.0 yet; demo says 0.713"),
            "2": verdict("2", "fail", "LGBM 0.71 > ViT 0.69 on the same test set"),
            "3": verdict("3", "manual", "no rule a program can read"),
            "4": verdict("4", "pass", "R² 0.72 > 0.70"),
        },
        "next": SimpleNamespace(id="2.0", why="this week, P0.2"),
        "problems": (),
        "experiments": frozenset({"1.0", "2.0", "3.0"}),
        "pending": 1,
    }
    return SimpleNamespace(**{**shape, **more})


@dataclass
class FakeTail:
    """Gives its items once."""

    items: list[Any]

    def poll(self) -> list[Any]:
        items, self.items = self.items, []
        return items


@dataclass
class FakeDesk:
    """Remembers what was asked of it."""

    view: Any = field(default_factory=usual_view)
    keys: dict[str, str] = field(default_factory=dict)
    theme: str = "dark"
    notify: Notify = field(default_factory=Notify)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    error: str | None = None
    changes: tuple[Any, ...] = ((),)
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
    files: Path = Path("/lab")
    """Where documents are said to be."""
    exported: list[str] = field(default_factory=list)
    folder: Path | None = None
    """Where the jobs' files really are; None for nowhere."""
    roadmap: Path | None = Path("/lab") / ROADMAP

    def __post_init__(self) -> None:
        settings = SimpleNamespace(
            keys=self.keys, profile="demo", theme=self.theme, notify=self.notify
        )
        self.lab: Any = SimpleNamespace(settings=settings, paths=LabPaths(Path("/lab")))
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

    def look(self) -> Any:
        assert threading.get_ident() != self.main_thread
        return self.view

    def turn(self, roadmap: Path) -> None:
        self.asked.append(("turn", roadmap.name))
        self.roadmap = roadmap

    def roadmaps(self) -> Any:
        return self.lines_of_roadmaps

    def brief(self, mvp_id: str, ended: Sequence[JobPaths]) -> MvpSummary:
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

    def backends(self) -> tuple[str, ...]:
        return self.places

    def plan(self, mvp_id: str, profile: str, backend: str = "local") -> Any:
        self._ask("plan", mvp_id, profile, *([backend] if backend != "local" else []))
        spec = SimpleNamespace(run="Run 1", recipe="vit", device="auto", exp_id="VIT-01")
        asked = (mvp_id, profile, *([backend] if backend != "local" else []))
        return SimpleNamespace(specs=(spec,), changes=((),), findings=self.findings, asked=asked)

    def launch(self, plan: Any) -> tuple[int, str]:
        self._ask("launch", *plan.asked)
        return 1, self.changed

    def stop(self, *jobs: JobPaths) -> int:
        for job in jobs:
            self._ask("stop", job.name)
        return len(jobs)

    def resume(self, *jobs: JobPaths) -> int:
        for job in jobs:
            self._ask("resume", job.name)
        return len(jobs)

    def hold(self, job: JobPaths) -> None:
        self._ask("hold", job.name)

    def release(self, job: JobPaths) -> None:
        self._ask("release", job.name)

    def move(self, job: JobPaths, places: int | None) -> None:
        self._ask("move", job.name, places)

    def prioritise(self, job: JobPaths, by: int) -> None:
        self._ask("prioritise", job.name, by)

    def pending(self) -> Any:
        self._ask("pending")
        return SimpleNamespace(changes=self.changes, mvps=("2.0",), summary=("MVP-2.0: R² = 0.61",))

    def accept(self, waiting: Any) -> list[Path]:
        self._ask("accept", waiting.mvps)
        return [Path("/lab") / ROADMAP]

    def results(self) -> tuple[Any, ...]:
        def one(job: Any, score: float, lr: float) -> Any:
            return ResultRow(job.paths.name, job.spec.mvp, job.spec.run, "demo", "ViT [/b]",
                            "test/r2/log_g", score, 0.01, 0.9, 10_000, 90.0, 1.0,
                            {"train.lr": lr, "train.batch": 64},
                            {"test/mae/log_g": 0.1})  # fmt: skip

        return tuple(
            one(job, 0.69 + 0.03 * i, 0.001 + 0.002 * i) for i, job in enumerate(self.view.jobs[:2])
        )

    def gaps(self, reference: str) -> dict[str, tuple[float, float]]:
        self._ask("gaps", reference)
        others = [one.job for one in self.results() if one.job != reference]
        return dict.fromkeys(others, (0.03, 0.004))

    def papers(self) -> Any:
        change = SimpleNamespace(path=Path("/lab") / ROADMAP)
        step = SimpleNamespace(mvp="2.0", summary="MVP-2.0: R² = 0.61", sentence="R² = 0.61 [/b]",
                               changes=(change,))  # fmt: skip
        finding = SimpleNamespace(line=7, kind="broken-row", message="6 cells [/b]", fix=((),))
        flaw = SimpleNamespace(path=change.path, finding=finding, change=change)
        return SimpleNamespace(
            waiting=() if self.refused else (step,),
            refused=("2.0",) if self.refused else (),
            past=(SimpleNamespace(number=3, undone=False, changes=(change,)),),
            flaws=(flaw,),
        )

    def worded(self, mvp_id: str, sentence: str) -> Any:
        self._ask("worded", mvp_id, sentence)
        return SimpleNamespace(mvp=mvp_id, summary=f"MVP-{mvp_id}: {sentence}", sentence=sentence,
                               changes=())  # fmt: skip

    def write(self, mvp_id: str, sentence: str | None) -> list[Path]:
        self._ask("write", mvp_id, sentence)
        return [Path("/lab") / ROADMAP]

    def refuse(self, mvp_id: str) -> None:
        self._ask("refuse", mvp_id)
        self.refused = True

    def offer(self, mvp_id: str) -> None:
        self._ask("offer", mvp_id)
        self.refused = False

    def fix(self, flaw: Any) -> list[Path]:
        self._ask("fix", flaw.finding.line)
        return [flaw.path]

    def undo(self) -> list[Path]:
        self._ask("undo")
        return [Path("/lab") / ROADMAP]

    def redo(self) -> list[Path]:
        self._ask("redo")
        return [Path("/lab") / ROADMAP]

    def open_in_editors(self, _: Any) -> list[str]:
        return self.edited

    def diffs(self, _: Any) -> list[str]:
        return self.shown_diffs

    def name(self, path: Path) -> str:
        return path.relative_to("/lab").as_posix()

    def progress(self, job: JobPaths) -> Progress:
        if job.name not in self.progresses:
            self.progresses[job.name] = fold(Progress(), self.events(job))
        return self.progresses[job.name]

    def events(self, job: JobPaths) -> list[Event]:
        top = 0.72 if "run-1" in job.name else 0.45
        count = 112 if "run-1" in job.name else 9
        return [
            Event("eval", float(i), {"step": 1000 * i, "epoch": i, "split": "val",
                  "values": {"val/r2/log_g": -20.0 if i == 0 else top * (1 - 0.9**i),
                             "train/loss": 1.0 / (i + 1)}})
            for i in range(count)
        ]  # fmt: skip

    def spectrograph(self, job: JobPaths) -> FakeGraph:
        self.asked.append(("spectrograph", job.name))
        graph = self.graphs.setdefault(job.name, FakeGraph())
        graph.closed = False
        return graph

    def levels(self, _: Any, metric: str) -> tuple[Line, ...]:
        return (Line(0.7, "Gate-1 at 0.7"),) if "/r2/" in metric else ()

    def log(self, _: JobPaths) -> FakeTail:
        return FakeTail(list(self.lines))

    def profiles(self, mvp_id: str) -> tuple[str, ...]:
        assert mvp_id
        assert threading.get_ident() != self.main_thread
        return ("smoke", "demo", "full")

    def choice(self) -> tuple[str, str]:
        return self.chosen, self.place

    def remember(self, profile: str, backend: str) -> None:
        self.chosen, self.place = profile, backend

    def section(self, mvp_id: str) -> tuple[Path, int]:
        self._ask("section", mvp_id)
        return self.files / ROADMAP, 7

    def experiment(self, spec: Spec) -> tuple[Path, int]:
        self._ask("experiment", spec.run)
        return self.files / "experiments" / "one.yaml", 3

    def conclusion(self, mvp_id: str) -> str:
        self._ask("conclusion", mvp_id)
        return "R² = 0.71 [/b]" if mvp_id == "1.0" else ""

    def export(self, view: str, ending: str, text: str) -> Path:
        self._ask("export", view, ending)
        self.exported.append(text)
        return Path(f"/lab/exports/{view}.{ending}")

    def announce(self, jobs: Any) -> None:
        self._ask("announce", *(job.spec.run for job in jobs))

    def condition(self, screen: Any, errors: Any) -> str:
        self._ask("condition")
        return "\n".join(["[screen]", *(f"{a} {b}" for a, b in screen), *errors])
