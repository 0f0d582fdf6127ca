"""What all tests share: the same drawn examples on every machine, and no reports to W&B."""

import os
import random

import pytest
from hypothesis import settings

# A failing test is then the change's; `make fuzz` is what draws new examples.
settings.register_profile("same", derandomize=True, database=None, deadline=None)
settings.load_profile("same")

# No test's job reports to W&B but those that ask for it.
os.environ["WANDB_MODE"] = "disabled"


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """What a test draws itself from `random` is the same everywhere too."""
    random.seed(0)
