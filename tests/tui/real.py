"""A real lab with jobs of a moment, for what only real files and processes can show."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from pathlib import Path

from tests.waiting import kill_all
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.jobs.experiment.settings import load_settings
from vitlab.lab.lab import Lab

ROADMAP = """\
# 🗺️ Sleep Roadmap [/x]

**Project:** `VIT`

| MVP | 实验名称 | Phase | Gate | 状态 | exp_id | 报告 |
|---|---|---|---|---|---|---|
| 1.0 | Sleep [b] | 1 | Gate-1 | ⏳ | - | - |
| 2.0 | 专家 ⚠️ | 1 | - | ⏳ | - | - |

## Gate-1: does it sleep

| 条件 | 决策 |
|---|---|
| 若 R² > 0.70 | ✅ yes |
"""
EVENTS = """\
import json, os, time
with open(os.environ["VITLAB_JOB"] + "/events.jsonl", "a") as file:
    for step in range(1, 4):
        print("step", step, "[/bold]", flush=True)
        event = {"v": 1, "t": time.time(), "kind": "eval", "step": step, "of": 3, "split": "val",
                 "values": {"val/r2/log_g": step / 4}}
        file.write(json.dumps(event) + "\\n")
        file.flush()
        time.sleep(0.05)
"""


class RealLab:
    """A lab on disk, and what may happen to it behind the screen's back."""

    def __init__(self, root: Path) -> None:
        self.paths = LabPaths(root)
        self.roadmap = self.paths.roadmaps / "sleep_roadmap.md"
        self.paths.roadmaps.mkdir(parents=True)
        self.paths.experiments.mkdir()
        self.roadmap.write_text(ROADMAP, encoding="utf-8")
        (root / "vitlab.yaml").write_text("profile: full\ngrace: 1\ncpu_slots: 2\n")
        self.add_experiment("1.0")
        self._added = 0

    @property
    def lab(self) -> Lab:
        return Lab(self.paths, load_settings(self.paths))

    def add_experiment(self, mvp: str) -> None:
        """Written as an editor writes it: in place of what was there."""
        head = f'mvp: "{mvp}"\nroadmap: roadmaps/sleep_roadmap.md\nrecipe: command\n'
        argv = [sys.executable, "-S", "-c", EVENTS]
        path = self.paths.experiments / f"m{mvp.replace('.', '_')}.yaml"
        path.write_text(f"{head}config: {{argv: {json.dumps(argv)}}}\n", encoding="utf-8")

    def add_mvp(self, name: str) -> None:
        """A row below the last of the overview, as an editor adds one."""
        self._added += 1
        text = self.roadmap.read_text(encoding="utf-8", errors="replace")
        row = f"| {2 + self._added}.0 | {name} | 1 | - | ⏳ | - | - |\n"
        self.roadmap.write_text(
            text.replace("\n\n## Gate-1", f"\n{row}\n## Gate-1", 1), encoding="utf-8"
        )

    def launch(self, mvp: str = "1.0") -> None:
        from vitlab.lab.launch import Request, launch, plan_launch

        launch(self.lab, plan_launch(self.lab, Request(self.roadmap, mvp, "full")))

    def change(self, random_: random.Random) -> None:
        """A job starts, a document is edited, an experiment comes, a document is gone."""
        match random_.randrange(6):
            case 0 if len(list(self.paths.experiments.glob("*/*"))) < 8:
                with contextlib.suppress(UsageError):  # the roadmap is half a one just now
                    self.launch()
            case 1 if self._added < 9:
                self.add_mvp(f"row {self._added} [/x] 专家")
            case 2:
                self.add_experiment("2.0")
            case 3:
                self.roadmap.write_text(ROADMAP, encoding="utf-8")
                self._added = 0
            case 4:
                self.roadmap.write_bytes(self.roadmap.read_bytes()[:-9])
            case _:
                pass

    def end(self) -> None:
        """Nothing runs any more."""
        kill_all(self.paths.root)
