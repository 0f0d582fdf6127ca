"""MVPs, gates and plans made in a lab: every file, one undo, no second report."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import EXP_ID, Ended
from vitlab.commands.common import judge_gates
from vitlab.contract.paths import IGNORED, UsageError
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import linked_files
from vitlab.lab.new_plan import (
    Creation,
    NewGate,
    NewMvp,
    NewPlan,
    plan_gate,
    plan_mvp,
    plan_plan,
    save_new,
)
from vitlab.lab.writeback.edits import accept, status_changes, undo
from vitlab.lab.writeback.writeback import pending

BOARD = """\
# Board

```
⏳ planned   🚀 running   ✅ done
MVP-1.0                  MVP-2.0
```
"""


def bytes_of(lab: Lab) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in lab.paths.root.rglob("*.md")}


def linked(lab: Lab, roadmap: Path) -> None:
    """A board and a hub with hypotheses beside the roadmap."""
    (roadmap.parent / "kanban.md").write_text(BOARD, encoding="utf-8")
    old = roadmap.read_text(encoding="utf-8")
    roadmap.write_text(
        old.replace("# Plan\n", "# Plan\n\nBoard: `kanban.md`\n", 1), encoding="utf-8"
    )
    hub = roadmap.parent / "plan_hub.md"
    rows = "| # | Hypothesis | Status |\n|---|---|---|\n| H1.2 | wider is better | ⏳ |\n"
    check = "| # | Experiment | MVP | Status | Artifact |\n|---|---|---|---|---|\n"
    check += "| 1 | a | 1.0 | ⏳ | - |\n"
    hub.write_text(f"{hub.read_text(encoding='utf-8')}\n{rows}\n{check}", encoding="utf-8")


def test_an_mvp_reaches_every_file_and_undo_takes_all_back(lab: Lab, roadmap: Path) -> None:
    linked(lab, roadmap)
    before = bytes_of(lab)
    new = plan_mvp(lab, roadmap, NewMvp("Wider ViT", "Gate-1", "h1.2", "2.1"))
    assert bytes_of(lab) == before
    written = {path.name for path in save_new(lab, new)}
    report = f"exp_wider_vit_{new.changes[1].path.stem[-8:]}.md"
    assert written == {"plan_roadmap.md", "plan_hub.md", "kanban.md", report}
    now = lab.read_roadmap(roadmap)
    assert now.mvp("2.1").status == "planned"
    assert now.mvp("2.1").report == f"./{report}"
    text = (roadmap.parent / report).read_text(encoding="utf-8")
    assert "| H1.2 | wider is better | ⏳ | - |" in text
    assert "- Gate-1: Is it good" in text
    assert "[`plan_roadmap.md`](./plan_roadmap.md)" in text
    for one in linked_files(lab, now):
        assert one.document.mvp("2.1").status == "planned", one.path
    undo(lab)
    assert bytes_of(lab) == before


def test_the_status_of_a_new_mvp_changes_in_every_file(lab: Lab, roadmap: Path) -> None:
    linked(lab, roadmap)
    save_new(lab, plan_mvp(lab, roadmap, NewMvp("Wider ViT")))
    names = {change.path.name for change in status_changes(lab, roadmap, "3.0", "running")}
    assert {"plan_roadmap.md", "kanban.md", "plan_hub.md"} <= names
    assert any(name.startswith("exp_wider_vit_") for name in names)


def test_a_report_that_exists_is_filled_and_never_doubled(lab: Lab, roadmap: Path) -> None:
    own = roadmap.parent / "exp_mvp_2.1_wide.md"
    head = "# 📗 Wide\n> **Name:** TODO | **MVP:** MVP-2.1 | **Date:** 2026-01-01\n"
    own.write_text(f"{head}\nMine.\n", encoding="utf-8")
    new = plan_mvp(lab, roadmap, NewMvp("Wider ViT", id="2.1"))
    save_new(lab, new)
    assert [path.name for path in roadmap.parent.glob("exp_*.md")] == [own.name]
    assert own.read_text(encoding="utf-8") == (
        "# 📗 Wide\n> **Name:** Wider ViT | **MVP:** MVP-2.1 | **Date:** 2026-01-01\n\nMine.\n"
    )
    assert lab.read_roadmap(roadmap).mvp("2.1").report == "./exp_mvp_2.1_wide.md"


def test_two_mvps_of_one_name_have_a_report_each(lab: Lab, roadmap: Path) -> None:
    other = roadmap.with_name("other_roadmap.md")
    other.write_bytes(roadmap.read_bytes())
    lab.roadmaps(anew=True)
    reports = []
    for path, mvp in ((roadmap, "2.1"), (roadmap, "2.2"), (other, "2.1")):
        save_new(lab, plan_mvp(lab, path, NewMvp("Wider ViT", id=mvp)))
        reports.append(lab.read_roadmap(path).mvp(mvp).report or "")
    stems = [name.rpartition("_")[0] for name in reports]
    assert stems == ["./exp_wider_vit", "./exp_mvp_2_2_wider_vit", "./exp_mvp_2_1_wider_vit"]
    for name, path in zip(reports, (roadmap, roadmap, other), strict=True):
        assert f"[`{path.name}`]" in (path.parent / name).read_text(encoding="utf-8")


def test_results_come_into_the_report_that_waits_for_them(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    save_new(lab, plan_mvp(lab, roadmap, NewMvp("Wider ViT", id="2.1")))
    ended("one", 0.75, mvp="2.1")
    accept(lab, pending(lab, roadmap))
    (report,) = roadmap.parent.glob("exp_*.md")
    text = report.read_text(encoding="utf-8")
    assert f"**ID:** `{EXP_ID}`" in text
    assert "**Status:** ✅\n" in text
    assert text.index("## 3. 📊 Results") < text.index("0.7500") < text.index("## 4. 📈 Figures")
    assert text.count("# 📗") == 1
    assert pending(lab, roadmap).changes == ()


def test_what_is_taken_or_missing_is_refused_in_one_line(lab: Lab, roadmap: Path) -> None:
    linked(lab, roadmap)
    for new, words in (
        (NewMvp("x", id="1.0"), "MVP 1.0 is there already"),
        (NewMvp("x", gate="7"), "no gate '7'; there are 1"),
        (NewMvp("x", hypothesis="H9"), "no hypothesis 'H9'; there are H1.2"),
        (NewMvp("  "), "the name is missing"),
        (NewMvp("x", id="X.X"), "must be like 2.1"),
    ):
        with pytest.raises(UsageError, match=words):
            plan_mvp(lab, roadmap, new)


def test_a_hypothesis_must_be_in_the_hub(lab: Lab, roadmap: Path) -> None:
    hub = roadmap.parent / "plan_hub.md"
    why = r"plan_hub.md: no hypothesis 'H99'; `vitlab hub add H TEXT` adds one"
    with pytest.raises(UsageError, match=why):
        plan_mvp(lab, roadmap, NewMvp("x", hypothesis="H99"))
    assert "more stars help" in plan_mvp(
        lab, roadmap, NewMvp("x", hypothesis="more stars help")
    ).changes[-1].new_text  # fmt: skip
    hub.unlink()
    with pytest.raises(UsageError, match=r"plan_roadmap.md: no hypothesis 'H1.1'; it has no hub"):
        plan_mvp(lab, roadmap, NewMvp("x", hypothesis="H1.1"))


@pytest.mark.parametrize("plan", [plan_mvp, plan_gate])
def test_two_at_once_never_get_one_number(
    lab: Lab, roadmap: Path, plan: Callable[..., Creation]
) -> None:
    made = NewMvp("Wider") if plan is plan_mvp else NewGate("Wider", "R2 > 0.6")
    first, second = plan(lab, roadmap, made), plan(lab, roadmap, replace(made, name="Deeper"))
    assert first.id == second.id
    save_new(lab, first)
    before = bytes_of(lab)
    with pytest.raises(UsageError, match="changed meanwhile; nothing written, try again"):
        save_new(lab, second)
    assert bytes_of(lab) == before
    assert plan(lab, roadmap, replace(made, name="Deeper")).id != first.id


def test_a_number_that_jobs_have_is_not_given_again(lab: Lab, roadmap: Path, ended: Ended) -> None:
    free = plan_mvp(lab, roadmap, NewMvp("Wider")).id
    ended("one", 0.75, mvp=free)  # of an MVP that was taken out of the plan
    assert plan_mvp(lab, roadmap, NewMvp("Wider")).id != free
    told = plan_mvp(lab, roadmap, NewMvp("Wider", id=free)).notes
    assert f"MVP-{free} has jobs or an experiment file already: they are its own" in told


def test_a_gate_says_what_no_program_can_judge(lab: Lab, roadmap: Path) -> None:
    before = bytes_of(lab)
    new = plan_gate(lab, roadmap, NewGate("Wider", "test R2 log_g >= 0.6", "2.0", "go", "stop"))
    assert new.notes == ()
    save_new(lab, new)
    gate = lab.read_roadmap(roadmap).gate("2")
    assert gate.mvps == ("2.0",)
    assert [rule.if_ for rule in gate.rules] == ["test R² log_g ≥ 0.6", "test R² log_g < 0.6"]
    (note,) = plan_gate(lab, roadmap, NewGate("Seen", "the curve bends")).notes
    assert note == "Gate-3: 'the curve bends' cannot be judged automatically: you decide"
    (verdict,) = [one for one in judge_gates(lab, roadmap)[1] if one.id == "2"]
    assert verdict.verdict == "open"
    assert verdict.because.startswith("no full result of MVP-2.0 with test/r2/log_g")
    (note,) = plan_gate(lab, roadmap, NewGate("Seen", "halo R2 > 0.5")).notes
    assert note.endswith("cannot be judged automatically: you decide")
    with pytest.raises(UsageError, match="Gate-1 is there already"):
        plan_gate(lab, roadmap, NewGate("Again", "R2 > 1", id="Gate-1"))
    undo(lab)
    assert bytes_of(lab) == before


def test_a_plan_is_two_files_that_take_an_mvp(lab: Lab) -> None:
    before = bytes_of(lab)
    new = plan_plan(lab, NewPlan("Sky lines", "en"))
    save_new(lab, new)
    assert sorted(path.name for path in bytes_of(lab).keys() - before.keys()) == [
        "sky_lines_hub.md",
        "sky_lines_roadmap.md",
    ]
    roadmap = new.roadmap
    assert "**Project:** `VIT`" in roadmap.read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"sky_lines_roadmap\.md: exists already"):
        plan_plan(lab, NewPlan("Sky lines", "en"))
    save_new(lab, plan_mvp(lab, roadmap, NewMvp("First")))
    assert [mvp.id for mvp in lab.read_roadmap(roadmap).mvps] == ["1.0"]
    undo(lab)
    undo(lab)
    assert bytes_of(lab) == before


def test_a_gate_is_named_as_the_document_names_it(lab: Lab, roadmap: Path) -> None:
    text = roadmap.read_text(encoding="utf-8") + "\n## DG-1: deep?\n\n- R² > 0.7 → deeper\n"
    roadmap.write_text(text, encoding="utf-8")
    for name in ("DG-1", "dg1", "DG1"):
        save_new(lab, plan_mvp(lab, roadmap, NewMvp("Deeper", gate=name, id="9.0")))
        assert lab.read_roadmap(roadmap).mvp("9.0").gate == "DG-1"
        undo(lab)


def test_git_is_told_what_it_need_not_keep(lab: Lab) -> None:
    before, path = bytes_of(lab), lab.paths.root / ".gitignore"
    assert not plan_plan(lab, NewPlan("Sky")).notes
    subprocess.run(["git", "init", "-q", lab.paths.root], check=True)
    save_new(lab, plan_plan(lab, NewPlan("Sky")))
    assert path.read_text().split() == list(IGNORED)
    undo(lab)
    assert not path.exists()
    path.write_text("/experiments\n*.pt\n.vitlab\n")
    new = plan_plan(lab, NewPlan("Sky"))
    assert new.notes == (".gitignore: add runs/ wandb/ (files of a lab that git can ignore)",)
    assert len(new.changes) == 2
    path.write_text("".join(f"{line}\n" for line in IGNORED))
    assert plan_plan(lab, NewPlan("Sky")).notes == ()
    assert before.items() <= bytes_of(lab).items()


def test_a_gbk_document_stays_gbk(lab: Lab, roadmap: Path) -> None:
    text = "# 计划\n\n| MVP | 名称 | 状态 |\n|---|---|---|\n| 1.0 | 训练数据规模 | ⏳ |\n"
    path = roadmap.parent / "zh_roadmap.md"
    path.write_bytes(text.encode("gb18030"))
    save_new(lab, plan_mvp(lab, path, NewMvp("更宽的网络")))
    new = parse_roadmap(lab.read_roadmap(path).document)
    assert new.mvp("2.0").name == "更宽的网络"
    assert "更宽".encode("gb18030") in path.read_bytes()
