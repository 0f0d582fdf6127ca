"""A job's side of W&B: starts the process that reports to it, and never waits long for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from vitlab.contract.paths import JobPaths
from vitlab.contract.spec import Spec
from vitlab.contract.tracking import read_link, wandb_of

SILENCE = 60.0
"""Seconds without a sign of W&B after which the job says so."""
FINISH = 5.0
"""Most seconds a job waits at its end for W&B to take the last numbers."""
LOG = Path("wandb") / "vitlab.log"


class Wandb:
    """The reporting process of one job; none where the mode is `off`.

    A process of its own: whatever W&B does, fail, hang or crash, is not the job's matter.
    """

    def __init__(self, paths: JobPaths, spec: Spec, environment: Mapping[str, str]) -> None:
        self._paths = paths
        self._process: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()
        self._said = ""
        """The trouble that was told."""
        keys = wandb_of(spec.extra)
        if keys.resolved(environment) != "off" and spec.recipe != "command":
            self._process = _spawn(paths)

    def trouble(self) -> str | None:
        """What went wrong, the first time it is asked after it did; else None."""
        if self._process is None or self._said:
            return None
        self._said = self._trouble(self._process) or ""
        return self._said or None

    def _trouble(self, process: subprocess.Popen[bytes]) -> str | None:
        if process.poll():
            return f"W&B: {self._last_words()}; the numbers are in events.jsonl alone"
        link = read_link(self._paths.folder)
        if link is not None and link.shown is not None:
            return None if link.trouble is None else f"W&B: {link.trouble}"
        if time.monotonic() - self._began > SILENCE:
            return f"W&B: no sign of it in {SILENCE:.0f} s; the job goes on without"
        return None

    def _last_words(self) -> str:
        try:
            lines = (self._paths.folder / LOG).read_text("utf-8", "replace").strip().splitlines()
        except OSError as error:
            return str(error)
        return lines[-1][:300] if lines else "its process ended"

    def close(self, ok: bool) -> tuple[str | None, str | None]:
        """End the report: the run's page or path, and what went wrong, if it was not told yet."""
        process = self._process
        if process is None:
            return None, None
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
        link = read_link(self._paths.folder)
        return link.shown if link else None, trouble

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """After the job's `end` event nothing more may be said in the events."""
        self.close(ok=False)


def _spawn(paths: JobPaths) -> subprocess.Popen[bytes]:
    log = paths.folder / LOG
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "vitlab.recipes.wandbrun", str(paths.folder)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, "WANDB_SILENT": "true"},
        )
