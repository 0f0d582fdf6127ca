"""What W&B is told of a job, read back from its file; and that its troubles are not the job's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.recipes.test_run import CONFIGS, a_job, events, start
from tests.waiting import DEADLINE, wait_for
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Spec, read_result, read_spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.tracking import Link, read_link, wandb_of, write_link
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.metrics.formats.records import wandb_rows
from vitlab.recipes import wandb_report
from vitlab.recipes.context import Reporter
from vitlab.recipes.wandb_report import Wandb

R2 = "val/r2/log_g"


def with_wandb(paths: JobPaths, **keys: object) -> Spec:
    """The job's spec, now with these keys of `wandb`."""
    spec = read_spec(paths.spec)
    assert spec is not None
    spec = replace(spec, extra={"wandb": keys})
    paths.spec.write_bytes(spec.to_json())
    return spec


def logged(paths: JobPaths) -> list[list[dict[str, Any]]]:
    """The rows of each of the job's W&B runs, without what W&B adds."""
    return [
        [
            {k: v for k, v in row.items() if not k.startswith("_")}
            for row in wandb_rows(file.read_bytes())
        ]
        for file in sorted(paths.folder.glob("wandb/*run-*/*.wandb"))
    ]


def say(paths: JobPaths, *said: tuple[int, float]) -> None:
    with EventWriter(paths.events) as writer:
        for step, r2 in said:
            writer.write("eval", step=step, epoch=0, split="val", n=9, values={R2: r2})


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobPaths:
    monkeypatch.setattr(wandb_report, "FINISH", DEADLINE)  # this machine may be busy
    folder = tmp_path / "experiments" / "VIT-1"
    folder.mkdir(parents=True)
    return a_job(folder / "job", "lightgbm", CONFIGS["lightgbm"])


def test_what_a_job_says_is_in_its_offline_run(
    paths: JobPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with_wandb(paths, mode="offline", project="p", group="g", tags=["t"])
    child = start(paths)
    _, err = child.communicate()
    assert child.returncode == 0, err
    wanted: dict[int, dict[str, Any]] = {}
    for event in events(paths):
        if event.kind in ("step", "eval"):
            test = event.data.get("split") == "test"
            step = max(wanted) + 1 if test else event.step
            values = wanted.setdefault(step, {"step": step, "epoch": event.data["epoch"]})
            values.update(event.values)
    assert logged(paths) == [list(wanted.values())]
    link, result = read_link(paths), read_result(paths.result)
    assert link is not None
    assert link.mode == "offline"
    assert result is not None
    assert result.wandb == link.path
    assert (paths.folder / str(link.path) / f"run-{link.id}.wandb").is_file()
    assert not (tmp_path / "home").exists()
    assert not [e for e in events(paths) if e.kind == "note" and "W&B" in e.data["text"]]
    content = (paths.folder / str(link.path) / f"run-{link.id}.wandb").read_bytes()
    for text in (
        b"VIT-20251226-x-01",
        b"feature_fraction",
        str(paths.folder).encode(),
        b"VIT-1/job",
    ):
        assert text in content


def test_a_resumed_job_goes_on_with_its_run(
    paths: JobPaths,
) -> None:
    spec = with_wandb(paths, mode="offline")
    say(paths, (1, 0.1), (2, 0.2))
    assert Wandb(paths, spec, {}).close(ok=True)[1] is None
    say(paths, (2, 0.2), (3, 0.3))
    wandb = Wandb(paths, spec, {})
    wait_for(lambda: len(list(paths.folder.glob("wandb/*run-*/*.wandb"))) == 2)
    say(paths, (4, float("nan")))
    assert wandb.close(ok=True)[1] is None
    first, second = logged(paths)
    assert [row[R2] for row in first] == [0.1, 0.2]
    assert [row["step"] for row in second] == [3, 4]
    names = {file.name for file in paths.folder.glob("wandb/*run-*/*.wandb")}
    link = read_link(paths)
    assert link is not None
    assert names == {f"run-{link.id}.wandb"}
    assert link.job == spec.mark


def test_a_service_that_dies_is_one_note(paths: JobPaths) -> None:
    wandb = Wandb(paths, with_wandb(paths, mode="offline"), {})
    core = service_of(paths)
    os.kill(core, signal.SIGKILL)
    with EventWriter(paths.events) as writer:
        report = Reporter(writer, watch=wandb.trouble)

        def noted() -> list[str]:
            report.evaluation(1, 0, "val", 9, {R2: 0.5})
            return notes(paths)

        wait_for(noted)
        report.evaluation(2, 0, "val", 9, {R2: 0.5})
    [said] = notes(paths)
    assert said.startswith("W&B: ")
    assert said.endswith("the numbers are only in events.jsonl")
    assert wandb.close(ok=True)[1] is None  # it was told


def service_of(paths: JobPaths) -> int:
    """The process id of W&B's own program that works for the job."""

    def found() -> int | None:
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except (OSError, ValueError):
                continue
            if b"wandb-core" in words and str(paths.folder).encode() in words:
                link = read_link(paths)
                if link is not None and link.path is not None:
                    return int(entry.name)
        return None

    return wait_for(found)


def notes(paths: JobPaths) -> list[str]:
    return [event.data["text"] for event in events(paths) if event.kind == "note"]


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("raise ModuleNotFoundError(\"No module named 'wandb'\")", "No module named 'wandb'"),
        ("import time; time.sleep(600)", "not ready"),
    ],
    ids=["missing", "hanging"],
)
def test_a_wandb_that_does_not_work_ends_with_the_job(
    paths: JobPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, text: str
) -> None:
    (tmp_path / "wandb.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(wandb_report, "FINISH", DEADLINE if "raise" in program else 0.5)
    wandb = Wandb(paths, with_wandb(paths, mode="offline"), {})
    process = wandb._process
    assert process is not None
    link, trouble = wandb.close(ok=True)
    assert link is None
    assert text in str(trouble)
    assert process.returncode is not None


def test_its_log_is_no_link_that_is_followed(paths: JobPaths, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine\n")
    paths.wandb_log.parent.mkdir()
    paths.wandb_log.symlink_to(tmp_path / "mine")
    wandb = Wandb(paths, with_wandb(paths, mode="offline"), {})
    [(_, problem), (_, again)] = [wandb.close(ok=True) for _ in range(2)]
    assert problem is not None
    assert "vitlab.log" in problem
    assert again is None
    assert (tmp_path / "mine").read_text() == "mine\n"


def test_an_address_in_a_lab_does_not_get_the_key(paths: JobPaths, tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nbase_url = http://127.0.0.1:1\n")
    code = (
        "import sys; from pathlib import Path; from vitlab.contract.paths import JobPaths\n"
        "from vitlab.recipes.wandb_report import _isolate; _isolate(JobPaths(Path(sys.argv[1])))\n"
        "import wandb; print(wandb.setup().settings.base_url == wandb.Settings().base_url)"
    )
    environment = {name: text for name, text in os.environ.items() if name != "WANDB_BASE_URL"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(paths.folder)],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr


def test_without_a_key_an_online_run_is_kept_offline(
    paths: JobPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    say(paths, (1, 0.1))
    wandb = Wandb(paths, with_wandb(paths, mode="online"), {})
    shown, trouble = wandb.close(ok=True)
    assert str(shown).startswith("wandb/offline-run-")
    assert str(trouble).startswith("W&B: kept offline: ")
    assert [row[R2] for [row] in logged(paths)] == [0.1]


def test_off_starts_nothing(paths: JobPaths) -> None:
    wandb = Wandb(paths, with_wandb(paths, mode="off"), {"WANDB_MODE": "online"})
    assert wandb._process is None
    assert wandb.close(ok=True) == (None, None)
    assert wandb_of({}).resolved({"WANDB_MODE": "disabled"}) == "off"
    assert wandb_of({}).resolved({}) == "offline"


EXPERIMENT = {"mvp": "1.0", "roadmap": "roadmaps/r.md", "recipe": "ridge"}


@pytest.mark.parametrize(
    ("wandb", "text"),
    [
        ("{mode: sometimes}", "wandb.mode: unknown value 'sometimes' (allowed: off, offline"),
        ("{porject: p}", "wandb.porject: unknown key; did you mean project?"),
        ("{tags: t}", "wandb.tags: must be a list"),
    ],
)
def test_an_experiments_wandb_is_checked(tmp_path: Path, wandb: str, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT) + f"wandb: {wandb}\n")
    with pytest.raises(UsageError, match=r"x\.yaml:4: ") as caught:
        load_experiment(path)
    assert text in str(caught.value)


def test_wandb_is_not_what_a_job_computes(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT))
    [plain] = load_experiment(path).specs("full", "E-1")
    path.write_text(yaml.safe_dump(EXPERIMENT) + "wandb: {mode: off, tags: [a]}\n")
    [told] = load_experiment(path).specs("full", "E-1")
    assert told.extra["wandb"] == {"mode": "off", "tags": ("a",)}
    assert told.hash == plain.hash
    assert "wandb" not in told.config


def test_a_labs_settings_of_wandb(tmp_path: Path) -> None:
    settings = tmp_path / "vitlab.yaml"
    settings.write_text("wandb: {mode: off, project: stars}\n")
    assert load_settings(LabPaths(tmp_path)).wandb == {"mode": "off", "project": "stars"}
    settings.write_text("wandb: {group: g}\n")
    with pytest.raises(UsageError, match=r"^vitlab\.yaml: wandb\.group: belongs to an experiment"):
        load_settings(LabPaths(tmp_path))


def test_a_link_is_whole_or_not_there(tmp_path: Path) -> None:
    assert read_link(JobPaths(tmp_path)) is None
    write_link(JobPaths(tmp_path), Link("a", "online", "https://w/a", "wandb/run-a"))
    assert read_link(JobPaths(tmp_path)) == Link("a", "online", "https://w/a", "wandb/run-a")
    assert json.loads((tmp_path / "wandb.json").read_bytes())["v"] == 1
    assert subprocess.run(["ls", tmp_path], capture_output=True).stdout == b"wandb.json\n"


def test_what_an_earlier_attempt_left_is_read_within_bounds(tmp_path: Path) -> None:
    for name in ("pipe", "huge", "link"):
        (tmp_path / f"wandb/run-{name}").mkdir(parents=True)
    os.mkfifo(tmp_path / "wandb/run-pipe/a.wandb")
    with (tmp_path / "wandb/run-huge/a.wandb").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "wandb/run-link/a.wandb").symlink_to("/dev/zero")
    assert wandb_report._last_logged(JobPaths(tmp_path)) == -1
