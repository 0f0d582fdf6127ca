"""A small lab around the owner's real roadmap, with an experiment of seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import kill_all

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"

EXPERIMENT = """\
mvp: "2.0"
roadmap: roadmaps/vit_roadmap_20251227.md
recipe: lightgbm
config:
  labels: [log_g]
  data: {source: grid, train_size: 600, val_size: 100, test_size: 300}
  model: {bins: 31, feature_fraction: 0.1}
  train: {rounds: 30, eval_every: 2, patience: 30, threads: 1}
profiles:
  smoke: {}
  full: {}
"""

Vitlab = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Path]:
    """A lab with the real roadmap and hub; whatever still runs in it afterwards is ended."""
    if not CORPUS.is_dir():
        pytest.skip("the real documents are not beside this checkout")
    root = tmp_path / "lab"
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    for name in ("vit_roadmap_20251227.md", "vit_hub_20251227.md"):
        shutil.copy(CORPUS / name, root / "roadmaps" / name)
        (root / "roadmaps" / name).chmod(0o644)
    (root / "experiments" / "lightgbm.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (root / "vitlab.yaml").write_text("profile: smoke\ngrace: 2\n", encoding="utf-8")
    yield root
    kill_all(root)


@pytest.fixture
def vitlab(lab: Path) -> Vitlab:
    """Run a vitlab command in the lab, in a process of its own."""

    def run(*words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "vitlab", *words],
            cwd=lab,
            env={**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=100,
        )
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
        return done

    return run
