"""The faults of a campaign, by name: each does one harm to a lab, or says that it found nothing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.jobs.campaign import Campaign, Screen, schedule
from tests.waiting import wait_for
from vitlab.contract.job import Done, Lost, Running
from vitlab.contract.paths import UsageError
from vitlab.jobs import processes
from vitlab.jobs.files import read_json
from vitlab.jobs.queue.scheduler import advance, resume, stop
from vitlab.jobs.store import read_state


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send the signal; False when there is no such process."""
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, number)
            return True
    return False


def kill_child(it: Campaign) -> bool:
    return kill(min(it.members(), default=0))


def kill_grandchild(it: Campaign) -> bool:
    return kill(max(it.members(), default=0))


def kill_everything(it: Campaign) -> bool:
    hits = [kill(pid) for pid in [it.supervisor(), *it.members()]]
    return any(hits)


def kill_scheduler(it: Campaign) -> None:
    process = schedule(it.lab)
    time.sleep(it.random.uniform(0, 0.3))
    process.kill()
    process.wait()


def kill_lease_holder(it: Campaign) -> None:
    """The worst moment: a scheduler dies between taking a job's lock and starting it."""
    code = (
        "import os, sys, signal; from pathlib import Path; from vitlab.jobs import launch; "
        "launch.spawn = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
        "from vitlab.contract.paths import LabPaths; launch.advance(LabPaths(Path(sys.argv[1])))"
    )
    subprocess.run([sys.executable, "-c", code, str(it.root)], check=False)


def two_schedulers(it: Campaign) -> None:
    for process in [schedule(it.lab) for _ in range(4)]:
        process.wait()


def stopped_scheduler(it: Campaign) -> None:
    process = schedule(it.lab)
    time.sleep(it.random.uniform(0, 0.2))
    process.send_signal(signal.SIGSTOP)
    advance(it.lab)
    time.sleep(0.2)
    process.send_signal(signal.SIGCONT)
    process.wait()


def half_line(it: Campaign) -> None:
    with contextlib.suppress(FileNotFoundError), it.pick().events.open("ab") as file:
        file.write(b'{"v":1,"t":1,"kind":"step","val\xff')


def half_files(it: Campaign) -> None:
    """What a power cut may leave beside the files that count."""
    folder = it.pick(Done).folder
    (folder / ".exit.json.tmp-1").write_text('{"v"')
    (folder.parent / ".tmp-9-9").mkdir(exist_ok=True)
    (folder.parent / ".tmp-9-9" / "spec.json").write_text('{"v"')
    (folder / "queue.json").write_text('{"ho')


def half_started(it: Campaign) -> bool:
    """The machine dies, and `started.json` had not reached the disk whole."""
    job = it.pick()
    found = read_json(job.started)
    if not found or not isinstance(read_state(job), Running):
        return False
    kill(found["pid"])
    for one in processes.members(found["session"], found["ticks"], job.folder):
        kill(one.pid)
    wait_for(lambda: not isinstance(read_state(job), Running))
    if job.exit.exists():
        return False
    job.started.write_text('{"v": 1, "star')
    return True


def delete_folder(it: Campaign) -> None:
    job = it.pick()
    shutil.rmtree(job.folder, ignore_errors=True)
    it.deleted.add(job.folder)
    while job.folder.exists():  # something was written while it was being deleted
        shutil.rmtree(job.folder, ignore_errors=True)


def stop_anything(it: Campaign) -> None:
    stop(it.random.choice(it.alive()))


def stop_and_resume(it: Campaign) -> None:
    job = it.pick()
    stop(job)
    with contextlib.suppress(UsageError):
        resume(it.lab, job)


def stopped_child(it: Campaign) -> None:
    """SIGSTOP to a child: it neither runs nor ends; a stop request ends it all the same."""
    job = it.pick()
    found = read_json(job.started)
    for one in processes.members(found["session"], found["ticks"], job.folder) if found else []:
        kill(one.pid, signal.SIGSTOP)
    stop(job)


def clock_jumps(it: Campaign) -> None:
    """The wall clock was wrong: every time on disk lies a year ahead."""
    job = it.pick(Done)
    record = read_json(job.started)
    if record:
        record["started"] += 3e7
        job.started.write_text(json.dumps(record))
    ahead = time.time() + 3e7
    for path in job.folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            os.utime(path, (ahead, ahead))


def moving_clock(it: Campaign) -> bool:
    """Schedulers and supervisors whose wall clock jumps a year ahead, and back, while they run."""
    library = fake_clock()
    if library is None:
        return False
    now = it.root / "clock"
    now.write_text("+0")
    schedule(
        it.lab,
        LD_PRELOAD=str(library),
        FAKETIME_TIMESTAMP_FILE=str(now),
        FAKETIME_NO_CACHE="1",
        DONT_FAKE_MONOTONIC="1",
    ).wait()
    for offset in ("+365d", "-365d", "+0"):
        now.write_text(offset)
        time.sleep(it.random.uniform(0.1, 0.4))
        advance(it.lab)
    return True


def fake_clock() -> Path | None:
    """The library of Debian's `faketime`."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def full_disk(it: Campaign) -> bool:
    """No byte is left while jobs begin, run and end; then there is room again."""
    if not it.disk:
        return False
    filler = it.root / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"0" * 65_536):
            pass
    for _ in range(3):
        schedule(it.lab).wait()
        time.sleep(it.random.uniform(0.1, 0.4))
    filler.unlink()
    return True


def kill_screen(it: Campaign) -> None:
    screen = Screen(it.lab)
    screen.wait()
    time.sleep(it.random.uniform(0, 0.3))
    screen.kill()


def two_screens(it: Campaign) -> None:
    """Two vitlabs at once, and a supervisor killed under their eyes."""
    screens = [Screen(it.lab) for _ in range(2)]
    for screen in screens:
        screen.wait()
    kill(it.supervisor())
    for screen in screens:
        screen.wait(3)
        screen.kill()


def reused_pid(it: Campaign) -> bool:
    """A lost job's pid and session are an innocent process's now; that one must not be touched."""
    job = it.pick()
    kill(read_json(job.started).get("pid", 0))
    wait_for(lambda: not isinstance(read_state(job), Running))
    if not isinstance(read_state(job), Lost):
        return False
    innocent = subprocess.Popen(["sleep", "30"], start_new_session=True)
    theirs = {"pid": innocent.pid, "session": innocent.pid}
    job.started.write_text(json.dumps({**read_json(job.started), **theirs}))
    advance(it.lab)
    assert innocent.poll() is None, "an innocent process was ended"
    innocent.kill()
    innocent.wait()
    return True


def held_by_reader(it: Campaign) -> None:
    """Many look at the locks while the scheduler works."""
    code = (
        "import sys, time; from pathlib import Path; from vitlab.jobs.store import all_jobs; "
        "from vitlab.contract.paths import LabPaths\n"
        "end = time.monotonic() + 0.6\n"
        "while time.monotonic() < end: all_jobs(LabPaths(Path(sys.argv[1])))"
    )
    readers = [subprocess.Popen([sys.executable, "-c", code, str(it.root)]) for _ in range(2)]
    advance(it.lab)
    for reader in readers:
        reader.wait()


def leftover_lease(it: Campaign) -> None:
    """The lease file of a dead scheduler, and its word to look again."""
    it.lab.private.lease.write_text('{"pid": 1}')
    it.lab.private.again.touch()
    with it.lab.private.lease.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert advance(it.lab) == []


FAULTS: dict[str, Callable[[Campaign], bool | None]] = {
    "supervisor -9": lambda it: kill(it.supervisor()),
    "supervisor -15": lambda it: kill(it.supervisor(), signal.SIGTERM),
    "supervisor -1": lambda it: kill(it.supervisor(), signal.SIGHUP),
    "child -9": kill_child,
    "grandchild -9": kill_grandchild,
    "whole tree -9": kill_everything,
    "scheduler -9": kill_scheduler,
    "lease holder -9": kill_lease_holder,
    "schedulers at once": two_schedulers,
    "scheduler stopped": stopped_scheduler,
    "half an event": half_line,
    "half files": half_files,
    "half started.json": half_started,
    "folder deleted": delete_folder,
    "stop": stop_anything,
    "stop, resume": stop_and_resume,
    "child stopped": stopped_child,
    "clock was wrong": clock_jumps,
    "clock jumps": moving_clock,
    "disk full": full_disk,
    "screen -9": kill_screen,
    "two screens": two_screens,
    "pid reused": reused_pid,
    "readers": held_by_reader,
    "leftover lease": leftover_lease,
}
