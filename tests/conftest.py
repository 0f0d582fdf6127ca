"""What all tests share: in CI the same examples at every run, so that a red one is the change's."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

# No test's job reports to W&B but those that ask for it.
os.environ["WANDB_MODE"] = "disabled"
