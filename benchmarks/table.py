"""How long the table of all results takes: `python benchmarks/table.py [jobs]` (default 1,000).

Makes a lab of that many ended jobs in a temporary folder; each time is that of a new Python.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vitlab.contract.job import Result, Spec, write_result
from vitlab.contract.paths import LabPaths
from vitlab.jobs.store import submit

PROBE = """
import sys, time
from pathlib import Path
begun = time.perf_counter()
spent = time.process_time()
from vitlab.lab.lab import open_lab
from vitlab.lab.results.rows import results_table
frame = results_table(open_lab(Path(sys.argv[1])))
print(time.perf_counter() - begun, time.process_time() - spent, frame.height, frame.width)
"""


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, jobs)
        first = timed(root)
        print(f"{jobs} jobs, {first[2]:.0f} rows x {first[3]:.0f} columns")
        print(f"without a cache: {first[0]:.2f} s ({first[1]:.2f} s of processor)")
        rest = [timed(root) for _ in range(5)]
        wall, spent = (statistics.median(one[k] for one in rest) for k in (0, 1))
        print(f"with the cache: {wall:.2f} s ({spent:.2f} s of processor; medians of 5)")


def make(root: Path, jobs: int) -> None:
    (root / "vitlab.yaml").write_text("{}\n")
    lab = LabPaths(root)
    then = time.time() - 3600
    for i in range(jobs):
        config = {
            "data": {"source": "grid", "train_size": 1000 * (i % 7 + 1)},
            "train": {"seed": i % 3, "lr": 1e-3 * (i % 5 + 1)},
        }
        mvp = f"{i % 20}.0"
        spec = Spec(mvp, f"Run {i}", "full", "vit", config, f"VIT-20260101-x-{i % 20:02d}", "r.md")
        job = submit(lab, spec)
        record = {"v": 1, "code": 0, "reason": "ok", "started": then, "ended": then + i}
        job.started.write_text(json.dumps({"v": 1, "started": then, "pid": 1}))
        job.lock.touch()
        job.exit.write_text(json.dumps(record))
        job.events.write_text("{}\n" * 100)
        names = [f"{s}/{m}/{n}" for s in ("val", "test") for m in ("r2", "mae", "rmse", "bias",
                 "scatter") for n in ("log_g", "T_eff", "M_H")]  # fmt: skip
        values = dict.fromkeys(names, 0.5 + i / 10 / jobs)
        result = Result(
            mvp, spec.run, "full", "vit", values, dict.fromkeys(names, 0.01),
            {"train": 1000, "val": 100, "test": 1000}, {"name": "ViT", "params": 5_000_000},
            {"source": "grid", "hash": "0123456789abcdef", "overlap": 0},
        )  # fmt: skip
        write_result(job.result, result)
        os.utime(job.folder, (then, then))


def timed(root: Path) -> tuple[float, ...]:
    """Seconds, seconds of processor, rows, columns."""
    said = subprocess.run(
        [sys.executable, "-c", PROBE, str(root)], capture_output=True, text=True, check=True
    ).stdout.split()
    return tuple(map(float, said))


if __name__ == "__main__":
    main()
