"""Kills trainings at random points: `OMP_NUM_THREADS=1 python benchmarks/resume.py [--kills 20]`.

A ViT, an MLP and a LightGBM run once without a fault; then each again and again, killed with
SIGKILL at a random event (its process, its supervisor, or both) and resumed. Prints the seed, each
kill, and a table: how many were tried, survived, and ended as the uninterrupted run: the same
values and the same weights, bit for bit. LightGBM cannot; what it says of it is counted instead.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from vitlab.contract.events import Event, read_events
from vitlab.contract.job import Done, Spec
from vitlab.contract.paths import TREES, JobPaths, LabPaths
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import members
from vitlab.jobs.queue.scheduler import advance, resume
from vitlab.jobs.store import read_state, submit

DATA = {"train_size": 256, "val_size": 50, "test_size": 50}
VIT = {"patch": 256, "hidden": 16, "layers": 1, "heads": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"data": DATA, "model": VIT, "train": {"epochs": 12, "batch": 32, "threads": 1}},
    "mlp": {
        "data": DATA,
        "model": {"hidden": [16]},
        "train": {"epochs": 12, "batch": 32, "threads": 1},
    },
    "lightgbm": {
        "data": DATA,
        "model": {"leaves": 6, "bins": 63},
        "train": {"rounds": 60, "save_every": 5, "threads": 1},
    },
}
TARGETS = ("its process", "its supervisor", "both")
DEADLINE = 300.0
"""Seconds a run may take in all."""
DIFFERS = "later trees differ"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each recipe")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recipes", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        lab = LabPaths(Path(folder) / "lab")
        lab.experiments.mkdir(parents=True)
        for recipe in arguments.recipes:
            chance = random.Random(f"{arguments.seed} {recipe}")
            rows.append(campaign(lab, recipe, chance, arguments.kills))
    print(f"\n{'recipe':10}{'tried':>8}{'survived':>10}{'bit for bit':>13}{'says so':>9}")
    for name, *counts in rows:
        print("{:10}{:8}{:10}{:13}{:>9}".format(name, *counts))
    survived = all(row[1] == row[2] for row in rows)
    same = all(row[1] == row[3] for row in rows if row[0] != "lightgbm")
    sys.exit(0 if survived and same else 1)


def campaign(
    lab: LabPaths, recipe: str, chance: random.Random, kills: int
) -> tuple[str, int, int, int, str]:
    """Recipe, kills, runs that ended well, those bit for bit, and those that say they differ."""
    whole = submitted(lab, recipe)
    advance(lab)
    wait_until(lambda: isinstance(read_state(whole), Done))
    expected, count = outcome(whole), len(events(whole))
    survived = same = told = 0
    for number in range(kills):
        target, at = chance.choice(TARGETS), chance.randrange(1, count)
        job = submitted(lab, recipe)
        advance(lab)
        reached = kill(job, target, at)
        if not isinstance(state := read_state(job), Done) or state.outcome != "ok":
            resume(lab, job)
            advance(lab)
        wait_until(lambda job=job: isinstance(read_state(job), Done))
        state = read_state(job)
        ended = isinstance(state, Done) and state.outcome == "ok"
        equal = ended and outcome(job) == expected
        notes = [str(one.data.get("text")) for one in events(job) if one.kind == "note"]
        survived, same = survived + ended, same + equal
        told += not equal and any(DIFFERS in note for note in notes)
        print(
            f"{recipe} {number + 1:3d}: {target} killed at event {reached} of {count}: "
            f"{state.outcome if isinstance(state, Done) else state}, "
            f"{'the same' if equal else 'differs'}{difference(job, expected, equal)}",
            flush=True,
        )
    return recipe, kills, survived, same, f"{told}/{kills - same}" if recipe == "lightgbm" else "-"


def submitted(lab: LabPaths, recipe: str) -> JobPaths:
    """A new job with the same settings."""
    spec = Spec(
        "1.0", "main", "smoke", recipe, CONFIGS[recipe], "VIT-20251226-resume-01", "roadmaps/r.md",
        device="cpu",
    )  # fmt: skip
    return submit(lab, spec)


def events(job: JobPaths) -> list[Event]:
    return read_events(job.events)[0]


def kill(job: JobPaths, target: str, at: int) -> int:
    """Kill with SIGKILL once the job has written `at` events; how many it had then."""
    wait_until(lambda: len(events(job)) >= at or job.exit.exists(), pause=0.002)
    reached = len(events(job))
    started = read_json(job.started)
    pids = [one.pid for one in members(started["session"], started["ticks"], job.folder)]
    if target != "its process":
        pids = [started["pid"]] if target == "its supervisor" else [started["pid"], *pids]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(job))
    return reached


def is_running(job: JobPaths) -> bool:
    return type(read_state(job)).__name__ in ("Running", "Queued")


def outcome(job: JobPaths) -> dict[str, Any]:
    """The values of a run's result and all numbers of its model, as bytes."""
    result = read_json(job.result)
    found: dict[str, Any] = {key: result.get(key) for key in ("values", "errors", "n", "best")}
    for name in ("best.pt", "last.pt"):
        if (path := job.checkpoints / name).exists():
            saved = torch.load(path, weights_only=True)
            for part in ("model", "average"):
                for key, tensor in (saved.get(part) or {}).items():
                    found[f"{name} {part} {key}"] = tensor.numpy().tobytes()
    if (path := job.checkpoints / TREES).exists():
        found["trees"] = json.loads(path.read_bytes())["trees"]
    return found


def difference(job: JobPaths, expected: dict[str, Any], equal: bool) -> str:
    if equal:
        return ""
    found = outcome(job)
    return f" in {', '.join(key for key in expected if found.get(key) != expected[key])}"


def wait_until(condition: Any, pause: float = 0.05) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(pause)


if __name__ == "__main__":
    main()
