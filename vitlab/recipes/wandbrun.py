"""The process that reports a job to W&B: it reads the job's events, so the job never waits for it.

    python -m vitlab.recipes.wandbrun JOBDIR

The job holds the other end of its standard input: a word from there (`ok`, `failed`), or its
closing, says that the job has ended.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vitlab.contract.config import read_config
from vitlab.contract.events import Event, read_events
from vitlab.contract.paths import JobPaths
from vitlab.contract.spec import Spec, read_spec
from vitlab.contract.tracking import Link, read_link, wandb_of, write_link
from vitlab.jobs.processes import MARKER
from vitlab.jobs.wandbfile import rows

EVERY = 1.0
"""Seconds between two looks at the events."""
FLUSH = 5.0
"""Seconds after which what was logged is in W&B's file, so that `wandb leet` can follow it."""
ANSWER = 20.0
"""Seconds an online run may take to begin; then its numbers are kept offline."""


def main(arguments: list[str]) -> int:
    """Report the job in the folder named to its end; returns the exit status."""
    # A stopped job ends after its step: what it says until then is reported too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    control = os.dup(0)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    paths = JobPaths(Path(arguments[0]).resolve())
    spec = read_spec(paths.spec)
    assert spec is not None  # the job has read it
    _shelter(paths)
    said = _logged(paths)
    run = _begin(paths, spec)
    before = read_link(paths.folder) or Link()
    write_link(paths.folder, _link(paths, run, before))
    follower = Follower(run, paths, said)
    word = b""
    while not word:
        ready, _, _ = select.select([control], [], [], EVERY)
        if ready:
            word = os.read(control, 16) or b"failed"
        follower.poll()
    run.finish(exit_code=0 if word == b"ok" else 1)
    return 0


def _shelter(paths: JobPaths) -> None:
    """Keep all of W&B's files in the job's folder and its service out of the job's processes.

    The service dies of the SIGTERM that asks a job to stop, and would take the last numbers with
    it; it ends by itself when this process does.
    """
    os.environ.pop(MARKER, None)
    os.environ["WANDB_DIR"] = str(paths.folder)
    os.environ["WANDB_CACHE_DIR"] = str(paths.folder / "wandb" / "cache")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    (paths.folder / "wandb").mkdir(exist_ok=True)


def _begin(paths: JobPaths, spec: Spec) -> Any:
    """The run, in the mode asked for, or offline where W&B does not answer."""
    import wandb

    keys = wandb_of(spec.extra)
    link = replace(read_link(paths.folder) or Link(), trouble=None)
    write_link(paths.folder, link)  # the id is known before anything can go wrong
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
        write_link(paths.folder, replace(link, trouble=f"kept offline: {reason}"))
        wandb.teardown()
        return wandb.init(mode="offline", **wanted)


def _config(paths: JobPaths, spec: Spec) -> dict[str, Any]:
    """The whole configuration, and what the job is in the plan."""
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


def _logged(paths: JobPaths) -> int:
    """The last step that earlier processes of the job have logged; -1 when there is none."""
    files = paths.folder.glob("wandb/*run-*/*.wandb")
    return max((row.get("step", 0) for f in files for row in rows(f.read_bytes())), default=-1)


class Follower:
    """Logs what is new in a job's events, each under its own step."""

    def __init__(self, run: Any, paths: JobPaths, said: int) -> None:
        """`said`: the last step that is logged already."""
        self._run = run
        self._paths = paths
        self._offset = 0
        self._said = self._last = max(said, run.step - 1)

    def poll(self) -> None:
        """Log the whole lines there are."""
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
            # The best state is scored at its own step, which lies behind.
            step = max(step, self._last + 1)
        elif step <= self._said or step < self._last:
            return  # said before a resume, or repeated after it
        self._last = step
        self._run.log({**_numbers(event.values), "epoch": event.data.get("epoch")}, step=step)


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if x is None else x for name, x in values.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
