"""Report a job to W&B, in a separate process that reads the job's events.

    python -m vitlab.recipes.wandb_report JOBDIR

The job starts it and holds its standard input: `ok` or `failed`, or end of file, means that the
job has ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

from vitlab.contract.config import read_config
from vitlab.contract.events import Event, read_events
from vitlab.contract.job import Spec, read_spec
from vitlab.contract.paths import JobPaths, cause
from vitlab.contract.reading import read_regular
from vitlab.contract.tracking import Link, read_link, wandb_of, write_link
from vitlab.jobs.files import open_appending
from vitlab.jobs.metrics.formats.records import wandb_rows
from vitlab.jobs.processes import MARKER

SILENCE = 60.0
"""Seconds without an answer from W&B after which the job writes a note."""
FINISH = 5.0
"""Maximum seconds a job waits at its end for W&B to accept the last numbers."""


class Wandb:
    """The reporting process of one job; none when the mode is `off`.

    A separate process, so that the job continues if W&B fails, hangs or crashes.
    """

    def __init__(self, paths: JobPaths, spec: Spec, environment: Mapping[str, str]) -> None:
        self._paths, self._spec = paths, spec
        self._process: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()
        self._reported = ""
        """The problem already reported."""
        self._failure = ""
        """Why there is no process, though there should be one."""
        keys = wandb_of(spec.extra)
        if keys.resolved(environment) != "off" and spec.recipe != "command":
            try:
                self._process = _spawn(paths)
            except OSError as error:
                self._failure = f"W&B: {cause(error)}; the numbers are only in events.jsonl"

    def trouble(self) -> str | None:
        """A problem, reported once; else None."""
        if self._reported:
            return None
        self._reported = self._failure or (self._process and self._trouble(self._process)) or ""
        return self._reported or None

    def _trouble(self, process: subprocess.Popen[bytes]) -> str | None:
        if process.poll():
            return f"W&B: {self._last_line()}; the numbers are only in events.jsonl"
        link = read_link(self._paths, self._spec)
        if link is not None and link.shown is not None:
            return None if link.trouble is None else f"W&B: {link.trouble}"
        if time.monotonic() - self._began > SILENCE:
            return f"W&B: no answer in {SILENCE:.0f} s; the job continues without it"
        return None

    def _last_line(self) -> str:
        try:
            lines = self._paths.wandb_log.read_text("utf-8", "replace").strip().splitlines()
        except OSError as error:
            return str(error)
        return lines[-1][:300] if lines else "its process ended"

    def close(self, ok: bool) -> tuple[str | None, str | None]:
        """End the report; returns the run's page or path, and a problem not reported yet."""
        process = self._process
        if process is None:
            return None, self.trouble()
        assert process.stdin is not None
        late = None
        try:
            process.stdin.write(b"ok" if ok else b"failed")
            process.stdin.close()
            process.wait(FINISH)
        except BrokenPipeError:
            process.wait()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            late = f"W&B: not ready {FINISH:.0f} s after the job's end; see events.jsonl"
        trouble = late or self.trouble()
        self._process = None
        link = read_link(self._paths, self._spec)
        return link.shown if link else None, trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close before the job writes its `end` event."""
        self.close(ok=False)


def _spawn(paths: JobPaths) -> subprocess.Popen[bytes]:
    log = paths.wandb_log
    log.parent.mkdir(exist_ok=True)
    with os.fdopen(open_appending(log), "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "vitlab.recipes.wandb_report", str(paths.folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, "WANDB_SILENT": "true"},
        )


MOST_READ = 1 << 28
"""Bytes of an earlier attempt's file, in which the last step is looked for."""
EVERY = 1.0
"""Seconds between reads of the events."""
FLUSH = 5.0
"""Seconds until logged numbers are in W&B's file, so that `wandb leet` can follow it."""
ANSWER = 20.0
"""Seconds an online run may take to start; after that it is kept offline."""


def main(arguments: list[str]) -> int:
    """Report the job in the given folder until it ends; returns the exit status."""
    # A stopped job still finishes its step, which is reported too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    control = os.dup(0)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    paths = JobPaths(Path(arguments[0]).absolute())
    spec = read_spec(paths.spec)
    assert spec is not None  # the job has read it
    _isolate(paths)
    logged = _last_logged(paths)
    run = _start_run(paths, spec)
    before = read_link(paths) or Link()
    write_link(paths, _link(paths, run, before))
    follower = Follower(run, paths, logged)
    end = b""
    while not end:
        ready, _, _ = select.select([control], [], [], EVERY)
        if ready:
            end = os.read(control, 16) or b"failed"
        follower.poll()
    run.finish(exit_code=0 if end == b"ok" else 1)
    return 0


def _isolate(paths: JobPaths) -> None:
    """Keep W&B's files in the job's folder, and its service out of the job's processes.

    Otherwise the SIGTERM that stops a job would end the service and lose the last numbers; it ends
    by itself with this process. The current folder is one without `wandb/settings`: in a lab that
    file could send the user's key to another address.
    """
    os.chdir("/")
    os.environ.pop(MARKER, None)
    os.environ["WANDB_DIR"] = str(paths.folder)
    os.environ["WANDB_CACHE_DIR"] = str(paths.folder / "wandb" / "cache")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    (paths.folder / "wandb").mkdir(exist_ok=True)


def _start_run(paths: JobPaths, spec: Spec) -> Any:
    """The run, in the mode of the spec, or offline if W&B does not answer."""
    import wandb

    keys = wandb_of(spec.extra)
    link = replace(read_link(paths, spec) or Link(), trouble=None, job=spec.mark)
    write_link(paths, link)  # the id is known before anything can go wrong
    wanted: dict[str, Any] = {
        "id": link.id,
        "name": paths.name,
        "project": keys.project,
        "entity": keys.entity,
        "group": keys.group or spec.exp_id,
        "job_type": spec.recipe,
        "tags": [f"MVP-{spec.mvp}", spec.profile, *keys.tags],
        "config": _config(paths, spec),
        "dir": str(paths.folder),
        "resume": "allow",
        "settings": wandb.Settings(
            console="off",
            silent=True,
            save_code=False,
            disable_git=True,
            init_timeout=ANSWER,
            x_disable_stats=True,
            x_transaction_log_flush_interval=FLUSH,
        ),
    }
    if keys.resolved(os.environ) == "offline":
        return wandb.init(mode="offline", **wanted)
    try:
        return wandb.init(mode="online", **wanted)
    except wandb.errors.Error as error:
        reason = str(error).strip().splitlines()[0]
        write_link(paths, replace(link, trouble=f"kept offline: {reason}"))
        wandb.teardown()
        return wandb.init(mode="offline", **wanted)


def _config(paths: JobPaths, spec: Spec) -> dict[str, Any]:
    """The full configuration, and the job's place in the plan."""
    names = ("exp_id", "mvp", "run", "profile", "recipe", "roadmap", "experiment", "headline")
    return {
        **asdict(read_config(spec.recipe, spec.config)),
        **{name: getattr(spec, name) for name in names},
        "spec_hash": spec.hash,
        "job": str(paths.folder),
    }


def _link(paths: JobPaths, run: Any, before: Link) -> Link:
    folder = Path(run.settings.sync_dir).resolve()
    return replace(
        before,
        mode="offline" if run.offline else "online",
        url=None if run.offline else run.url,
        path=folder.relative_to(paths.folder).as_posix(),
    )


def _last_logged(paths: JobPaths) -> int:
    """The last step logged before a resume; -1 when there is none."""
    last = -1
    for file in paths.folder.glob("wandb/*run-*/*.wandb"):
        with contextlib.suppress(OSError):  # of a job that was taken over it may be anything
            rows = wandb_rows(read_regular(file, MOST_READ))
            steps = (row.get("step") for row in rows)
            last = max([last, *(step for step in steps if isinstance(step, int))])
    return last


class Follower:
    """Logs new events of a job, each under its own step."""

    def __init__(self, run: Any, paths: JobPaths, logged: int) -> None:
        """`logged`: the last step already logged."""
        self._run = run
        self._paths = paths
        self._offset = 0
        self._logged = self._last = max(logged, run.step - 1)

    def poll(self) -> None:
        """Log all complete lines."""
        while True:
            events, offset = read_events(self._paths.events, self._offset)
            if offset == self._offset:
                return
            self._offset = offset
            for event in events:
                self._log(event)

    def _log(self, event: Event) -> None:
        if event.kind == "start":
            keys = ("host", "device", "commit", "dirty", "seed")
            known = {key: event.data.get(key) for key in keys}
            self._run.config.update(known, allow_val_change=True)
        if event.kind not in ("step", "eval"):
            return
        step = event.step
        if event.data.get("split", "val") != "val":
            # The best state is scored at its own step, which is already past.
            step = max(step, self._last + 1)
        elif step <= self._logged or step < self._last:
            return  # logged before a resume, or repeated after it
        self._last = step
        self._run.log({**_numbers(event.values), "epoch": event.data.get("epoch")}, step=step)


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if x is None else x for name, x in values.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
