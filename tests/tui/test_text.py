"""Whatever documents and logs say, the screen shows it and never obeys it."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from tests.tui.conftest import Open
from tests.tui.fakes import FakeLab, gate, job, mvp, usual_view, verdict
from vitlab.contract.job import Done, Lost, Queued, Running
from vitlab.contract.terminal import UNSAFE
from vitlab.lab.live.standing import BY_HAND, Standing
from vitlab.tui.standing import document_score, mvp_words
from vitlab.tui.text import (
    HarmlessLines,
    clean,
    duration,
    job_detail,
    job_words,
    metric_name,
    progress_bar,
    short_label,
    state_words,
    status_word,
)
from vitlab.tui.widgets.log_view import LogView


def nasty_view(text: str) -> Any:
    usual = usual_view()
    roadmap = usual.roadmap
    roadmap.title = text
    roadmap.mvps = (mvp(text or "x", text, text, "running", text), mvp("2", text), *roadmap.mvps)
    roadmap.gates = (gate("1", text, (text, text)), gate(text or "y", text, (text, text)))
    return usual_view(
        roadmap=roadmap,
        verdicts={"1": verdict("1", "open", text)},
        problems=(text,),
        next=type(usual.next)(id=text or "x", why=text),
        experiments=frozenset({text or "x"}),
        jobs=(
            job("a", text, Running(0, 1, text), mvp=text, profile=text, health=f"warn: {text}"),
            job("b", text, Queued(0), why=text, mvp=text),
            job("c", text, Done(0, 1, "failed", 1, text), mvp=text),
            job("d", text, Lost(0), mvp=text),
        ),
    )


async def test_brackets_survive_everywhere(stage: Open) -> None:
    text = "[/x] [[a|b]]"
    async with stage(size=(200, 60), lab=FakeLab(view=nasty_view(text), lines=[text])) as it:
        await it.until(lambda: it.app.home.query_one(LogView).line_count)
        await it.settle()
        shown = it.text()
        for line in (
            f" {text}  ",
            "Gate-[/x] [[a|b]]",
            f"! {text}",
        ):
            assert line in shown
        assert shown.count(text) >= 10
        await it.press("7")
        await it.until(lambda: f"then {text}" in it.text())  # a rule, where all gates are


@given(st.text())
def test_clean_leaves_nothing_that_moves_or_hides(text: str) -> None:
    cleaned = clean(text)
    assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert clean(cleaned) == cleaned


def test_words_are_readable_without_colour_and_one_cell_wide() -> None:
    assert status_word("done") == "✓ done"
    assert status_word("done", plain=True) == "v done"
    assert status_word(None) == "? -"
    assert state_words(Done(0, 1, "import_error", 1))[0] == "✗ import error"
    assert state_words(Done(0, 1, "ok", 0), plain=True)[0] == "v done"
    for glyph in "✓✗":
        assert unicodedata.east_asian_width(glyph) == "N"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (-1, ""), (float("nan"), ""), (42, "42s"), (190, "3m10s"), (7500, "2h05m"),
     (356_400, "4d03h")],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_names_and_bars() -> None:
    assert metric_name("val/r2/log_g") == "R² log_g (val)"
    assert metric_name("train/loss") == "loss (train)"
    assert metric_name("odd") == "odd"
    assert progress_bar(5, 10, 4, plain=True) == "##.."
    assert progress_bar(50, 10, 4, plain=True) == "####"
    assert progress_bar(1, 0, 4, plain=True) == "...."


@pytest.mark.parametrize(
    ("run", "profile", "width", "shown"),
    [
        ("lr=0.001,seed=2", "smoke", 30, "1.1 lr=0.001,seed=2 (smoke)"),
        ("lr=0.001,seed=2", "smoke", 22, "1.1 lr=0.001,seed=2(s)"),
        ("lr=0.001,seed=2", "demo", 19, "1.1 lr=0.001,s=2(d)"),
        ("lr=0.001,seed=2", "full", 16, "1.1 lr=0.001,s=2"),
        ("lr=0.001,seed=2", "full", 14, "1.1 lr..01,s=2"),
        ("ViT-XS train_size=1000,seed=42", "demo", 26, "1.1 ViT-XS t=1000,s=42(d)"),
        ("专家专家专家 seed=2", "full", 16, "1.1 专家..家 s=2"),
        ("lr=0.001", "full", 3, "1.."),
    ],
)
def test_a_label_keeps_what_tells_runs_apart(
    run: str, profile: str, width: int, shown: str
) -> None:
    assert short_label(job("j", run, Queued(0), mvp="1.1", profile=profile), width) == shown


def test_a_stop_that_was_asked_for_is_no_failure() -> None:
    assert state_words(Done(0, 1, "killed", None, "stopped on request")) == ("■ stopped", "muted")
    assert state_words(Done(0, 1, "killed", None, "stopped on request"), True)[0] == "# stopped"
    assert state_words(Done(0, 1, "killed", None, "ended by SIGTERM")) == ("✗ killed", "error")


def test_a_stopped_job_says_how_far_it_came_and_how_it_goes_on() -> None:
    ended = Done(0, 1, "killed", None, "stopped on request")
    assert job_detail(job("a", "one", ended, step=123, of=1000)) == "stopped 123/1000 (c resumes)"
    never = Done(0, 1, "killed", None, "stopped before it began")
    assert job_detail(job("a", "one", never, step=0, of=0)) == "stopped (c resumes)"
    dropped = Done(0, 1, "killed", None, "lost, then dropped")
    assert job_words(job("a", "one", dropped)) == ("■ stopped", "muted")
    killed = Done(0, 1, "killed", None, "by signal 9")
    assert (job_words(job("a", "one", killed))[1], job_detail(job("a", "one", killed))) == (
        "error", "by signal 9",
    )  # fmt: skip


def test_a_job_put_aside_is_not_queued_and_nothing_runs_where_none_does() -> None:
    assert job_words(job("a", "one", Queued(0.0), held=True)) == ("= held", "warning")
    one, view = mvp("1.0", "a", status="running"), usual_view()
    for word, words in (
        (None, ("> running", "accent")),
        ("queued", ("- queued", "")),
        ("held", ("= held", "warning")),
        ("ended", ("? ended", "warning")),
        (BY_HAND, ("· running (document)", "muted")),
    ):
        view.standings = {"1.0": Standing(word, "0.713")}
        assert mvp_words(one, view.standings) == words
        assert mvp_words(one, view.standings, plain=True)[0].isascii()
        short = mvp_words(one, view.standings, room=40)[0]
        assert short == words[0].replace("running (document)", "(running)")
        assert document_score(one, view) == "0.713 (document)"
        assert document_score(one, view, 40) == "(0.713)"
    assert mvp_words(mvp("1.0", "a", status="planned"), {}) == ("- planned", "")


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_nothing_on_the_screen_runs_where_no_job_does(
    stage: Open, size: tuple[int, int]
) -> None:
    usual = usual_view()
    view = usual_view(
        jobs=(job("a", "one", Queued(0.0), held=True, why="held: release it to run"),),
        standings={
            "1.0": Standing("held"),
            "1.1": Standing(None, "0.662"),
            **{one.id: Standing(BY_HAND) for one in usual.roadmap.mvps[2:]},
        },
    )
    view.roadmap.mvps[0].status = "running"
    async with stage(size=size, lab=FakeLab(view=view)) as it:
        await it.until(lambda: "= held" in it.text())
        shown = it.text()
        assert "idle" in shown
        assert "1 held: p release" in shown
        assert "> running" not in shown
        for words in ("running (document)", "0.662 (document)"):
            assert (words in shown) is (size[0] == 80)  # the plan is as wide as the screen
        assert "0.662" in shown


def test_a_line_that_is_drawn_holds_nothing_a_terminal_obeys() -> None:
    """Of whatever widget, and in as many cells."""
    texts = ["a\x1b]0;x\x07", "\x9b31m\u202e中\u200b", "\xad\x08ok 👨\u200d👩"]
    drawn = HarmlessLines().apply([Segment(text) for text in texts], Color(0, 0, 0))
    assert not UNSAFE.search("".join(segment.text for segment in drawn))
    assert [segment.cell_length for segment in drawn] == [cell_len(text) for text in texts]
    assert drawn[2].text.endswith("ok 👨\u200d👩")
    fine = [Segment("fine")]
    assert HarmlessLines().apply(fine, Color(0, 0, 0)) is fine
