"""The secret key of this user, and what it seals."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vitlab.cli import main
from vitlab.contract.paths import UsageError
from vitlab.contract.user_key import is_sealed, seal, state_folder, unforeseen


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "vitlab"


def test_a_seal_holds_for_its_parts_alone(state: Path) -> None:
    text = seal(b"a", b"bc")
    assert is_sealed(text, b"a", b"bc")
    for parts in ((b"ab", b"c"), (b"a", b"bd"), (b"a", b"bc", b""), (b"abc",)):
        assert not is_sealed(text, *parts)
    for other in (None, "", 1, text.upper(), "é" * 64, "\ud800", [text]):
        assert not is_sealed(other, b"a", b"bc")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "key").stat().st_mode) == 0o600


def test_another_user_s_seal_is_none(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = seal(b"a")
    monkeypatch.setenv("XDG_STATE_HOME", str(state / "another"))
    assert not is_sealed(theirs, b"a")


def test_processes_that_begin_at_once_have_one_key(state: Path) -> None:
    code = "from vitlab.contract.user_key import seal; print(seal(b'x'))"

    def run(_: int) -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(run, range(4)))) == 1


def test_the_folder_is_this_user_s_own(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir(parents=True)
    state.chmod(0o755)
    assert state_folder() == state
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    elsewhere = state.with_name("elsewhere")
    state.rename(elsewhere)
    state.symlink_to(elsewhere)  # somebody may have made it there
    monkeypatch.setenv("HOME", str(state.parent / "home"))
    assert state_folder() == state.parent / "home/.local/state/vitlab"


def test_without_a_home_it_is_with_the_temporary_files(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/dev/null/nowhere")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(state.parent))
    assert state_folder() == state.parent / f"vitlab-{os.geteuid()}"
    state_folder().rmdir()
    (state.parent / f"vitlab-{os.geteuid()}").write_text("")
    with pytest.raises(UsageError, match="cannot keep this user's state"):
        state_folder()


@pytest.mark.parametrize("data", [b"", b"x" * 31, b"x" * 33, bytes(32)])
def test_a_key_that_is_none_is_told(state: Path, data: bytes) -> None:
    state.mkdir(parents=True)
    (state / "key").write_bytes(data)
    with pytest.raises(UsageError, match="is not a key"):
        seal(b"x")


def test_a_variable_that_a_library_refuses_is_no_bug(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ValueError("\nInvalid log settings: nosuch, must be")
    assert "this is a bug" in unforeseen(error)
    monkeypatch.setenv("TORCH_LOGS", "nosuch")
    assert unforeseen(error).startswith("TORCH_LOGS=nosuch, a variable of the environment, is")
    assert "this is a bug" in unforeseen(ValueError("nosuchthing"))
    assert unforeseen(RuntimeError("can't start new thread")).startswith("no more threads can be")


def test_a_number_of_threads_that_panics_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for threads in ("0", "abc", "", "-1"):
        monkeypatch.setenv("POLARS_MAX_THREADS", threads)
        assert main(["status"]) == 2
        assert capsys.readouterr().err.startswith(f"vitlab: POLARS_MAX_THREADS={threads}, of the")


@pytest.mark.parametrize("now", [-1.0, 32_536_000_000.0])
def test_a_clock_of_no_calendar_is_refused(
    now: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job submitted in the year 3001 could not be read again."""
    monkeypatch.setattr("vitlab.cli.time.time", lambda: now)
    assert main(["status"]) == 2
    told = f"vitlab: this machine's clock is wrong: {now:.0f} seconds since 1970 UTC\n"
    assert capsys.readouterr().err == told
