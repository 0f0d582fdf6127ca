"""One table of what a GPU does with our networks and with others: `make gpu`.

PYTHONPATH=. python benchmarks/gpu.py [--out FOLDER] [--only p16,data] [--device cpu --tiny]

It takes at most 8 minutes, and says first how it will spend them. Each part runs in a process of
its own with a time of its own, and with what earlier ones left of theirs; a part that does not end
in time keeps the rows it has, and is named. When the 8 minutes are over, or at Ctrl+C or SIGTERM,
what runs is ended and what has not run is named. The table comes last in any case, and as gpu.json
and gpu.md in `--out`. Needs torch, numpy, scipy, h5py, pyyaml, and for the comparison transformers
and lightning; `--device cpu --tiny` runs the same lines on a machine without a GPU, in a minute or
two, and its numbers say nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SECONDS = {"checks": 50, "p16": 130, "learn": 175, "small": 40, "data": 35, "two": 25}
"""Of each part, in the order they run: 7 minutes 35 in all."""
LIMIT = 470.0
"""Seconds after the start when all is ended, so that the table is there within 8 minutes."""
ABOUT = {
    "checks": "assertions of `make gpu-check`",
    "p16": "p16_h256_L6_a8: 257 tokens, hidden 256, 6 layers, 8 heads, dropout 0.1",
    "learn": "two minutes of training p1024_h128_L2_a8, and as many spectra as a CPU takes",
    "small": "p1024_h128_L2_a8 and the MLP",
    "data": "training data on the device",
    "two": "two processes",
}
Row = dict[str, Any]
STOPPED = "stopped from outside"


def run(part: str, asked: argparse.Namespace, seconds: float) -> tuple[list[Row], str]:
    """The rows of a part, and what went wrong; empty if nothing did."""
    script = str(Path(__file__).with_name("gpu_parts.py"))
    argv = [sys.executable, script, part, "--device", asked.device]
    argv += ["--tiny"] if asked.tiny else []
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(
            argv, stdout=out, stderr=err, start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        wrong = ""
        try:
            if child.wait(seconds):
                wrong = f"ended with status {child.returncode}"
        except subprocess.TimeoutExpired:
            wrong = f"did not end in its {seconds:.0f} s"
        except KeyboardInterrupt:
            wrong = STOPPED
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        out.seek(0)
        err.seek(0)
        rows = [json.loads(line) for line in out if line.startswith("{")]
        if wrong:
            wrong = "; ".join([wrong, *err.read().strip().splitlines()[-1:]])
    return [{"part": part, **row} for row in rows], wrong


class Clock:
    """What the parts may take, and have taken."""

    def __init__(self, begun: float, factor: int) -> None:
        """`begun` by the monotonic clock; all times are multiplied by `factor`."""
        self.begun, self.factor, self.spare = begun, factor, 0.0
        self.part = begun
        self.rows: list[tuple[str, int, float]] = []
        """Part, seconds it had of its own, seconds it took."""

    def plan(self, parts: list[str]) -> list[str]:
        """A line for each part, with when it ends at the latest."""
        after, lines = time.monotonic() - self.begun, []
        for part in parts:
            after += self.own(part)
            lines.append(f"{part:8} {self.own(part):4d} s, by {after:4.0f} s: {ABOUT[part]}")
        return [*lines, f"all is ended after {LIMIT * self.factor:.0f} s"]

    def own(self, part: str) -> int:
        return SECONDS[part] * self.factor

    def seconds(self, part: str) -> float:
        """That a part that begins now may take."""
        self.part = time.monotonic()
        left = self.begun + LIMIT * self.factor - self.part
        return min(self.own(part) + self.spare, left)

    def ended(self, part: str) -> str:
        """Note the end of a part; a line on the time."""
        now = time.monotonic()
        took, own = now - self.part, self.own(part)
        self.spare = max(self.spare + own - took, 0.0)
        self.rows.append((part, own, took))
        left = self.begun + LIMIT * self.factor - now
        return f"{part}: {took:.0f} of {own} s, {left:.0f} s left in all"

    def table(self) -> list[str]:
        lines = [f"| {part} | {own} | {took:.0f} |" for part, own, took in self.rows]
        return ["", "### time", "", "| part | s of its own | s taken |", "|---|---|---|", *lines]


def machine(device: str) -> str:
    """The card and the versions."""
    import torch

    names = ("torch", "numpy", "transformers", "lightning")
    found = [f"Python {platform.python_version()}"]
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    card = platform.processor() or platform.machine()
    if device == "cuda":
        known = torch.cuda.get_device_properties(0)
        card = f"{torch.cuda.device_count()} x {known.name}, {known.total_memory / 1e9:.0f} GB"
        found.append(f"CUDA {torch.version.cuda}")
    return f"{card}; {os.cpu_count()} cores; {', '.join(found)}"


def table(rows: list[Row], wrong: dict[str, str]) -> list[str]:
    """Markdown, a table for each part."""
    lines = []
    for part, about in ABOUT.items():
        mine = [row for row in rows if row["part"] == part]
        if not mine and part not in wrong:
            continue
        lines += ["", f"### {about}", ""]
        if mine:
            lines += ["| what | batch | median | spread | unit | MFU | GB | |", "|---" * 8 + "|"]
        for row in mine:
            lines.append("| " + " | ".join(_cells(row)) + " |")
        if part in wrong:
            lines += ["", f"{part}: {wrong[part]}"]
    return lines


def _cells(row: Row) -> list[str]:
    middle, low, high = (row.get(name) for name in ("median", "low", "high"))
    spread = "" if middle is None or low == high else f"{_short(low)} to {_short(high)}"
    mfu, memory = row.get("mfu"), row.get("memory")
    return [
        row["what"],
        f"{row['batch']:,}" if "batch" in row else "",
        "" if middle is None else _short(middle),
        spread,
        row["unit"],
        "" if mfu is None else f"{mfu:.1%}",
        "" if memory is None else f"{memory:.1f}",
        str(row.get("why", "")).replace("\n", " ").replace("|", "/"),
    ]


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default=",".join(SECONDS))
    asked = parser.parse_args()
    begun = time.monotonic()
    import torch

    if asked.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing was measured")
        return 2
    head = machine(asked.device)
    print(head, flush=True)
    clock = Clock(begun, 5 if asked.tiny else 1)  # a busy machine may take its time
    wanted = [part for part in SECONDS if part in asked.only.split(",")]
    print("\n".join(clock.plan(wanted)), flush=True)
    rows: list[Row] = []
    wrong: dict[str, str] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for part in wanted:
        seconds = clock.seconds(part)
        if STOPPED in wrong.values() or seconds < 1:
            wrong[part] = "not run: " + (STOPPED if seconds >= 1 else "no time was left")
            continue
        found, problem = run(part, asked, seconds)
        rows += found
        if problem:
            wrong[part] = problem
        print(f"{clock.ended(part)}, {len(found)} rows {problem}", flush=True)
    text = [f"{head}; {time.monotonic() - begun:.0f} s", *table(rows, wrong), *clock.table()]
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "gpu.md").write_text("\n".join(text) + "\n")
        (asked.out / "gpu.json").write_text(json.dumps({"machine": head, "rows": rows}, indent=1))
    print("\n".join(text))
    failed = any(row["what"].startswith("FAIL") for row in rows)
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
