"""Statements of a hub and gates, set, added, told and undone by command."""

from pathlib import Path

import pytest

from vitlab.cli import main

HUB = """\
# Hub

Gates: ✅ Gate-2, ⏳ Gate-1

| # | Hypothesis | Status | Evidence |
|---|---|---|---|
| H1 | data | ✅ Confirmed | exp_a |
| H1.2 | depth | ⏳ Open | - |
"""
ROADMAP = """\
# Plan

Hub: a_hub.md

| # | Hypothesis | Status |
|---|---|---|
| H1.2 | depth | ⏳ |

| Gate | MVP | Status | Result |
|---|---|---|---|
| Gate-1 | 1.0 | ⏳ | - |
| Gate-2 | 1.0 | ✅ | - |

| MVP | Name | Status |
|---|---|---|
| 1.0 | one | ⏳ |
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vitlab.yaml").touch()
    (tmp_path / "a_hub.md").write_text(HUB, encoding="utf-8")
    (tmp_path / "a_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    return tmp_path


def texts(lab: Path) -> tuple[str, str]:
    hub, roadmap = lab / "a_hub.md", lab / "a_roadmap.md"
    return hub.read_text(encoding="utf-8"), roadmap.read_text(encoding="utf-8")


def test_a_hypothesis_changes_in_hub_and_roadmap_and_back(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["hub", "set", "h1.2", "--status", "confirmed", "--evidence", "MVP-1.0"]
    assert main([*words, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "+| H1.2 | depth | ✅ Confirmed | MVP-1.0 |" in printed
    assert "+| H1.2 | depth | ✅ |" in printed
    assert texts(lab) == (HUB, ROADMAP)
    assert main(words) == 0
    assert capsys.readouterr().out == printed
    after = texts(lab)
    assert after[0] == HUB.replace("⏳ Open | - |", "✅ Confirmed | MVP-1.0 |")
    assert main(words) == 0
    assert texts(lab) == after
    assert main(["undo"]) == 0
    assert texts(lab) == (HUB, ROADMAP)
    assert main(words[:5]) == 0
    assert main(["hub", "set", "H1.2", "--status", "open"]) == 0
    assert texts(lab) == (HUB, ROADMAP)


def test_a_row_is_added_and_taken_back(lab: Path) -> None:
    assert main(["hub", "add", "h", "width", "--evidence", "exp_b"]) == 0
    assert texts(lab)[0] == HUB + "| H1.3 | width | ⏳ Open | exp_b |\n"
    assert main(["undo"]) == 0
    assert texts(lab) == (HUB, ROADMAP)


def test_a_gate_is_decided_in_roadmap_and_hub(lab: Path) -> None:
    words = ["set", "a_roadmap.md", "--gate", "Gate-1", "--status", "passed"]
    assert main([*words, "--because", "0.7 > 0.6"]) == 0
    hub, roadmap = texts(lab)
    assert "| Gate-1 | 1.0 | ✅ | 0.7 > 0.6 |" in roadmap
    assert hub == HUB.replace("⏳ Gate-1", "✅ Gate-1")
    assert "| 1.0 | one | ⏳ |" in roadmap
    assert main(["undo"]) == 0
    assert texts(lab) == (HUB, ROADMAP)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hub", "set", "H1.3", "--status", "open"], "no 'H1.3'; there are H1.2, H1"),
        (["hub", "set", "H1.2", "--status", "maybe"], "status 'maybe': one of planned"),
        (["hub", "set", "H1.2"], "give --status, --evidence or both"),
        (["hub", "set"], "usage: vitlab hub"),
        (["hub", "add", "X", "text"], "hub add X: one of K, P, I, H, DG, closed, next"),
        (["hub", "add", "K", "text"], "no table or list of consensus"),
        (["hub", "add", "H", "depth"], "a_hub.md:8: already says this"),
        (["hub", "--status", "open"], "belong to `hub set` and `hub add`"),
        (["set", "a_roadmap.md", "--gate", "7", "--status", "passed"], "no gate '7'"),
        (["set", "a_roadmap.md", "--gate", "1", "--status", "closed"], "passed, failed, or"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(
    lab: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert texts(lab) == (HUB, ROADMAP)


def test_of_two_hubs_one_must_be_named(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "b_hub.md").write_text(HUB, encoding="utf-8")
    text = ROADMAP.replace("a_hub", "b_hub")
    (lab / "b_roadmap.md").write_text(text, encoding="utf-8")
    assert main(["hub", "set", "H1.2", "--status", "confirmed"]) == 2
    assert "H1.2 is in a_hub.md, b_hub.md: name one" in capsys.readouterr().err
    assert main(["hub", "add", "H", "width"]) == 2
    assert "there are a_hub.md, b_hub.md" in capsys.readouterr().err
    assert main(["hub", "set", "b_hub.md", "H1.2", "--status", "confirmed"]) == 0
    assert texts(lab) == (HUB, ROADMAP)
    assert (lab / "b_hub.md").read_text(encoding="utf-8") != HUB
