"""What all tests share: the same drawn examples on every machine, and no reports to W&B."""

import atexit
import compileall
import gc
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

import vitlab

# A failing test is then the change's; `make fuzz` is what draws new examples.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.load_profile("same")

# No test's job reports to W&B but those that ask for it.
os.environ["WANDB_MODE"] = "disabled"

# No test writes into the state folder of whoever runs it.
_state = tempfile.mkdtemp(prefix="vitlab-state-")
os.environ["XDG_STATE_HOME"] = _state
atexit.register(shutil.rmtree, _state, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Compile first, as an installation does: compiling makes each process slow and larger."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(vitlab.__file__).parent, quiet=2)
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: at the end the other workers would wait for them."""
    items.sort(key=lambda item: item.path.parent.name not in ("e2e", "recipes"))


def pytest_collection_finish() -> None:
    """Look for no garbage in what is imported: that took more than a third of a screen's tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """What a test draws itself from `random` is the same everywhere too."""
    random.seed(0)
