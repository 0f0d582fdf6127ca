"""What a supervisor does about a job that is not well, and about one that was lost."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import becomes, ended, printed
from vitlab.contract.job import Lost, Running
from vitlab.contract.paths import UsageError
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.jobs.files import read_json
from vitlab.jobs.process.health import Limits, Policy, read_policy
from vitlab.jobs.process.monitor import cut_log
from vitlab.jobs.queue.scheduler import advance

# Stuck at R2 = 0 on its first run, well on the next.
STUCK = """
import os, time
job = os.environ["VITLAB_JOB"]
first = "eval" not in open(job + "/events.jsonl").read()
with open(job + "/events.jsonl", "a") as f:
    for i in range(6):
        line = '{"v":1,"t":%f,"kind":"eval","step":%d,"values":{"val/r2/log_g":%f}}\\n'
        f.write(line % (time.time(), i, 0.001 if first else 0.1 * i))
print("first" if first else "again", flush=True)
if first: time.sleep(300)
"""


def verdicts(path: Path) -> list[tuple[str, str]]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [(record["status"], record["what"]) for record in records]


def test_a_stuck_job_is_ended_when_its_policy_says_so(shop: Workshop) -> None:
    job = shop.submit(STUCK, extra={"health": {"action": "stop", "stuck_after": 6}})
    advance(shop.lab)
    done = ended(job)
    assert done.outcome == "failed"
    assert done.detail.startswith("stuck: predicts the mean: val/r2/log_g = 0.001 for 6 eval")
    assert verdicts(job.health)[-1] == ("bad", "stuck")


def test_a_stuck_job_is_started_again_when_its_policy_says_so(shop: Workshop) -> None:
    job = shop.submit(STUCK, extra={"health": {"action": "restart"}})
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert job.log.read_text() == "first\nagain\n"
    bad = [verdict for verdict in verdicts(job.health) if verdict[0] != "ok"]
    assert bad == [("bad", "stuck"), ("warn", "restarted"), ("warn", "resume")]


def test_outputs_of_before_a_restart_are_kept(shop: Workshop) -> None:
    keep = 'if first: open("stats.json", "w").write("{}"); time.sleep(2.5)\nwith open(job'
    code = STUCK.replace("with open(job", keep)
    config = {"argv": [sys.executable, "-c", code], "cwd": str(shop.lab.root)}
    outputs = {**config, "outputs": ["stats.json"]}
    job = shop.submit("", config=outputs, extra={"health": {"action": "restart"}})
    advance(shop.lab)
    assert ended(job).outcome == "ok"
    assert [path.name for path in job.outputs.iterdir()] == ["stats.json"]


def test_restarts_are_counted(shop: Workshop) -> None:
    code = (
        "import os, time; print('try', flush=True)\n"
        "events = open(os.environ['VITLAB_JOB'] + '/events.jsonl', 'a')\n"
        'loss = \'"values": {"train/loss": null}, "nonfinite": ["train/loss"]\'\n'
        'events.write(\'{"v": 1, "t": %f, "kind": "step", "step": 1, %s}\\n\''
        " % (time.time(), loss)); events.flush(); time.sleep(300)"
    )
    job = shop.submit(code, extra={"health": {"action": "restart", "restarts": 2}})
    advance(shop.lab)
    assert ended(job).outcome == "nan"
    assert job.log.read_text() == "try\n" * 3


def test_a_lost_job_that_asks_for_it_goes_on_by_itself(shop: Workshop) -> None:
    code = (
        "import os, time; first = not os.path.exists(os.environ['VITLAB_JOB'] + '/started.1.json')"
        "\nprint(first, flush=True)\nif first: time.sleep(300)"
    )
    job = shop.submit(code, extra={"on_lost": "resume"})
    advance(shop.lab)
    printed(job)
    os.kill(becomes(job, Running).pid, signal.SIGKILL)
    becomes(job, Lost)
    assert advance(shop.lab) == [job]
    assert ended(job).outcome == "ok"
    assert job.log.read_text() == "True\nFalse\n"
    assert "pid" in read_json(job.folder / "started.1.json")


def test_what_an_experiment_file_may_ask_for(tmp_path: Path) -> None:
    head = 'mvp: "1.0"\nroadmap: r.md\nrecipe: vit\n'
    path = tmp_path / "x.yaml"
    path.write_text(
        head
        + "queue: {priority: 2, gpu_memory: 15, after_end: any, on_lost: resume}\n"
        + "health: {action: restart, restarts: 3, silence: 60}\n"
    )
    [spec] = load_experiment(path).specs("full", "E")
    assert spec.priority == 2
    assert spec.extra == {
        "gpu_memory": 15 * 10**9,
        "after": "any",
        "on_lost": "resume",
        "health": {"action": "restart", "restarts": 3, "silence": 60.0},
    }
    assert read_policy(spec.extra) == Policy(Limits(silence=60.0), "restart", 3)
    path.write_text(head + "health:\n  action: pray\n")
    with pytest.raises(UsageError, match=r":5: health.action: unknown value 'pray' \(allowed: w"):
        load_experiment(path)


def test_a_policy_that_is_not_sound_is_the_default() -> None:
    assert read_policy({}) == read_policy({"health": 3}) == Policy()
    assert read_policy({"health": {"action": "rm", "silence": "x", "other": 1}}) == Policy()


def test_a_log_that_grows_too_large_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"".join(b"line %05d\n" % i for i in range(1000)))
        assert not cut_log(log, limit=20_000, kept=100)
        assert cut_log(log, limit=10_000, kept=100)
        writer.write(b"goes on\n")
    lines = log.read_text().splitlines()
    assert lines == [
        "[vitlab] the log had 11000 bytes and was cut; its end is in out.1.log, from byte 10901 on",
        "goes on",
    ]
    assert (tmp_path / "out.1.log").read_text().splitlines()[-1] == "line 00999"
    assert not cut_log(tmp_path / "none.log")
