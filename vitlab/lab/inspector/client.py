"""The client of the star inspector: starts a process that keeps a job's model in memory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.processes import PYTHON
from vitlab.lab.inspector.lifetime import LONGEST
from vitlab.lab.inspector.star import Sources, StarList, StarSheet, read_list, read_sheet, to_line

KEPT = 64
"""Stars cached in memory, a quarter of a megabyte each."""
GRACE = 2.0
"""Seconds the process has to end."""


@dataclass
class Client:
    """One job's stars. Calls block: seconds for the first, a tenth of a second per star, two of an
    observed one.

    The process ends on `close`, and when this one dies.
    """

    job: JobPaths
    sources: Sources | None = None
    """Observed spectra, in place of the job's test stars."""
    _child: subprocess.Popen[bytes] | None = None
    _errors: IO[bytes] | None = None
    """The child's standard error."""
    _life: int | None = None
    """Our end of a pipe; the child ends when it is closed, as it is when this process dies."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _stars: StarList | None = None
    _sheets: dict[tuple[int, str], StarSheet] = field(default_factory=dict)

    def open(self, progress: Callable[[str], object] = lambda _: None) -> StarList:
        """The job's test stars; `progress` receives the current step. Raises `UsageError`."""
        with self._lock:
            if self._stars is None:
                progress("starting the reader")
                self._start()
                self._stars = read_list(self._receive("list", progress))
            return self._stars

    def star(
        self, number: int, label: str, progress: Callable[[str], object] = lambda _: None
    ) -> StarSheet:
        """One star; after `open`; `progress` as there. Raises `UsageError`."""
        with self._lock:
            key = number, label
            if key not in self._sheets:
                self._send({"star": number, "label": label})
                self._sheets[key] = read_sheet(self._receive("star", progress))
                while len(self._sheets) > KEPT:
                    del self._sheets[next(iter(self._sheets))]
            return self._sheets[key]

    def close(self) -> None:
        """End the process."""
        self._ended.set()
        if self._life is not None:
            os.close(self._life)
            self._life = None
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.kill()  # it has nothing to save
        with contextlib.suppress(subprocess.TimeoutExpired):  # of a disk that is gone
            child.wait(GRACE)

    def _start(self) -> None:
        if self._ended.is_set():
            raise UsageError(f"{self.job.name}: closed")
        # One star needs no GPU, which may be in use by a job; a new session keeps the terminal's
        # signals away.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_WAIT_POLICY": "PASSIVE"}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        ending, self._life = os.pipe()
        words = ["vitlab.lab.inspector.server", str(self.job.folder), str(ending)]
        if self.sources is not None:
            words.append(json.dumps(asdict(self.sources)))
        try:
            self._child = subprocess.Popen(
                [*PYTHON, "-m", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=self.job.root,
                env=environment,
                pass_fds=(ending,),
                start_new_session=True,
            )
        finally:
            os.close(ending)
        if self._ended.is_set():  # closed meanwhile by another thread
            self._child.kill()

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the reply has the reason
            self._child.stdin.write(to_line(request).encode() + b"\n")
            self._child.stdin.flush()

    def _receive(self, kind: str, progress: Callable[[str], object]) -> dict[str, Any]:
        """The next record of this kind."""
        assert self._child is not None
        assert self._child.stdout is not None
        for line in self._child.stdout:
            record: dict[str, Any] = json.loads(line)
            match record.pop("kind"):
                case "note":
                    progress(str(record["text"]))
                case "error":
                    raise UsageError(str(record["text"]))
                case received if received == kind:
                    return record
        raise UsageError(f"{self.job.name}: its star reader ended: {self._why_ended()}")

    def _why_ended(self) -> str:
        if self._child is None or self._errors is None or self._ended.is_set():
            return "closed"
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._child.wait(GRACE) == -signal.SIGALRM:
                return f"it took more than {LONGEST // 60} minutes"
        self._errors.seek(0)
        lines = self._errors.read()[-4000:].decode("utf-8", "replace").strip().split("\n")
        return lines[-1] or "without a message"
