"""How quick the screen is under load: first paint, keys, charts, long logs, bytes, memory.

Run in a checkout: `python benchmarks/screen.py [SECONDS] [--ended 10000]` (60 by default; 600 for
the memory). The first paint is that of a lab of 200 ended jobs and 10 roadmaps; in the same run,
in turns, `wandb leet` opens a local run of as many values. Then the lab gets `--ended` jobs, and
10 more that write 1,000 lines and 10 values a second each: keys, output, memory and the share of a
core, and of a screen that nobody touches where nothing runs. Every figure stands with its limit;
times on the wall are those of a machine with nothing else to do, so the load of the machine and
the time of the processor stand beside them.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import peer
from keys import cursor_times, opening_times
from program import Program

from vitlab.contract.job import Spec
from vitlab.lab.live.log_file import LogFile
from vitlab.plot.canvas import Look, Panel, curve
from vitlab.plot.series import Line
from vitlab.tui.widgets.curves_chart import render

JOBS, ROADMAPS, LIVE, STEPS = 200, 10, 10, 300
FIRST_MVP = b"ViT 1M Scaling"
SLOW = 2000.0
"""Bytes a second of a slow line."""
QUIET = 200.0
"""Seconds after which a screen that nobody touches has grown quiet."""


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


def opened(
    lab: Path,
    rate: float | None = None,
    size: tuple[int, int] = (160, 45),
    *,
    emulated: bool = False,
) -> Program:
    """The real program on a lab."""
    argv = [sys.executable, "-m", "vitlab"]
    return Program(argv, lab, rate=rate, size=size, emulated=emulated)


@contextmanager
def load(root: Path) -> Iterator[None]:
    """Ten jobs that write 1,000 lines and 10 values a second each, by one process of ours.

    No thread: the emulator and the clock of the keys would wait for it.
    """
    fork = multiprocessing.get_context("fork")
    over = fork.Event()
    folders, locks = [], []
    for number in range(LIVE):
        folder = make_job(root, 900_000 + number, "vit_roadmap", 10)
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

    writer = fork.Process(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
        for lock in locks:
            lock.close()


def frames() -> tuple[float, float]:
    """Processor ms of a frame of ten runs of 100,000 points: drawn first, and drawn again."""
    steps = range(100_000)
    noisy = [
        curve(
            f"run {number}",
            steps,
            [1 - 1 / (1 + x / 100) + x * 7919 % 101 / 5000 for x in steps],
            (number, 99, 99),
        )
        for number in range(10)
    ]
    panel = Panel(noisy, (Line(0.7, "Gate-1"),))
    folds: dict[object, object] = {}
    taken = []
    for _ in range(2):
        begin = time.process_time()
        render(panel, Look(), 110, 38, folds)  # type: ignore[arg-type]
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


def start(program: Program, mark: bytes) -> tuple[float, float]:
    """Seconds until `mark`, of the wall and of a core."""
    try:
        return program.wait(mark), program.seconds()
    finally:
        program.close()


def first_paints(lab: Path, run: Path | None, table: Table) -> None:
    """Starts in turns with those of `wandb leet`: medians of nine, of the wall and of a core."""
    here: list[tuple[float, float]] = []
    there: list[tuple[float, float]] = []
    for _ in range(9):
        here.append(start(opened(lab), FIRST_MVP))
        if run is not None:
            there.append(start(peer.opened(run), peer.MARK))
    (wall, used), (peer_wall, peer_used) = (
        tuple(map(statistics.median, zip(*times, strict=True))) if times else (math.inf, math.inf)
        for times in (here, there)
    )
    told = f"leet {peer_wall:.2f} s" if there else "leet not measured"
    table.say("first paint", f"{wall:.2f} s, {told}", wall <= peer_wall, "leet's")
    table.say("  of a core until then", f"{used:.2f} s, leet {peer_used:.2f} s")
    table.say("  its best", f"{min(here)[0]:.2f} s")


def milliseconds(times: Sequence[float], share: float) -> float:
    return 1e3 * times[min(int(share * len(times)), len(times) - 1)]


def keys(screen: Program, table: Table) -> None:
    """From a key to what it shows."""
    for name, told in (("key to screen", False), ("  its MVP told", True)):
        used = screen.seconds()
        times = cursor_times(screen, 200, told=told)
        p50, p95, p99 = (milliseconds(times, share) for share in (0.5, 0.95, 0.99))
        figure = f"{p50:.0f}, {p95:.0f}, {p99:.0f} ms"
        kept = told or (p95 <= 25 and p99 <= 50)
        table.say(f"{name}, p50, p95, p99", figure, kept, "" if told else "25 and 50 ms")
        table.say("  all of a core, a key", f"{5 * (screen.seconds() - used):.0f} ms")
    times = opening_times(screen, 100)
    p50, p99 = milliseconds(times, 0.5), milliseconds(times, 0.99)
    name = "  a whole screen opened, p50, p99"
    table.say(name, f"{p50:.0f}, {p99:.0f} ms", p99 <= 150, "150 ms")


def under_load(lab: Path, seconds: float, table: Table) -> None:
    """Keys, output and memory while ten jobs write."""
    with load(lab):
        screen = opened(lab, emulated=True)
        try:
            table.say("first paint, all jobs", f"{screen.wait(FIRST_MVP):.1f} s")
            screen.drain(20)
            screen.press(b"\x1b")  # the tour, where it came
            screen.drain(2)
            keys(screen, table)
            used, count, memory = screen.seconds(), 0, []
            parts = max(int(seconds / 10), 6)
            for _ in range(parts):
                count += screen.drain(seconds / parts)
                memory.append(screen.memory())
            rate, share = count / seconds / 1e3, (screen.seconds() - used) / seconds
            table.say("output, 10 jobs", f"{rate:.1f} kB/s", rate <= 50, "50 kB/s")
            table.say("processor, 10 jobs", f"{share:.0%} of a core", share <= 0.1, "10%")
            third = parts // 3
            before, after = (statistics.median(m) for m in (memory[:third], memory[-third:]))
            told = f"{before:.0f} -> {after:.0f} MB in {seconds:.0f} s"
            table.say("memory, first and last third", told, after <= 1.05 * before, "+5%")
        finally:
            screen.close()


def slow_pipe(lab: Path, table: Table) -> None:
    """Seconds and bytes of a screen that opens where the terminal takes 2 kB a second."""
    for size in ((160, 45), (80, 24)):
        screen = opened(lab, SLOW, size, emulated=True)
        try:
            screen.wait(FIRST_MVP)
            screen.drain(15)
            screen.press(b"\x1b")
            screen.drain(5)
            screen.press(b"2")
            took = screen.wait_for(partial(screen.shows, " in all")) + screen.drain(12) / SLOW
        finally:
            screen.close()
        name = f"a screen at 2 kB/s, {size[0]}x{size[1]}"
        table.say(name, f"{took:.1f} s", took <= 4, "4 s")


def beside_leet(lab: Path, run: Path | None, table: Table) -> None:
    """What an open screen costs where nothing runs, beside `wandb leet`."""
    screen = opened(lab)
    try:
        screen.wait(FIRST_MVP)
        screen.drain(QUIET)
        used = screen.seconds()
        output = screen.drain(60) / 60
        share = (screen.seconds() - used) / 60
        memory = screen.memory()
    finally:
        screen.close()
    table.say("processor, nothing runs", f"{share:.2%} of a core", share <= 0.001, "0.1%")
    if run is None:
        return
    there = peer.measure(run)
    table.say("leet: a run of as many values", f"{JOBS * STEPS:,} rows of two values")
    for name, here, other, unit in (
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
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("seconds", nargs="?", type=float, default=60.0)
    arguments.add_argument("--ended", type=int, default=10_000)
    args = arguments.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed vitlab is compiled
    table = Table()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lab = folder / "lab"
        make_lab(lab)
        machine = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        print(f"{JOBS} jobs, {ROADMAPS} roadmaps; {machine}")
        run = None
        try:
            run = peer.write_run(folder, JOBS * STEPS)
            peer.measure(run, 1)
        except (OSError, subprocess.CalledProcessError, TimeoutError) as error:
            table.say("wandb leet", f"not measured: {error}")
        opened(lab).close()
        first_paints(lab, run, table)
        first, again = frames()
        table.say("chart of 10 x 100,000 points", f"{first:.0f} ms a frame", first <= 40, "40 ms")
        table.say("  where only the cursor moved", f"{again:.0f} ms")
        opens, error_found = long_log(folder)
        table.say("log of 400 MB opens in", f"{opens:.3f} s", opens <= 0.4, "0.4 s")
        table.say("  its error found in", f"{error_found:.2f} s of a core")
        slow_pipe(lab, table)
        beside_leet(lab, run, table)
        names = ["vit_roadmap", *(f"z{i}_roadmap" for i in range(ROADMAPS - 1))]
        for number in range(JOBS, args.ended):
            make_job(lab, number, names[number % len(names)], 20)
        print(f"{args.ended:,} ended jobs; load {os.getloadavg()[0]:.1f}")
        under_load(lab, args.seconds, table)
    print(f"over the limit: {', '.join(table.over) or 'nothing'}")


if __name__ == "__main__":
    main()
