"""A lab whose own files, documents and folders are not as vitlab leaves them."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import HUB, ROADMAP, Ended
from tests.lab.test_status_sync import RUNNING
from vitlab.cli import main
from vitlab.contract.events import NEVER_BEGAN
from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.reading import Unreadable
from vitlab.jobs.queue.notice import last_notices
from vitlab.jobs.store import all_jobs
from vitlab.lab.documents import find_roadmaps
from vitlab.lab.example import mark_tour_shown, tour_due
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.live.snapshot import job_views
from vitlab.lab.results.worlds import planned_world
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.status_sync import sync_status
from vitlab.lab.writeback.sync_ledger import record_written, results_to_write
from vitlab.lab.writeback.writeback import pending

NUMBERS = ("1e400", "NaN", "null", '"x"', "[]", "{}", "-1", "1e300", "true")
TEXTS = (
    "{", "[", "null", "[]", "{}", '"x"', "0", "[" * 50_000, '{"a":' * 50_000, "\x00" * 100, "NaN",
    *(f'{{"ends": {{"a/b": {one}}}, "epochs": {{"a/b": [{one}, {one}]}}}}' for one in NUMBERS),
    *(f'[{{"jobs": {{"a/b": {one}}}, "texts": [{one}]}}]' for one in NUMBERS),
    *(f'[{{"jobs": {one}, "texts": {one}, "undone": {one}}}]' for one in NUMBERS),
)  # fmt: skip


def waiting(lab: Lab, roadmap: Path) -> int:
    """What the header of the screen says of `w`."""
    mvps = [mvp.id for mvp in lab.read_roadmap(roadmap).mvps]
    return sum(results_to_write(lab, all_jobs(lab.paths), mvps).values())


def never_began(job: JobPaths) -> None:
    record = json.loads(job.exit.read_bytes())
    job.exit.write_text(json.dumps({**record, "reason": "killed", "detail": NEVER_BEGAN}))


@pytest.mark.parametrize("name", ["status_sync", "sync_ledger"])
def test_records_of_what_was_written_are_checked_and_set_aside(
    lab: Lab, roadmap: Path, ended: Ended, name: str
) -> None:
    ended("one", 0.75)
    roadmap.write_text(RUNNING, encoding="utf-8")
    path: Path = getattr(lab.paths.private, name)
    path.parent.mkdir(exist_ok=True)

    def put(text: str | None) -> None:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        if text is None:
            path.mkdir()
        elif text == "FIFO":
            os.mkfifo(path)
        elif text:
            path.write_text(text)

    for text in (*TEXTS, None, "FIFO"):
        put(text)
        if name == "sync_ledger":
            lab.paths.private.status_sync.unlink(missing_ok=True)
        opened = open_lab(lab.paths.root)
        plan = pending(opened, roadmap)
        assert (plan.mvps, waiting(opened, roadmap)) == (("1.0",), 1), text
        sync_status(opened, roadmap)
        assert opened.read_roadmap(roadmap).mvp("1.0").status == "done", text
        roadmap.write_text(RUNNING, encoding="utf-8")
        assert len(opened.notes) <= 1
        for aside in path.parent.glob("*.aside"):
            assert opened.notes == [line for line in opened.notes if "set aside" in line] != []
            aside.rmdir() if aside.is_dir() else aside.unlink()


def test_what_cannot_be_opened_is_told_and_left(lab: Lab) -> None:
    path = lab.paths.private.sync_ledger
    lab.paths.private.make()
    path.write_text("[]")
    lab.set_aside(path, Unreadable(path, "cannot be read: Permission denied", errno.EACCES))
    assert (lab.notes, path.read_text()) == (
        [f"{path}: cannot be read: Permission denied"], "[]",
    )  # fmt: skip


def test_records_have_the_rights_of_their_folder(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """A lab of a group whose members have masks of their own."""
    ended("one", outcome="failed")
    roadmap.write_text(RUNNING, encoding="utf-8")
    private = lab.paths.private
    private.make()
    private.folder.chmod(0o775)
    mask = os.umask(0o077)
    try:
        sync_status(lab, roadmap)
        record_written(lab, all_jobs(lab.paths), ["text"])
    finally:
        os.umask(mask)
    files = private.status_sync, private.sync_ledger
    assert [path.stat().st_mode & 0o777 for path in files] == [0o664, 0o664]


def test_forged_records_hide_ends_and_write_nothing(lab: Lab, roadmap: Path, ended: Ended) -> None:
    job = ended("one", outcome="failed")
    end = json.loads(job.exit.read_bytes())["ended"]
    roadmap.write_text(RUNNING, encoding="utf-8")
    lab.paths.private.make()
    far = time.time() + 1e9
    record = {"ends": {job.name: end}, "epochs": {job.name: [10**6, far]}}
    lab.paths.private.status_sync.write_text(json.dumps(record))
    entry = {"jobs": {job.name: end}, "texts": ["0" * 32], "undone": False}
    lab.paths.private.sync_ledger.write_text(json.dumps([entry]))
    assert sync_status(lab, roadmap) == []
    assert pending(lab, roadmap).mvps == ()
    assert roadmap.read_text(encoding="utf-8") == RUNNING


@pytest.mark.parametrize("profiles", [("full", "full"), ("demo", "full"), ("full", "demo")])
@pytest.mark.parametrize("outcomes", [("ok", "ok"), ("failed", "ok"), ("ok", "failed")])
def test_what_is_counted_is_what_is_written(
    lab: Lab, roadmap: Path, ended: Ended, profiles: tuple[str, str], outcomes: tuple[str, str]
) -> None:
    """One MVP launched twice: the header promises nothing that `sync` does not find."""
    for profile, outcome in zip(profiles, outcomes, strict=True):
        ended("one", 0.75, profile=profile, outcome=outcome)
    for _ in range(4):
        plan = pending(lab, roadmap)
        assert bool(plan.mvps) == bool(waiting(lab, roadmap))
        accept(lab, plan)
    assert waiting(lab, roadmap) == 0


def test_a_job_that_never_began_decides_nothing(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.75)
    never_began(ended("one", None, outcome="killed"))
    never_began(ended("two", None, outcome="killed"))
    plan = pending(lab, roadmap)
    assert plan.mvps == ("1.0",)
    accept(lab, plan)
    assert "0.750" in roadmap.read_text(encoding="utf-8")
    assert waiting(lab, roadmap) == 0
    # Launched again and taken out of the queue: the status is that of the launch before.
    status = lab.read_roadmap(roadmap).mvp("1.0").status
    roadmap.write_text(RUNNING, encoding="utf-8")
    sync_status(lab, roadmap)
    never_began(ended("one", None, outcome="killed"))
    roadmap.write_text(RUNNING, encoding="utf-8")
    assert sync_status(lab, roadmap) == [roadmap]
    assert lab.read_roadmap(roadmap).mvp("1.0").status == status


def test_one_that_alone_never_began_is_paused(lab: Lab, roadmap: Path, ended: Ended) -> None:
    never_began(ended("one", None, outcome="killed"))
    roadmap.write_text(RUNNING, encoding="utf-8")
    assert sync_status(lab, roadmap) == [roadmap]
    assert lab.read_roadmap(roadmap).mvp("1.0").status == "paused"


def test_links_are_of_the_lab_they_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outside, lab = tmp_path / "outside", tmp_path / "lab"
    for folder in (outside, lab / "roadmaps", lab / "experiments", lab / "real"):
        folder.mkdir(parents=True)
    (outside / "a_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    (outside / "plan_hub.md").write_text(HUB, encoding="utf-8")
    (lab / "real/b_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    (lab / "roadmaps/a_roadmap.md").symlink_to(outside / "a_roadmap.md")
    (lab / "roadmaps/plan_hub.md").symlink_to(outside / "plan_hub.md")
    (lab / "roadmaps/c_roadmap.md").symlink_to(lab / "real/b_roadmap.md")
    (lab / "linked").symlink_to(outside)
    monkeypatch.chdir(lab)
    before = {path: path.read_bytes() for path in outside.iterdir()}
    for name in ("roadmaps/a_roadmap.md", "linked/a_roadmap.md"):
        assert main(["status", name]) == 0
        assert "outside the lab: it is read, never written" in capsys.readouterr().err
        assert main(["set", name, "--mvp", "1.0", "--status", "running"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"{outside}/a_roadmap.md, outside the lab {lab}; nothing written" in error
    assert {path: path.read_bytes() for path in outside.iterdir()} == before
    assert main(["set", "roadmaps/c_roadmap.md", "--mvp", "1.0", "--status", "running"]) == 0
    assert "🚀" in (lab / "real/b_roadmap.md").read_text(encoding="utf-8")
    error = capsys.readouterr().err
    assert "plan_hub.md: left alone: it is " in error
    assert main(["undo"]) == 0
    assert (lab / "real/b_roadmap.md").read_text(encoding="utf-8") == ROADMAP
    assert {path: path.read_bytes() for path in outside.iterdir()} == before


def test_documents_are_looked_for_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x_roadmap.md").mkdir()
    (tmp_path / "x_roadmap.md/a_roadmap.md").write_text("x")
    (tmp_path / "loop_roadmap.md").symlink_to("loop_roadmap.md")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe_roadmap.md")
    told: list[str] = []
    names = ["loop_roadmap.md", "pipe_roadmap.md", "a_roadmap.md"]
    assert [path.name for path in find_roadmaps(tmp_path, (), told.append)] == names
    stars = ("*/" * 30 + "*.md",)
    find_roadmaps(tmp_path, stars, told.append)
    assert [p.name for p in find_roadmaps(tmp_path, ("**/a_*.md",), told.append)] == names[2:]
    assert told == []
    monkeypatch.setattr("vitlab.contract.reading.MAX_FOLDERS", 3)
    for number in range(5):
        (tmp_path / str(number)).mkdir()
    find_roadmaps(tmp_path, (), told.append)
    assert told == [
        f"{tmp_path}: only the nearest 3 folders or 200,000 files were searched for documents"
    ]
    for pattern in ("../*.md", "/etc/*", "", "a/../../*"):
        with pytest.raises(UsageError, match="is no pattern of files in the lab"):
            find_roadmaps(tmp_path, (pattern,))


def test_what_a_look_reads_beside_documents_is_a_regular_file(lab: Lab) -> None:
    root = lab.paths.root
    lab.paths.private.make()
    os.mkfifo(lab.paths.private.tour)
    assert tour_due(lab.paths) in ("", "new")
    lab.paths.private.tour.unlink()
    document = next(iter(lab.roadmaps()))
    lab.paths.private.tour.symlink_to(document)
    before = document.read_bytes()
    mark_tour_shown(lab.paths)
    assert document.read_bytes() == before
    os.mkfifo(root / "pipe.h5")
    with (root / "huge.h5").open("wb") as file:
        file.truncate(1 << 40)
    spec = Spec("1.0", "main", "full", "ridge", {}, "X-20260101-a-01", "r.md")
    for grid in ("/dev/zero", "pipe.h5", "huge.h5", "none.h5"):
        own = replace(spec, config={"data": {"source": "grid", "grid": grid}})
        assert planned_world(own, root) is None
    (root / "small.h5").write_bytes(b"1")
    own = replace(spec, config={"data": {"source": "grid", "grid": "small.h5"}})
    assert planned_world(own, root) is not None
    lab.paths.private.notices.mkdir()
    (lab.paths.private.notices / "a.json").symlink_to("nowhere")
    assert last_notices(lab.paths) == []


def test_problems_of_a_job_are_a_few_short_lines(lab: Lab, ended: Ended) -> None:
    job = ended()
    lines = [f"{number} {'x' * 2000}" for number in range(6000)]
    job.metrics.write_text(json.dumps({"v": 1, "sources": [], "problems": lines}))
    [view] = job_views(lab)
    assert len(view.warnings) == 51
    assert max(map(len, view.warnings)) == 1000
    assert view.warnings[-1] == "5,950 more problems of its metrics"
