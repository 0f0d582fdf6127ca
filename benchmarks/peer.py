"""The same with `wandb leet`: a local run with as many values as our lab, opened in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from program import Program

MARK = b"Run Overview"
WRITE = """
import sys, wandb
quiet = wandb.Settings(console="off", x_disable_stats=True, silent=True)
run = wandb.init(mode="offline", dir=sys.argv[1], project="bench", settings=quiet)
for step in range(int(sys.argv[2])):
    run.log({"val/r2/log_g": 1 - 1 / (step + 1), "train/loss": 1 / (step + 1)})
run.finish()
"""
ALONE = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}


@dataclass(frozen=True)
class Peer:
    """What opening a run cost."""

    whole: float
    """Seconds until it draws nothing new: all values are read."""
    memory: float
    """Resident MB of it and its children, when all is read."""
    output: float
    """Bytes a second after that."""


def write_run(folder: Path, steps: int) -> Path:
    """A finished offline run of `steps` rows of two values."""
    subprocess.run(
        [sys.executable, "-c", WRITE, str(folder), str(steps)],
        check=True,
        capture_output=True,
        env={**os.environ, **ALONE},
    )
    return next((folder / "wandb").glob("offline-run-*/*.wandb"))


def opened(run: Path) -> Program:
    """`wandb leet` on a run."""
    argv = [str(Path(sys.executable).with_name("wandb")), "leet", str(run)]
    return Program(argv, run.parent, env=ALONE)


def measure(run: Path, seconds: float = 10.0) -> Peer:
    """What an open run costs."""
    program = opened(run)
    try:
        whole = program.wait(MARK)
        while program.drain(0.5):
            whole += 0.5
            if whole > 60:
                break
        count = program.drain(seconds)
        return Peer(whole, program.memory(), count / seconds)
    finally:
        program.close()
