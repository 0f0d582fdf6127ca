"""What this machine has, CPU slots, GPUs and their memory, and what of it is free."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vitlab.contract.job import Running, Spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, real
from vitlab.jobs.experiment.settings import FOR_LOOKING, Settings, load_settings
from vitlab.jobs.files import read_json
from vitlab.jobs.gpus import VISIBLE, Device, read_gpus, visible
from vitlab.jobs.processes import boot, is_same_boot, job_of, process, supervisors
from vitlab.jobs.store import Job

NETWORKS = ("vit", "mlp")
GPU_RECIPES = (*NETWORKS, "command")
"""With `device: auto` these take a GPU where there is one; the others never need one."""
MEMORY = "gpu_memory"
"""Key of `Spec.extra`: bytes a job declares on each GPU it takes; without it, it has it alone."""
GPUS = "gpus"
"""Key of `Spec.extra`: how many GPUs a job takes; without it, one for each of its processes."""


@dataclass(frozen=True)
class Gpu:
    """A GPU, and the processes on it that are not ours; supervisors of other labs' jobs as well."""

    device: Device
    foreign: tuple[int, ...] = ()
    unseen: tuple[int, ...] = ()
    """Those of `foreign` no process here has: another container's, or a dead one's context."""
    ours: frozenset[str] = frozenset()
    """Folders of this lab's jobs with a process on it: one may choose another than it was given."""


@dataclass(frozen=True)
class Machine:
    """What one machine has for jobs."""

    cpu: int = 1
    """Jobs at once on the CPU."""
    gpus: tuple[Gpu, ...] = ()
    boot: str = ""
    """See `processes.boot`: jobs queued under another one wait for a release."""
    lost: tuple[str, ...] = ()
    """GPUs that cannot be read, each with the reason: `gpu2: lost`."""

    def left_by(self, limit: str | None) -> tuple[Gpu, ...]:
        """The GPUs that a user's CUDA_VISIBLE_DEVICES leaves; None for no such variable."""
        left = visible([gpu.device for gpu in self.gpus], limit)
        return tuple(gpu for gpu in self.gpus if gpu.device in left)

    def without(self, limit: str | None) -> list[str]:
        """A phrase on each GPU that cannot be given: lost, and hidden by the user."""
        left = self.left_by(limit)
        hidden = [gpu.device.label for gpu in self.gpus if gpu not in left]
        if not hidden:
            return list(self.lost)
        return [*self.lost, f"{VISIBLE}={limit or repr('')} hides {', '.join(hidden)}"]


def gpu_limit(job: JobPaths) -> str | None:
    """CUDA_VISIBLE_DEVICES where the job was submitted; ours for a job that recorded none."""
    variables = read_json(job.environment).get("variables")
    value = (variables if isinstance(variables, dict) else os.environ).get(VISIBLE)
    return None if value is None else str(value)


def missing_gpu(spec: Spec, machine: Machine, limit: str | None) -> str:
    """Why a full run does not start on the CPU in place of a GPU that was lost or hidden.

    Empty where it may: it never needs one, was sent to the CPU, or this machine has none. A
    program of the user's own may be one for the CPU, where the user has hidden every GPU.
    """
    if spec.device != "auto" or spec.profile != "full" or spec.recipe not in GPU_RECIPES:
        return ""
    on_purpose = limit is not None and limit.split(",")[0].strip() in ("", "-1", "NoDevFiles")
    if machine.left_by(limit) or (on_purpose and spec.recipe not in NETWORKS):
        return ""
    why = "; ".join(machine.without(limit))
    return why and f"{why}; `device: cpu` or `--gpu cpu` runs it on the CPU"


def gpus_wanted(spec: Spec, gpus: int) -> int:
    """How many GPUs the job takes on a machine that has `gpus` of them; 0: it runs on the CPU."""
    if spec.device == "cpu" or (
        spec.device == "auto" and not (gpus and spec.recipe in GPU_RECIPES)
    ):
        return 0
    train = spec.config.get("train")
    processes = train.get("processes") if isinstance(train, dict) else None
    count = spec.extra.get(GPUS) or processes or len(spec.device.split(","))
    return max(count, 1) if isinstance(count, int) else 1


@dataclass
class _GpuUse:
    """What our jobs use of one GPU."""

    names: list[str] = field(default_factory=list)
    declared: int = 0
    exclusive: bool = False
    promised: int = 0
    """Declared by jobs that start in this plan."""


class Capacity:
    """What is still free while a plan is made."""

    def __init__(self, machine: Machine, jobs: Iterable[Job]) -> None:
        self._machine = machine
        self._on_cpu: list[str] = []
        self._use = {gpu.device.label: _GpuUse() for gpu in machine.gpus}
        self._closed: dict[str, str] = {}
        for job in jobs:
            elsewhere = job.in_slurm or (job.boot and not is_same_boot(job.boot, machine.boot))
            if not isinstance(job.state, Running) or elsewhere:
                continue
            given = [label for label in job.state.device.split(",") if label in self._use]
            seen = [gpu.device.label for gpu in machine.gpus if str(job.paths.folder) in gpu.ours]
            for label in {*given, *seen}:
                self._take(job, label)
            if not given and not job.state.device.startswith("gpu"):  # that one may be lost
                self._on_cpu.append(job.name)

    def cpu(self, job: Job) -> str:
        """Take a CPU slot: empty, or why there is none."""
        if len(self._on_cpu) >= self._machine.cpu:
            users = ", ".join(self._on_cpu[:2]) + (", ..." if len(self._on_cpu) > 2 else "")
            return f"CPU slots: {self._machine.cpu} of {self._machine.cpu} used by {users}"
        self._on_cpu.append(job.name)
        return ""

    def gpu(self, job: Job, count: int, limit: str | None = None) -> tuple[tuple[Gpu, ...], str]:
        """Take `count` GPUs, the fullest that have room; none, and why, where they are not free.

        `limit` is the user's CUDA_VISIBLE_DEVICES.
        """
        left = self._machine.left_by(limit)
        usable = [gpu for gpu in left if _matches(job.spec.device, gpu.device)]
        without = "".join(f"; {why}" for why in self._machine.without(limit))
        if not usable:
            return (), f"GPU {job.spec.device}: no such GPU on this machine{without}"
        if count > len(usable):
            here = f"this machine has {len(usable)} for it{without}"
            return (), f"needs {count} GPUs at once: {here}"
        refused = {gpu.device.label: self._refusal(job, gpu) for gpu in usable}
        free = [gpu for gpu in usable if not refused[gpu.device.label]]
        if len(free) < count:
            for gpu in usable:
                self._closed.setdefault(gpu.device.label, job.name)
            why = "; ".join(f"{label}: {why}" for label, why in refused.items() if why) + without
            return (), why if count == 1 else f"needs {count} GPUs at once: {why}"
        # One whose memory cannot be read comes last: it may be full.
        free.sort(key=lambda gpu: (not gpu.device.memory_total, self._left(gpu), gpu.device.index))
        taken = sorted(free[:count], key=lambda gpu: gpu.device.index)
        for gpu in taken:
            self._take(job, gpu.device.label).promised += _memory(job)
        return tuple(taken), ""

    def _take(self, job: Job, label: str) -> _GpuUse:
        use = self._use[label]
        use.names.append(job.name)
        use.declared += _memory(job)
        use.exclusive |= not _memory(job)
        return use

    def _left(self, gpu: Gpu) -> int:
        """Bytes still free: jobs just started may not have taken theirs yet."""
        use = self._use[gpu.device.label]
        free = gpu.device.memory_free - use.promised
        return min(free, gpu.device.memory_total - use.declared)

    def _refusal(self, job: Job, gpu: Gpu) -> str:
        use, need, device = self._use[gpu.device.label], _memory(job), gpu.device
        if gpu.foreign:
            if gpu.foreign[0] in gpu.unseen:
                return f"held by pid {gpu.foreign[0]}, which is dead or in another container"
            return f"used by another program (pid {gpu.foreign[0]})"
        if behind := self._closed.get(device.label):
            return f"behind {behind}"
        if use.exclusive or (use.names and not need):
            return f"used by {', '.join(use.names)}"
        if need and not device.memory_total:
            return "its memory cannot be read"
        if need > self._left(gpu):
            return f"{_gb(self._left(gpu))} free of the {_gb(need)} it declares"
        if not need and 2 * device.memory_free < device.memory_total:
            return f"{_gb(device.memory_total - device.memory_free)} taken, by no process seen here"
        return ""


def _matches(wanted: str, device: Device) -> bool:
    words = wanted.split(",")
    return not {"auto", str(device.index), device.label, device.uuid}.isdisjoint(words)


def _memory(job: Job) -> int:
    declared = job.spec.extra.get(MEMORY)
    return declared if isinstance(declared, int) and declared > 0 else 0


def _gb(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"


def read_machine(lab: LabPaths) -> Machine:
    """This machine, now; a lab without settings has one CPU slot."""
    found = read_gpus()
    elsewhere = [*_elsewhere(lab)] if found.devices else []
    settings = FOR_LOOKING
    with contextlib.suppress(UsageError):  # whoever starts a job has read them before
        settings = load_settings(lab)
    return Machine(
        cpu=settings.cpu_slots,
        gpus=tuple(_gpu(lab, device, elsewhere) for device in found.devices),
        boot=boot(),
        lost=found.lost,
    )


def threads(settings: Settings) -> int:
    """CPU threads of one job, so that all slots together use every core once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return settings.cpu_threads or max(1, (cores or 1) // settings.cpu_slots)


def _elsewhere(lab: LabPaths) -> Iterator[tuple[int, str]]:
    """Supervisor and UUID of each GPU of another lab's job, which it may not have touched yet."""
    ours = real(lab.experiments)
    for pid, folder in supervisors():
        if not real(folder).is_relative_to(ours):
            given = read_json(JobPaths(folder).lock).get("devices")
            for record in given if isinstance(given, list) else ():
                if isinstance(record, dict):
                    yield pid, str(record.get("uuid"))


def _gpu(lab: LabPaths, device: Device, elsewhere: Iterable[tuple[int, str]]) -> Gpu:
    """With the processes on it that no job of this lab started; an unknown pid is one of them."""
    ours = f"{lab.experiments.absolute()}/"
    jobs = {pid: job_of(pid) for pid in device.pids}
    foreign = tuple(pid for pid, job in jobs.items() if not job.startswith(ours))
    unseen = tuple(pid for pid in foreign if process(pid) is None)
    more = tuple(pid for pid, uuid in elsewhere if uuid == device.uuid)
    return Gpu(device, foreign + more, unseen, frozenset(jobs.values()))
