"""How quick the screen is under load: first paint, keys, charts, long logs, bytes, memory.

Run in a checkout: `python benchmarks/screen.py [SECONDS]` (60 by default; 600 for the memory). The
lab has 200 ended jobs and 10 roadmaps; the load is 10 more that write 1,000 lines and 10 values a
second each. Times on the wall are those of a machine with nothing else to do; the share of the
processor that the screen itself took stands beside them.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from vitlab.contract.events import Event
from vitlab.contract.spec import Spec
from vitlab.plot.series import Line
from vitlab.records.pages import LogFile
from vitlab.tui.messages import RunCurve
from vitlab.tui.tracks import Track
from vitlab.tui.widgets.run_chart import Sight, curve, render

JOBS, ROADMAPS, LIVE = 200, 10, 10
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


def make_job(root: Path, number: int, roadmap: str, steps: int = 300) -> Path:
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


class Screen:
    """The real program in a pseudo-terminal of 160x45."""

    def __init__(self, lab: Path) -> None:
        self.began = time.perf_counter()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(lab)
            os.environ.update(TERM="xterm-256color", COLUMNS="160", LINES="45")
            os.execv(sys.executable, [sys.executable, "-m", "vitlab"])
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 160, 0, 0))
        self.process = psutil.Process(self.pid)

    def wait(self, mark: bytes, seconds: float = 120.0) -> float:
        """Seconds until `mark` has arrived."""
        begin, seen = time.perf_counter(), b""
        while mark not in seen:
            if not select.select([self.terminal], [], [], seconds)[0]:
                raise TimeoutError(f"{mark!r} never came: {seen[-300:]!r}")
            seen = seen[-200:] + os.read(self.terminal, 65536)
        return time.perf_counter() - begin

    def press(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def drain(self, seconds: float) -> int:
        """Take what comes for so long; how many bytes it was."""
        end, count = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                count += len(os.read(self.terminal, 65536))
        return count

    def close(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


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


def key_times(screen: Screen, presses: int) -> list[float]:
    """Seconds from `?` to the help on the terminal."""
    times = []
    for _ in range(presses):
        screen.press(b"?")
        times.append(screen.wait(b"Everywhere"))
        screen.press(b"\x1b")
        screen.wait(b"Tokenization")
        screen.drain(0.2)
    return times


def frames() -> tuple[float, float]:
    """Processor ms of a frame of ten runs of 100,000 points: drawn first, and drawn again."""
    runs = []
    for number in range(10):
        track = Track(f"run {number}", "test/r2/log_g", (number, 99, 99), None)  # type: ignore[arg-type]
        for step in range(100_000):
            value = 1 - 1 / (1 + step / 100) + (step * 7919 % 101) / 5000
            track.take(Event("eval", step, {"step": step, "values": {"val/r2/log_g": value}}))
        samples = tuple(track.points["val/r2/log_g"])
        runs.append(RunCurve(str(number), track.label, track.color, None, samples))
    sight = Sight(runs=tuple(runs), lines=(Line(0.7, "Gate-1"),))
    folds: dict[object, object] = {}
    taken = []
    made = [curve(run, "step", 0.0) for run in runs]
    for _ in range(2):
        begin = time.process_time()
        render(made, sight, 110, 38, folds)  # type: ignore[arg-type]
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
    from vitlab.records.pages import ERRORS

    used = time.process_time()
    found = LogFile(path).find(ERRORS, page.size, back=True)
    assert found is not None
    path.unlink()
    return opened, time.process_time() - used


def under_load(lab: Path, seconds: float) -> None:
    with load(lab):
        screen = Screen(lab)
        try:
            screen.wait(FIRST_MVP)
            screen.drain(10)
            times = sorted(key_times(screen, 60))
            print(f"key to screen    p50 {1e3 * times[30]:.0f} ms  p99 {1e3 * times[-1]:.0f} ms")
            begin, memory = screen.process.cpu_times(), screen.process.memory_info().rss
            count = screen.drain(seconds)
            end, after = screen.process.cpu_times(), screen.process.memory_info().rss
            used = (end.user + end.system - begin.user - begin.system) / seconds
            print(f"steady output    {count / seconds / 1e3:.1f} kB/s, {100 * used:.0f}% of a core")
            print(f"memory           {memory / 1e6:.0f} -> {after / 1e6:.0f} MB in {seconds:.0f} s")
        finally:
            screen.close()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        lab = Path(folder) / "lab"
        make_lab(lab)
        paints, used = [], []
        for _ in range(5):
            screen = Screen(lab)
            paints.append(screen.wait(FIRST_MVP))
            times = screen.process.cpu_times()
            used.append(times.user + times.system)
            screen.close()
        print(f"machine          load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(
            f"first paint      median {statistics.median(paints):.2f} s, best {min(paints):.2f} s"
            f" ({statistics.median(used):.2f} s of a core), {JOBS} jobs, {ROADMAPS} roadmaps"
        )
        first, again = frames()
        print(
            f"chart            {first:.0f} ms a frame, {again:.0f} ms where only the cursor moved"
        )
        opened, error = long_log(Path(folder))
        print(
            f"log of 400 MB    opens in {opened:.3f} s; its error found in {error:.2f} s of a core"
        )
        under_load(lab, seconds)


if __name__ == "__main__":
    main()
