"""Edits are compare-and-swap; files are written whole, with a way back, or not at all."""

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from vitlab.contract.paths import UsageError
from vitlab.docs.journal import Journal
from vitlab.docs.save import (
    FileChange,
    between,
    change,
    create,
    open_elsewhere,
    redo,
    repair,
    save,
    undo,
)
from vitlab.docs.text.edit import Conflict, Edit, apply, rebase, unified
from vitlab.docs.text.source import Document, Span, read

TEXT = "# T\r\n\r\n| a | b |\r\n| 1 | 2 |\r\n| 3 | 4 |\r\nend"


def edit(text: str, old: str, new: str) -> Edit:
    start = text.index(old)
    return Edit(Span(start, start + len(old)), old, new)


def planned(path: Path, old: str, new: str) -> FileChange:
    document = read(path)
    return change(document, [edit(document.text, old, new)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "r.md"
    path.write_bytes(TEXT.encode())
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / ".vitlab" / "journal", tmp_path)


def test_edits_apply_together_and_refuse_what_is_not_there() -> None:
    edits = [edit(TEXT, "4", "40"), edit(TEXT, "1", ""), Edit(Span(0, 0), "", "\ufeff")]
    assert apply(TEXT, edits) == "\ufeff" + TEXT.replace("4", "40").replace("1", "")
    with pytest.raises(Conflict, match="expected"):
        apply(TEXT, [Edit(Span(0, 1), "x", "y")])
    with pytest.raises(Conflict, match="overlap"):
        apply(TEXT, [edit(TEXT, "| 1 |", "x"), edit(TEXT, "1", "y")])


def test_the_diff_is_a_unified_one() -> None:
    assert unified("a\nb", "a\nc", "/x/r.md") == (
        "--- a/x/r.md\n+++ b/x/r.md\n@@ -1,2 +1,2 @@\n a\n"
        "-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n"
    )
    assert unified(None, "a\n", "r.md").startswith("--- /dev/null\n+++ b/r.md\n@@ -0,0 +1 @@\n+a")
    assert unified("a\u2028b\n", "a\u2028b\n", "r.md") == ""


def test_a_save_changes_the_span_and_nothing_else(file: Path, journal: Journal) -> None:
    (written,) = save([planned(file, "4", "状态")], journal)
    assert file.read_bytes() == TEXT.replace("4", "状态").encode()
    assert written.path == file


def test_mode_and_symlink_are_kept(file: Path, journal: Journal, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.md"
    link.symlink_to(file)
    save([planned(link, "4", "5")], journal)
    assert link.is_symlink()
    assert file.read_bytes() == TEXT.replace("4", "5").encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_else_a_file_carries_is_kept(file: Path, journal: Journal) -> None:
    """Its access list: of a document that it closes to the group the mode alone says otherwise."""
    own, group, mask, other = 0x01, 0x04, 0x10, 0x20
    entries = [(own, 6, -1), (0x02, 6, 1000), (group, 0, -1), (mask, 6, -1), (other, 0, -1)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    given = {"user.tag": b"red", "system.posix_acl_access": packed}
    try:
        for name, value in given.items():
            os.setxattr(file, name, value)
    except OSError as error:
        pytest.skip(f"no attributes here: {error}")
    save([planned(file, "4", "5")], journal)
    assert file.read_bytes() == TEXT.replace("4", "5").encode()
    assert {name: os.getxattr(file, name) for name in os.listxattr(file)} == given


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_is_kept(file: Path, journal: Journal) -> None:
    os.chown(file, 1234, 1235)
    save([planned(file, "4", "5")], journal)
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1235)


def test_another_edit_in_the_file_survives(file: Path, journal: Journal) -> None:
    mine = planned(file, "4", "40")
    theirs = TEXT.replace("# T", "# Title\r\n\r\nMore").replace("| 1 |", "| 10 |")
    file.write_bytes(theirs.encode())
    save([mine], journal)
    assert file.read_bytes() == theirs.replace("4", "40").encode()


def test_another_cell_of_the_same_row_survives(file: Path, journal: Journal) -> None:
    text = TEXT.replace("| 4 |", "| 4 | note |")
    file.write_bytes(text.encode())
    mine = planned(file, "4", "40")
    theirs = text.replace("| note |", "| a longer note |")
    file.write_bytes(theirs.encode())
    save([mine], journal)
    assert file.read_bytes() == theirs.replace("4", "40").encode()


PLAN = """| MVP | Name | Status |
|-----|------|--------|
| 1.0 | data | ✅ |
| MVP-2.0 | ViT | ⏳ |
| 3.0 | trees | ✅ |
"""


@pytest.mark.parametrize(
    "now",
    [
        "| MVP | Name   | Status |\n|---|---|---|\n| 3.0 | trees  | ✅ |\n| 1.0 | data   | ✅ |\n"
        "| MVP-2.0 | ViT    | ⏳ |\n",
        "x\n| MVP | Name   | Status |\n|---|---|---|\n| MVP-2.0 | ViT    | ⏳ |\n"
        "| 0.5 | new    | ⏳ |\n| 1.0 | data   | ✅ |\n| 3.0 | trees  | ✅ |\n",
    ],
)
def test_a_row_of_a_table_that_was_sorted_and_widened_is_the_same_row(now: str) -> None:
    (moved,) = rebase(PLAN, now, [edit(PLAN, "⏳", "🚀")], "r.md")
    assert apply(now, [moved]) == now.replace("ViT    | ⏳", "ViT    | 🚀")


@pytest.mark.parametrize("mvp", ["MVP-1.0", "1.0"])
def test_a_row_whose_id_stands_in_another_column_is_known_by_it(mvp: str) -> None:
    old = f"| Priority | MVP | Status |\n|---|---|---|\n| 🟡 P1 | {mvp} | ⏳ |\n| P2 | 2.0 | ✅ |\n"
    now = old.replace("🟡 P1", "🔴 P0")
    moved = rebase(old, now, [edit(old, "⏳", "🚀")], "r.md")
    assert apply(now, moved) == now.replace("⏳", "🚀")
    with pytest.raises(Conflict):
        rebase(old, old.replace(mvp, "3.0"), [edit(old, "⏳", "🚀")], "r.md")


@pytest.mark.parametrize(
    "row",
    ["| MVP-4.0 | GNN | ⏳ |", "| 4.0 | ViT | ⏳ |", "| MVP-2.1 | ViT | ⏳ |", "### MVP-4.0 ⏳"],
)
def test_a_row_of_something_else_in_its_place_is_a_conflict(row: str) -> None:
    with pytest.raises(Conflict):
        rebase(PLAN, PLAN.replace("| MVP-2.0 | ViT | ⏳ |", row), [edit(PLAN, "⏳", "🚀")], "r.md")
    old = "## One\n\n### MVP-2.0: a (⏳)\n"
    with pytest.raises(Conflict):
        rebase(old, old.replace("MVP-2.0", "MVP-3.0"), [edit(old, "⏳", "🚀")], "r.md")
    first = "| Priority | MVP | Status |\n|---|---|---|\n| 🟡 P1 | MVP-1.0 | ⏳ |\n"
    now = first.replace("🟡 P1", "🔴 P0")  # an id that stands in another column tells
    assert apply(now, rebase(first, now, [edit(first, "⏳", "🚀")], "r")) == now.replace("⏳", "🚀")
    now = old.replace("a (", "a longer name (")
    assert apply(now, rebase(old, now, [edit(old, "⏳", "🚀")], "r.md")) == now.replace("⏳", "🚀")


def test_the_same_cell_is_a_conflict_and_nothing_is_written(
    file: Path, journal: Journal, tmp_path: Path
) -> None:
    other = tmp_path / "hub.md"
    other.write_text("x 1\n")
    changes = [planned(other, "1", "2"), planned(file, "4", "40")]
    theirs = TEXT.replace("| 4 |", "| 5 |")
    file.write_bytes(theirs.encode())
    with pytest.raises(Conflict, match=r"r\.md: line 5 changed"):
        save(changes, journal)
    assert file.read_bytes() == theirs.encode()
    assert other.read_text() == "x 1\n"
    assert undo(journal).changes == ()


def test_a_row_that_was_moved_is_found_by_its_text() -> None:
    old = "| a |\n| b |\n| c |\n"
    (moved,) = rebase(old, "| c |\nx\n| b |\n| a |\n", [edit(old, "a", "A")], "r.md")
    assert apply("| c |\nx\n| b |\n| a |\n", [moved]) == "| c |\nx\n| b |\n| A |\n"


def test_one_of_two_equal_rows_is_told_by_its_neighbours_or_refused() -> None:
    old = "## A\n| x |\n## B\n| x |\n"
    now = "top\n" + old
    second = Edit(Span(18, 19), "x", "y")
    assert old[18] == "x"
    assert apply(now, rebase(old, now, [second], "r")) == "top\n## A\n| x |\n## B\n| y |\n"
    with pytest.raises(Conflict):
        rebase(old, "other\n", [second], "r")


def test_undo_and_redo_go_back_and_forth_exactly(file: Path, journal: Journal) -> None:
    first = TEXT.replace("4", "40")
    second = first.replace("1", "11")
    save([planned(file, "4", "40")], journal)
    save([planned(file, "1", "11")], journal)
    seen = []
    for step in (undo, undo, undo, redo, redo, redo, undo):
        step(journal)
        seen.append(file.read_bytes().decode())
    assert seen == [first, TEXT, TEXT, first, second, second, first]


def test_a_save_after_an_undo_forgets_what_could_be_redone(file: Path, journal: Journal) -> None:
    save([planned(file, "4", "40")], journal)
    undo(journal)
    save([planned(file, "1", "11")], journal)
    assert redo(journal).changes == ()


def test_undo_keeps_what_others_wrote_since(file: Path, journal: Journal) -> None:
    save([planned(file, "4", "40")], journal)
    file.write_bytes(file.read_bytes().replace(b"# T", b"# Theirs"))
    undo(journal)
    assert file.read_bytes() == TEXT.replace("# T", "# Theirs").encode()


def test_undo_of_an_overwritten_edit_is_a_conflict(file: Path, journal: Journal) -> None:
    save([planned(file, "4", "40")], journal)
    file.write_bytes(file.read_bytes().replace(b"40", b"50"))
    with pytest.raises(Conflict):
        undo(journal)
    assert b"50" in file.read_bytes()


def test_a_new_file_is_made_taken_away_and_made_again(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.md"
    save([create(path, "# R\n")], journal)
    assert path.read_text() == "# R\n"
    (gone,) = undo(journal).changes
    assert not path.exists()
    assert gone.removed
    redo(journal)
    assert path.read_text() == "# R\n"
    with pytest.raises(Conflict, match="exists already"):
        save([create(path, "other")], journal)


def test_a_made_file_that_was_edited_since_stays(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    save([create(path, "# R\n")], journal)
    path.write_text("# mine\n")
    with pytest.raises(Conflict, match="it is kept"):
        undo(journal)
    assert path.read_text() == "# mine\n"


def test_a_made_file_that_was_deleted_since_keeps_no_undo_back(
    file: Path, journal: Journal, tmp_path: Path
) -> None:
    path, before = tmp_path / "report.md", file.read_text()
    document = read(file)
    linked = change(document, [Edit(Span(0, 0), "", "see [R](report.md)\n")])
    save([create(path, "# R\n"), linked], journal)
    path.unlink()
    assert [one.path for one in undo(journal).changes] == [file]
    assert file.read_text() == before
    redo(journal)
    assert file.read_text() != before
    assert not path.exists()


def test_several_plans_on_one_file_are_one_change(file: Path, journal: Journal) -> None:
    new = TEXT.replace("4", "40").replace("# T", "# U")
    save([between(file, TEXT, new)], journal)
    assert file.read_bytes() == new.encode()
    undo(journal)
    assert file.read_bytes() == TEXT.encode()


class Killed(BaseException):
    """The writer's death, as no code of its own catches it."""


@pytest.mark.parametrize("operation", ["save", "undo", "redo"])
def test_death_at_every_step_leaves_whole_files_and_a_journal_that_mends(
    tmp_path: Path, operation: str
) -> None:
    steps: list[str] = []
    number = 0
    while True:
        folder = tmp_path / f"{operation}{number}"
        folder.mkdir()
        journal = Journal(folder / "journal", folder)
        files = [folder / "a.md", folder / "b.md"]
        for path in files:
            path.write_bytes(TEXT.encode())
        changes = [planned(path, "4", "40") for path in files] + [create(folder / "c.md", "new")]
        new = TEXT.replace("4", "40").encode()
        if operation != "save":
            save(changes, journal)
        if operation == "redo":
            undo(journal)
        steps.clear()

        def die(name: str, last: int = number) -> None:
            steps.append(name)
            if len(steps) > last:
                raise Killed(name)

        try:
            if operation == "save":
                save(changes, journal, die)
            else:
                {"undo": undo, "redo": redo}[operation](journal, die)
            break
        except Killed:
            pass
        assert all(path.read_bytes() in (TEXT.encode(), new) for path in files)
        repair(journal)
        after = [path.read_bytes() for path in files]
        assert after[0] == after[1]
        assert (folder / "c.md").exists() == (after[0] == new)
        assert not list(folder.glob(".*.tmp-*"))
        # The journal tells the same story: undo or redo leads to the other state, and back.
        if after[0] == new:
            undo(journal)
            assert [path.read_bytes() for path in files] == [TEXT.encode()] * 2
        elif operation != "save":
            redo(journal)
            assert [path.read_bytes() for path in files] == [new] * 2
        else:
            assert undo(journal).changes == ()
        number += 1
    assert number == len(steps) > 10


def dying_after(steps: int) -> Callable[[str], None]:
    """A hook that ends the process, without a word, at the step after `steps` others."""
    left = iter(range(steps))

    def step(_: str) -> None:
        if next(left, None) is None:
            os._exit(9)

    return step


def test_a_killed_process_leaves_whole_files(tmp_path: Path) -> None:
    """The same with a real process that is gone at once: no handler runs, nothing is flushed."""
    steps = 0
    while True:
        folder = tmp_path / str(steps)
        folder.mkdir()
        path, journal = folder / "a.md", Journal(folder / "journal", folder)
        path.write_bytes(TEXT.encode())
        change_of_it = planned(path, "4", "40")
        child = os.fork()
        if child == 0:
            try:
                save([change_of_it], journal, dying_after(steps))
                os._exit(0)
            finally:
                os._exit(3)
        _, status = os.waitpid(child, 0)
        there = path.read_bytes()
        assert there in (TEXT.encode(), TEXT.replace("4", "40").encode())
        repair(journal)
        assert path.read_bytes() == there
        assert sorted(p.name for p in folder.iterdir()) == ["a.md", "journal"]
        if os.waitstatus_to_exitcode(status) != 9:
            assert os.waitstatus_to_exitcode(status) == 0
            break
        steps += 1
    assert steps > 5


def test_a_second_writer_is_told_to_wait(
    file: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.docs.journal.LOCK_TIMEOUT", 0.05)
    with journal.locked(), pytest.raises(UsageError, match="another vitlab"):
        save([planned(file, "4", "5")], journal)


def test_a_file_that_changes_while_it_is_written_is_left_alone(
    file: Path, journal: Journal, tmp_path: Path
) -> None:
    other = tmp_path / "hub.md"
    other.write_text("x 1\n")

    def meddle(name: str) -> None:
        if name == "fsync r.md":
            file.write_text("theirs")

    with pytest.raises(Conflict, match="changed while"):
        save([planned(other, "1", "2"), planned(file, "4", "40")], journal, meddle)
    assert file.read_text() == "theirs"
    assert other.read_text() == "x 1\n"
    assert undo(journal).changes == ()


def test_an_editors_lock_beside_the_file_is_seen(file: Path) -> None:
    assert open_elsewhere(file) is None
    file.with_name(".r.md.swp").touch()
    assert open_elsewhere(file) == ".r.md.swp"
    file.with_name(".r.md.swp").unlink()
    file.with_name(".#r.md").symlink_to("user@host.1:2")
    assert open_elsewhere(file) == ".#r.md"


def test_a_journal_of_another_make_is_passed_by(journal: Journal) -> None:
    journal.folder.mkdir(parents=True)
    (journal.folder / "00000001.done.json").write_text("{")
    (journal.folder / "unfinished.json").write_text('{"v": 9}')
    assert undo(journal).changes == ()


def test_a_document_without_a_path_is_a_programmers_mistake() -> None:
    with pytest.raises(ValueError, match="path"):
        change(Document("x"), [])


def test_a_document_that_is_read_only_stays_as_it_is(
    file: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a rename in a folder of one's own would replace it."""
    mine = planned(file, "4", "40")
    monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (file, os.W_OK))
    with pytest.raises(Conflict, match=r"r\.md: is read-only; nothing written"):
        save([mine], journal)
    assert file.read_bytes() == TEXT.encode()
