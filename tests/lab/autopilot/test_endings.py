"""Why `vitlab auto` ends, as the command tells it and its page has it.

That nothing is left is seen in `tests/commands/test_auto_plan.py`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lab.autopilot.test_step import let_end, no_processes, plan
from vitlab.cli import main
from vitlab.commands.agents import auto
from vitlab.contract.job import Queued, Result, write_result
from vitlab.contract.user_key import own_record, write_own
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot.record import read_autopilot, write_autopilot
from vitlab.lab.autopilot.step import carry_on
from vitlab.lab.lab import Lab

__all__ = ["no_processes", "plan"]
Then = Callable[[Lab, pytest.MonkeyPatch], None]
"""What happens in the lab between two looks."""


def fail(lab: Lab, _: pytest.MonkeyPatch) -> None:
    let_end(lab, "failed")


def go_well(lab: Lab, _: pytest.MonkeyPatch) -> None:
    let_end(lab)


def score_within_errors(lab: Lab, _: pytest.MonkeyPatch) -> None:
    """Of MVP-1.0 the gate's rules say neither."""
    for job in all_jobs(lab.paths):
        if isinstance(job.state, Queued) and job.spec.mvp == "1.0":
            values = dict.fromkeys(("test/r2/log_g", "val/r2/log_g"), 0.68)
            spec, errors = job.spec, dict.fromkeys(values, 0.1)
            result = Result(spec.mvp, spec.run, "full", spec.recipe, values, errors=errors)
            write_result(job.paths.result, result)
    let_end(lab)


def disk_fills_up(lab: Lab, patch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(lab.paths.root)._replace(free=1000)
    patch.setattr(shutil, "disk_usage", lambda _: usage)
    let_end(lab)


def hours_go_by(lab: Lab, _: pytest.MonkeyPatch) -> None:
    pilot = read_autopilot(lab.paths)
    assert pilot is not None
    write_autopilot(lab.paths, replace(pilot, budget=1e-9))


@pytest.mark.parametrize(
    ("then", "words", "why", "launched"),
    [
        (fail, (), "three failures in a row", ["1.0", "4.0", "5.0"]),
        (score_within_errors, (), "Gate-1 needs you", ["1.0", "4.0", "5.0", "6.0"]),
        (disk_fills_up, (), "disk", ["1.0"]),
        (hours_go_by, (), "budget spent", ["1.0"]),
        (go_well, ("--until", "MVP-4.0"), "MVP-4.0 has ended", ["1.0", "4.0"]),
    ],
)
def test_it_ends_with_a_line_of_why(
    plan: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    then: Then,
    words: tuple[str, ...],
    why: str,
    launched: list[str],
) -> None:
    roadmap = plan.roadmap_path()
    rows = "".join(f"| {mvp} | More | 1 | - | ⏳ | - | - |\n" for mvp in ("5.0", "6.0"))
    roadmap.write_text(roadmap.read_text() + rows)
    text = (plan.paths.experiments / "m4.yaml").read_text()
    for mvp, size in (("5.0", "50"), ("6.0", "60")):
        other = text.replace('"4.0"', f'"{mvp}"').replace("30", size)
        (plan.paths.experiments / f"m{mvp[0]}.yaml").write_text(other)

    def look(lab: Lab) -> None:
        carry_on(lab)
        then(lab, monkeypatch)

    monkeypatch.setattr(auto, "POLL", 0.0)
    monkeypatch.setattr(auto, "advance_queue", look)
    monkeypatch.chdir(plan.paths.root)
    assert main(["auto", "--budget", "8h", "--profile", "full", *words]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"^autopilot ended: {why}, \d{{4}}-", said, re.M)
    assert re.findall(r"^MVP-(\S+) +full +2 \w+", said, re.M) == launched
    pilot = read_autopilot(plan.paths)
    assert pilot is not None
    path = plan.paths.private.autopilot  # as a newer vitlab keeps it
    record = own_record(path)
    record["launches"] = [{**one, "of_tomorrow": 1} for one in record["launches"]]
    write_own(path, {**record, "of_tomorrow": 1})
    assert read_autopilot(plan.paths) == pilot
    assert [one.mvp for one in pilot.launches] == launched
    assert f"> **Ended:** {why}  \n" in (plan.paths.root / pilot.page).read_text()
