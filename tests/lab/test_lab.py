"""Opening a lab: where it is found, what it reads, and a save that a crash cut short."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import EXP_ID, ROADMAP, Ended
from vitlab.contract.events import EventWriter
from vitlab.contract.paths import NoLab, UsageError
from vitlab.contract.reading import Search
from vitlab.docs.save import change, save
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Span, read
from vitlab.jobs.store import all_jobs
from vitlab.lab.documents import keep_columns, notes_near, read_columns
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.live.snapshot import read_snapshot, roadmap_summaries
from vitlab.lab.results.job_results import of_roadmap
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.writeback import pending
from vitlab.tui.jobs_index import belongs


def test_a_lab_is_found_from_any_folder_below(lab: Lab) -> None:
    below = lab.paths.experiments / "deep"
    below.mkdir()
    assert open_lab(below).paths.root == lab.paths.root
    with pytest.raises(NoLab, match="vitlab init"):
        open_lab(Path("/"))


def test_settings_win_over_folders(lab: Lab, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    (inner / "roadmaps").mkdir(parents=True)
    (inner / "experiments").mkdir()
    assert open_lab(inner).paths.root == inner
    lab.paths.settings.write_text("profile: smoke\n", encoding="utf-8")
    assert open_lab(inner).settings.profile == "smoke"


def test_an_mvp_is_looked_for_in_every_roadmap(lab: Lab) -> None:
    (lab.paths.roadmaps / "a_roadmap.md").write_text("# nothing yet\n", encoding="utf-8")
    assert lab.roadmap_with("2.0").name == "plan_roadmap.md"
    with pytest.raises(UsageError, match=r"no MVP '9'.*1\.0, 2\.0"):
        lab.roadmap_with("9")


def test_a_shown_roadmap_follows_the_file(lab: Lab, roadmap: Path) -> None:
    first = lab.cached_roadmap(roadmap)
    assert lab.cached_roadmap(roadmap) is first
    roadmap.write_text(ROADMAP.replace("The run", "Our run"), encoding="utf-8")
    assert lab.cached_roadmap(roadmap).mvp("1.0").name == "Our run"


def test_the_next_start_makes_a_save_whole_that_was_cut_short(lab: Lab, roadmap: Path) -> None:
    class Killed(BaseException):
        pass

    def kill(step: str) -> None:
        if step == "journal done":
            raise Killed

    edit = Edit(Span(2, 6), "Plan", "Ours")
    with pytest.raises(Killed):
        save([change(read(roadmap), [edit])], lab.journal, kill)
    open_lab(lab.paths.root)
    assert roadmap.read_text(encoding="utf-8") == ROADMAP.replace("# Plan", "# Ours")
    assert not list(roadmap.parent.glob(".*.tmp-*"))


def test_a_job_is_of_the_roadmap_it_was_launched_from_and_of_no_like_named_one(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one")
    (lab.paths.roadmaps / "linked_roadmap.md").symlink_to(roadmap)
    longer = lab.paths.root / "roadmaps" / "roadmaps"
    longer.mkdir()
    (longer / roadmap.name).write_text(ROADMAP, encoding="utf-8")
    names = {"roadmaps/plan_roadmap.md"}
    assert read_snapshot(lab, roadmap).names == names
    assert read_snapshot(lab, lab.paths.roadmaps / "linked_roadmap.md").names == names
    assert read_snapshot(lab, longer / roadmap.name).names == set()


def test_nothing_is_written_into_a_conflict_that_git_has_left(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    """A quote, `>>>>>>> other`, ends a table: the rows behind it were no rows."""
    row = "| 1.0 | The run | 1 | Gate-1 | ⏳ | - | - |\n"
    sides = f"<<<<<<< HEAD\n{row}=======\n{row}>>>>>>> other\n"
    text = roadmap.read_text("utf-8").replace(row, sides)
    roadmap.write_text(text, encoding="utf-8")
    ended("one")
    told = "roadmaps/plan_roadmap.md:19: a conflict that git has left; nothing is written until it"
    with pytest.raises(UsageError, match=told):
        accept(lab, pending(lab, roadmap))
    assert roadmap.read_text("utf-8") == text
    assert lab.notes == [f"{told} is resolved"]


def test_a_new_plan_under_the_path_of_another_has_none_of_its_jobs(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    """Where the rows of their experiments stand in a file of the lab, and not in it."""
    old = ROADMAP.replace("⏳ | - |", f"⏳ | `{EXP_ID}` |")
    job = ended("one")
    roadmap.rename(roadmap.with_name("plan_2025_roadmap.md"))
    roadmap.write_text(ROADMAP, encoding="utf-8")
    here = open_lab(lab.paths.root)
    (mine,) = of_roadmap(here, all_jobs(lab.paths), roadmap)  # no row has it: as it was
    assert (mine.paths, here.notes) == (job, [])
    roadmap.with_name("plan_2025_roadmap.md").write_text(old, encoding="utf-8")
    here = open_lab(lab.paths.root)
    view = read_snapshot(here, roadmap)
    assert (pending(here, roadmap).mvps, [belongs(one, view) for one in view.jobs]) == ((), [False])
    assert here.notes == [
        "experiments in roadmaps/plan_2025_roadmap.md, launched from roadmaps/plan_roadmap.md, "
        "are not of its plan now"
    ]
    without = ROADMAP.replace(" exp_id |", "").replace(" - | - |", " - |")
    for text in (ROADMAP.replace("| 1.0 |", "| 1.7 |"), without):
        roadmap.write_text(text, encoding="utf-8")  # another's row, or no column for it
        assert of_roadmap(here, all_jobs(lab.paths), roadmap) == [mine]
    roadmap.write_text(old, encoding="utf-8")  # a copy for safety
    assert of_roadmap(here, all_jobs(lab.paths), roadmap) == [mine]


PLAN = "# Plan\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | Base | done |\n"


def test_an_ended_job_is_shown_at_its_best_step(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """A search over ridges ends far beyond the best one, and another model was shown as better."""
    job, name = ended("ridge", 0.4), "val/r2/log_g"
    with EventWriter(job.events) as events:
        events.write("start", host="x")
        for step, r2 in enumerate((0.1, 0.37, 0.01)):
            events.write("eval", step=step, epoch=0, split="val", n=9, values={name: r2})
    (view,) = read_snapshot(lab, roadmap).jobs
    assert view.values == {name: 0.4, "test/r2/log_g": 0.4}


def test_roadmaps_are_found_anywhere_below_and_none_hides_another(lab: Lab) -> None:
    root = lab.paths.root
    made = ("ROADMAP.md", "docs/deep/Roadmap.md", "logg/路线图.md", "a/my_roadmap_2025.md")
    not_ours = (".git/x_roadmap.md", "templates/roadmap.md", "a/template_roadmap.md", "a/map.md")
    for name in (*made, *not_ours, "other/vitlab.yaml", "other/roadmap.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(PLAN, encoding="utf-8")
    (root / "logg" / "gone_roadmap.md").symlink_to("nowhere")
    (root / "logg" / ".#路线图.md").symlink_to("user@host.123")  # Emacs edits it
    (root / "logg" / "._路线图.md").write_bytes(b"\0\5Mac OS X")
    (root / "a" / "broken_roadmap.md").write_bytes(b"# \xff")
    found = [lab.paths.relative(path) for path in open_lab(root).roadmaps()]
    assert found[0].startswith("roadmaps/")
    wanted = {*made, "a/broken_roadmap.md", "logg/nowhere"}
    assert {name for name in found if not name.startswith("roadmaps/")} == wanted
    summaries = {s.path.name: s.problem for s in roadmap_summaries(open_lab(root))}
    assert "not UTF-8" in summaries["broken_roadmap.md"]
    assert "No such file" in summaries["gone_roadmap.md"]
    assert summaries["路线图.md"] == ""
    assert open_lab(root).roadmap_with("2.0").name == "plan_roadmap.md"


def test_folders_of_roadmaps_within_each_other_are_searched_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, roadmaps = lab.paths.root / "docs", []
    for _ in range(12):
        folder.mkdir()
        roadmaps.append(folder / "r_roadmap.md")
        folder /= "d"
    folder.mkdir()
    (folder / "notes.md").touch()
    searched: list[Path] = []
    entries = Search.entries

    def search(own: Search, one: Path) -> object:
        searched.append(one)
        return entries(own, one)

    monkeypatch.setattr(Search, "entries", search)
    assert notes_near(lab.paths, roadmaps) == [folder / "notes.md"]
    assert {one.parent for one in (*roadmaps, folder / "x")} <= set(searched)
    assert len(searched) == len(set(searched))


def test_settings_say_where_the_roadmaps_are(lab: Lab) -> None:
    plan = lab.paths.root / "plans" / "next.md"
    plan.parent.mkdir()
    plan.write_text(PLAN, encoding="utf-8")
    lab.paths.settings.write_text("documents: [plans/*.md]\n", encoding="utf-8")
    assert open_lab(lab.paths.root).roadmaps() == [plan]
    lab.paths.settings.write_text("documents: [../x.md]\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"vitlab\.yaml: documents: expected a list of patterns"):
        open_lab(lab.paths.root)


def test_a_repository_with_a_roadmap_is_a_lab_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(NoLab):
        open_lab(tmp_path)
    plan = tmp_path / "logg" / "vit" / "roadmap.md"
    plan.parent.mkdir(parents=True)
    plan.write_text(PLAN, encoding="utf-8")
    assert open_lab(plan.parent).roadmaps() == [plan]


def test_a_plan_in_other_words_is_explained_once(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "| Goal | Phase | How |\n|---|---|---|\n| G1 | 7 | done |\n"
    plan = lab.paths.root / "goals.md"
    plan.write_text(text, encoding="utf-8")
    lab.paths.settings.write_text("tables:\n  old.md: {A: id}\n# kept\nprofile: full", "utf-8")
    lab.paths.settings.chmod(0o600)
    columns = read_columns("Goal=id, How=status")
    keep_columns(lab.paths.settings, {"goals.md": columns})
    mine = lab.paths.settings.rename(tmp_path_factory.mktemp("mine") / "vitlab.yaml")
    lab.paths.settings.symlink_to(mine)
    with pytest.raises(UsageError, match="a link out of"):
        keep_columns(lab.paths.settings, {"goals.md": {}})
    mine.rename(lab.paths.settings)
    assert lab.paths.settings.stat().st_mode & 0o777 == 0o600
    settings = lab.paths.settings.read_text("utf-8")
    assert settings.startswith("# kept\nprofile: full\ntables:\n")
    assert "old.md" not in settings
    for other in (
        'tables: {\n  "goals.md": {"Goal": "id"}\n}\nprofile: full\n',
        "{profile: full, cpu_slots: 2}\n",
        '"tables": {}\nprofile: full\n',
        "profile: full\n...\n",
    ):
        (lab.paths.root / "other.yaml").write_text(other, "utf-8")
        with pytest.raises(UsageError, match=r'add tables: \{"goals\.md": \{"Goal": "id"'):
            keep_columns(lab.paths.root / "other.yaml", {"goals.md": columns})
        assert (lab.paths.root / "other.yaml").read_text("utf-8") == other
    opened = open_lab(lab.paths.root)
    assert plan in opened.roadmaps()
    assert [(m.id, m.status) for m in opened.read_roadmap(plan).mvps] == [("G1", "done")]
    with pytest.raises(UsageError, match='expected "Header=meaning"'):
        read_columns("Goal")
    with pytest.raises(UsageError, match="one header must be the id"):
        read_columns("How=status")
