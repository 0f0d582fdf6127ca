"""What another program writes in place, as editors do: no edit of either is lost."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.test_edits import planned
from tests.docs.test_journal import journal_in
from vitlab.contract import reading
from vitlab.contract.paths import UsageError
from vitlab.contract.reading import read_opened
from vitlab.docs.save import FileChange, save, undo
from vitlab.docs.text import in_place
from vitlab.docs.text.edit import Conflict
from vitlab.docs.text.source import read

OLD = "| 1 |\n\n" + "old words\n" * 20
NEW = OLD + "an afternoon's words\n"


@contextmanager
def writer(file: Path, cut: int) -> Iterator[Callable[[], None]]:
    """Another process that has truncated a file, written `cut` bytes, and writes the rest if told.

    It is at work when the body begins.
    """
    asked, answered = os.pipe(), os.pipe()
    if not (child := os.fork()):
        try:
            with file.open("wb") as opened:
                opened.write(NEW.encode()[:cut])
                opened.flush()
                os.write(answered[1], b".")
                os.read(asked[0], 1)
                opened.write(NEW.encode()[cut:])
            os._exit(0)
        finally:
            os._exit(1)
    os.read(answered[0], 1)

    def end() -> None:
        os.write(asked[1], b".")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    yield end
    for one in (*asked, *answered):
        os.close(one)


@pytest.mark.parametrize("cut", [0, 30])
def test_nothing_is_written_while_another_program_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    for module in (in_place, reading):
        monkeypatch.setattr(module, "EDIT", 0.0)
    monkeypatch.setattr(reading, "LOOK", 0.0)
    journal, _ = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text(OLD)
    edit = planned(file, "| 1 |", "| 2 |")
    with writer(file, cut) as end:
        with pytest.raises(UsageError, match="another program is writing it now; try again"):
            save([edit], journal)
        if cut:
            assert read(file).text == NEW[:cut]
        else:
            with pytest.raises(UsageError, match="is empty, and another program is writing it"):
                read(file)
        end()
    assert file.read_text() == NEW
    save([edit], journal)
    assert file.read_text() == NEW.replace("1", "2")
    undo(journal)
    assert file.read_text() == NEW


def test_a_save_waits_for_a_program_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text(OLD)
    edit = planned(file, "| 1 |", "| 2 |")
    for module in (in_place, reading):
        monkeypatch.setattr(module, "EDIT", 60.0)
    with writer(file, 30) as end:
        ends = [end]
        monkeypatch.setattr(time, "sleep", lambda _: ends.pop()() if ends else None)
        save([edit], journal)
    assert file.read_text() == NEW.replace("1", "2")


def test_where_no_lease_can_be_had_a_young_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text(OLD)
    edit = planned(file, "| 1 |", "| 2 |")
    for module in (in_place, reading):
        monkeypatch.setattr(module, "hold", lambda _: None)
    with writer(file, 30) as end:
        ends = [end]
        monkeypatch.setattr(time, "sleep", lambda _: ends.pop()() if ends else None)
        save([edit], journal)
    assert file.read_text() == NEW.replace("1", "2")
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits for itself"))
    undo(journal)
    assert file.read_text() == NEW


def test_a_disk_that_refuses_leases_to_all_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS does so for files that nobody has open."""
    journal, _ = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text(OLD)
    edit = planned(file, "| 1 |", "| 2 |")

    def refused(descriptor: int, command: int, *_: object) -> None:
        if command == fcntl.F_SETLEASE:
            raise BlockingIOError(errno.EAGAIN, "")

    monkeypatch.setattr(reading, "LOCAL", frozenset())
    reading._is_local.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "fcntl", refused)
        save([edit], journal)
        undo(journal)
    reading._is_local.cache_clear()
    assert file.read_text() == OLD


@pytest.mark.parametrize("leases", [True, False])
def test_what_is_written_in_the_moment_of_a_save_is_kept_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leases: bool
) -> None:
    journal, told = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text(OLD)
    inode = file.stat().st_ino
    edit = planned(file, "| 1 |", "| 2 |")
    put = in_place.put
    if not leases:
        for module in (in_place, reading):
            monkeypatch.setattr(module, "hold", lambda _: None)
        os.utime(file, (1e9, 1e9))

    def begin() -> None:
        with file.open("r+") as opened:  # waits while the save holds the file
            opened.write(NEW)

    editor = threading.Thread(target=begin)

    def late(path: Path, prepared: Path | None, old: os.stat_result | None) -> None:
        editor.start()
        if leases:
            while not any(
                f":{inode} " in line and " BREAKING " in line
                for line in Path("/proc/locks").read_text().splitlines()
            ):
                assert editor.is_alive()
        else:
            editor.join()
        put(path, prepared, old)

    monkeypatch.setattr(in_place, "put", late)
    save([edit], journal)
    editor.join()
    assert file.read_text() == OLD.replace("1", "2")
    assert (tmp_path / "r.md.kept1").read_text() == NEW
    line = "another program wrote it meanwhile; what it wrote is in r.md.kept1"
    assert told == [f"{file}: {line}"]


def test_a_file_that_is_replaced_in_the_moment_of_a_save_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = journal_in(tmp_path)
    file, other = tmp_path / "r.md", tmp_path / "other"
    file.write_text(OLD)
    other.write_text(NEW)
    edit = planned(file, "| 1 |", "| 2 |")

    def replaced(*given: object) -> bytes:
        if other.exists():
            other.replace(file)
        return read_opened(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("vitlab.docs.text.in_place.read_opened", replaced)
    with pytest.raises(Conflict, match="changed while it was being written"):
        save([edit], journal)
    assert file.read_text() == NEW


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("kind", ["change", "make", "remove"])
def test_a_file_that_is_renamed_into_its_place_in_that_moment_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, can_exchange: bool
) -> None:
    """As vim and git save: between the last look and the save's own rename."""
    journal, _ = journal_in(tmp_path)
    file, other = tmp_path / "r.md", tmp_path / "other"
    other.write_text(NEW)
    if kind != "make":
        file.write_text(OLD)
    change = (
        planned(file, "| 1 |", "| 2 |")
        if kind == "change"
        else FileChange(
            file,
            None if kind == "make" else OLD,
            OLD if kind == "make" else "",
            (),
            kind == "remove",
        )
    )
    if not can_exchange and kind == "change":
        monkeypatch.setattr(in_place, "_exchange", lambda *_: False)
        save([change], journal)
        assert file.read_text() == OLD.replace("1", "2")
        return
    put = in_place.put

    def late(path: Path, prepared: Path | None, old: os.stat_result | None) -> None:
        other.replace(path)
        put(path, prepared, old)

    monkeypatch.setattr(in_place, "put", late)
    with pytest.raises(Conflict, match="changed while it was being written"):
        save([change], journal)
    assert file.read_text() == NEW
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["r.md"]


def test_a_save_whose_old_file_cannot_be_read_again_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, told = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text(OLD)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(in_place, "_written_since", broken)
    save([planned(file, "| 1 |", "| 2 |")], journal)
    assert told == [f"{file}: another program may have written it (Input/output error)"]
    monkeypatch.undo()
    assert file.read_text() == OLD.replace("1", "2")
    undo(journal)
    assert file.read_text() == OLD


def test_a_disk_without_modes_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    open_, copy, closed = (tmp_path / name for name in ("open", "copy", "closed"))
    for path, mode in ((open_, 0o644), (copy, 0o644), (closed, 0o600)):
        path.touch(mode)
        path.chmod(mode)
    monkeypatch.setattr(os, "chmod", refuse)
    in_place.copy_rights(open_, copy)
    with pytest.raises(PermissionError):  # a disk that has them
        in_place.copy_rights(closed, copy)
