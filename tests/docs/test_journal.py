"""A journal that others have written to: nothing of theirs is applied, and it blocks nothing."""

from __future__ import annotations

import base64
import errno
import json
import os
import shutil
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.test_edits import planned
from vitlab.contract.paths import UsageError
from vitlab.contract.reading import read_regular
from vitlab.docs import journal as journals
from vitlab.docs.journal import Journal
from vitlab.docs.save import create, read_entry, redo, repair, save, undo
from vitlab.docs.text.edit import Conflict

Put = Callable[[Path], object]


def journal_in(root: Path) -> tuple[Journal, list[str]]:
    told: list[str] = []
    return Journal(root / ".vitlab" / "journal", root, told.append), told


def packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode())).decode()


def unsealed(path: Path, text: str, state: str = "done") -> dict[str, object]:
    """What made any command write any file, in the form of earlier versions."""
    files = [{"path": str(path), "made": True, "new": packed(text), "edits": [[0, "", text]]}]
    return {"v": 1, "number": 1, "state": state, "fresh": True, "files": files}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def foreign(profile: Path) -> dict[str, Put]:
    """What may stand in the place of an entry, by a name."""
    record = unsealed(profile, "echo hello\n")
    bomb = {**record, "files": [{**record["files"][0], "new": packed("x" * 50_000_000)}]}  # type: ignore[index]
    texts: dict[str, bytes] = {
        "unsealed": json.dumps(record).encode(),
        "of version 2": json.dumps({**record, "v": 2}).encode(),
        "with a false seal": b"0" * 64 + b"\n" + json.dumps({**record, "v": 2}).encode(),
        "a bomb": json.dumps(bomb).encode(),
        "deep": b"[" * 100_000,
        "NaN": b"NaN",
        "empty": b"",
        "zeros": bytes(10_000),
        "no UTF-8": b"\xff\xfe" * 1000,
        "null": b"null",
        "a list": b"[]",
        "a lone surrogate": b'"\\ud800"',
    }

    def text(data: bytes) -> Put:
        return lambda path: path.write_bytes(data)

    def put_socket(path: Path) -> None:
        here = Path.cwd()
        os.chdir(path.parent)  # its path would be too long
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(path.name)
        finally:
            os.chdir(here)

    return {
        **{name: text(data) for name, data in texts.items()},
        "a folder": lambda path: path.mkdir(),
        "a full folder": lambda path: (path / "x").mkdir(parents=True),
        "a pipe": os.mkfifo,
        "a socket": put_socket,
        "a loop": lambda path: path.symlink_to(path.name),
        "a link to nothing": lambda path: path.symlink_to("gone"),
        "a link to zeros": lambda path: path.symlink_to("/dev/zero"),
        "closed": lambda path: (path.write_text("{"), path.chmod(0)),
    }


NAMES = ("unfinished.json", "00000002.done.json", "00000002.undone.json", "lock")


@pytest.mark.parametrize("name", NAMES)
def test_what_others_put_into_a_journal_is_set_aside_and_blocks_nothing(
    tmp_path: Path, name: str
) -> None:
    for number, (kind, put) in enumerate(foreign(tmp_path / "bash_profile").items()):
        root = tmp_path / str(number)
        root.mkdir()
        journal, told = journal_in(root)
        file = root / "r.md"
        file.write_text("| 1 |\n")
        save([planned(file, "1", "2")], journal)
        path = journal.folder / name
        path.unlink(missing_ok=True)
        put(path)
        assert repair(journal) == (), kind
        assert file.read_text() == "| 2 |\n", kind
        if "2.done" in name:  # it may be of a write that is newer
            with pytest.raises(UsageError, match="nothing was undone: the entry of that write"):
                undo(journal)
            assert file.read_text() == "| 2 |\n", kind
        assert [one.path for one in undo(journal).changes] == [file], kind
        assert file.read_text() == "| 1 |\n", kind
        redo(journal)
        assert file.read_text() == "| 2 |\n", kind
        save([planned(file, "2", "3")], journal)
        undo(journal)
        assert file.read_text() == "| 2 |\n", kind
        harmless = name == "lock" and not os.path.lexists(f"{path}.aside")
        assert len(told) == (0 if harmless else 1), (kind, told)
        assert all("not belong to this user" in line and name in line for line in told), told
    assert not (tmp_path / "bash_profile").exists()


def test_a_number_beyond_all_saves_does_not_stop_the_next(tmp_path: Path) -> None:
    journal, told = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text("| 1 |\n")
    save([planned(file, "1", "2")], journal)
    for digits in (9, 60, 200, 240):
        (journal.folder / f"{'9' * digits}.done.json").touch()
        save([planned(file, "2", "3")], journal)
        undo(journal)
        assert file.read_text() == "| 2 |\n"
    assert len(told) == 3  # the last is no name of ours


def test_large_entries_of_somebody_else_are_read_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kB of an archive can be files of gigabytes."""
    journal, _ = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text("| 1 |\n")
    for number in range(100, 150):
        put = journal.path_of(number, "done")
        put.parent.mkdir(parents=True, exist_ok=True)
        put.write_bytes(b"0\n" * 500)
    theirs: list[Path] = []

    def counted(path: Path, limit: int) -> bytes:
        theirs.append(path)
        return read_regular(path, limit)

    monkeypatch.setattr(journals, "read_regular", counted)
    monkeypatch.setattr(journals, "MAX_BYTES", 10_000)
    assert [number for number, _ in journal.entries()] == list(range(140, 150))
    for number in (140, 149, 140):
        assert read_entry(journal, number, "done") is None
    assert len(theirs) == 2
    save([planned(file, "1", "2")], journal)
    assert undo(journal).changes
    assert file.read_text() == "| 1 |\n"
    assert len(theirs) < 20
    assert len(journal.names()) < 20  # what is beyond goes with the next save


def test_entries_of_earlier_versions_are_set_aside_in_one_line(tmp_path: Path) -> None:
    journal, told = journal_in(tmp_path)
    journal.folder.mkdir(parents=True)
    for number in range(1, 38):
        record = {**unsealed(tmp_path / "x.md", "x"), "number": number}
        (journal.folder / f"{number:08d}.done.json").write_text(json.dumps(record))
    assert undo(journal).changes == ()
    assert undo(journal).changes == ()
    assert told == ["journal: 37 entries do not belong to this user, or were changed; set aside"]
    assert len(list(journal.folder.glob("*.aside"))) == 37


def test_sealed_entries_hold_in_their_own_folder_and_under_their_own_name(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for root in (mine, other):
        root.mkdir()
        (root / "r.md").write_text("| 1 |\n")
        save([planned(root / "r.md", "1", "2")], journal_in(root)[0])
    journal, told = journal_in(mine)
    theirs = journal_in(other)[0].folder / "00000001.done.json"
    before = contents(other)
    for name in ("00000005.done.json", "00000006.undone.json", "unfinished.json"):
        shutil.copy(theirs, journal.folder / name)
    shutil.copy(journal.folder / "00000001.done.json", journal.folder / "00000004.done.json")
    with pytest.raises(UsageError, match="undo again is of the write before it"):
        undo(journal)
    assert undo(journal).changes[0].path == mine / "r.md"
    assert len(told) == 2
    assert undo(journal).changes == ()
    # The whole lab copied: its journal is that of another folder.
    save([planned(mine / "r.md", "1", "3")], journal)
    shutil.copytree(mine, tmp_path / "copy")
    copied, told = journal_in(tmp_path / "copy")
    assert undo(copied).changes == ()
    assert (mine / "r.md").read_text() == (tmp_path / "copy/r.md").read_text() == "| 3 |\n"
    assert contents(other) == before
    # A journal that is a link to another lab's: its files are in no way of this one.
    linked, told = journal_in(tmp_path / "linked")
    (tmp_path / "linked/.vitlab").mkdir(parents=True)
    linked.folder.symlink_to(journal_in(other)[0].folder)
    with pytest.raises(UsageError, match="outside the lab"):
        undo(linked)
    assert (other / "r.md").read_text() == "| 2 |\n"


def test_a_link_out_of_the_lab_is_never_written_through(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    (root / "in").mkdir(parents=True)
    outside = tmp_path / "outside.md"
    outside.write_text("| 1 |\n")
    (root / "r.md").symlink_to(outside)
    (root / "new.md").symlink_to(tmp_path / "made.md")
    journal, _ = journal_in(root)
    message = rf"r\.md: is a link to {outside}, outside the lab {root}; nothing written"
    with pytest.raises(UsageError, match=message):
        save([planned(root / "r.md", "1", "2")], journal)
    with pytest.raises(UsageError, match="outside the lab"):
        save([create(root / "new.md", "x")], journal)
    with pytest.raises(UsageError, match=r"\.\./outside\.md: is .*outside the lab"):
        save([create(root / "../outside.md2", "x"), planned(root / "../outside.md", "1", "2")][1:],
             journal)  # fmt: skip
    assert outside.read_text() == "| 1 |\n"
    assert not (tmp_path / "made.md").exists()
    # One that stays in the lab is followed; once it leads elsewhere, undo leaves all as it is.
    (root / "in/real.md").write_text("| 1 |\n")
    (root / "link.md").symlink_to(root / "in/real.md")
    save([planned(root / "link.md", "1", "2")], journal)
    assert (root / "in/real.md").read_text() == "| 2 |\n"
    (root / "in/real.md").rename(root / "in/moved.md")
    (root / "in/real.md").symlink_to(outside)
    outside.write_text("| 2 |\n")
    with pytest.raises(UsageError, match="outside the lab"):
        undo(journal)
    (root / "in/real.md").unlink()
    (root / "in/real.md").symlink_to(root / "in/moved.md")
    with pytest.raises(Conflict, match="is a link to"):
        undo(journal)
    assert outside.read_text() == (root / "in/moved.md").read_text() == "| 2 |\n"


def test_a_lab_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    root.mkdir()
    journal, _ = journal_in(root)
    (root / "r.md").write_text("| 1 |\n")
    save([planned(root / "r.md", "1", "2")], journal)
    shutil.rmtree(root)
    new = [create(root / "new.md", "x")]
    writes: list[Callable[[Journal], object]] = [undo, redo, lambda own: save(new, own)]
    for write in writes:
        with pytest.raises(UsageError, match=f"{root}: the lab is gone; nothing written"):
            write(journal)
    assert not root.exists()


def test_an_interrupted_save_leaves_alone_what_was_changed_since(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def die(name: str) -> None:
        if name == "rename b.md":
            raise Killed

    journal, told = journal_in(tmp_path)
    files = [tmp_path / name for name in ("a.md", "b.md", "c.md")]
    for file in files:
        file.write_text("| 1 |\n")
    with pytest.raises(Killed):
        save([planned(file, "1", "2") for file in files], journal, die)
    files[1].write_text("theirs\n")
    files[2].unlink()
    files[2].symlink_to("/etc/hostname")
    assert repair(journal) == ()
    assert [file.read_text() for file in files[:2]] == ["| 2 |\n", "theirs\n"]
    assert files[2].is_symlink()
    assert len(told) == 2
    assert all("it is kept as it is" in line for line in told)


def test_a_full_disk_at_any_step_changes_nothing(tmp_path: Path) -> None:
    """Until the first file is replaced nothing is changed, and after it all is taken back."""
    steps: list[str] = []
    number = 0
    while number <= len(steps):
        root = tmp_path / str(number)
        root.mkdir()
        journal, _ = journal_in(root)
        files = [root / "a.md", root / "b.md"]
        for file in files:
            file.write_text("| 1 |\n")
        steps.clear()

        def fill(name: str, last: int = number) -> None:
            steps.append(name)
            if len(steps) == last + 1 and name != "journal done":
                raise OSError(errno.ENOSPC, "No space left on device", "x.md")

        changes = [planned(files[0], "1", "2"), create(root / "c.md", "new"),
                   planned(files[1], "1", "2")]  # fmt: skip
        try:
            save(changes, journal, fill)
            break
        except (UsageError, OSError) as error:
            assert "No space left" in str(error)  # noqa: PT017 - it may succeed
        assert [file.read_text() for file in files] == ["| 1 |\n"] * 2
        assert sorted(path.name for path in root.iterdir()) == [".vitlab", "a.md", "b.md"]
        assert repair(journal) == ()
        assert [path.name for path in journal.folder.iterdir()] in (["lock"], [])
        number += 1
    assert number == len(steps) - 1 > 10


def test_what_a_full_disk_keeps_from_being_taken_back_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = journal_in(tmp_path)
    file = tmp_path / "a.md"
    file.write_text("| 1 |\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(name: str) -> None:
        if name.startswith("fsync folder"):
            monkeypatch.setattr("vitlab.docs.save._prepare", full)
            monkeypatch.setattr("vitlab.docs.save.sync_folder", full)

    with pytest.raises(UsageError, match=r"a\.md keeps what was written"):
        save([planned(file, "1", "2")], journal, fill)


def test_other_names_of_a_document_keep_what_it_said_and_that_is_told(tmp_path: Path) -> None:
    """As `cp -al` and backups by hard links make them."""
    journal, told = journal_in(tmp_path)
    file, other = tmp_path / "r.md", tmp_path / "backup.md"
    file.write_text("| 1 |\n")
    other.hardlink_to(file)
    save([planned(file, "1", "2")], journal)
    line = f"{file}: has other names (hard links), which keep what it said before"
    assert (file.read_text(), other.read_text(), told) == ("| 2 |\n", "| 1 |\n", [line])
    save([planned(file, "2", "3")], journal)
    undo(journal)
    assert told == [line]


def test_a_planted_temporary_file_is_not_followed(tmp_path: Path) -> None:
    journal, _ = journal_in(tmp_path)
    file, victim = tmp_path / "r.md", tmp_path / "victim"
    file.write_text("| 1 |\n")
    victim.write_text("mine")
    journal.folder.mkdir(parents=True)
    (tmp_path / f".r.md.tmp-{os.getpid()}").symlink_to(victim)
    (journal.folder / f".unfinished.json.tmp-{os.getpid()}").symlink_to(victim)
    save([planned(file, "1", "2")], journal)
    assert victim.read_text() == "mine"
    assert file.read_text() == "| 2 |\n"


def test_edits_of_another_process_are_kept(tmp_path: Path) -> None:
    """A second process writes the file a hundred times, before and while this one saves."""
    journal, _ = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text("| mine 0 |\n| theirs 0 |\n")
    asked, answered = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number in range(1, 101):
                os.read(asked[0], 1)
                new = tmp_path / "editor"
                text = file.read_text()
                new.write_text(text.replace(f"theirs {number - 1} ", f"theirs {number} "))
                new.replace(file)
                os.write(answered[1], b".")
            os._exit(0)
        finally:
            os._exit(1)

    def edited_by_the_other(name: str = "half of r.md") -> None:
        if name == "half of r.md":
            os.write(asked[1], b".")
            os.read(answered[0], 1)

    told = []
    for number in range(50):
        change_of_it = planned(file, f"mine {number} ", f"mine {number + 1} ")
        with pytest.raises(Conflict, match="changed while it was being written") as conflict:
            save([change_of_it], journal, edited_by_the_other)
        told.append(str(conflict.value))
        edited_by_the_other()
        save([change_of_it], journal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert file.read_text() == "| mine 50 |\n| theirs 100 |\n"
    assert len(told) == 50


def test_a_disk_without_locks_has_one_writer_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = errno.ENOLCK

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("vitlab.docs.journal.fcntl.flock", refuse)
    monkeypatch.setattr("vitlab.docs.journal.LOCK_TIMEOUT", 0.05)
    journal, told = journal_in(tmp_path)
    file = tmp_path / "r.md"
    file.write_text("| 1 |\n")
    with journal.locked(), pytest.raises(UsageError, match="another vitlab is writing"):
        save([planned(file, "1", "2")], journal)
    save([planned(file, "1", "2")], journal)
    assert file.read_text() == "| 2 |\n"
    assert [one.path for one in undo(journal).changes] == [file]
    assert (file.read_text(), told) == ("| 1 |\n", [])
    number = errno.EIO
    with pytest.raises(OSError, match=r"Input/output error: .*/journal/lock"):
        save([planned(file, "1", "2")], journal)
    assert file.read_text() == "| 1 |\n"
