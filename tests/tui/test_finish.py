"""What leads out of the screen: notices, copies, the editor, files, the bug report."""

from __future__ import annotations

import base64
import contextlib
import csv
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tui.conftest import Open, Stage
from tests.tui.fakes import ROADMAP, FakeLab, job, usual_jobs, usual_view
from vitlab.contract.job import Done, Lost, Queued, Running
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.jobs.experiment.settings import Notify
from vitlab.tui.screens.help import DebugScreen
from vitlab.tui.screens.log import LogScreen
from vitlab.tui.terminal import terminal_io
from vitlab.tui.terminal.export import as_csv, save_new
from vitlab.tui.terminal.terminal_io import editor_command, run_editor
from vitlab.tui.text import ends_line, was_requested
from vitlab.tui.watch.watcher import EndedJobs
from vitlab.tui.widgets.table import Table

# notices


async def test_an_action_that_nothing_foresaw_ends_no_screen(stage: Open) -> None:
    async with stage() as it:
        assert await it.app.session.attempt(lambda: 1 // 0) is None
        assert "ZeroDivisionError" in it.toasts[-1]
        assert "this is a bug in vitlab" in it.toasts[-1]


def one(state: Any, name: str = "20251227-run-1", **more: Any) -> Any:
    return job(name, "Run 1", state, **more)


def test_an_end_is_told_once_and_only_when_it_happens() -> None:
    now, before = time.time() + 100, time.time() - 100
    ended_jobs, old = EndedJobs(), one(Done(0, before, "ok", 0), "20250101-old")
    assert ended_jobs.update([old, one(Running(0, 7, "cpu"))]) == []
    assert ended_jobs.update([old, one(Running(0, 7, "cpu"))]) == []
    ended = one(Done(0, now, "oom", 1, "CUDA out of memory"))
    assert ended_jobs.update([old, ended]) == [ended]
    assert ended_jobs.update([old, ended]) == []
    again = one(Queued(0))
    assert ended_jobs.update([old, again]) == []
    lost = one(Lost(now))
    assert ended_jobs.update([old, lost]) == [lost]
    assert ended_jobs.update([old, lost]) == []
    quick, brought = one(Done(0, now, "ok", 0), "quick"), one(Done(0, before, "ok", 0), "brought")
    assert ended_jobs.update([old, lost, quick, brought]) == [quick]
    assert ends_line([ended]) == "1.0 Run 1 (demo): oom: CUDA out of memory"
    assert was_requested(one(Done(0, now, "killed", None, "stopped on request")))
    assert not was_requested(one(Done(0, now, "killed", None, "ended by SIGTERM")))
    assert not was_requested(lost)
    assert ends_line([lost, quick]) == "2 jobs ended, 1 failed"


async def heard(stage: Open, notify: Notify) -> tuple[list[str], list[str], FakeLab]:
    """What bell and terminal were told, and the toasts, when a run ends."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal_io, "emit", lambda _, sequence: said.append(sequence))
        return await _heard(stage, notify, said)


async def _heard(
    stage: Open, notify: Notify, said: list[str]
) -> tuple[list[str], list[str], FakeLab]:
    async with stage(lab=FakeLab(notify=notify)) as it:
        it.app.bell = lambda: said.append("bell")  # type: ignore[method-assign]
        first, second, running, *others = usual_jobs()
        ended = SimpleNamespace(**{**vars(running), "state": Done(0, 9, "nan", 3, "loss [/b]")})
        it.lab.view = usual_view(jobs=(first, second, ended, *others))
        it.app.watcher.refresh_now()
        await it.until(lambda: any("nan" in toast for toast in it.toasts))
        await it.settle()
        return said, it.toasts, it.lab


async def test_bell_desktop_and_webhook_are_each_by_themselves(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMUX", "VTE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    said, toasts, lab = await heard(stage, Notify())
    assert said == ["bell"]
    assert [toast for toast in toasts if "nan" in toast] == [
        "1.0 Run 1 (demo): nan after 1h00m, R² 0.7132 val: loss [/b]"
    ]
    assert not any(asked[0] == "announce" for asked in lab.asked)
    said, _, lab = await heard(stage, Notify(False, True, webhook="https://hooks.org/x"))
    assert said == [
        "\x1b]9;vitlab lab: 1.0 Run 1 (demo): nan after 1h00m, R² 0.7132 val: loss [/b]\a"
    ]
    assert ("announce", "Run 1") in lab.asked


@pytest.mark.parametrize(
    ("osc", "environment", "sequence"),
    [
        ("auto", {"TERM": "xterm"}, "\x1b]9;lab: a, b\a"),
        ("auto", {"TERM": "foot"}, "\x1b]777;notify;lab;a, b\a"),
        (777, {"TERM": "xterm"}, "\x1b]777;notify;lab;a, b\a"),
        (9, {"TERM": "tmux", "TMUX": "/x"}, "\x1bPtmux;\x1b\x1b]9;lab: a, b\a\x1b\\"),
        (9, {"TERM": "screen.xterm"}, "\x1bP\x1b]9;lab: a, b\a\x1b\\"),
    ],
)
def test_a_desktop_notice_goes_through_what_is_between(
    osc: Any, environment: dict[str, str], sequence: str
) -> None:
    assert terminal_io.desktop("la\x1bb", "a; \ab", osc, environment) == sequence


def test_the_clipboard_s_sequence_is_cut_for_screen_and_twofold_for_tmux() -> None:
    text = "字" * 300
    plain = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a"
    assert terminal_io.clipboard(text, {"TERM": "xterm"}) == plain
    inside = terminal_io.clipboard(text, {"TMUX": "/x"})
    assert inside == plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    parts = terminal_io.clipboard(text, {"TERM": "screen"}).split("\x1b\\")
    assert all(len(part) <= terminal_io.CHUNK + 2 for part in parts)
    assert "".join(part.removeprefix("\x1bP") for part in parts) == plain


def test_tmux_is_given_the_text_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, out = tmp_path / "tmux", tmp_path / "out"
    fake.write_text(f'#!/bin/sh\necho "$@" > {out}\nexec cat >> {out}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert terminal_io.into_tmux("R² [/b]")
    assert out.read_text() == "load-buffer -w -\nR² [/b]"
    fake.write_text("#!/bin/sh\nexit 1\n")
    assert not terminal_io.into_tmux("x")


# copying


async def taken(it: Stage, *keys: str, pane: str = "") -> str:
    """What the keys put into the clipboard, on a pane of home."""
    it.app._clipboard = ""
    if pane:
        await it.go(pane)
    await it.press(*keys)
    await it.until(lambda: it.app.clipboard)
    return it.app.clipboard


async def test_y_copies_what_is_under_the_cursor(stage: Open, tmp_path: Path) -> None:
    lab = FakeLab(folder=tmp_path)
    async with stage(lab=lab) as it:
        log = tmp_path / "20251227-100000-run-1" / "out.log"
        log.parent.mkdir()
        log.write_text("".join(f"line {i} [/b]\n" for i in range(500)))
        said = await taken(it, "y")
        assert said == "MVP-1.0 ViT 1M Scaling: running, R² 0.7132 (demo)\nR² = 0.71 [/b]"
        assert it.toasts[-1] == "copied: MVP 1.0 and its conclusion"
        said = await taken(it, "y", pane="gates")
        assert "Gate-2 LightGBM 1M Baseline 对比: fail, LGBM 0.71 > ViT 0.69" in said
        assert await taken(it, "y", pane="jobs") == str(it.app.front.selected_job().paths.folder)  # type: ignore[union-attr]
        said = await taken(it, "y", pane="log")
        assert said.endswith("epoch 39: loss [/bold] 39\n")
        assert 1 < said.count("\n") < 40
        said = await taken(it, "7", "j", "y")
        assert said.startswith("Gate-2 LightGBM")
        assert "\n" not in said
        await it.press("6")
        await it.until(lambda: "0.69" in it.text())
        assert "test/r2/log_g" in await taken(it, "y") or "test/mae/log_g\t0.1" in it.app.clipboard
        await it.press("4")
        await it.until(lambda: it.app.front.NAME == "log")
        it.app.front.select(next(one.paths.name for one in lab.view.jobs if one.eta == 2820.0))
        await it.until(lambda: "line 499" in it.text())
        shown = await taken(it, "y")
        assert shown.endswith("line 499 [/b]\n")
        assert 10 < shown.count("\n") < 45
        log_screen = it.app.front
        assert isinstance(log_screen, LogScreen)
        reading = log_screen.pager.reading
        await it.press("k")
        await it.until(lambda: reading.page.lines[-1].text == "line 498 [/b]")
        await it.press("k")
        await it.until(lambda: reading.page.lines[-1].text == "line 497 [/b]")
        await it.press("space", "G")
        await it.until(lambda: reading.page.lines[-1].text == "line 499 [/b]")
        assert "marked, y copies from there on" in str(log_screen._pane.border_subtitle)
        assert (await taken(it, "y")).count("\n") == shown.count("\n") + 2


async def test_y_copies_an_edit_and_enter_writes_it(stage: Open) -> None:
    async with stage() as it:
        await it.press("8")
        await it.until(lambda: "MVP-2.0" in it.text())
        await it.press("y")
        await it.until(lambda: it.toasts)
        assert it.app.clipboard.startswith("MVP-2.0: R² = 0.61\n--- a/roadmaps")
        await it.press("enter")
        await it.until(lambda: ("write", "2.0", None) in it.lab.asked)


async def test_what_is_too_long_for_a_clipboard_is_refused(stage: Open) -> None:
    async with stage() as it:
        await it.app.selection.copy_text("x" * 80_000, "a log")
        await it.until(lambda: it.toasts)
        assert it.toasts[-1] == "a log: 80 kB is too large for the clipboard"


# the editor


@pytest.mark.parametrize(
    ("editor", "words"),
    [
        ("vim -u NONE", ["vim", "-u", "NONE", "+7", "/lab/a b.md"]),
        ("/usr/bin/nano", ["/usr/bin/nano", "+7", "/lab/a b.md"]),
        ("hx", ["hx", "/lab/a b.md:7"]),
        ("code --wait", ["code", "--wait", "-g", "/lab/a b.md:7"]),
        ("'my editor'", ["my editor", "/lab/a b.md"]),
    ],
)
def test_each_editor_takes_the_line_its_own_way(editor: str, words: list[str]) -> None:
    assert editor_command({"EDITOR": editor}, Path("/lab/a b.md"), 7) == words
    assert editor_command({"VISUAL": editor, "EDITOR": "ed"}, Path("/lab/a b.md"), 7) == words


def test_an_editor_that_is_missing_or_fails_is_said_in_a_line() -> None:
    for environment in ({}, {"EDITOR": " "}, {"EDITOR": "vi '"}):
        with pytest.raises(UsageError, match="editor"):
            editor_command(environment, Path("/lab/a.md"), 1)
    with pytest.raises(UsageError, match="no-such-editor: No such file"):
        run_editor(["no-such-editor", "x"])
    with pytest.raises(UsageError, match="exited with status 3"):
        run_editor(["sh", "-c", "exit 3"])


async def test_e_opens_the_editor_where_the_thing_is_written(
    stage: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "argv"
    script = tmp_path / "vi"
    script.write_text(f'#!/bin/sh\necho "$@" >> {out}\n')
    script.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "")
    lab = FakeLab(files=tmp_path)
    async with stage(lab=lab) as it:
        await it.press("e")
        await it.until(lambda: it.toasts)
        assert it.toasts[-1].startswith("no editor is set: export EDITOR=vim")
        monkeypatch.setenv("EDITOR", str(script))
        await it.press("e")
        await it.until(lambda: any("cannot be opened here" in toast for toast in it.toasts))
        monkeypatch.setattr(it.app, "suspend", contextlib.nullcontext)
        for number, keys in enumerate((["1", "e"], ["2", "e"], ["7", "e"]), 1):
            await it.press(*keys)
            await it.until(lambda n=number: out.exists() and out.read_text().count("\n") == n)  # type: ignore[misc]
        await it.press("8")
        await it.until(lambda: "MVP-2.0" in it.text())
        await it.press("j", "e")
        await it.until(lambda: out.read_text().count("\n") == 4)
        assert out.read_text().split("\n") == [
            f"+7 {tmp_path / ROADMAP}",
            f"+3 {tmp_path / 'experiments/one.yaml'}",
            f"+1 {Path('/lab') / ROADMAP}",
            f"+7 {Path('/lab') / ROADMAP}",
            "",
        ]


# files


async def exported(it: Stage, words: str) -> str:
    before = len(it.lab.exported)
    await it.press("E")
    await it.until(lambda: "Write to exports/" in it.text())
    await it.press(*words, "enter")
    await it.until(lambda: len(it.lab.exported) > before)
    return it.lab.exported[-1]


async def test_a_view_becomes_text_csv_or_a_picture(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        seen = it.text()
        text = await exported(it, "text")
        assert "Write to" not in text
        assert text.count("\n") == 24
        assert "ViT 1M Scaling" in text
        assert "ViT 1M Scaling" in seen
        rows = list(csv.reader((await exported(it, "csv")).splitlines()))
        assert rows[0] == ["MVP", "Status", "Name", "Gate", "R²", "Ceil.", "Age"]
        assert rows[3] == ["2.0", "next", "LightGBM 1M Baseline 同口径", "2", "", "", ""]
        assert len(rows) == 9
        picture = await exported(it, "svg")
        assert picture.startswith("<svg")
        assert "Write" not in picture
        assert "http" not in picture.replace("http://www.w3.org/", "").replace(
            "https://www.textualize.io", ""
        )
        await it.until(lambda: it.toasts)
        assert it.toasts[-1] == "written: exports/roadmap.svg"
        await it.go("curve")
        rows = list(csv.reader((await exported(it, "csv")).splitlines()))
        assert rows[0] == ["run", "epoch", "R² log_g (val)"]
        assert rows[1] == ["1.0 Run 1", "0", "-20"]
        assert len(rows) > 100
        await it.press("3")
        await it.until(lambda: it.app.front.table_rows() is not None)
        rows = list(csv.reader((await exported(it, "csv")).splitlines()))
        assert rows[0] == ["job", "run", "step", "epoch", "seconds", "val/r2/log_g"]
        assert len(rows) > 100


async def test_a_view_without_a_table_is_no_csv(stage: Open) -> None:
    async with stage() as it:
        await it.press("4", "E")
        assert "the screen as text" in it.text()
        assert "CSV" not in it.text()


def test_no_cell_is_a_formula_and_numbers_stay() -> None:
    table = Table(("a", "b"), [("=1+1", "-0.5"), ("- queued", "@x"), ("字,\x1b", "-")])
    assert as_csv(*table) == "a,b\n'=1+1,-0.5\nqueued,'@x\n\"字,\",-\n"


def test_a_file_is_never_replaced_and_never_outside(tmp_path: Path) -> None:
    lab = LabPaths(tmp_path / "lab")
    lab.root.mkdir()
    first = save_new(lab, "a/../b", "txt", "one")
    second = save_new(lab, "a/../b", "txt", "two")
    assert (first.name, second.name) == ("a-..-b.txt", "a-..-b-2.txt")
    assert (first.read_text(), second.read_text()) == ("one", "two")
    assert sorted(path.name for path in first.parent.iterdir()) == [second.name, first.name]
    for path in first.parent.iterdir():
        path.unlink()
    first.parent.rmdir()
    first.parent.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="outside the lab"):
        save_new(lab, "x", "txt", "")


# the bug report


async def test_shift_b_shows_copies_and_writes_what_a_bug_report_needs(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        it.app.notify("the disk is full [/b]", severity="error")
        await it.press("B")
        await it.until(lambda: "screens open" in it.text())
        screen = it.app.screen
        assert isinstance(screen, DebugScreen)
        assert "the disk is full [/b]" in screen.text
        await it.press("y", "j", "k")
        await it.until(lambda: it.app.clipboard == screen.text)
        await it.press("E")
        await it.until(lambda: it.lab.exported == [screen.text])
        await it.press("escape", "escape")  # the error, then the report
        assert it.at_home
