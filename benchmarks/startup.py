"""How long `vitlab --help` takes to answer and the screen to paint, against a bare Python.

Run in a checkout: `python benchmarks/startup.py [runs]`. The screen runs in a pseudo-terminal of
120x40 and counts as painted when the first MVP's name has arrived.
"""

from __future__ import annotations

import fcntl
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
import time
from collections.abc import Callable
from pathlib import Path

PYTHON = sys.executable
FIRST_MVP = b"ViT 1M Scaling"


def seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def command(*words: str) -> Callable[[], None]:
    return lambda: subprocess.run([PYTHON, *words], stdout=subprocess.DEVNULL, check=True) and None


def paint(lab: Path) -> float:
    """Seconds from exec to the first MVP's name on the terminal."""
    begin = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(lab)
        os.environ["TERM"] = "xterm-256color"
        os.execv(PYTHON, [PYTHON, "-m", "vitlab"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    seen = b""
    try:
        while FIRST_MVP not in seen:
            if not select.select([terminal], [], [], 20)[0]:
                raise TimeoutError(seen[-500:])
            seen += os.read(terminal, 65536)
        return time.perf_counter() - begin
    finally:
        os.kill(pid, signal.SIGTERM)
        os.close(terminal)
        os.waitpid(pid, 0)


def report(name: str, times: list[float], floor: float) -> None:
    middle = statistics.median(times)
    print(
        f"{name:<28} median {middle:.3f} s  ({min(times):.3f}-{max(times):.3f})"
        f"  {middle / floor:.1f} x a bare Python"
    )


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PYTHON, "-m", "vitlab", "init", folder], check=True, capture_output=True)
        command("-m", "vitlab", "--help")()
        paint(Path(folder))
        bare, answer, painted = [], [], []
        for _ in range(runs):  # in turn, so that the machine's drift meets all three
            bare.append(seconds(command("-c", "pass")))
            answer.append(seconds(command("-m", "vitlab", "--help")))
            painted.append(paint(Path(folder)))
    floor = statistics.median(bare)
    report("python -c pass", bare, floor)
    report("vitlab --help", answer, floor)
    report("screen, first paint", painted, floor)


if __name__ == "__main__":
    main()
