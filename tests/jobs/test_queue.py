"""The scheduler's decisions, as pure values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.job import Done, Lost, Queued, Running, Spec
from vitlab.contract.paths import JobPaths
from vitlab.jobs.experiment.command import may_meet
from vitlab.jobs.gpus import Device
from vitlab.jobs.metrics.ownership import matches
from vitlab.jobs.queue.machine import Gpu, Machine
from vitlab.jobs.queue.queue import plan
from vitlab.jobs.store import Job
from vitlab.jobs.submissions import NOT_HERE

GB = 10**9


def why_waiting(job: Job, jobs: Sequence[Job], slots: Machine) -> str:
    """The reason the plan gives for one job; empty when it starts, or does not wait."""
    return plan(jobs, slots).reasons.get(job.name, "")


def job(name: str, **changes: Any) -> Job:
    """A queued CPU job; keys of `Spec` and of `Job` may be changed."""
    known = {k: changes.pop(k) for k in list(changes) if k in Spec.__dataclass_fields__}
    values: dict[str, Any] = {
        "mvp": "1.0",
        "run": name,
        "profile": "full",
        "recipe": "ridge",
        "config": {},
        "exp_id": "E",
        "roadmap": "r.md",
    }
    spec = Spec(**{**values, **known})
    return Job(
        **{
            "paths": JobPaths(Path("/lab/experiments/E") / name),
            "spec": spec,
            "state": Queued(0.0),
            "order": spec.submitted,
            "priority": spec.priority,
            **changes,
        }
    )


def on(name: str, device: str, **changes: Any) -> Job:
    return job(name, state=Running(1.0, 1, device), **changes)


def gpu(index: int, free: int = 40, foreign: tuple[int, ...] = ()) -> Gpu:
    return Gpu(Device(index, f"GPU-{index}", "A100", 40 * GB, free * GB), foreign)


def names(jobs: list[Job], slots: Machine) -> list[str]:
    return [f"{start.job.spec.run}@{start.device}" for start in plan(jobs, slots).starts]


def test_priority_then_order_then_name() -> None:
    jobs = [job("c", order=2.0), job("b", order=1.0), job("a", order=3.0, priority=1)]
    assert names(jobs, Machine(cpu=2)) == ["a@cpu", "b@cpu"]
    assert why_waiting(jobs[0], jobs, Machine(cpu=2)) == "CPU slots: 2 of 2 used by E/a, E/b"
    assert why_waiting(jobs[1], jobs, Machine(cpu=2)) == ""


def test_a_held_job_blocks_nobody() -> None:
    jobs = [job("a", held=True), job("b")]
    assert names(jobs, Machine()) == ["b@cpu"]
    assert why_waiting(jobs[0], jobs, Machine()) == "held: release it to run"


def test_nothing_starts_by_surprise_after_a_reboot() -> None:
    here = Machine(boot="ada:2:1")
    assert names([job("a", boot="ada:2:1")], here) == ["a@cpu"]
    assert "restarted" in plan([job("a", boot="ada:1:1")], here).reasons["E/a"]
    assert "queued on bob" in plan([job("a", boot="bob:3:1")], here).reasons["E/a"]


def test_after_waits_for_a_good_end() -> None:
    second = job("second", after=("E/first",))
    slots = Machine(cpu=2)
    for state, why in [
        (Running(1, 1, "cpu"), "after E/first: E/first is running"),
        (Done(1, 2, "nan", 3), "after E/first: E/first ended as nan"),
        (Lost(1), "after E/first: E/first is lost"),
        (Done(1, 2, "ok", 0), ""),
    ]:
        first = job("first", state=state)
        assert why_waiting(second, [first, second], slots) == why
    assert "has not been launched" in why_waiting(second, [second], slots)
    foreign = job("first", foreign=True)
    assert why_waiting(second, [foreign, second], slots) == f"after E/first: E/first: {NOT_HERE}"
    any_end = job("second", after=("E/first",), extra={"after": "any"})
    failed = job("first", state=Done(1, 2, "failed", 1))
    assert why_waiting(any_end, [failed, any_end], slots) == ""


def test_after_an_mvp_means_the_newest_of_each_of_its_runs() -> None:
    old = job("x", exp_id="A", mvp="0.5", state=Done(1, 2, "failed", 1), submitted=1.0)
    new = replace(
        job("x", exp_id="A", mvp="0.5", state=Done(3, 4, "ok", 0), submitted=2.0),
        paths=JobPaths(Path("/lab/experiments/A/x-2")),
    )
    other = job("y", exp_id="A", mvp="0.5", state=Queued(0))
    waiting = job("z", after=("0.5",))
    assert why_waiting(waiting, [new, old, waiting], Machine()) == ""
    assert "E/y is queued" in why_waiting(waiting, [new, old, other, waiting], Machine(cpu=2))


def test_auto_takes_a_gpu_only_for_what_uses_one() -> None:
    slots = Machine(gpus=(gpu(0), gpu(1)))
    jobs = [job("v", recipe="vit"), job("w", recipe="vit"), job("r"), job("x", recipe="vit")]
    assert names(jobs, slots) == ["r@cpu", "v@gpu0", "w@gpu1"]
    assert why_waiting(jobs[3], jobs, slots) == "gpu0: used by E/v; gpu1: used by E/w"
    assert names(jobs, Machine(cpu=1)) == ["r@cpu"]  # no GPU: all on the CPU, one at a time


def test_one_job_has_a_gpu_alone_unless_it_declares_its_memory() -> None:
    small: dict[str, Any] = {"recipe": "vit", "extra": {"gpu_memory": 15 * GB}}
    slots = Machine(gpus=(gpu(0), gpu(1)))
    three = [job(name, **small) for name in "abc"]
    assert names(three, slots) == ["a@gpu0", "b@gpu0", "c@gpu1"]
    # b has just been started and has taken nothing yet: its memory counts all the same.
    jobs = [on("a", "gpu0", **small), on("b", "gpu0", **small), job("c", **small)]
    assert names(jobs, Machine(gpus=(gpu(0),))) == []
    why = why_waiting(jobs[2], jobs, Machine(gpus=(gpu(0),)))
    assert why == "gpu0: 10.0 GB free of the 15.0 GB it declares"
    assert names([on("a", "gpu0", recipe="vit"), job("c", **small)], Machine(gpus=(gpu(0),))) == []


def test_a_large_job_is_not_starved_by_small_ones() -> None:
    small: dict[str, Any] = {"recipe": "vit", "extra": {"gpu_memory": 5 * GB}}
    jobs = [
        on("running", "gpu0", **small),
        job("large", recipe="vit", order=1.0),
        job("late", order=2.0, **small),
    ]
    slots = Machine(gpus=(gpu(0),))
    assert names(jobs, slots) == []
    assert why_waiting(jobs[2], jobs, slots) == "gpu0: behind E/large"


def test_a_gpu_somebody_else_uses_is_left_alone() -> None:
    jobs = [job("a", recipe="vit"), job("b", device="GPU-0"), job("c", device="7")]
    slots = Machine(gpus=(gpu(0, foreign=(4711,)), gpu(1)))
    assert names(jobs, slots) == ["a@gpu1"]
    assert why_waiting(jobs[1], jobs, slots) == "gpu0: used by another program (pid 4711)"
    assert why_waiting(jobs[2], jobs, slots) == "GPU 7: no such GPU on this machine"


def test_several_gpus_are_taken_together_or_not_at_all() -> None:
    two: dict[str, Any] = {"recipe": "vit", "config": {"train": {"processes": 2}}}
    slots = Machine(gpus=(gpu(0), gpu(1), gpu(2)))
    jobs = [job("a", **two), job("b", **two), job("c", recipe="vit")]
    assert names(jobs, slots) == ["a@gpu0,gpu1"]
    why = why_waiting(jobs[1], jobs, slots)
    assert why == "needs 2 GPUs at once: gpu0: used by E/a; gpu1: used by E/a"
    assert why_waiting(jobs[2], jobs, slots).endswith("gpu2: behind E/b")
    running = [on("a", "gpu0,gpu1", **two), job("c", recipe="vit")]
    assert names(running, slots) == ["c@gpu2"]
    assert names([job("a", **two)], Machine()) == ["a@cpu"]  # gloo
    named = job("d", recipe="vit", device="0,2", extra={"gpus": 3})
    why = why_waiting(named, [named], slots)
    assert why == "needs 3 GPUs at once: this machine has 2 for it"
    assert names([job("e", recipe="command", device="0,2")], slots) == ["e@gpu0,gpu2"]


def test_another_machine_s_jobs_take_no_room_here() -> None:
    jobs = [on("a", "cpu", boot="bob:2:1"), job("b", boot="ada:1:1")]
    assert names(jobs, Machine(boot="ada:1:1")) == ["b@cpu"]


def test_a_machine_whose_name_has_changed_is_the_same() -> None:
    jobs = [on("a", "cpu", boot="ada.local:1:1"), job("b", boot="ada.local:1:1")]
    assert names(jobs, Machine(boot="ada:1:1")) == []
    assert names(jobs[1:], Machine(boot="ada:1:1")) == ["b@cpu"]
    assert names([job("b", boot="ada::1")], Machine(boot="bob::1")) == []  # not known which


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["queued", "running", "done", "lost"]),
            st.integers(0, 2),
            st.booleans(),
            st.sampled_from(["auto", "cpu", "0", "GPU-1"]),
            st.sampled_from([0, 10 * GB, 30 * GB]),
        ),
        max_size=12,
    ),
    st.integers(1, 3),
)
def test_never_more_than_there_is_room_for(rows: list[tuple[Any, ...]], cpu: int) -> None:
    states = {"running": Running(1, 1, "cpu"), "done": Done(1, 2, "ok", 0), "lost": Lost(1)}
    jobs = [
        job(
            f"j{i}",
            state=states.get(word, Queued(0)),
            priority=priority,
            held=held,
            device=device,
            recipe="vit",
            extra={"gpu_memory": memory},
        )
        for i, (word, priority, held, device, memory) in enumerate(rows)
    ]
    slots = Machine(cpu=cpu, gpus=(gpu(0), gpu(1)))
    made = plan(jobs, slots)
    queued = {j.name for j in jobs if isinstance(j.state, Queued)}
    started = [start.job.name for start in made.starts]
    assert len(started) == len(set(started))
    # Each waiting job either starts or says why not.
    assert set(started) | set(made.reasons) == queued
    assert not set(started) & set(made.reasons)
    on_cpu = [s for s in made.starts if not s.gpus]
    running = sum(isinstance(j.state, Running) for j in jobs)
    assert not on_cpu or len(on_cpu) + running <= cpu
    for one in slots.gpus:
        here = [s.job.spec.extra["gpu_memory"] for s in made.starts if one in s.gpus]
        assert sum(here) <= one.device.memory_total
        assert 0 not in here or len(here) == 1


def writes(name: str, cwd: str, file: str, **changes: Any) -> Job:
    """A job of a program that writes its metrics into `file`."""
    metrics = {"file": file, "names": {"v": "val/r2/log_g"}}
    config = {"argv": ["train"], "cwd": cwd}
    extra = {"metrics": metrics, **changes.pop("extra", {})}
    return job(name, recipe="command", device="cpu", config=config, extra=extra, **changes)


def test_two_writers_of_one_metrics_file_do_not_run_at_once() -> None:
    version = "logs/version_*/metrics.csv"
    first = writes("a", "work", version, state=Running(1, 1, "cpu"))
    second = writes("b", "work/.", version)
    why = why_waiting(second, [first, second], Machine(cpu=4))
    assert why == (
        "E/a writes the same metrics file (logs/version_*/metrics.csv) and runs; "
        "put {run} into config.cwd or metrics.file"
    )
    # Neither do two that could start together, nor one beside an adopted run.
    waiting = [writes("a", "work", version), second, writes("c", "work", "logs/version_1/m*.csv")]
    assert names(waiting, Machine(cpu=4)) == ["a@cpu"]
    adopted = writes(
        "x", "/lab/work", version, extra={"adopt": {"pid": 1}}, state=Running(1, 1, "")
    )
    assert names([adopted, second], Machine(cpu=4)) == []


@pytest.mark.parametrize("file", ["logs/m.csv", "logs/*.csv", "logs/../m.csv"])
def test_two_that_reach_one_file_by_links_do_not_run_at_once(tmp_path: Path, file: str) -> None:
    (tmp_path / "scratch/logs").mkdir(parents=True)
    for run in ("A", "[B]"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "logs").symlink_to("../scratch/logs")
    first, second = (writes(run.strip("[]"), str(tmp_path / run), file) for run in ("A", "[B]"))
    assert names([first, second], Machine(cpu=4)) == ["A@cpu"]


def test_runs_with_files_of_their_own_run_at_once() -> None:
    for cwd, file in (
        ("work/{run}", "metrics.csv"),
        ("work", "{run}/metrics.csv"),
        ("work", "{job}.csv"),
        ("work", "{lr}/logs/version_*/metrics.csv"),
    ):
        jobs = [writes(name, cwd, file) for name in "abc"]
        for number, one in enumerate(jobs):
            one.spec.config["args"] = {"lr": number}  # type: ignore[index]
        assert names(jobs, Machine(cpu=4)) == ["a@cpu", "b@cpu", "c@cpu"], (cwd, file)
    other = [writes("a", "one", "m.csv"), writes("b", "two", "m.csv"), job("c", device="cpu")]
    assert names(other, Machine(cpu=4)) == ["a@cpu", "b@cpu", "c@cpu"]
    ended = writes("a", "work", "m.csv", state=Done(1, 2, "ok", 0))
    assert names([ended, writes("b", "work", "m.csv")], Machine(cpu=4)) == ["b@cpu"]


PARTS = st.lists(
    st.sampled_from(["a", "a*", "*b", "ab", "?", "[ab]", "**"]), min_size=1, max_size=3
)


@given(PARTS, PARTS, st.lists(st.sampled_from(["a", "b", "ab", "aab"]), min_size=1, max_size=3))
def test_globs_that_name_one_file_always_meet(
    one: list[str], other: list[str], path: list[str]
) -> None:
    if _names(one, path) and _names(other, path):
        assert may_meet("/".join(one), "/".join(other))
        assert may_meet("/".join(other), "/".join(one))


def test_globs_of_many_parts_meet_in_bounded_time() -> None:
    one, other = "/".join(["**", "a"] * 60), "/".join(["**", "b"] * 60)
    assert not may_meet(one, other + "/c")
    assert may_meet(one + "/**", other + "/**")
    assert not matches(Path("/lab", *("a" * 60)), Path("/lab"), one + "/b")


def _names(glob: list[str], path: list[str]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        return _names(glob[1:], path) or (bool(path) and _names(glob, path[1:]))
    return bool(path) and fnmatchcase(path[0], glob[0]) and _names(glob[1:], path[1:])
