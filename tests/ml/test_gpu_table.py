"""The table of `benchmarks/gpu.py`: each part in a process and a time of its own."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.waiting import wait_for

FOLDER = Path(__file__).parents[2] / "benchmarks"


pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="only in the repository")


@pytest.fixture
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_table", FOLDER / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_part_that_ends_badly_or_late_is_named(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = '{"what": "ours", "unit": "spectra/s", "batch": 1024, "mfu": 0.181, "why": ""'
    numbers = '"median": 21300.0, "low": 21000.0, "high": 21400.0, "memory": 12.34}'
    script = tmp_path / "gpu_parts.py"
    script.write_text(f"print('{row}, {numbers}')\nraise SystemExit('no memory')")
    monkeypatch.setattr(gpu, "__file__", str(tmp_path / "gpu.py"))
    asked = argparse.Namespace(device="cpu", tiny=False)
    rows, wrong = gpu.run("p16", asked, 60.0)
    text = gpu.table(rows, {"p16": wrong})
    assert "| ours | 1,024 | 21,300 | 21,000 to 21,400 | spectra/s | 18.1% | 12.3 |  |" in text
    assert text[-1] == "p16: ended with status 1; no memory"
    script.write_text("import time\ntime.sleep(600)")
    assert gpu.run("data", asked, 0.6) == ([], "did not end in its 1 s")


def test_all_parts_fit_into_eight_minutes(gpu: ModuleType) -> None:
    assert sum(gpu.SECONDS.values()) < gpu.LIMIT < 8 * 60
    assert set(gpu.SECONDS) == set(gpu.ABOUT)


ROW = 'print(\'{"what": "ours", "unit": "spectra/s"}\', flush=True)\n'


def test_the_table_comes_at_the_limit_too(
    gpu: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "gpu_parts.py").write_text(ROW + "import time\ntime.sleep(600)")
    monkeypatch.setattr(gpu, "__file__", str(tmp_path / "gpu.py"))
    monkeypatch.setattr(gpu, "SECONDS", {"p16": 300, "data": 100})
    monkeypatch.setattr(gpu, "LIMIT", 3.0)
    monkeypatch.setattr(gpu, "machine", lambda _: "a machine")
    importlib.import_module("torch")  # counts for a program of its own
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--out", str(tmp_path)])
    assert gpu.main() == 1
    said = capsys.readouterr().out
    assert "p16       300 s, by  300 s: p16_h256_L6_a8" in said
    assert "p16: did not end in its" in said
    assert "data: not run: no time was left" in said
    assert "| ours |" in said
    assert "| p16 | 300 | 3 |" in (tmp_path / "gpu.md").read_text()


def test_the_table_comes_when_it_is_stopped(tmp_path: Path) -> None:
    """With what there is: SIGTERM, as a job's limit sends it."""
    parts = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(600)"
    (tmp_path / "gpu_parts.py").write_text(ROW + parts)
    shutil.copy(FOLDER / "gpu.py", tmp_path)
    argv = [sys.executable, "gpu.py", "--device", "cpu", "--only", "p16,data"]
    program = subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    wait_for((tmp_path / "begun").exists)
    program.terminate()
    said, _ = program.communicate(timeout=60)
    assert program.returncode == 1
    assert "| ours |" in said
    assert "p16: stopped from outside" in said
    assert "data: not run: stopped from outside" in said


@pytest.mark.parametrize("target", ["gpu", "gpu-check"])
def test_a_gpu_is_measured_with_the_python_of_the_environment(target: str) -> None:
    """Nothing is installed: the torch that fits the driver is there."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make here")
    argv = [make, "-n", "-C", str(FOLDER.parent), target, "PYTHON=their-python"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    ran = [line for line in said.splitlines() if "python" in line]
    assert len(ran) == 1
    assert "PYTHONPATH=. their-python benchmarks/gpu" in ran[0]
