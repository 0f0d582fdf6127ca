"""Which waiting job starts now, where, and why the others wait: pure values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vitlab.contract.state import Done, Lost, Queued, Running, state_word
from vitlab.jobs.gpus import Device
from vitlab.jobs.store import Job

GPU_RECIPES = ("vit", "mlp", "command")
"""With `device: auto` these take a GPU where there is one; the others never need one."""
MEMORY = "gpu_memory"
"""Key of `Spec.extra`: bytes of GPU memory a job declares; without it, it has the GPU alone."""

ADOPTED = "adopt"
"""Key of `Spec.extra` in a job that was started by hand: the queue never starts it."""


@dataclass(frozen=True)
class Gpu:
    """A GPU, and the processes on it that are not ours."""

    device: Device
    foreign: tuple[int, ...] = ()


@dataclass(frozen=True)
class Slots:
    """The room of one machine."""

    cpu: int = 1
    """Jobs at once on the CPU."""
    gpus: tuple[Gpu, ...] = ()
    boot: str = ""
    """See `processes.boot`: jobs queued in another one wait to be released."""


@dataclass(frozen=True)
class Start:
    """The decision to start a job."""

    job: Job
    gpu: Gpu | None

    @property
    def device(self) -> str:
        """`cpu`, or `gpu0`; Slurm decides on its own devices."""
        return self.gpu.device.label if self.gpu else "cpu"


@dataclass(frozen=True)
class Plan:
    """All decisions at one moment."""

    starts: tuple[Start, ...]
    reasons: Mapping[str, str]
    """Why each of the others waits, by the job's name."""


def decide(jobs: Sequence[Job], slots: Slots) -> list[Start]:
    """The jobs to start now, and where."""
    return list(plan(jobs, slots).starts)


def plan(jobs: Sequence[Job], slots: Slots) -> Plan:
    """Highest priority first, then in order; a job that waits for room keeps its place.

    A job put aside or waiting for another one does not block those behind it. One that waits
    for a device does: later jobs do not take the devices it may use, or a large job would wait
    for ever behind small ones.
    """
    room = _Room(slots, jobs)
    known = _Known(jobs)
    starts, reasons = [], {}
    for job in in_line(jobs):
        why = _put_aside(job, slots) or known.why(job)
        gpu: Gpu | None = None
        if not why and not job.in_slurm:
            if _wants_gpu(job, slots):
                gpu, why = room.gpu(job)
            else:
                why = room.cpu(job)
        if why:
            reasons[job.name] = why
        else:
            starts.append(Start(job, gpu))
    return Plan(tuple(starts), reasons)


def in_line(jobs: Iterable[Job]) -> list[Job]:
    """The waiting jobs in the order they would start."""
    queued = [job for job in jobs if isinstance(job.state, Queued)]
    return sorted(queued, key=lambda job: (-job.priority, job.order, job.name))


def left_behind(job: Job, slots: Slots) -> bool:
    """Whether a crash or a restart of this machine left it: a person resumes or drops it."""
    if isinstance(job.state, Lost):
        return True
    elsewhere = job.boot.split(":")[0] != slots.boot.split(":")[0]
    waits = isinstance(job.state, Queued) and not job.in_slurm
    return waits and job.boot not in ("", slots.boot) and not elsewhere


def _put_aside(job: Job, slots: Slots) -> str:
    if ADOPTED in job.spec.extra:
        return "was started by hand"
    if job.held:
        return "held: release it to run"
    if job.in_slurm:
        return f"Slurm job {job.cluster}" if job.cluster else ""
    if job.boot and slots.boot and job.boot != slots.boot:
        host = job.boot.split(":")[0]
        if host != slots.boot.split(":")[0]:
            return f"queued on {host}: release it to run here"
        return "queued before this machine was restarted: release it to run"
    return ""


def _wants_gpu(job: Job, slots: Slots) -> bool:
    if job.spec.device == "auto":
        return bool(slots.gpus) and job.spec.recipe in GPU_RECIPES
    return job.spec.device != "cpu"


class _Known:
    """Answers what a job's `after` waits for."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._by_name: dict[str, list[Job]] = {}
        for job in jobs:
            for name in (job.name, job.spec.exp_id, f"{job.spec.mvp} {job.spec.profile}"):
                self._by_name.setdefault(name, []).append(job)

    def why(self, job: Job) -> str:
        """The first of `after` that has not ended as it must; empty when all have."""
        any_end = job.spec.extra.get("after") == "any"
        for name in job.spec.after:
            found = self._by_name.get(name) or self._by_name.get(f"{name} {job.spec.profile}")
            newest = {(j.spec.exp_id, j.spec.run): j for j in sorted(found or [], key=_submitted)}
            if not newest:
                return f"after {name}, which has not been launched"
            for other in newest.values():
                match other.state:
                    case Done(outcome=outcome) if outcome == "ok" or any_end:
                        continue
                    case Done(outcome=outcome):
                        return f"after {name}: {other.name} ended as {outcome}"
                    case _:
                        return f"after {name}: {other.name} is {state_word(other.state)}"
        return ""


def _submitted(job: Job) -> float:
    return job.spec.submitted


@dataclass
class _Use:
    """What our jobs use of one GPU."""

    names: list[str] = field(default_factory=list)
    declared: int = 0
    exclusive: bool = False
    promised: int = 0
    """Declared by jobs that start in this very plan."""


class _Room:
    """What is left while a plan is made."""

    def __init__(self, slots: Slots, jobs: Iterable[Job]) -> None:
        self._slots = slots
        self._on_cpu: list[str] = []
        self._use = {gpu.device.label: _Use() for gpu in slots.gpus}
        self._closed: dict[str, str] = {}
        for job in jobs:
            elsewhere = job.in_slurm or (job.boot and job.boot != slots.boot)
            if not isinstance(job.state, Running) or elsewhere:
                continue
            if job.state.device in self._use:
                self._take(job, job.state.device)
            else:
                self._on_cpu.append(job.name)

    def cpu(self, job: Job) -> str:
        """Take a CPU slot, or say why not."""
        if len(self._on_cpu) >= self._slots.cpu:
            users = ", ".join(self._on_cpu[:2]) + (", ..." if len(self._on_cpu) > 2 else "")
            return f"CPU slots: {self._slots.cpu} of {self._slots.cpu} used by {users}"
        self._on_cpu.append(job.name)
        return ""

    def gpu(self, job: Job) -> tuple[Gpu | None, str]:
        """Take a GPU (the fullest that has room), or say why none can be had."""
        usable = [gpu for gpu in self._slots.gpus if _is_meant(job.spec.device, gpu.device)]
        if not usable:
            return None, f"GPU {job.spec.device}: this machine has no such GPU"
        refused = {gpu.device.label: self._refusal(job, gpu) for gpu in usable}
        free = [gpu for gpu in usable if not refused[gpu.device.label]]
        if not free:
            for gpu in usable:
                self._closed.setdefault(gpu.device.label, job.name)
            return None, "; ".join(f"{label}: {why}" for label, why in refused.items())
        best = min(free, key=lambda gpu: (self._left(gpu), gpu.device.index))
        use = self._take(job, best.device.label)
        use.promised += _memory(job)
        return best, ""

    def _take(self, job: Job, label: str) -> _Use:
        use = self._use[label]
        use.names.append(job.name)
        use.declared += _memory(job)
        use.exclusive |= not _memory(job)
        return use

    def _left(self, gpu: Gpu) -> int:
        """Bytes not spoken for: jobs just started may not have taken theirs yet."""
        use = self._use[gpu.device.label]
        free = gpu.device.memory_free - use.promised
        return min(free, gpu.device.memory_total - use.declared)

    def _refusal(self, job: Job, gpu: Gpu) -> str:
        use, need = self._use[gpu.device.label], _memory(job)
        if gpu.foreign:
            return f"used by another program (pid {gpu.foreign[0]})"
        if behind := self._closed.get(gpu.device.label):
            return f"behind {behind}"
        if use.exclusive or (use.names and not need):
            return f"used by {', '.join(use.names)}"
        if need > self._left(gpu):
            return f"{_gb(self._left(gpu))} free of the {_gb(need)} it declares"
        return ""


def _is_meant(wanted: str, device: Device) -> bool:
    return wanted in ("auto", str(device.index), device.label, device.uuid)


def _memory(job: Job) -> int:
    declared = job.spec.extra.get(MEMORY)
    return declared if isinstance(declared, int) and declared > 0 else 0


def _gb(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
