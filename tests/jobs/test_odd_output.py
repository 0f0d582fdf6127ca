"""Whatever a job writes, its supervisor goes on, its training ends by itself, its numbers count."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended, printed, wait_for
from vitlab.contract.events import read_events
from vitlab.contract.job import read_result
from vitlab.contract.paths import JobPaths
from vitlab.jobs.files import read_json
from vitlab.jobs.metrics import follow
from vitlab.jobs.process.child import keep_outputs
from vitlab.jobs.process.ending import End, behind_shell, explain
from vitlab.jobs.queue.scheduler import advance, stop

R2 = "val/r2/log_g"
ODD = [
    *["null", "true", "[]", "{}", '"x"', "NaN", "-Infinity", "1e400", "-1", "1e-320", "1.7e308"],
    *["9" * 400, "9" * 5_000, '"\\ud800"', '"\\u0000"', "[" * 900 + "]" * 900, "[" * 100_000],
    *['{"a":' * 70 + "1" + "}" * 70, '{"a":' * 900 + "1" + "}" * 900, '"' + "a" * 100_000 + '"'],
]
LINES = [
    *[b"", b"\0\0\0\0", b"\xff\xfe", b'"', b'"open', b"{", b"[", b"null", b"1", b"\r\r", b"1,2"],
    *[b'7,0.7,0.07,"x', b"(" + b"," * 200_000, b'{"a":' * 100_000, b"7" * (17 << 20)],
]


def event(**changes: str) -> str:
    """An event with some of its keys as these JSON texts."""
    keys = {"v": "1", "t": repr(time.time()), "kind": '"eval"', "split": '"val"', "step": "7"}
    keys |= {"epoch": "0.7", "of": "9", "values": f'{{"{R2}": 0.07}}', **changes}
    return "{" + ", ".join(f'"{key}": {text}' for key, text in keys.items()) + "}"


def odd_events() -> list[bytes]:
    lines = [
        event(**{key: odd}) for key in ("v", "t", "kind", "step", "epoch", "of") for odd in ODD
    ]
    lines += [event(**{key: odd}) for key in ("split", "values", "nonfinite", "ok") for odd in ODD]
    lines += [event(values=f'{{"{R2}": {odd}, "odd/\\ud800": {odd}}}') for odd in ODD]
    lines += [event(kind='"note"', text=odd) for odd in ODD]
    lines += [event(kind='"start"', seed=odd) for odd in ODD]
    return [*(line.encode() for line in lines), *LINES]


def rows(odd: bool) -> list[list[str]]:
    """Step, epoch and R2 of the rows of a table, the odd ones between good ones."""
    good = [[str(step), str(step / 10), str(step / 100)] for step in range(1, 5)]
    strange = [[*good[1][:at], text, *good[1][at + 1 :]] for at in range(3) for text in ODD]
    return [*good[:2], *(strange if odd else []), *good[2:]]


NAMES = ("step", "epoch", "val_r2")


def table() -> bytes:
    lines = [",".join(row).encode() for row in rows(odd=True)]
    return b"\n".join([b",".join(map(str.encode, NAMES)), *lines[:2], *LINES, *lines[2:]]) + b"\n"


def json_lines() -> bytes:
    lines = [json.dumps(dict(zip(NAMES, map(float, row), strict=True))) for row in rows(odd=False)]
    for key in (*NAMES, "other", "other\\ud800"):
        keys = {"step": "7", "epoch": "0.7", "val_r2": "0.07"}
        texts = [{**keys, key: odd} for odd in ODD]
        lines[2:2] = ["{" + ", ".join(f'"{k}": {x}' for k, x in one.items()) + "}" for one in texts]
    data = [line.encode() for line in lines]
    return b"\n".join([*data[:2], *LINES, *data[2:]]) + b"\n"


COPY = """
import os, shutil, sys
job = os.environ["VITLAB_JOB"]
for name in sys.argv[1:]:
    source, _, target = name.partition(":")
    with open(source, "rb") as file, open(target.replace("@", job), "ab") as copy:
        shutil.copyfileobj(file, copy)
"""


def declared(**where: str) -> dict[str, Any]:
    names: dict[str, Any] = {"val_r2": R2}
    return {"metrics": {**where, "names": names}, "health": {"action": "stop"}}


def test_nothing_a_job_writes_ends_it_or_costs_its_other_numbers(shop: Workshop) -> None:
    shop.settings("cpu_slots: 4\n")
    root = shop.lab.root
    last = event(step="8", t=repr(time.time() + 1), values=f'{{"{R2}": 0.08}}').encode()
    (root / "events").write_bytes(b"\n".join([*odd_events(), last]) + b"\n")
    (root / "table").write_bytes(table())
    (root / "lines").write_bytes(json_lines())
    (root / "result").write_bytes(b'{"v": 1, "values": {"' + b"[" * 100_000)
    pattern = r"^(?P<step>[^,]*),(?P<epoch>[^,]*),(?P<val_r2>[^,]*)$"

    def job(extra: dict[str, Any], *copies: str) -> JobPaths:
        argv = [sys.executable, "-S", "-c", COPY, *copies]
        return shop.submit("", config={"argv": argv, "epochs": 9}, extra=extra, headline=R2)

    own = ["events:@/events.jsonl", "result:@/result.json"]
    jobs = [
        job({"health": {"action": "stop"}}, *own),
        job(declared(file="one/m.csv"), "table:one/m.csv"),
        job(declared(file="two/m.jsonl"), "lines:two/m.jsonl"),
        job(declared(pattern=pattern), "table:@/out.log"),
    ]
    for name in ("one", "two"):
        (root / name).mkdir()
    advance(shop.lab)
    for one in jobs:
        assert ended(one).outcome == "ok", (ended(one), one.health.read_text())
    verdicts = jobs[0].health.read_text() if jobs[0].health.exists() else ""
    assert "watching failed" not in verdicts
    for one in jobs[1:]:
        result = read_result(one.result)
        assert result is not None, (one.health.read_text(), ended(one))
        assert result.values[R2] == 0.04
        pairs = [(found.step, found.values.get(R2)) for found in read_events(one.events)[0]]
        for step in range(1, 5):
            assert (step, step / 100) in pairs, (one.name, step)
        problems = "; ".join(read_json(one.metrics)["problems"])
        assert (
            "cannot be read and are left out" in problems or "kB or with zeros in them" in problems
        )


IN_PLACE = """
import os
home = os.environ["OUTSIDE"]
os.chdir(os.environ["VITLAB_JOB"])
for name in ("health.jsonl", "events.jsonl", "metrics.json", "config.json"):
    if os.path.exists(name):
        os.remove(name)
os.mkfifo("events.jsonl")
os.mkfifo("metrics.json")
for name in ("health.jsonl", "out.1.log", "config.json"):
    os.symlink(home, name)
os.remove(".exit.json.reserved")
os.mkdir("exit.json")
"""


def test_a_pipe_link_or_folder_in_place_of_its_files(shop: Workshop) -> None:
    outside = shop.lab.root.parent / "outside"
    outside.write_text("hers")
    argv = [sys.executable, "-S", "-c", IN_PLACE]
    config = {"argv": argv, "env": {"OUTSIDE": str(outside)}, "args": {"x": 1}}
    job = shop.submit("", config=config, extra=declared(file="m.csv"))
    advance(shop.lab)
    wait_for(lambda: job.exit.is_file())
    assert ended(job).outcome == "ok", (ended(job), job.log.read_text())
    assert (job.folder / "exit.json.folder").is_dir()
    assert outside.read_text() == "hers"


def test_outputs_stay_within_the_run_s_and_the_job_s_folder(shop: Workshop) -> None:
    root, outside = shop.lab.root, shop.lab.root.parent / "outside"
    (root / "run" / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("hers")
    (root / "run" / "good.txt").write_text("1")
    (root / "run" / "near.txt").symlink_to("good.txt")
    (root / "run" / "far.txt").symlink_to(outside / "secret")
    (root / "run" / "loop.txt").symlink_to("loop.txt")
    (root / "run" / "zero.txt").symlink_to("/dev/zero")
    (root / "run" / "dir.txt").symlink_to(outside)
    os.mkfifo(root / "run" / "pipe.txt")
    (root / "run" / "sub" / "kept.dat").write_text("2")
    outputs = ["*.txt", "/etc/passwd", "sub", "../../outside/*"]
    config = {"argv": ["true"], "cwd": "run", "outputs": outputs}
    job = shop.submit("", config=config)
    job.outputs.mkdir()
    (job.outputs / "sub").symlink_to(outside)
    (job.outputs / "good.txt").symlink_to(outside / "secret")
    lines = "; ".join(keep_outputs(job))
    for words in (
        "far.txt: not kept (a link out of the run's folder)",
        "secret: not kept (a link out of the run's folder)",
        "loop.txt: not kept (",
        "zero.txt: not kept (a link out of the run's folder)",
        "pipe.txt: not kept (is a pipe (FIFO))",
        "sub/kept.dat: not kept (its copy would lie outside the job's outputs)",
        "config.outputs: /etc/passwd: ",
    ):
        assert words in lines, (words, lines)
    assert (job.outputs / "good.txt").read_text() == "1"
    assert (job.outputs / "near.txt").read_text() == "1"
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_text() == "hers"
    assert not any("passwd" in path.name for path in job.folder.rglob("*"))


EARLY, STARTS = ("", "epoch 3 of 9"), "os.system('python x.py')"
FORKED = 'Traceback (most recent call last):\n  File "p.py", line 1, in _bootstrap\n'


def raised(line: str, head: str = "") -> str:
    """A traceback that ends with this line."""
    stack = ["Traceback (most recent call last):", '  File "x.py", line 1, in <module>', line]
    return "".join(f"{head}{one}\n" for one in stack)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["python", "train.py"], False),
        (["python", "train.py", "--task", "make"], False),
        (["bash", "-c", "python train.py | tee log"], True),
        (["nice", "-n", "5", "/bin/sh", "run"], True),
        (["./run"], True),
        (["./missing"], False),
    ],
)
def test_a_shell_may_hide_how_its_program_ended(
    argv: list[str], expected: bool, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("#!/usr/bin/env bash\npython train.py\n")
    (tmp_path / "train.py").write_text("#!/usr/bin/env python\n")
    assert behind_shell(argv, tmp_path) == expected


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"


@pytest.mark.parametrize(
    ("end", "outcome", "detail"),
    [
        (End(3, None, own_codes=True), "failed", "exit code 3"),
        (End(3, None), "nan", "not finite"),
        (End(3, None, error="nan"), "nan", "not finite"),
        (End(3, None, error="rank 1: nan"), "nan", "not finite"),
        (End(3, None, error="OSError: finance.h5"), "failed", "OSError: finance.h5"),
        (
            End(1, None, raised(OOM) + "retrying\n" + raised("ValueError: x")),
            "failed",
            "ValueError",
        ),
        (End(1, None, f"caught {OOM}\nretrying\n{raised('KeyError: 1')}"), "failed", "KeyError: 1"),
        (End(1, None, f"{OOM}: with a smaller batch\nbad label in row 7\n"), "failed", "bad label"),
        (End(1, None, raised("ImportError: x") + raised(OOM)), "oom", "CUDA out of memory"),
        (End(1, None, raised(OOM) + "wandb: see the run\nSaved.\n"), "oom", "CUDA out of memory"),
        (
            End(1, None, raised("ValueError: x") + f"[rank1]: worker: {OOM}\n"),
            "failed",
            "ValueError: x",
        ),
        (
            End(1, None, raised(OOM, "[rank0]: ") + raised("a.ChildFailedError: train.py FAILED")),
            "oom",
            "CUDA out of memory",
        ),
        (End(1, None, "x\nERROR: OutOfMemoryError()\nStacktrace:\n [1] top\n"), "oom", "OutOf"),
        (End(1, None, "ok\n", error="MemoryError: "), "oom", "MemoryError"),
        (End(1, None, raised("RuntimeError: MPS backend out of memory (x)")), "oom", "MPS"),
        (End(1, None, raised("RuntimeError: cuDNN: CUDNN_STATUS_ALLOC_FAILED")), "oom", "cuDNN"),
        (End(1, None, raised("a.InternalError: CUDA_ERROR_OUT_OF_MEMORY: x")), "oom", "Internal"),
        (End(1, None, "srun: error: n1: task 0: Out Of Memory\n"), "oom", "n1: task 0"),
        (End(1, None, raised("MemoryError"), error="ValueError: x"), "failed", "ValueError: x"),
        (End(None, 9), "killed", "SIGKILL from outside"),
        (End(None, 9, oom_kills=1), "oom", "the kernel killed it"),
        (End(137, None), "killed", "SIGKILL from outside"),
        (End(137, None, oom_kills=1), "oom", "the kernel killed it"),
        (End(None, 6, "terminate called: 'std::bad_alloc'\n  what(): x\n"), "oom", "SIGABRT"),
        (End(1, None, "\x1b[2J\x9b1mgone\n"), "failed", "gone"),
        # A pipe or script hides its program's end.
        (
            End(0, None, raised(OOM), behind_shell=True),
            "unknown",
            "exit code 0, but its log ends in",
        ),
        (End(0, None, raised("E: x") + "done\n", behind_shell=True), "unknown", "ends in E: x"),
        (End(0, None, raised("E: x") + "on\n" * 4, behind_shell=True), "ok", ""),
        (
            End(
                0, None, raised("E: x") + "on\n" * 4, behind_shell=True, proof=("", "epoch 1 of 9")
            ),
            "unknown",
            "E: x; it came to epoch 1 of 9",
        ),
        (
            End(0, None, "run.sh: line 1: 253 Killed   python t.py\nfinished\n", behind_shell=True),
            "unknown",
            "line 1: 253 Killed",
        ),
        (End(0, None, raised("E: x"), behind_shell=True, proof=("it wrote x", "")), "ok", ""),
        (End(0, None, "Exception ignored in: <f>\n" + raised("E: x"), behind_shell=True), "ok", ""),
        (End(0, None, raised("E: x"), own_codes=True), "ok", ""),  # it was caught
        # A launcher in Python has a code of its own, too.
        (End(0, None, raised("E: x"), proof=EARLY, source=STARTS), "unknown", "came to epoch 3"),
        (End(0, None, raised("E: x") + "on\n" * 4, proof=EARLY, source=STARTS), "ok", ""),
        (End(0, None, "ERROR:root:no\n" + raised("E: x"), proof=EARLY, source=STARTS), "ok", ""),
        (End(0, None, FORKED + "E: x\n", proof=EARLY), "unknown", "ends in E: x"),
        (End(0, None, FORKED + "EOFError\n", proof=EARLY), "ok", ""),
        (End(0, None, raised("E: x"), proof=EARLY), "ok", ""),  # a module that it imports
        (
            End(0, None, raised("E: x").replace("<module>", "main"), proof=EARLY, source=STARTS),
            "ok",
            "",
        ),
        # What ran on was ended: a monitor, or the training.
        (End(0, None, left=("gpu.py (pid 7)", 1)), "ok", "gpu.py (pid 7) ran on"),
        (End(0, None, left=("plot.py", 0), proof=("", "epoch 3 of 9")), "ok", "plot.py ran on"),
        (End(0, None, left=("t.py (pid 7)", 2)), "unknown", "while t.py (pid 7) ran on"),
        (End(0, None, left=("t.py", 1), proof=("", "epoch 3 of 9")), "unknown", "epoch 3 of 9"),
        (End(0, None, left=("t.py", 2), proof=("it wrote x", "")), "ok", "ran on"),
        (
            End(0, None, "a.sh: line 2: 12 Killed   nap\n" + "on\n" * 9, behind_shell=True),
            "ok",
            "",
        ),
        # Started by hand: its exit code is not known.
        (End(None, None, raised("ValueError: x") + "see the run\n"), "failed", "ValueError: x"),
        (End(None, None, raised(OOM), proof=("it wrote x", "")), "oom", "CUDA out of memory"),
        (End(None, None, raised("ValueError: x")[:60]), "failed", ""),
        (End(None, None, raised("ValueError: x") + "on\n" * 31), "unknown", "nothing shows"),
        (
            End(None, None, raised("E: x") + "on\n" * 31, proof=("it wrote x", "")),
            "ok",
            "it wrote x",
        ),
        (End(None, None, proof=("", "epoch 1 of 9")), "unknown", "it came to epoch 1 of 9"),
    ],
)
def test_an_end_is_told_by_what_came_last(end: End, outcome: str, detail: str) -> None:
    found, line = explain(end)
    assert (found, detail in line) == (outcome, True), (found, line)
    assert line.isprintable()


def test_a_log_of_many_torn_tracebacks_is_explained_at_once() -> None:
    begun, torn = time.monotonic(), "".join(raised("E: x").splitlines(keepends=True)[:2])
    words = torn * 800 + raised("ValueError: x")
    assert explain(End(0, None, words, behind_shell=True))[0] == "unknown"
    assert time.monotonic() - begun < 2  # of 10


def test_a_slow_pattern_makes_nobody_deaf_to_a_stop(shop: Workshop) -> None:
    shop.settings("grace: 1\n")
    extra = declared(pattern=r"(?P<val_r2>(a+)+)$")
    code = "import time\nfor _ in range(999): print('a' * 60 + '!', flush=True); time.sleep(0.02)"
    job = shop.submit(code, extra=extra)
    advance(shop.lab)
    printed(job, "!")
    asked = time.monotonic()
    stop(job)
    assert ended(job).outcome == "killed"
    assert time.monotonic() - asked < 30  # of 60 for what is left of a log


def test_a_slow_pattern_of_a_scale_is_given_up(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PATTERN_LIMIT", 0.2)
    name = {"as": "val/mae/log_g", "scale": {"pattern": r"((a+)+)$"}}
    job = shop.submit("", extra={"metrics": {"pattern": r"=(?P<mae>\S+)", "names": {"mae": name}}})
    job.log.write_text("a" * 60 + "!\nmae=0.5\n")
    reader = follow.Follow(job, "1", 0)
    reader.begin()
    reader.round()
    assert "the scales: the pattern searched for 0 s without an end" in "; ".join(
        reader.problems(last=True)
    )


def test_a_job_does_not_wait_for_the_log_of_supervisors(shop: Workshop) -> None:
    shop.lab.private.make()
    os.mkfifo(shop.lab.private.supervisor_log)
    job = shop.submit("pass")
    advance(shop.lab)
    assert ended(job).outcome == "ok"
