"""A small lab around a roadmap with all that roadmaps have, with an experiment of seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.documents import document_path, here
from tests.waiting import kill_all

OWN = "survey_roadmap.md"
ROADMAPS = here(OWN, "vit_roadmap_20251227.md")
"""Sources of the lab's roadmap: the one written for the tests, and a real one where it is."""
HUBS = {OWN: "survey_hub.md", "vit_roadmap_20251227.md": "vit_hub_20251227.md"}

EXPERIMENT = """\
mvp: "2.0"
roadmap: roadmaps/survey_roadmap.md
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
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A lab with a roadmap and its hub; whatever still runs in it afterwards is ended.

    Parametrised indirectly with another name of `ROADMAPS`, it has that one under the same name.
    """
    source = getattr(request, "param", OWN)
    root = tmp_path / "lab"
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    for name, copied in ((source, OWN), (HUBS[source], HUBS[OWN])):
        text = document_path(name).read_bytes().decode()
        text = text.replace(HUBS[source], HUBS[OWN])
        (root / "roadmaps" / copied).write_bytes(text.encode())
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
