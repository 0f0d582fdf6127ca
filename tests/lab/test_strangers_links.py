"""Links of a stranger's lab that lead out of it: looking and writing leave the rest alone."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_figures import enriched
from vitlab.cli import main as vitlab
from vitlab.contract.job import Spec
from vitlab.contract.paths import UsageError, check_inside, real
from vitlab.jobs.store import submit
from vitlab.lab.lab import Lab
from vitlab.lab.results.sealed import openings, record_opening
from vitlab.tui.terminal.export import save_new

LOOKING = (("status",), ("jobs",), ("gates",), ("lint",), ("compare",), ("plot",), ("debug",),
           ("sync", "--dry-run"), ("adopt",), ("hub", "roadmaps/plan_hub.md"),
           ("logs", "VIT-20260102-the-run-01"), ("compare", "--to", "1.0"))  # fmt: skip
WRITING = (("sync", "--yes"), ("undo",), ("redo",), ("figure", "ablation"), ("lint", "--fix"),
           ("set", "roadmaps/plan_roadmap.md", "--mvp", "2.0", "--status", "running"),
           ("new", "2.0", "--template", "ridge"), ("new", "mvp", "More"), ("hold", "VIT"),
           ("stop", "VIT"), ("move", "VIT", "--first"), ("run", "1.0", "--profile", "smoke"),
           ("evaluate", "VIT"), ("new", "plan", "other", "--about", "x"))  # fmt: skip
OWN = {"results.json": "{}", "pairs.json": "{}", "told.json": "{}", "written.json": "{}",
       "inspected.json": "{}", "screen.json": "{}", "lease": "", "again": "", "tour": "",
       "supervisor.log": "mine", "adopting": ""}  # fmt: skip


def digest(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("private", ["a link", "of links", "plain"])
def test_links_out_of_a_lab_are_not_written_through(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str], private: str,
) -> None:  # fmt: skip
    """`.vitlab` itself, or each file and folder in it; and of the rest, all that is written."""
    root = lab.paths.root
    outside = tmp_path_factory.mktemp("outside")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.chdir(root)
    for run in ("one", "two"):
        enriched(ended(run, 0.6), 1000, 0.3)
    for name, text in OWN.items():
        (outside / name).write_text(text)
    for name in ("journal", "notices", "slurm", "ceilings", "cache", "img", "exports"):
        (outside / name).mkdir()
        (outside / name / "mine.json").write_text("{}")
    folder = lab.paths.private.folder
    if private == "a link":
        folder.rename(root / "before") if folder.exists() else None
        folder.symlink_to(outside)
    elif private == "of links":
        folder.rename(root / "before") if folder.exists() else None
        folder.mkdir()
        for path in outside.iterdir():
            (folder / path.name).symlink_to(path)
    (root / "exports").symlink_to(outside / "exports")
    (root / "roadmaps/img").symlink_to(outside / "img")
    (root / "experiments/openings.jsonl").symlink_to(outside / "results.json")
    before = digest(outside)
    for words in (*LOOKING, *WRITING):
        try:
            status = vitlab([*words])
        except SystemExit as end:
            status = int(str(end.code))
        assert digest(outside) == before, words
        said = capsys.readouterr()
        assert status in (0, 1, 2), (words, said)
        assert "Traceback" not in said.err, (words, said.err)
        if private != "plain" and words in LOOKING[:2]:
            assert (status, said.err.count("\n")) == (2, 1)
            assert "a link out of the lab; remove it" in said.err
    with pytest.raises(UsageError, match="outside the lab"):
        save_new(lab.paths, "view", "txt", "x")
    assert digest(outside) == before


def test_a_job_is_not_made_in_a_folder_that_a_link_names(lab: Lab, tmp_path: Path) -> None:
    lab.paths.experiments.mkdir(exist_ok=True)
    (lab.paths.experiments / "E-9").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())
    spec = Spec("1.0", "run", "smoke", "ridge", {}, "E-9", "roadmaps/plan_roadmap.md")
    with pytest.raises(UsageError, match="E-9: a link; nothing is written into the folder"):
        submit(lab.paths, spec)
    assert sorted(tmp_path.iterdir()) == before


def test_a_chain_of_hundreds_of_links_leads_out(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"l{number}").symlink_to(f"l{number + 1}")
    (tmp_path / "l1500").touch()
    assert real(tmp_path / "l1400") == tmp_path / "l1500"
    with pytest.raises(UsageError, match="l0: a link out of"):
        check_inside(tmp_path, [tmp_path / "l0"])


def test_the_record_of_openings_is_a_file_of_the_lab(lab: Lab, tmp_path: Path) -> None:
    """Not a link that is written through, nor a pipe that is waited for."""
    mine, opened = tmp_path / "mine", lab.paths.openings
    mine.write_text("mine")
    roadmap = lab.read_roadmap(lab.roadmap_path())
    gate = roadmap.gates[0]
    opened.symlink_to(mine)
    with pytest.raises(OSError, match="openings"):
        record_opening(lab.paths, roadmap, gate, 60, ["a"])
    assert mine.read_text() == "mine"
    for make in (lambda: opened.symlink_to(mine), lambda: os.mkfifo(opened), opened.mkdir,
                 lambda: opened.write_text('{"t": 1, "roadmap": [], "gate": "1", "stars": 1, '
                                           '"jobs": []}\n')):  # fmt: skip
        opened.rmdir() if opened.is_dir() else opened.unlink(missing_ok=True)
        make()
        with pytest.raises(UsageError, match=r"openings\.jsonl:"):
            openings(lab.paths, roadmap)
    opened.unlink()
    record_opening(lab.paths, roadmap, gate, 60, ["a"])
    assert [one.stars for one in openings(lab.paths, roadmap)] == [60]
    line = opened.read_text()
    changed = line.replace('"stars": 60', '"stars": 70')
    opened.write_text(changed)
    with pytest.raises(UsageError, match=r"openings\.jsonl:1: changed since it was written"):
        openings(lab.paths, roadmap)
    opened.write_text(re.sub(r', "crc32": \d+', "", changed))  # as an older vitlab wrote it
    assert [one.stars for one in openings(lab.paths, roadmap)] == [70]
    record_opening(lab.paths, roadmap, gate, 80, ["b\udcff"])  # of a name that is no UTF-8
    assert [one.stars for one in openings(lab.paths, roadmap)] == [70, 80]
    record_opening(lab.paths, roadmap, gate, 90, ["a"])
    first, second, third = opened.read_text().splitlines(keepends=True)
    opened.write_text(first + second + second + third)  # two branches that became one
    assert len(openings(lab.paths, roadmap)) == 4
    for left, at in ((first + third, 2), (second + third, 1)):
        opened.write_text(left)
        with pytest.raises(UsageError, match=rf"jsonl:{at}: .* a line before it is missing"):
            openings(lab.paths, roadmap)
