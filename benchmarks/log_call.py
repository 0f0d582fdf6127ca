"""Microseconds a call of `vitlab.events.log` costs a training: at most 50."""

import os
import tempfile
import time

from vitlab.events import log

CALLS = 20_000
CASES = {
    "a step": {"train/loss": 0.1, "train/lr": 1e-3},
    "an evaluation": {"val/r2/log_g": 0.5, "val/mae/log_g": 0.2, "val/loss": 0.1},
    "both": {"val/r2/log_g": 0.5, "train/loss": 0.1},
}

with tempfile.TemporaryDirectory() as folder:
    os.environ["VITLAB_JOB"] = folder
    for name, values in CASES.items():
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            for step in range(CALLS):
                log(values, step, of=CALLS, epoch=0.5)
            best = min(best, (time.process_time() - begun) / CALLS)
        print(f"{name}: {1e6 * best:.0f} us")
