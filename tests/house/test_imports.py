"""What a command loads: the static graph cannot prove that a deferral defers, so look."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "lightgbm", "numpy", "h5py", "scipy", "pandas", "matplotlib", "wandb")

PROBE = """
import importlib, sys
importlib.import_module({module!r})
print(",".join(name for name in {watched!r} if name in sys.modules))
"""


def loaded(module: str, watched: tuple[str, ...]) -> list[str]:
    probe = PROBE.format(module=module, watched=watched)
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    return [name for name in done.stdout.strip().split(",") if name]


@pytest.mark.parametrize(
    "module",
    [
        "vitlab.cli",
        "vitlab.tui.app",
        "vitlab.jobs.queue.scheduler",
        "vitlab.jobs.process.supervisor",
        "vitlab.docs.model.roadmap",
        "vitlab.docs.write.status",
        "vitlab.lab.live.snapshot",
        "vitlab.lab.launch",
        "vitlab.lab.results.rows",
        "vitlab.plot.chart",
    ],
)
def test_the_learner_is_never_loaded(module: str) -> None:
    assert loaded(module, HEAVY) == []


def test_the_command_line_loads_neither_screen_nor_parser() -> None:
    assert loaded("vitlab.cli", ("textual", "rich", "markdown_it", "yaml", "polars")) == []


@pytest.mark.parametrize(
    "module", ["vitlab.commands.screen", "vitlab.tui.app", "vitlab.tui.watch.reader"]
)
def test_the_first_picture_waits_for_nothing_that_writes_launches_or_checks(module: str) -> None:
    watched = (
        "wcwidth",
        "zipfile",
        "vitlab.docs.lint",
        "vitlab.docs.write.results",
        "vitlab.jobs.queue.scheduler",
        "vitlab.lab.launch",
        "vitlab.lab.live.mvp_summary",
        "vitlab.lab.writeback.edits",
    )
    assert loaded(module, watched) == []


@pytest.mark.parametrize("module", ["vitlab.ml.train", "vitlab.recipes.vit", "vitlab.recipes.run"])
def test_a_training_needs_little_beside_torch(module: str) -> None:
    watched = ("polars", "platformdirs", "lightgbm", "textual", "rich", "wandb", "pandas")
    assert loaded(module, watched) == []


def test_a_supervisor_loads_little() -> None:
    watched = ("yaml", "markdown_it", "hashlib", "difflib", "csv", "subprocess", "urllib.request")
    assert loaded("vitlab.jobs.process.supervisor", watched) == []


def test_the_contract_needs_nothing_installed() -> None:
    probe = (
        "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        "import importlib, pkgutil, pathlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import vitlab.contract\n"
        "for m in pkgutil.iter_modules(vitlab.contract.__path__):\n"
        "    importlib.import_module('vitlab.contract.' + m.name)\n"
    )
    import vitlab

    root = str(__import__("pathlib").Path(vitlab.__file__).parents[1])
    subprocess.run([sys.executable, "-S", "-c", probe, root], check=True, timeout=60)
