"""The built wheel by itself, outside the repository: its example lab and the smoke loop."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vitlab.lab.example import example_files, example_lab

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, laid out and compiled as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    compileall.compile_dir(folder / "site", quiet=2)
    assert wheel.stat().st_size < 25e6
    return folder / "site"


def test_the_example_lab_is_the_projects_own_plan(unpacked: Path) -> None:
    inside = unpacked / "vitlab" / "example"
    for name in example_files():
        copy = inside / name
        assert copy.read_bytes() == (ROOT / name).read_bytes(), f"{name} is not in the wheel"
    copies = [path for path in inside.rglob("*") if path.is_file()]
    assert {path.relative_to(inside) for path in copies} == {*example_files()}
    assert example_lab() == ROOT


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_init_and_the_smoke_loop_outside_the_repository(unpacked: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "NO_COLOR": "1"}

    def vitlab(*words: str, folder: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "vitlab", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=450,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    vitlab("init", "lab", folder=tmp_path)
    lab = tmp_path / "lab"
    before = (lab / "roadmaps/vit_roadmap.md").read_text(encoding="utf-8")
    said = vitlab("demo", "--profile", "smoke", folder=lab)
    for model in ("ViT", "LightGBM", "Ridge"):
        assert model in said
    assert "+++ " in said
    assert "Gate" in said
    after = (lab / "roadmaps/vit_roadmap.md").read_text(encoding="utf-8")
    assert after.count("(smoke)") >= 3
    assert before.count("\n") < after.count("\n")
    assert len(list((lab / "roadmaps").glob("exp_*.md"))) == 2
    assert vitlab("lint", folder=lab) == ""  # every number has a result
    vitlab("undo", folder=lab)
    again = subprocess.run(
        [sys.executable, "-P", "-m", "vitlab", "init", "lab"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
