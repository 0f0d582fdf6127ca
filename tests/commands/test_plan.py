"""Commands on documents: in a lab and on a lone file, for people and for programs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vitlab.cli import main

ROADMAP = """\
# Plan

### Gate-1: Good enough

| Item | Content |
|------|---------|
| MVP | MVP-1.0 |
| If R² > 0.70 | ✅ go on |
| Status | ⏳ planned |

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | The run | 1 | Gate-1 | ⏳ | - | [gone](./exp_gone.md) |

| Priority | MVP | Gate | Status |
|----------|-----|------|--------|
| P0 | MVP-1.0 | Gate-1 | 🚀 |
"""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A roadmap outside any lab."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plan.md"
    path.write_text(ROADMAP, encoding="utf-8")
    return path


def test_status_of_a_lone_document(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "plan.md", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record) == {"roadmap", "mvps", "gates", "next", "passed_over"}
    assert record["passed_over"] == []
    assert record["next"] == "1.0"
    assert record["mvps"] == [
        {
            "id": "1.0",
            "name": "The run",
            "phase": "1",
            "gate": "Gate-1",
            "status": "planned",
            "status_text": "⏳",
            "exp_id": None,
            "report": "./exp_gone.md",
            "line": 13,
        }
    ]
    (gate,) = record["gates"]
    assert gate == {
        "id": "1",
        "title": "Good enough",
        "status": "planned",
        "rules": [{"if": "R² > 0.70", "then": "✅ go on"}],
        "verdict": "open",
        "by_hand": None,
        "line": 3,
    }
    assert main(["status", "plan.md"]) == 0
    assert "next: 1.0" in capsys.readouterr().out


def test_words_that_no_document_can_hold_are_refused(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is written; such a name of a file is as good as another."""
    change = ["set", "plan.md", "--mvp", "1.0", "--status", "done"]
    for words in (["--because", "bad\udcff"], ["--because=bad\udcff"]):
        assert main([*change, *words]) == 2
        assert "'bad\\udcff': holds bytes that are no UTF-8" in capsys.readouterr().err
    assert alone.read_text(encoding="utf-8") == ROADMAP
    named = Path("plan\udcff.md")
    named.write_text(ROADMAP, encoding="utf-8")
    assert main(["status", str(named)]) == 0


def test_what_is_never_next_is_named(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = alone.read_text(encoding="utf-8").replace("⏳", "🚀 阻塞")
    alone.write_text(text, encoding="utf-8")
    assert main(["status", "plan.md"]) == 0
    printed = capsys.readouterr().out
    assert "next: nothing\nskipped: 1.0 (line " in printed
    assert main(["status", "plan.md", "--json"]) == 0
    (held,) = json.loads(capsys.readouterr().out)["passed_over"]
    assert held["id"] == "1.0"


def test_one_spoilt_roadmap_hides_no_other(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = alone.with_name("roadmaps")
    folder.mkdir()
    alone.with_name("experiments").mkdir()
    (folder / "a_roadmap.md").write_bytes(b"\xff")
    (folder / "b_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    assert main(["status", "--json"]) == 2
    said = capsys.readouterr()
    assert [one["roadmap"] for one in json.loads(said.out)["roadmaps"]] == ["roadmaps/b_roadmap.md"]
    assert "a_roadmap.md" in said.err


def test_gates_of_a_lone_document(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gates", "plan.md", "--json"]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert set(verdict) == {"id", "status", "verdict", "by_hand", "because", "rule", "values"}
    assert verdict["verdict"] == "open"


def test_a_gates_reason_is_whole_where_no_terminal_is_too_narrow(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = "If R² > 0.70" + " and the residuals show no trend with magnitude" * 10
    alone.write_text(ROADMAP.replace("If R² > 0.70", rule), encoding="utf-8")
    assert main(["gates", "plan.md", "--json"]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    assert main(["gates", "plan.md"]) == 0
    assert verdict["because"] in capsys.readouterr().out


def test_set_and_undo_on_a_lone_document(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "plan.md", "--mvp", "1.0", "--status", "done", "--dry-run"]) == 0
    assert alone.read_text(encoding="utf-8") == ROADMAP
    assert main(["set", "plan.md", "--mvp", "1.0", "--status", "done"]) == 0
    assert "| P0 | MVP-1.0 | Gate-1 | ✅ |" in alone.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["undo"]) == 0
    assert capsys.readouterr().out == f"undone: MVP-1.0: status done\nrestored {alone}\n"
    assert alone.read_text(encoding="utf-8") == ROADMAP
    assert main(["undo"]) == 2
    assert main(["redo"]) == 0
    assert alone.read_text(encoding="utf-8") != ROADMAP
    assert main(["redo"]) == 2


def test_a_document_open_in_an_editor_is_said(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.with_name(".plan.md.swp").touch()
    assert main(["set", "plan.md", "--mvp", "1.0", "--status", "done"]) == 0
    assert "plan.md is open in an editor (.plan.md.swp)" in capsys.readouterr().err


def test_lint_says_where_and_mends_what_is_safe(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", "plan.md", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(one["line"], one["kind"]) for one in found] == [(17, "status-conflict")]
    assert "fix" in found[0]
    assert main(["lint", "plan.md", "--fix"]) == 0
    assert "+| P0 | MVP-1.0 | Gate-1 | ⏳ |" in capsys.readouterr().out
    assert main(["lint", "plan.md"]) == 0


def test_an_experiment_file_that_cannot_be_launched_is_named(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (alone.parent / "vitlab.yaml").touch()
    folder = alone.parent / "experiments"
    folder.mkdir()
    head = 'mvp: "1.0"\nroadmap: plan.md\nrecipe: command\n'
    (folder / "a.yaml").write_text(head + "hedline: x\n")
    (folder / "b.yaml").write_text(head + "config:\n  argv: [a]\n  cwd: [\n")
    said = ["a.yaml:4: hedline: unknown key; did you mean headline?", "b.yaml:7: "]
    assert main(["status", "plan.md"]) == 0
    lines = capsys.readouterr().err.splitlines()
    for line, text in zip(lines, said, strict=True):
        assert line.startswith(f"vitlab: experiments/{text}")
    assert main(["lint", "plan.md", "--json"]) == 1
    found = [one for one in json.loads(capsys.readouterr().out) if one["kind"] == "experiment"]
    assert [(one["file"], one["line"]) for one in found] == [
        ("experiments/a.yaml", 4),
        ("experiments/b.yaml", 7),
    ]
    assert found[0]["message"].startswith("hedline: unknown key; did you mean headline?")


def test_lint_in_a_lab_looks_for_the_reports(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.with_name("vitlab.yaml").write_text("profile: smoke\n", encoding="utf-8")
    assert main(["lint", "plan.md"]) == 1
    assert "plan.md:13: dead-link" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "nowhere.md"], "nowhere.md: no such file"),
        (["status"], "no lab"),
        (["lint", "plan_roadmap.md"], "plan_roadmap.md: is a folder"),
        (["set", "plan.md", "--mvp", "9", "--status", "done"], "no MVP '9'"),
        (["set", "plan.md", "--mvp", "1.0", "--status", "finished"], "finished"),
    ],
)
def test_mistakes_are_one_line(
    alone: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (alone.parent / "plan_roadmap.md").mkdir()
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert alone.read_text(encoding="utf-8") == ROADMAP


def test_a_wrong_word_on_the_command_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stauts"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


HUB = """\
# Hub

**Beliefs**:
- ✅ A ViT learns log g

## Hypotheses

```
├── Q1: does it scale? ✅
└── Q2: which tokens? ⏳
```

**Next steps**:
- larger nets

| Indicator | Value | Condition | Source |
|-----------|-------|-----------|--------|
| ViT R² | 0.711 | 1M | exp_a |
"""


def test_a_hub_says_what_is_believed(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = alone.parent / "plan_hub.md"
    hub.write_text(HUB, encoding="utf-8")
    assert main(["hub", str(hub), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [point["status"] for point in said["hypotheses"]] == ["done", "planned"]
    assert [point["text"] for point in said["next_steps"]] == ["larger nets"]
    assert said["beliefs"][0]["line"] == 4
    assert said["key_numbers"][0]["value"] == "0.711"
    assert main(["hub", str(hub)]) == 0
    text = capsys.readouterr().out
    assert text.index("BELIEFS") < text.index("Q2: which tokens?") < text.index("KEY NUMBERS")
    (alone.parent / "vitlab.yaml").write_text("{}\n", encoding="utf-8")
    (alone.parent / "roadmaps").mkdir()
    alone.rename(alone.parent / "roadmaps/plan_roadmap.md")
    assert main(["hub"]) == 2
    assert "plan_roadmap.md: names no hub that exists" in capsys.readouterr().err


FOREIGN = """| Milestone | Due | State |
|---|---|---|
| M1 | June | done |
| M2 | July | in progress |

| Task ID | Task | Priority | Status |
|---|---|---|---|
| T-001 | read | P0 | done |
"""


def test_a_plan_by_others_is_explained_once(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.write_text(FOREIGN, encoding="utf-8")
    assert main(["status", "plan.md"]) == 2
    error = capsys.readouterr().err
    assert "line 1: Milestone | Due | State; line 6: Task ID | Task | Priority | Status" in error
    assert '--as "Milestone=id, State=status"' in error
    assert main(["status", "plan.md", "--as", "Milestone=id, Due=nothing"]) == 2
    assert "column 'nothing': one of id, mvp, name" in capsys.readouterr().err
    assert main(["status", "plan.md", "--as", "Phase=id"]) == 2
    assert not (alone.parent / "vitlab.yaml").exists()
    capsys.readouterr()
    assert main(["status", "plan.md", "--as", "Milestone=id, State=status", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [(m["id"], m["status"]) for m in first["mvps"]] == [("M1", "done"), ("M2", "running")]
    assert main(["status", "plan.md", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main(["set", "plan.md", "--mvp", "M2", "--status", "done"]) == 0
    assert "| M2 | July | done |" in alone.read_text(encoding="utf-8")


def test_phases_are_read_without_a_word_and_that_is_told(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.write_text("| Phase | Status |\n|---|---|\n| Phase 1: Core | ⏳ |\n", encoding="utf-8")
    assert main(["status", "plan.md"]) == 0
    printed = capsys.readouterr()
    assert "next: Phase 1" in printed.out
    assert "no table of MVPs; the rows below 'Phase' (line 1) are read as such" in printed.err


def test_what_only_the_journal_restores_is_named(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ("| 1.0 | ViT | ✅ PASS (R²=0.7) |", "| 1.1 | ridge | ✅ |")
    alone.write_text("\n".join(["| MVP | Name | Status |", "|---|---|---|", *rows, ""]))
    first = alone.read_bytes()
    assert main(["set", str(alone), "--mvp", "1.0", "--status", "running"]) == 0
    err = capsys.readouterr().err
    assert "`vitlab undo` or setting the old status brings them back: line 3: | 1.0 | ViT" in err
    assert main(["set", str(alone), "--mvp", "1.0", "--status", "done"]) == 0
    assert alone.read_bytes() == first
    assert main(["set", str(alone), "--mvp", "1.1", "--status", "running"]) == 0
    assert "journal" not in capsys.readouterr().err


BOARD = """\
┌──────────────┬──────────────┬──────────────┐
│ ⏳ TODO      │ 🚀 Running   │ ✅ Done      │
├──────────────┼──────────────┼──────────────┤
│ MVP-3.2 甲   │              │ MVP-3.3      │
└──────────────┴──────────────┴──────────────┘
"""


def test_a_board_in_a_linked_file_follows(alone: Path) -> None:
    folder = alone.parent
    (folder / "vitlab.yaml").touch()
    for name in ("roadmaps", "status"):
        (folder / name).mkdir()
    board, roadmap = folder / "status" / "kanban.md", folder / "roadmaps" / "a_roadmap.md"
    board.write_text(BOARD, encoding="utf-8")
    rows = ("| 3.2 | a | ⏳ |", "| 3.3 | b | ✅ |")
    text = "\n".join(
        ["Board: `status/kanban.md`", "", "| MVP | Name | Status |", "|---|---|---|", *rows]
    )
    roadmap.write_text(text, encoding="utf-8")
    assert main(["set", str(roadmap), "--mvp", "3.2", "--status", "running"]) == 0
    moved = "│              │ MVP-3.2 甲   │ MVP-3.3      │"
    assert moved in board.read_text(encoding="utf-8")
    assert main(["lint", str(board)]) == 0
    assert main(["undo"]) == 0
    assert board.read_text(encoding="utf-8") == BOARD
    # Of two roadmaps with this MVP and board it is not known whose card it is.
    (folder / "roadmaps" / "b_roadmap.md").write_text(text, encoding="utf-8")
    assert main(["set", str(roadmap), "--mvp", "3.2", "--status", "running"]) == 0
    assert board.read_text(encoding="utf-8") == BOARD


def test_a_new_plan_without_mvps_is_shown_and_its_gate_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "plan", "Sky", "--language", "en"]) == 0
    assert main(["new", "gate", "--name", "Deep?", "--condition", "R2 > 0.7"]) == 0
    capsys.readouterr()
    assert main(["status"]) == 0
    assert "next: nothing" in capsys.readouterr().out
    name = "roadmaps/sky_roadmap.md"
    assert main(["set", name, "--gate", "1", "--status", "passed", "--because", "seen"]) == 0
    assert "✅ **PASS: seen**" in Path(name).read_text(encoding="utf-8")
    assert "no result supports it" not in capsys.readouterr().err
    for command in ("gates", "status"):
        assert main([command, name]) == 0
        assert "passed (by hand)" in capsys.readouterr().out
    assert main(["gates", name, "--json"]) == 0
    (gate,) = json.loads(capsys.readouterr().out)
    assert (gate["status"], gate["verdict"], gate["by_hand"]) == ("done", "open", "pass")
    text = Path(name).read_text(encoding="utf-8")
    Path(name).write_text(text.replace("✅ **PASS: seen**", "✅"), encoding="utf-8")
    for command in ("gates", "status"):
        assert main([command, name]) == 0
        assert "done (by hand)" in capsys.readouterr().out
    Path(name).write_text(text, encoding="utf-8")
    assert main(["set", name, "--gate", "1", "--status", "open"]) == 0
    capsys.readouterr()
    assert main(["gates", name]) == 0
    assert "by hand" not in capsys.readouterr().out
    before = Path(name).read_text(encoding="utf-8")
    for more in ([], ["--dry-run"], ["--because", " "]):
        assert main(["set", name, "--gate", "1", "--status", "passed", *more]) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(
            "vitlab: Gate-1: no result supports it: give your reason (--because TEXT); by the "
            "results open: "
        )
    assert Path(name).read_text(encoding="utf-8") == before


def test_files_that_are_no_roadmaps_are_a_line_for_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vitlab.yaml").write_text('documents: ["**/**"]\n')
    (tmp_path / ".git").mkdir()
    for name in ("a.py", "b.py", "c.py", "d.py", ".git/e.py"):
        (tmp_path / name).write_text("x = 1\n")
    for number in range(3):
        (tmp_path / f"{number}.bin").write_bytes(b"\xff" * number + b"\xff\x80\x00")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    for words, lines in ((["status"], 3), (["lint"], 2), (["sync", "--dry-run"], 3)):
        assert main(words) == 2
        told = [one for one in capsys.readouterr().err.splitlines() if "note:" not in one]
        assert len(told) == lines, told
        heads = ", ".join(f"{tmp_path}/{number}.bin" for number in range(3))
        assert any(line.startswith(f"vitlab: 3 documents ({heads}): not UTF-8") for line in told)
        assert any("pipe: cannot be read (is a pipe (FIFO))" in line for line in told)
