"""The table of `benchmarks/gpu.py`: each part in a process and a time of its own."""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

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
    assert sum(gpu.SECONDS.values()) < 8 * 60
    assert set(gpu.SECONDS) == set(gpu.ABOUT)


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
