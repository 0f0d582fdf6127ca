"""One change of a status reaches every file beside the roadmap, or the file is named."""

from pathlib import Path

import pytest

from vitlab.cli import main

ROADMAP = """\
Board `status/kanban.md`, [list](../status/checklist.md), `next_steps.md`, hub `{name}_hub.md`

| MVP | 名称 | 状态 | exp_id | 报告 |
|---|---|---|---|---|
| 1.0 | a | ⏳ | `VIT-20260101-{name}-01` | [x](./exp/exp_{name}.md) |
| 1.1 | b | ✅ | `VIT-20260101-{name}-02` | - |

**状态**: ⏳计划 | 🔴就绪 | 🚀运行 | ✅完成 | ❌取消
"""
FILES = {
    "status/kanban.md": """\
┌──────────────┬──────────────┐
│ ⏳ TODO      │ ✅ Done      │
├──────────────┼──────────────┤
│ MVP-1.0 甲   │ MVP-1.1      │
└──────────────┴──────────────┘

| experiment_id | 路径 | 状态 |
|---|---|---|
| `VIT-20260101-a-01` | x | ⏳ |
| `VIT-20260101-z-01` | x | ⏳ |

- [ ] VIT-20260101-a-01: later
""",
    "status/checklist.md": "- [ ] MVP-1.0 Baseline\n- [ ] MVP-1.2 of nobody\n",
    "roadmaps/next_steps.md": "1. **MVP-1.0** ⏳ run it\r\n",
    "roadmaps/a_hub.md": """\
> **Status:** 🔄

| 假设 | 证据 | 状态 |
|---|---|---|
| H1 | MVP-1.0 | ❌ 不成立 |

- [ ] MVP-1.0 跑完
""",
    "roadmaps/exp/exp_a.md": """\
# 📗 实验报告：A
> **ID:** `VIT-20260101-a-01` | **MVP:** MVP-1.0
> **状态**：⏳ 待启动

## 假设
| 假设 | 状态 |
|---|---|
| H1.1 | ⏳ |
""",
    "experiments/VIT-20260101-a-01/notes.md": "---\nstatus: planned\n---\n# Notes\n",
    "experiments/card_mvp_1.0.md": "# MVP-1.0: a (⏳)\n\nStatus: planned\n",
}
DONE = {
    "status/kanban.md": """\
┌──────────────┬──────────────┐
│ ⏳ TODO      │ ✅ Done      │
├──────────────┼──────────────┤
│              │ MVP-1.0 甲   │
│              │ MVP-1.1      │
└──────────────┴──────────────┘

| experiment_id | 路径 | 状态 |
|---|---|---|
| `VIT-20260101-a-01` | x | ✅ |
| `VIT-20260101-z-01` | x | ⏳ |

- [x] VIT-20260101-a-01: later
""",
    "status/checklist.md": "- [x] MVP-1.0 Baseline\n- [ ] MVP-1.2 of nobody\n",
    "roadmaps/next_steps.md": "1. **MVP-1.0** ✅ run it\r\n",
    "roadmaps/a_hub.md": FILES["roadmaps/a_hub.md"].replace("[ ]", "[x]"),
    "roadmaps/exp/exp_a.md": FILES["roadmaps/exp/exp_a.md"].replace("⏳ 待启动", "✅ 完成"),
    "experiments/VIT-20260101-a-01/notes.md": "---\nstatus: done\n---\n# Notes\n",
    "experiments/card_mvp_1.0.md": "# MVP-1.0: a (✅)\n\nStatus: done\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "vitlab.yaml").touch()
    for name, text in {**FILES, "roadmaps/a_roadmap.md": ROADMAP.format(name="a")}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_bytes().decode() for name in FILES}


def set_to(status: str) -> None:
    assert main(["set", "roadmaps/a_roadmap.md", "--mvp", "1.0", "--status", status]) == 0


def test_a_status_reaches_every_file_and_comes_back(folder: Path) -> None:
    set_to("done")
    assert texts(folder) == DONE
    set_to("planned")
    assert texts(folder) == FILES
    set_to("done")
    assert main(["undo"]) == 0
    assert texts(folder) == FILES


def test_a_place_of_two_roadmaps_is_left_alone_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "roadmaps/b_roadmap.md").write_text(ROADMAP.format(name="b"), encoding="utf-8")
    set_to("done")
    # What an exp_id tells is certain; an id alone is not.
    sure = ("roadmaps/exp/exp_a.md", "roadmaps/a_hub.md", "experiments/VIT-20260101-a-01/notes.md")
    board = FILES["status/kanban.md"].replace("a-01` | x | ⏳", "a-01` | x | ✅")
    board = board.replace("[ ] VIT", "[x] VIT")
    certain = {**{name: DONE[name] for name in sure}, "status/kanban.md": board}
    assert texts(folder) == {**FILES, **certain}
    places = (
        "status/kanban.md:4", "status/checklist.md:1", "roadmaps/next_steps.md:1",
        "experiments/card_mvp_1.0.md:1",
    )  # fmt: skip
    reason = "left alone: roadmaps/b_roadmap.md has an MVP 1.0 too"
    assert capsys.readouterr().err.splitlines() == [f"{place}: {reason}" for place in places]
    # Nor what one that cannot be read for the moment may have.
    assert main(["undo"]) == 0
    capsys.readouterr()
    with (folder / "roadmaps/b_roadmap.md").open("ab") as file:
        file.write(b"\xff\xfe")
    set_to("done")
    reason = "left alone: roadmaps/b_roadmap.md cannot be read and may have an MVP 1.0 too"
    assert {f"{place}: {reason}" for place in places} <= set(capsys.readouterr().err.splitlines())
    now = texts(folder)
    for name in ("status/checklist.md", "roadmaps/next_steps.md", "experiments/card_mvp_1.0.md"):
        assert now[name] == FILES[name]


def test_a_report_of_several_mvps_is_left_alone_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "roadmaps/a_roadmap.md"
    path.write_text(ROADMAP.format(name="a").replace("| - |", "| [x](exp/exp_a.md) |"))
    report = folder / "roadmaps/exp/exp_a.md"
    report.write_text("# A\n> **Status:** ⏳\n", encoding="utf-8")
    set_to("done")
    assert report.read_text(encoding="utf-8") == "# A\n> **Status:** ⏳\n"
    name, why = (
        "roadmaps/exp/exp_a.md",
        "its header does not say which MVP it reports on (1.0, 1.1)",
    )
    assert f"{name}: left alone: {why}" in capsys.readouterr().err
    report.write_text("# A\n> **MVP:** MVP-1.1 | **Status:** ⏳\n", encoding="utf-8")
    set_to("planned")
    assert "⏳" in report.read_text(encoding="utf-8")


def test_an_item_below_a_heading_of_another_status_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = "## 🚀 Running\n\n- [ ] MVP-1.0\n\n## ✅ Done (2025-12-01)\n\n- VIT-20260101-a-01: x\n"
    (folder / "status/checklist.md").write_text(notes, encoding="utf-8")
    set_to("running")
    assert capsys.readouterr().err == ""
    set_to("done")
    line = "status/checklist.md:3: MVP 1.0 is below '🚀 Running': move it by hand"
    assert line in capsys.readouterr().err.splitlines()
    text = (folder / "status/checklist.md").read_text(encoding="utf-8")
    assert text == notes.replace("[ ]", "[x]")


@pytest.mark.parametrize(
    ("name", "head", "follows"),
    [
        ("mvp_1.0_data.md", "# Data of MVP-1.0\n", False),
        ("review_of_mvp_1.0.md", "# Review\n", False),
        ("mvp_1.0_vs_1.1.md", "# MVP-1.0 vs MVP-1.1\n", False),
        ("mvp_1.0_data.md", "# MVP-1.0: data\n", True),
        ("mvp_1.0_data.md", "# Data\n> **MVP:** MVP-1.0\n", True),
        ("mvp_1.0_data.md", "# Data\n> **ID:** `VIT-20260101-a-01`\n", True),
        ("MVP-1.0_notes_2026-01-01.md", "# Notes\n", True),
        ("exp_mvp_1.0_wide.md", "# Wide\n", True),
    ],
)
def test_a_name_that_says_more_is_not_enough(
    folder: Path, name: str, head: str, follows: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    note = folder / "roadmaps" / name
    note.write_text(f"{head}> Status: ✅ complete\n", encoding="utf-8")
    set_to("running")
    assert ("Status: 🚀" in note.read_text(encoding="utf-8")) == follows
    assert (f"{name}: left alone" in capsys.readouterr().err) == (not follows)


def test_a_board_that_the_settings_name_follows(folder: Path) -> None:
    (folder / "vitlab.yaml").write_text('documents: ["roadmaps/*_roadmap.md", "b/*.md"]\n')
    (folder / "b").mkdir()
    (folder / "b/todo.md").write_text("- [ ] MVP-1.0\n")
    set_to("done")
    assert (folder / "b/todo.md").read_text() == "- [x] MVP-1.0\n"


@pytest.mark.parametrize(
    ("head", "done"),
    [
        ("> **Author:** X | **Status:** 🔄 running  ", "> **Author:** X | **Status:** ✅ done  "),
        ("| Status | **🔄 Running** |\n|---|---|", "| Status | **✅ Done** |\n|---|---|"),
        ("Status: running", "Status: done"),
        ("- **Status**: running (ep 3/9)", "- **Status**: done"),
        ("**Status: running**", "**Status: done**"),
        ("> 🚦 **状态：** ⏳ 待启动 · 2026-01-01", "> 🚦 **状态：** ✅ 完成 · 2026-01-01"),
        ("> **Status:** 🔄/✅", "> **Status:** 🔄/✅"),
        ("> **Verdict:** ❌ FAIL", "> **Verdict:** ❌ FAIL"),
        ("## Gate-1\n\n实验状态: ⏳", "## Gate-1\n\n实验状态: ⏳"),
        ("## Notes\n\n- 实验状态: ⏳", "## Notes\n\n- 实验状态: ✅"),
        ("## H1\n\nStatus: ⏳", "## H1\n\nStatus: ⏳"),
        ("```\nStatus: running\n```", "```\nStatus: running\n```"),
        ("<!-- Status: running -->", "<!-- Status: running -->"),
    ],
)  # fmt: skip
def test_the_heads_of_reports(folder: Path, head: str, done: str) -> None:
    report = folder / "roadmaps/exp/exp_a.md"
    report.write_text(f"# A\n{head}\n", encoding="utf-8")
    set_to("done")
    assert report.read_text(encoding="utf-8") == f"# A\n{done}\n"
    assert main(["undo"]) == 0
    assert report.read_text(encoding="utf-8") == f"# A\n{head}\n"


@pytest.mark.parametrize(
    ("head", "is_own"),
    [
        ("> **ID:** `OTHER-77` | **Baseline:** `VIT-20260101-a-02` | **Status:** ✅", False),
        ("> **ID:** `VIT-20260101-a-020` | **Status:** ✅", False),
        ("> **ID:** `OLD-VIT-20260101-a-02` | **Status:** ✅", False),
        ("> Compare `VIT-20260101-a-02`\n\nStatus: ✅", False),
        ("> **ID:** `VIT-20260101-a-02` | **Status:** ✅", True),
        ("| Key | Value |\n|---|---|\n| exp_id | VIT-20260101-a-02 |\n\nStatus: ✅", True),
        ("**实验 ID**：VIT-20260101-A-02\n\nStatus: ✅", True),
    ],
)
def test_only_a_reports_own_experiment_tells_whose_it_is(
    folder: Path, head: str, is_own: bool
) -> None:
    report = folder / "roadmaps/exp/exp_other_20260101.md"
    report.write_text(f"# Other\n{head}\n", encoding="utf-8")
    before = report.read_text(encoding="utf-8")
    assert main(["set", "roadmaps/a_roadmap.md", "--mvp", "1.1", "--status", "running"]) == 0
    expected = before.replace("✅", "🚀") if is_own else before
    assert report.read_text(encoding="utf-8") == expected


def test_a_copy_of_the_linked_report_stays_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = folder / "roadmaps/exp/exp_a.md"
    before, copy = report.read_text("utf-8"), report.with_name("exp_a.bak.md")
    other = report.with_name("exp_a_second.md")
    copy.write_text(before, "utf-8")
    other.write_text(before.replace("实验报告：A", "Second part"), "utf-8")
    set_to("done")
    assert copy.read_text("utf-8") == before
    assert "⏳ 待启动" not in report.read_text("utf-8") + other.read_text("utf-8")
    told = "roadmaps/exp/exp_a.bak.md is a copy of roadmaps/exp/exp_a.md, and stays as it is"
    assert told in capsys.readouterr().err


def test_a_link_in_a_circle_is_named_and_stops_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("roadmaps/loop_roadmap.md", "roadmaps/loop_notes.md"):
        (folder / name).symlink_to(Path(name).name)
    set_to("done")
    assert texts(folder) == DONE
    assert main(["lint", "roadmaps/a_roadmap.md"]) in (0, 1)
    assert main(["new", "mvp", "--roadmap", "roadmaps/a_roadmap.md", "--name", "x"]) == 0
    assert "loop" not in capsys.readouterr().err
    assert main(["lint"]) == 2
    assert "loop_roadmap.md: cannot be read" in capsys.readouterr().err


def test_a_box_that_only_the_journal_fills_again_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = folder / "roadmaps/b_roadmap.md"
    plan.write_text("# Plan\n\n- [x] 1.1 a\n- [-] 1.2 b\n", encoding="utf-8")
    command = ["set", "roadmaps/b_roadmap.md", "--mvp", "1.2", "--status"]
    assert main([*command, "done"]) == 0
    told = capsys.readouterr().err
    assert "roadmaps/b_roadmap.md" in told
    assert "line 4: - [-] 1.2 b" in told
    assert main([*command, "cancelled"]) == 0
    assert plan.read_text(encoding="utf-8") == "# Plan\n\n- [x] 1.1 a\n- [-] 1.2 b\n"
