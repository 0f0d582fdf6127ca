"""A job of a network on a machine that has torch and little else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from tests.recipes.test_run import CONFIGS, a_job
from vitlab.contract.job import read_result

NEEDED = ("torch", "numpy", "scipy", "h5py", "pyyaml")
WITHOUT = """
import json, runpy, sys
from importlib.machinery import PathFinder

class Installed(PathFinder):
    missing = set(json.loads(sys.argv.pop(1)))

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in cls.missing:
            return PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Installed if one is PathFinder else one for one in sys.meta_path]
runpy.run_module("vitlab.recipes.run", run_name="__main__")
"""
"""Runs the module as if the packages named by the first argument were not installed."""


def test_a_network_is_trained_without_the_packages_of_the_screen(tmp_path: Path) -> None:
    needed = {"vitlab"}.union(*map(closure, NEEDED))
    missing = [name for name, of in packages_distributions().items() if not names(of) & needed]
    assert {"markdown_it", "wcwidth", "textual", "matplotlib", "polars", "lightgbm"} <= {*missing}
    job = a_job(tmp_path / "job", "vit", CONFIGS["vit"])
    command = [sys.executable, "-c", WITHOUT, json.dumps(missing), str(job.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    result = read_result(job.result)
    assert result is not None
    assert "test/r2/log_g" in result.values


def closure(package: str) -> set[str]:
    """The package and all it requires itself."""
    found, ahead = set[str](), [package]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue  # for another platform
        ahead += names(line for line in lines if "extra ==" not in line)
    return found


def names(requirements: Iterable[str]) -> set[str]:
    """As pip compares them, without versions."""
    return {
        re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", line, maxsplit=1)[0]).lower()
        for line in requirements
    }
