"""Notices to a webhook that a job has ended: one for each end, with or without a screen.

The job's supervisor runs `python -m vitlab.jobs.queue.notice JOBDIR`, as the network's modules need
more memory than a supervisor may have.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError

from vitlab.contract.job import Done, Lost, read_result
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.reading import read_document
from vitlab.jobs.ends import read_exit
from vitlab.jobs.experiment.settings import host_of, load_settings
from vitlab.jobs.files import write_json
from vitlab.jobs.processes import in_thread
from vitlab.jobs.store import Job, read_job
from vitlab.jobs.submissions import is_submitted

TIMEOUT = 10.0
"""Seconds the webhook may say nothing."""
WHOLE = 20.0
"""Seconds it may take for all of its answer, the search for its address included."""
PAUSE = 5.0
"""Seconds before the second try."""


def notify(lab: LabPaths, job: Job, webhook: str, pause: float = PAUSE) -> bool:
    """POST the job's end, unless that was done; whether this call did.

    Nothing is sent of a job that this user has not submitted here.

    Its record is in `.vitlab/notices/`, with the webhook's host and no more of the address.
    """
    if not isinstance(job.state, Done | Lost) or not is_submitted(job.paths):
        return False
    record = _record(lab, job.paths, job.state)
    return send(record, webhook, payload(lab, job), pause)


def send(record: Path, webhook: str, what: Mapping[str, Any], pause: float = PAUSE) -> bool:
    """POST something, unless that was done by its record; whether this call did."""
    record.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(record, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    body = json.dumps(what, ensure_ascii=False).encode()
    error = _in_time(webhook, body)
    if error and not error.startswith("HTTP 4"):
        time.sleep(pause)
        error = _in_time(webhook, body)
    notice = {"t": round(time.time(), 3), "job": what.get("job"), "host": host_of(webhook)}
    write_json(record, {**notice, "trouble": error or None})
    return True


def payload(lab: LabPaths, job: Job) -> dict[str, Any]:
    """What is sent; `text` and `content` are what chat programs show."""
    status = job.state.outcome if isinstance(job.state, Done) else "lost"
    result = read_result(job.paths.result)
    value = result.values.get(job.spec.headline) if result else None
    score = "" if value is None else f", {job.spec.headline} = {value:.4f}"
    name = lab.root.resolve().name
    text = f"{name}: MVP {job.spec.mvp} {job.spec.run} ({job.spec.profile}): {status}{score}"
    return {
        "v": 1,
        "lab": name,
        "job": job.paths.name,
        "mvp": job.spec.mvp,
        "run": job.spec.run,
        "profile": job.spec.profile,
        "status": status,
        "headline": job.spec.headline,
        "value": value,
        "text": text,
        "content": text,
    }


def last_notices(lab: LabPaths, count: int = 5) -> list[dict[str, Any]]:
    """The newest notices' records, the last first."""
    records = sorted(lab.private.notices.glob("*.json"), key=_modified)
    notices = []
    for path in records[-count:][::-1]:
        try:
            document = read_document(path)
        except OSError:
            continue  # another process is writing it
        if isinstance(document, dict):
            notices.append(document)
    return notices


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.lstat().st_mtime
    return 0.0


def _record(lab: LabPaths, job: JobPaths, state: Done | Lost) -> Path:
    when = state.ended if isinstance(state, Done) else state.started
    name = f"{job.name.replace('/', '--')}--{when:.3f}-{type(state).__name__.lower()}"
    return lab.private.notices / f"{name}.json"


def _in_time(address: str, body: bytes) -> str:
    """`_post`, in a thread that is left behind where an answer comes a byte at a time."""
    answers: list[str] = []
    thread = in_thread(lambda: answers.append(_post(address, body)))
    if thread is None:
        return _post(address, body)
    thread.join(WHOLE)
    return answers[0] if answers else f"no whole answer in {WHOLE:.0f} s"


def _post(address: str, body: bytes) -> str:
    """Send it: empty, or why it did not arrive, without the address.

    By an opener that knows http and https only, and follows no redirect to anywhere else.
    """
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "vitlab"}
    try:
        post = request.Request(address, data=body, headers=headers, method="POST")
        with opener.open(post, timeout=TIMEOUT):
            return ""
    except HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except URLError as error:
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__  # its text may hold the address


def main(arguments: Sequence[str]) -> int:
    """`JOBDIR`: send a notice of its end where the lab's settings name a webhook."""
    paths = JobPaths(Path(arguments[0]).absolute())
    lab = LabPaths(paths.root)
    try:
        webhook = load_settings(lab).notify.webhook
    except UsageError:
        return 2  # the scheduler reads them next, and reports it
    # Its supervisor, which waits for us in a batch step, may still hold the lock.
    job, end = read_job(paths), read_exit(paths)
    if webhook and job is not None and end is not None:
        notify(lab, replace(job, state=end), webhook)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
