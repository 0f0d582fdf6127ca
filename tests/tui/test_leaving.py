"""Leaving the screen, on one's own or not: the terminal is restored and nothing else is touched."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import DEADLINE

SCREEN = """
from pathlib import Path
from tests.tui.fakes import FakeLab, install
from vitlab.tui import app
install(setattr)
lab = FakeLab()
raise SystemExit(app.run_app(lab, lab.roadmap))
"""
ROOT = Path(__file__).resolve().parents[2]


def read_until(terminal: int, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        if not select.select([terminal], [], [], DEADLINE)[0]:
            raise AssertionError(f"{mark!r} never came: {seen[-300:]!r}")
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            break
    return seen


@pytest.mark.e2e
@pytest.mark.parametrize("is_told", [True, False])
def test_it_ends_when_the_terminal_is_gone(is_told: bool) -> None:
    """Not told: the terminal was not its controlling one, so that the kernel sends no SIGHUP."""
    ours, theirs = pty.openpty()
    screen = subprocess.Popen(
        [sys.executable, "-c", SCREEN],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        read_until(ours, b"- next")
        os.close(ours)
        if is_told:
            screen.send_signal(signal.SIGHUP)
        assert screen.wait(DEADLINE) == 0
    finally:
        screen.kill()
        screen.wait()


@pytest.mark.e2e
def test_it_ends_though_its_loop_never_rests() -> None:
    """As where one message makes the next: nothing that waits for the loop would be heard."""
    ours, theirs = pty.openpty()
    busy = "app.ENDS = 0.5\nspin = lambda: all(iter(lambda: 1, 0))\n"
    busy += "app.STARTED, app.collect_garbage = 0.1, spin\n"
    screen = subprocess.Popen(
        [sys.executable, "-c", SCREEN.replace("install(", busy + "install(")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        read_until(ours, b"\x1b[?1049h")
        time.sleep(1)
        screen.send_signal(signal.SIGTERM)
        assert screen.wait(DEADLINE) == 128 + signal.SIGTERM
    finally:
        screen.kill()
        screen.wait()
        os.close(ours)


@pytest.mark.e2e
@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM, "q"])
def test_the_terminal_is_restored(how: signal.Signals | str) -> None:
    ours, theirs = pty.openpty()
    screen = subprocess.Popen(
        [sys.executable, "-c", SCREEN],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        assert b"\x1b[?1049h" in read_until(ours, b"- next")
        if isinstance(how, str):
            os.write(ours, how.encode())
        else:
            screen.send_signal(how)
        left = read_until(ours, b"\x1b[?1049l")
        assert screen.wait(DEADLINE) == 0
        while select.select([ours], [], [], 0.2)[0]:
            try:
                left += os.read(ours, 65536)
            except OSError:
                break
        assert b"\x1b[?1049l" in left
        assert b"\x1b[?25h" in left
        assert b"\x1b[?1000l" in left
        assert b"Traceback" not in left
    finally:
        screen.kill()
        screen.wait()
        os.close(ours)


@pytest.mark.e2e
def test_an_editor_that_fails_gives_the_terminal_back() -> None:
    ours, theirs = pty.openpty()
    screen = subprocess.Popen(
        [sys.executable, "-c", SCREEN],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={
            **os.environ,
            **{"TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"},
            **{"VISUAL": "", "EDITOR": "false"},
        },
        start_new_session=True,
    )
    os.close(theirs)
    try:
        read_until(ours, b"- next")
        os.write(ours, b"e")
        # What follows may come in the same piece.
        back = read_until(ours, b"\x1b[?1049l").partition(b"\x1b[?1049l")[2]
        assert b"\x1b[?1049h" in back + read_until(ours, b"exited with status 1")
        os.write(ours, b"q")
        assert screen.wait(DEADLINE) == 0
    finally:
        screen.kill()
        screen.wait()
        os.close(ours)
