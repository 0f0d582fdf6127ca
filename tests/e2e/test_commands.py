"""The whole loop through the commands alone, in real processes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import ROADMAPS, Vitlab
from tests.waiting import wait_for
from vitlab.contract.events import read_events
from vitlab.contract.paths import LabPaths
from vitlab.jobs.store import all_jobs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ROADMAP = "roadmaps/survey_roadmap.md"
HUB = "roadmaps/survey_hub.md"


def read(lab: Path, name: str) -> str:
    return (lab / name).read_bytes().decode("utf-8")


def removed_and_added(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that only one of the two texts has, in order."""
    import difflib

    rows = list(difflib.ndiff(before.split("\n"), after.split("\n")))
    return (
        [row[2:] for row in rows if row.startswith("- ")],
        [row[2:] for row in rows if row.startswith("+ ")],
    )


def vitlab_status(vitlab: Vitlab) -> dict[str, str]:
    """MVP 2.0 as `vitlab status` tells it."""
    mvps: list[dict[str, str]] = json.loads(vitlab("status", ROADMAP, "--json").stdout)["mvps"]
    return mvps[2]


@pytest.mark.parametrize("lab", ROADMAPS, indirect=True)
def test_launch_follow_judge_write_undo(lab: Path, vitlab: Vitlab) -> None:
    before, hub_before = read(lab, ROADMAP), read(lab, HUB)
    status = json.loads(vitlab("status", ROADMAP, "--json").stdout)
    assert status["next"] == "2.0"
    assert [mvp["id"] for mvp in status["mvps"]] == [
        "1.0", "1.1", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0",
    ]  # fmt: skip

    launched = json.loads(vitlab("run", "MVP-2.0", "--wait", "--json").stdout)
    (job,) = launched["jobs"]
    folder = Path(job)
    assert re.fullmatch(r"(SUR|VIT)-\d{8}-lightgbm-01", folder.parent.name)
    names = {path.name for path in folder.iterdir()}
    assert {"spec.json", "started.json", "events.jsonl", "out.log", "result.json", "exit.json"} <= (
        names
    )
    ended = read(lab, ROADMAP)  # running, and then told by itself that the run is over
    assert vitlab_status(vitlab)["status"] == "analysing"
    gone, come = removed_and_added(before, ended)
    assert len(gone) <= len(come) <= 14
    assert any(folder.parent.name in line for line in come)

    (listed,) = json.loads(vitlab("jobs", "--json").stdout)
    assert listed["state"] == "done"
    assert listed["outcome"] == "ok"
    assert listed["mvp"] == "2.0"
    assert "val" in vitlab("logs", listed["job"]).stdout

    dry = vitlab("sync", "--dry-run").stdout
    assert read(lab, ROADMAP) == ended
    assert dry.startswith("--- ")
    vitlab("sync")
    after = read(lab, ROADMAP)
    result = json.loads((folder / "result.json").read_bytes())
    score = f"{result['values']['test/r2/log_g']:.3f}"
    assert score in after
    assert "(smoke)" in after
    assert score in read(lab, HUB)
    (report,) = (lab / "roadmaps").glob("exp_*.md")
    assert score in report.read_text(encoding="utf-8")
    assert vitlab_status(vitlab)["status"] == "analysing"
    assert vitlab_status(vitlab)["report"].endswith(report.name)
    verdicts = json.loads(vitlab("gates", ROADMAP, "--json").stdout)
    assert verdicts[1]["verdict"] == "open"
    assert "nothing to write" in vitlab("sync").stdout

    vitlab("undo")
    assert read(lab, ROADMAP) == ended
    assert read(lab, HUB) == hub_before
    assert not report.exists()
    vitlab("undo")
    assert vitlab_status(vitlab)["status"] == "running"
    vitlab("undo")
    assert read(lab, ROADMAP) == before
    vitlab("undo", code=2)


def test_a_second_shell_follows_and_stops_a_job(lab: Path, vitlab: Vitlab) -> None:
    slow = (lab / "experiments/lightgbm.yaml").read_text(encoding="utf-8")
    slow = slow.replace("rounds: 30", "rounds: 100000").replace("patience: 30", "patience: 100000")
    (lab / "experiments/lightgbm.yaml").write_text(slow, encoding="utf-8")
    vitlab("run", "2.0")  # this shell is closed by now; the job goes on
    [job] = all_jobs(LabPaths(lab))
    wait_for(lambda: any(event.kind == "step" for event in read_events(job.paths.events)[0]))
    [listed] = json.loads(vitlab("jobs", "--json").stdout)
    name = listed["job"]
    assert listed["step"] > 0
    vitlab("stop", name)
    follower = vitlab("logs", name.split("/")[1][:8], "-f")
    assert follower.stdout
    record = json.loads(vitlab("jobs", "--json").stdout)[0]
    assert (record["state"], record["outcome"]) == ("done", "killed")
    assert " stopped " in vitlab("jobs").stdout


@pytest.mark.parametrize(
    ("spoil", "words", "named"),
    [
        (None, ("run", "9.9"), "9.9"),
        (None, ("set", ROADMAP, "--mvp", "9.9", "--status", "done"), "9.9"),
        (None, ("set", ROADMAP, "--mvp", "2.0", "--status", "finished"), "finished"),
        (None, ("status", "roadmaps/none.md"), "none.md"),
        (None, ("run", "2.0", "--profile", "demo"), "demo"),
        (("rounds: 30", "ruonds: 30"), ("run", "2.0"), "config.train.ruonds"),
        (("source: grid", "source: none.h5"), ("run", "2.0"), "none.h5"),
        (None, ("logs", "nothing"), "nothing"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    lab: Path, vitlab: Vitlab, spoil: tuple[str, str] | None, words: tuple[str, ...], named: str
) -> None:
    if spoil:
        path = lab / "experiments/lightgbm.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(*spoil), encoding="utf-8")
    before = {path: path.read_bytes() for path in lab.rglob("*") if path.is_file()}
    done = vitlab(*words, code=2)
    assert done.stderr.count("\n") == 1
    assert named in done.stderr
    assert {path: path.read_bytes() for path in lab.rglob("*") if path.is_file()} == before


def test_a_roadmap_without_an_mvp_table(lab: Path, vitlab: Vitlab) -> None:
    (lab / "roadmaps/bare_roadmap.md").write_text("# A plan\n\nSoon.\n", encoding="utf-8")
    done = vitlab("status", "roadmaps/bare_roadmap.md", code=2)
    assert done.stderr.count("\n") == 1
    assert "bare_roadmap.md" in done.stderr


@pytest.mark.parametrize("lab", ROADMAPS, indirect=True)
def test_the_set_command_changes_every_place_and_nothing_else(lab: Path, vitlab: Vitlab) -> None:
    before = read(lab, ROADMAP)
    dry = vitlab("set", ROADMAP, "--mvp", "2.0", "--status", "running", "--dry-run").stdout
    assert read(lab, ROADMAP) == before
    vitlab("set", ROADMAP, "--mvp", "MVP-2.0", "--status", "running")
    after = read(lab, ROADMAP)
    patched = subprocess.run(
        ["patch", "-p0", "-o", "-", ROADMAP], input=dry, cwd=lab, capture_output=True, text=True
    )
    assert patched.returncode != 0 or patched.stdout == after
    gone, come = removed_and_added(before, after)
    # overview, spec heading, week, gate section, gate progress, checklist, and the kanban block
    assert len([line for line in gone if "MVP-2.0" in line or "Baseline" in line]) >= 5
    assert len(come) <= 12
    vitlab("set", ROADMAP, "--mvp", "2.0", "--status", "planned")
    assert read(lab, ROADMAP) == before
