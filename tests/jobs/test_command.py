"""A user's program in her own surroundings: placeholders, environment, folders, what is kept."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.conftest import Workshop
from tests.jobs.test_experiment import write
from tests.waiting import ended, running, wait_for
from vitlab.contract.job import Queued, Spec
from vitlab.contract.networks import TrainConfig
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.environment import is_secret
from vitlab.jobs.experiment import placeholders
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.jobs.experiment.placeholders import expand, folder_name
from vitlab.jobs.files import read_json, write_json
from vitlab.jobs.process.child import keep_outputs
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.store import read_state, submit
from vitlab.jobs.submissions import record

HEAD = 'mvp: "1.0"\nroadmap: roadmaps/r.md\nrecipe: command\n'
PRINT = "import os, sys, json; print(json.dumps([os.getcwd(), sys.argv[1:], dict(os.environ)]))"


def specs(folder: Path, text: str, profile: str = "full") -> list[Spec]:
    return load_experiment(write(folder, HEAD + text)).specs(profile, "TST-20261128-x-01")


def run(shop: Workshop, job: JobPaths) -> None:
    advance(shop.lab)
    assert ended(job).outcome == "ok", job.log.read_text()


def printed(job: JobPaths) -> tuple[Path, list[str], dict[str, str]]:
    cwd, argv, environment = json.loads(job.log.read_text().splitlines()[-1])
    return Path(cwd), argv, environment


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        specs(folder, text)
    return str(caught.value)


def test_a_sweep_and_repeats_of_a_command(tmp_path: Path) -> None:
    text = (
        "config: {argv: [python, train.py, --lr, '{lr}', --depth, 6, --seed, '{seed}'], "
        "cwd: 'work/{run}'}\n"
        "matrix: {lr: [0.1, 1e-4], model.width: [8]}\nrepeats: 2\n"
        "profiles: {smoke: {max_steps: 3, repeats: 1}}\n"
    )
    found = specs(tmp_path, text)
    assert [spec.run for spec in found] == [
        "lr=0.1,width=8,seed=42",
        "lr=0.1,width=8,seed=43",
        "lr=1e-4,width=8,seed=42",
        "lr=1e-4,width=8,seed=43",
    ]
    assert found[1].config == {
        "argv": ["python", "train.py", "--lr", "{lr}", "--depth", "6", "--seed", "{seed}"],
        "cwd": "work/{run}",
        "args": {"lr": 0.1, "model": {"width": 8}},
        "seed": 43,
    }
    smoke = specs(tmp_path, text, "smoke")
    assert [spec.run for spec in smoke] == ["lr=0.1,width=8", "lr=1e-4,width=8"]
    assert smoke[0].config["args"] == {"lr": 0.1, "model": {"width": 8}, "max_steps": 3}
    assert TrainConfig.seed == placeholders.SEED


def test_runs_set_their_own_settings_and_metrics(tmp_path: Path) -> None:
    text = (
        "config: {argv: [train, '{lr}'], args: {lr: 1}, env: {A: 010}}\n"
        "metrics: {file: a.csv, names: {v: val/r2/log_g, w: val/loss}}\n"
        "runs:\n"
        "  - {name: A}\n"
        "  - {name: B, set: {lr: 2, env.B: yes}, metrics: {file: b.csv, names: {w: train/loss}}}\n"
    )
    one, two = specs(tmp_path, text)
    assert (one.config["args"], two.config["args"]) == ({"lr": 1}, {"lr": 2})
    assert two.config["env"] == {"A": "010", "B": "yes"}  # as they are written
    assert one.extra["metrics"]["file"] == "a.csv"
    assert two.extra["metrics"]["file"] == "b.csv"
    assert two.extra["metrics"]["names"] == {"v": "val/r2/log_g", "w": "train/loss"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config: {argv: [train, '{sed}']}", "unknown placeholder {sed}; did you mean seed?"),
        ("config: {argv: [train, '{sed}']}", "{{sed}} is the text {sed}"),
        ("config: {argv: [a], cwd: 'w/{lr}'}", "config.cwd: unknown placeholder {lr}"),
        ("config: {argv: [a], args: {seed: 3}}", "config.args.seed: is a placeholder of its own"),
        ("config: {argv: [a], args: {x: .nan}}", "config.args.x: must be a finite number"),
        ("config: {argv: [a], lr: 3}", "config.lr: unknown key"),
        ("config: {argv: [a], outputs: [../x]}", "config.outputs[0]: ../x: must be below"),
        ("config: {argv: [a], env: {'a=b': c}}", "config.env.a=b: cannot be a variable"),
        ("config: {argv: [a], cwd: w/{run}}", "text with braces needs quotes here"),
        ("config: {argv: [a, {run}]}", "config.argv[1]: needs quotes to be text: '{run}'"),
        ("config: {argv: [a, 0.25, null]}", "config.argv[2]: must be text"),
        ("config: {argv: [a, 6, [b]]}", "config.argv[2]: must be text"),
        ("config: {argv: [a], epochs: 0}", "config.epochs: must be >= 1"),
        ("config: {argv: [a]}\nmetrics: {file: '{x}.csv', names: {v: val/r2}}", "metrics.file: un"),
    ],
)
def test_a_wrong_command_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)
    assert refused(tmp_path, text).startswith("experiments/x.yaml:")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{run}/{lr}", "A/0.1"),
        ("{{run}}", "{run}"),
        ("${run} $HOME/{run}", "${run} $HOME/A"),
        ('{"opt": {"lr": {lr}}}', '{"opt": {"lr": 0.1}}'),
        (r"a{2} \d{3,4} {epoch:02d} {}", r"a{2} \d{3,4} {epoch:02d} {}"),
        ("awk '{print $1}' {{ x }}", "awk '{print $1}' {{ x }}"),
    ],
)
def test_only_known_words_are_filled_in(text: str, filled: str) -> None:
    assert expand(text, {"run": "A", "lr": "0.1"}) == filled


@given(st.text(alphabet="{}$run \\:\"'lr", max_size=30))
def test_a_text_without_known_words_is_kept(text: str) -> None:
    assert expand(text, {}) == text or "{{" in text
    assert expand(text, {"other": "x"}) == expand(text, {})


def test_runs_of_one_folder_are_refused(tmp_path: Path) -> None:
    runs = 'runs: [{name: "SNR>20"}, {name: SNR<20}]\n'
    assert specs(tmp_path, f"config: {{argv: [python, train.py]}}\n{runs}")
    for more in ("cwd: 'work/{run}'", "env: {OUT: '{run}'}", "args: {out: '{run}'}"):
        said = refused(tmp_path, f"config: {{argv: [python, train.py], {more}}}\n{runs}")
        assert "runs: 'SNR>20' and 'SNR<20' have one {run}, 'SNR-20': name them by" in said
    text = "config: {argv: [python, t.py, '{run}'], args: {n: 1}}\nmatrix: {n: [a/b, a-b]}\n"
    assert "'n=a/b' and 'n=a-b' have one {run}" in refused(tmp_path, text)


@given(st.text(max_size=200))
def test_a_run_s_folder_is_one_safe_name(run: str) -> None:
    name = folder_name(run)
    assert name not in ("", ".", "..")
    assert not set(name) & set("/\\\0 \n*?[]{}")
    assert len(name) <= 60


def test_placeholders_are_filled_in_when_it_starts(shop: Workshop) -> None:
    config: dict[str, Any] = {
        "argv": [sys.executable, "-c", PRINT, "{run}", "{seed}", "{job}", "[{gpu}]", "{lr}"],
        "cwd": "made/{run}/here",
        "env": {"CONFIG": "{config}", "EMPTY": "", "WANDB_DIR": "{run}"},
        "args": {"lr": "1e-4", "deep": {"on": True}, "out": "to/{seed}"},
        "seed": 7,
        "epochs": 5,
    }
    metrics = {"file": "logs/{run}/version_*/m.csv", "names": {"v": "val/r2/log_g"}}
    job = shop.submit("", run="Run 1/a", config=config, extra={"metrics": metrics})
    run(shop, job)
    cwd, argv, environment = printed(job)
    assert cwd == shop.lab.root / "made" / "Run-1-a" / "here"
    assert (cwd / "logs" / "Run-1-a").is_dir()
    assert argv == ["Run-1-a", "7", job.folder.name, "[]", "1e-4"]
    assert environment["VITLAB_SEED"] == "7"
    assert (environment["EMPTY"], environment["WANDB_DIR"]) == ("", "Run-1-a")
    settings = json.loads(Path(environment["CONFIG"]).read_text())
    assert settings == {"lr": 1e-4, "deep": {"on": True}, "out": "to/7", "seed": 7, "epochs": 5}
    assert read_json(job.started)["argv"][3:] == argv


def test_each_job_has_the_environment_it_was_submitted_with(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's supervisor starts the second."""
    odd = b"caf\xe9 \xff\nsecond line"
    jobs = []
    for name in ("a", "b"):
        monkeypatch.setenv("DATASET", name)
        monkeypatch.setenv("PATH", f"{shop.lab.root}/{name}/bin:{os.environ['PATH']}")
        monkeypatch.setenv("MY_API_TOKEN", f"not to be kept {name}")
        monkeypatch.setitem(os.environb, b"ODD", odd)
        code = (
            "import json, os; b = os.environb.get(b'ODD', b''); e = dict(os.environ);"
            "e['ODD'] = b.hex(); print(json.dumps([os.getcwd(), [], e]))"
        )
        jobs.append(shop.submit(code))
    monkeypatch.setenv("DATASET", "c")
    monkeypatch.delenv("ODD")
    for job in jobs:
        run(shop, job)
    for name, job in zip("ab", jobs, strict=True):
        _, _, environment = printed(job)
        assert environment["DATASET"] == name
        assert environment["PATH"].startswith(f"{shop.lab.root}/{name}/bin:")
        assert bytes.fromhex(environment["ODD"]) == odd
        # A secret is not on the disk: it is that of the process that starts the job.
        assert environment["MY_API_TOKEN"] == "not to be kept b"
        assert "not to be kept" not in job.environment.read_text()
        assert read_json(job.environment)["withheld"] == ["MY_API_TOKEN"]
        assert job.environment.stat().st_mode & 0o777 == 0o600


def test_a_secret_that_is_not_there_any_more_is_told(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "x")
    job = shop.submit("")
    monkeypatch.delenv("MY_API_TOKEN")
    run(shop, job)
    assert "MY_API_TOKEN" in job.health.read_text()


def test_an_older_job_starts_as_before(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET", "then")
    job = shop.submit("", config={"argv": [sys.executable, "-c", PRINT]})
    job.environment.unlink()
    record(job.folder)
    monkeypatch.setenv("DATASET", "now")
    run(shop, job)
    assert printed(job)[2]["DATASET"] == "now"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("WANDB_API_KEY", "", True),
        ("HF_TOKEN", "", True),
        ("aws_secret_access_key", "", True),
        ("DB_PASSWORD", "", True),
        ("MYSQL_PWD", "", True),
        ("GITHUB_PAT", "", True),
        ("DATABASE_URL", "postgres://me:secret@host/db", True),
        ("https_proxy", "http://proxy:3128", False),
        ("PWD", "/home", False),
        ("OLDPWD", "/home", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
        ("SSH_AUTH_SOCK", "/tmp/x", False),
        ("PATH", "/bin", False),
        ("KEYBOARD", "us", False),
    ],
)
def test_what_looks_like_a_secret(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret


LONG = "import sys, time; print(sys.argv[1], flush=True); time.sleep(60)"


def test_a_resumed_command_runs_its_own_argv_for_that(shop: Workshop) -> None:
    config = {
        "argv": [sys.executable, "-c", LONG, "{run} anew"],
        "resume_argv": [sys.executable, "-c", PRINT, "--ckpt", "last"],
    }
    job = shop.submit("", config=config)
    advance(shop.lab)
    running(job)
    wait_for(lambda: "anew" in job.log.read_text() if job.log.exists() else False)
    stop(job)
    assert ended(job).outcome == "killed"
    resume(shop.lab, job)
    run(shop, job)
    assert printed(job)[1] == ["--ckpt", "last"]


def test_outputs_are_kept_at_a_good_end(shop: Workshop) -> None:
    work = shop.lab.root / "work" / "main"
    work.mkdir(parents=True)
    (work / "old.ckpt").write_text("of an earlier run")
    os.utime(work / "old.ckpt", (1e9, 1e9))
    code = (
        "import os; os.makedirs('logs/v_0'); open('logs/v_0/hparams.yaml', 'w').write('lr: 1');"
        "open('best.ckpt', 'w').write('weights')"
    )
    config = {
        "argv": [sys.executable, "-c", code],
        "cwd": "work/{run}",
        "outputs": ["*.ckpt", "logs", "missing/*.png"],
    }
    job = shop.submit("", run="main", config=config)
    run(shop, job)
    kept = {str(p.relative_to(job.outputs)) for p in job.outputs.rglob("*") if p.is_file()}
    assert kept == {"best.ckpt", "logs/v_0/hparams.yaml"}
    told = job.health.read_text()
    assert "config.outputs: missing/*.png: no file in" in told
    failed = shop.submit("", config={**config, "argv": [sys.executable, "-c", "1/0"]})
    advance(shop.lab)
    assert ended(failed).outcome == "failed"
    assert not failed.outputs.exists()


@pytest.mark.parametrize("ahead", [30.0, -30.0])
def test_outputs_go_by_the_clock_of_their_disk(shop: Workshop, ahead: float) -> None:
    work = shop.lab.root / "work"
    work.mkdir()
    config = {"argv": ["true"], "cwd": "work", "outputs": ["*.txt"]}
    job = shop.submit("", config=config)
    (work / "old.txt").write_text("of an earlier run")
    os.utime(work / "old.txt", (time.time() - 20,) * 2)
    write_json(job.started, {"started": time.time() + ahead})  # by the machine's own clock
    (work / "new.txt").write_text("its own")
    assert keep_outputs(job) == []
    assert [path.name for path in job.outputs.iterdir()] == ["new.txt"]


def test_two_runs_on_one_file_run_one_after_the_other(shop: Workshop) -> None:
    shop.settings("cpu_slots: 2\n")
    (shop.lab.root / "work").mkdir()
    extra = {"metrics": {"file": "m.csv", "names": {"v": "val/r2/log_g"}}}
    config = {"argv": [sys.executable, "-S", "-c", LONG, "x"], "cwd": "work"}
    one, two = (shop.submit("", config=config, extra=extra) for _ in "ab")
    own = submit(shop.lab, shop.spec("", config={**config, "cwd": "work/{run}"}, extra=extra))
    advance(shop.lab)
    running(one)
    running(own)
    assert isinstance(read_state(two), Queued)
    stop(one)
    ended(one)
    running(two)
    for job in (two, own):
        stop(job)
        ended(job)
