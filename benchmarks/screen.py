"""How quick the screen is under load: first paint, keys, charts, long logs, bytes, memory.

Run in a checkout: `python benchmarks/screen.py [SECONDS]` (60 by default; 600 for the memory). The
lab has 200 ended jobs and 10 roadmaps; the load is 10 more that write 1,000 lines and 10 values a
second each. In the same run `wandb leet` opens a local run of as many values. Every figure stands
with its limit; times on the wall are those of a machine with nothing else to do, so the share of
the processor stands beside them.
"""

from __future__ import annotations

import fcntl
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peer
from keys import cursor_times, opening_times
from program import Program

from vitlab.contract.job import Spec
from vitlab.lab.live.log_file import LogFile
from vitlab.lab.progress import Sample, Samples
from vitlab.plot.series import Line
from vitlab.tui.watch.messages import RunCurve
from vitlab.tui.widgets.curves_chart import CurvesState, curve, render

JOBS, ROADMAPS, LIVE, STEPS = 200, 10, 10, 300
FIRST_MVP = b"ViT 1M Scaling"


def make_lab(root: Path) -> None:
    """An example lab with many roadmaps and many ended jobs."""
    subprocess.run(
        [sys.executable, "-m", "vitlab", "init", str(root)], check=True, capture_output=True
    )
    text = (root / "roadmaps/vit_roadmap.md").read_text(encoding="utf-8")
    names = ["vit_roadmap", *(f"z{i}_roadmap" for i in range(ROADMAPS - 1))]
    for name in names[1:]:
        (root / f"roadmaps/{name}.md").write_text(text, encoding="utf-8")
    for number in range(JOBS):
        make_job(root, number, names[number % len(names)])


def make_job(root: Path, number: int, roadmap: str, steps: int = STEPS) -> Path:
    """One ended job with a curve and a result."""
    began = time.time() - 90_000
    exp = f"VIT-20260101-bench-{number % 20:02d}"
    folder = root / "experiments" / exp / f"20260101-{number:06d}-run-{number}"
    folder.mkdir(parents=True)
    spec = Spec(
        mvp="1.0", run=f"run {number}", profile="demo", recipe="vit", exp_id=exp, config={},
        roadmap=f"roadmaps/{roadmap}.md", submitted=began + number,
    )  # fmt: skip
    (folder / "spec.json").write_bytes(spec.to_json())
    lines = [{"v": 1, "t": began, "kind": "start"}, *values(began, steps)]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "out.log").write_text("line\n" * 50)
    started = {"v": 1, "host": "bench", "pid": 1, "start_time": 0, "t": began}
    (folder / "started.json").write_text(json.dumps(started))
    ended = {"v": 1, "reason": "ok", "code": 0, "started": began, "ended": began + 900}
    (folder / "exit.json").write_text(json.dumps({**ended, "t": began + 900}))
    return folder


def values(began: float, steps: int) -> Iterator[dict[str, object]]:
    for step in range(steps):
        kind = "eval" if step % 5 == 4 else "step"
        yield {
            "v": 1, "t": began + step, "kind": kind, "step": step, "of": steps, "split": "val",
            "values": {"val/r2/log_g": 1 - 1 / (step + 1), "train/loss": 1 / (step + 1)},
        }  # fmt: skip


def opened(lab: Path, rate: float | None = None, size: tuple[int, int] = (160, 45)) -> Program:
    """The real program on a lab."""
    return Program([sys.executable, "-m", "vitlab"], lab, rate=rate, size=size)


@contextmanager
def load(root: Path) -> Iterator[None]:
    """Ten jobs that write 1,000 lines and 10 values a second each, by one thread of ours."""
    over = threading.Event()
    folders, locks = [], []
    for number in range(LIVE):
        folder = make_job(root, JOBS + number, "vit_roadmap", 10)
        (folder / "exit.json").unlink()
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        folders.append(folder)
        locks.append(lock)

    def write() -> None:
        step = 10
        while not over.is_set():
            step += 1
            value = {"val/r2/log_g": 1 - 1 / step, "train/loss": 1 / step}
            event = {"v": 1, "t": time.time(), "kind": "eval", "step": step, "of": 10**6,
                     "split": "val", "values": value}  # fmt: skip
            for folder in folders:
                with (folder / "events.jsonl").open("a") as file:
                    file.write(json.dumps(event) + "\n")
                with (folder / "out.log").open("a") as file:
                    file.write(f"step {step} loss {1 / step:.5f}\n" * 100)
            over.wait(0.1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for lock in locks:
            lock.close()


def frames() -> tuple[float, float]:
    """Processor ms of a frame of ten runs of 100,000 points: drawn first, and drawn again."""
    runs = []
    for number in range(10):
        samples = Samples().extended(
            Sample(step, None, None, 1 - 1 / (1 + step / 100) + (step * 7919 % 101) / 5000)
            for step in range(100_000)
        )
        runs.append(RunCurve(str(number), f"run {number}", (number, 99, 99), None, tuple(samples)))
    state = CurvesState(runs=tuple(runs), lines=(Line(0.7, "Gate-1"),))
    folds: dict[object, object] = {}
    taken = []
    made = [curve(run, "step", 0.0) for run in runs]
    for _ in range(2):
        begin = time.process_time()
        render(made, state, 110, 38, folds)  # type: ignore[arg-type]
        taken.append(1e3 * (time.process_time() - begin))
    return taken[0], taken[1]


def long_log(folder: Path) -> tuple[float, float]:
    """Seconds to the last page of a log of 400 MB; of a core, to its only error, in the middle."""
    path = folder / "long.log"
    line = b"epoch 1 step 123456 loss 0.12345 lr 0.0003 throughput 12345 samples/s\n"
    with path.open("wb") as file:
        for part in range(400):
            file.write(line * (1_000_000 // len(line)))
            if part == 200:
                file.write(b"RuntimeError: CUDA out of memory\n")
    begin = time.perf_counter()
    page = LogFile(path).last(45)
    opened = time.perf_counter() - begin
    from vitlab.lab.live.log_file import ERRORS

    used = time.process_time()
    found = LogFile(path).find(ERRORS, page.size, backward=True)
    assert found is not None
    path.unlink()
    return opened, time.process_time() - used


def first_paints(lab: Path, table: Table) -> tuple[float, float]:
    """Seconds to the first paint, of the wall and of a core: medians of nine starts."""
    paints, used = [], []
    for _ in range(9):
        screen = opened(lab)
        try:
            paints.append(screen.wait(FIRST_MVP))
            used.append(screen.seconds())
        finally:
            screen.close()
    paint = statistics.median(paints)
    table.say("first paint", f"{paint:.2f} s", paint <= 0.8, "0.8 s")
    table.say("  its best", f"{min(paints):.2f} s; {statistics.median(used):.2f} s of a core")
    return paint, statistics.median(used)


def under_load(lab: Path, seconds: float, table: Table) -> None:
    """Keys, output and memory while ten jobs write."""
    with load(lab):
        screen = opened(lab)
        try:
            screen.wait(FIRST_MVP)
            screen.drain(10)
            screen.press(b"\x1b")  # the tour, where it came
            screen.drain(2)
            for name, told, limit in (
                ("key to screen", False, "60 ms"),
                ("  its MVP told", True, ""),
            ):
                times = cursor_times(screen, 200, told=told)
                p50, p99 = 1e3 * times[100], 1e3 * times[197]
                table.say(f"{name}, p50", f"{p50:.0f} ms")
                table.say(f"{name}, p99", f"{p99:.0f} ms", not limit or p99 <= 60, limit)
            times = opening_times(screen, 100)
            table.say(
                "  a whole screen opened, p50, p99",
                f"{1e3 * times[50]:.0f}, {1e3 * times[98]:.0f} ms",
            )
            used, count, memory = screen.seconds(), 0, []
            parts = max(int(seconds / 10), 6)
            for _ in range(parts):
                count += screen.drain(seconds / parts)
                memory.append(screen.memory())
            rate = count / seconds / 1e3
            table.say("output, 10 jobs", f"{rate:.1f} kB/s", rate <= 50, "50 kB/s")
            table.say("processor, 10 jobs", f"{(screen.seconds() - used) / seconds:.0%} of a core")
            third = parts // 3
            before, after = (statistics.median(m) for m in (memory[:third], memory[-third:]))
            told = f"{before:.0f} -> {after:.0f} MB in {seconds:.0f} s"
            table.say("memory, first and last third", told, after <= 1.05 * before, "+5%")
        finally:
            screen.close()


def beside_leet(folder: Path, lab: Path, paint: tuple[float, float], table: Table) -> None:
    """The same of `wandb leet`, and which of the two is better."""
    screen = opened(lab)
    try:
        screen.wait(FIRST_MVP)
        screen.drain(8)
        output = screen.drain(10) / 10
        memory = screen.memory()
    finally:
        screen.close()
    try:
        there = peer.measure(peer.write_run(folder, JOBS * STEPS))
    except (OSError, subprocess.CalledProcessError, TimeoutError) as error:
        table.say("wandb leet", f"not measured: {error}")
        return
    table.say("wandb leet: a run of as many values", f"{JOBS * STEPS:,} rows of two values")
    for name, here, other, unit in (
        ("first paint", paint[0], there.paint, "s"),
        ("  of a core until then", paint[1], there.used, "s"),
        ("memory, nothing runs", memory, there.memory, "MB"),
        ("output, nothing runs", output, there.output, "bytes/s"),
    ):
        better = "the same" if here == other else "vitlab" if here < other else "leet"
        table.say(name, f"vitlab {here:.3g} {unit}, leet {other:.3g} {unit}: better {better}")
    table.say("  leet has read all after", f"{there.whole:.1f} s")


class Table:
    """The figures, each with its limit, as they come."""

    def __init__(self) -> None:
        self.over: list[str] = []

    def say(self, name: str, figure: str, fine: bool = True, limit: str = "") -> None:
        told = f"(limit {limit}: {'kept' if fine else 'OVER'})" if limit else ""
        print(f"{name:<36} {figure} {told}".rstrip(), flush=True)
        if not fine:
            self.over.append(name.strip())


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    table = Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lab = folder / "lab"
        make_lab(lab)
        machine = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        print(f"{JOBS} jobs, {ROADMAPS} roadmaps; {machine}")
        paint = first_paints(lab, table)
        first, again = frames()
        table.say("chart of 10 x 100,000 points", f"{first:.0f} ms a frame", first <= 40, "40 ms")
        table.say("  where only the cursor moved", f"{again:.0f} ms")
        opens, error = long_log(folder)
        table.say("log of 400 MB opens in", f"{opens:.3f} s", opens <= 0.4, "0.4 s")
        table.say("  its error found in", f"{error:.2f} s of a core")
        beside_leet(folder, lab, paint, table)
        under_load(lab, seconds, table)
    print(f"over the limit: {', '.join(table.over) or 'nothing'}")


if __name__ == "__main__":
    main()
