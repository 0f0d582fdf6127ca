"""A webhook is told of each end once, by whoever comes first, and its address stays a secret."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended, wait_for
from vitlab.contract.job import Done, Lost, Queued
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.process.child import start_notice
from vitlab.jobs.queue import notice
from vitlab.jobs.queue.scheduler import advance
from vitlab.jobs.store import read_job


class Hook:
    """A webhook on this machine that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append(json.loads(body))
                code = hook.answers.pop(0) if hook.answers else 204
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "file:///etc/hostname")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/T0/secret-token"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def records(lab: LabPaths) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(lab.private.notices.glob("*"))]


def test_a_job_that_ends_with_nobody_watching_tells_the_webhook(shop: Workshop, hook: Hook) -> None:
    shop.lab.settings.write_text(f"notify: {{webhook: '{hook.address}'}}\n")
    job = shop.submit("import sys; print('no'); sys.exit(7)", headline="val/r2/log_g")
    advance(shop.lab)
    assert ended(job).outcome == "failed"
    wait_for(lambda: [one for one in records_or_none(shop.lab) if one])
    [told] = hook.got
    assert (told["status"], told["mvp"], told["job"]) == ("failed", "1.0", job.name)
    assert told["lab"] == shop.lab.root.name
    assert told["value"] is None
    [kept] = records(shop.lab)
    assert kept["host"] == "127.0.0.1"
    assert kept["trouble"] is None
    for path in shop.lab.root.rglob("*"):
        if path.is_file() and path != shop.lab.settings:
            assert b"secret-token" not in path.read_bytes(), path
    # A screen that sees the same end later tells nobody again.
    found = read_job(job)
    assert found is not None
    assert isinstance(found.state, Done)
    assert not notice.notify(shop.lab, found, hook.address)
    assert len(hook.got) == 1


def test_a_lost_job_is_told_of_by_who_sees_it(shop: Workshop, hook: Hook) -> None:
    job = shop.submit("pass")
    job.started.write_text('{"pid": 1, "ticks": 1, "boot": "", "started": 7.0}')
    found = read_job(job)
    assert found is not None
    lost = replace(found, state=Lost(7.0))
    assert notice.notify(shop.lab, lost, hook.address)
    assert not notice.notify(shop.lab, lost, hook.address)
    assert [told["status"] for told in hook.got] == ["lost"]
    assert not notice.notify(shop.lab, replace(found, state=Queued(1.0)), hook.address)


def test_an_answer_without_an_end_is_given_up(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def drips(*_: object) -> str:
        over.wait()
        return ""

    monkeypatch.setattr(notice, "_post", drips)
    monkeypatch.setattr(notice, "WHOLE", 0.05)
    record = shop.lab.private.notices / "one.json"
    assert notice.send(record, "http://127.0.0.1:9/x", {"job": "E/one"}, pause=0.0)
    assert json.loads(record.read_text())["trouble"] == "no whole answer in 0 s"
    over.set()


def records_or_none(lab: LabPaths) -> list[dict[str, Any]]:
    try:
        return records(lab)
    except ValueError:  # taken, not yet told
        return []


@pytest.mark.parametrize(
    ("answers", "tries", "trouble"),
    [([500, 204], 2, None), ([404], 1, "HTTP 404"), ([302, 302], 2, "HTTP 302")],
)
def test_a_webhook_that_fails_is_tried_twice_and_followed_nowhere(
    shop: Workshop, hook: Hook, answers: list[int], tries: int, trouble: str | None
) -> None:
    hook.answers = answers
    job = shop.submit("pass")
    job.exit.write_text('{"reason": "ok", "ended": 5.0}')
    (job.folder / "result.json").write_text(
        '{"v": 1, "mvp": "1.0", "run": "r", "profile": "full", "recipe": "command",'
        ' "values": {"test/r2/log_g": 0.7132}}'
    )
    found = read_job(job)
    assert found is not None
    assert notice.notify(shop.lab, found, hook.address, pause=0)
    assert len(hook.got) == tries
    assert hook.got[0]["value"] == 0.7132
    assert "test/r2/log_g = 0.7132" in hook.got[0]["text"]
    assert notice.last_notices(shop.lab)[0]["trouble"] == trouble


@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_the_settings_holds_up_no_supervisor(shop: Workshop) -> None:
    job = shop.submit("pass")
    job.exit.write_text('{"reason": "ok", "ended": 5.0}')
    shop.lab.settings.unlink(missing_ok=True)
    os.mkfifo(shop.lab.settings)
    start_notice(job, wait=False)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("notify: yes", "notify: must be a mapping"),
        ("notify: {bel: true}", "notify.bel: unknown key; did you mean bell?"),
        ("notify: {bell: 3}", "notify.bell: must be true or false"),
        ("notify: {osc: 8}", "notify.osc: unknown value 8"),
        ("notify: {webhook: 'file:///etc/passwd'}", "notify.webhook: must be one address"),
        ("notify: {webhook: 'hooks.org/secret'}", "notify.webhook: must be one address"),
        ("notify: {webhook: 'https:///secret'}", "notify.webhook: must be one address"),
        ('notify: {webhook: "http://a\\r\\nHost: secret"}', "notify.webhook: must be one address"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line_without_the_address(
    tmp_path: Path, said: str, words: str
) -> None:
    (tmp_path / "vitlab.yaml").write_text(said)
    with pytest.raises(UsageError) as mistake:
        load_settings(LabPaths(tmp_path))
    assert str(mistake.value).startswith(f"vitlab.yaml: {words}")
    assert "secret" not in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_every_way_is_set_by_itself(tmp_path: Path) -> None:
    (tmp_path / "vitlab.yaml").write_text("notify: {bell: false, desktop: true, osc: 777}")
    notify = load_settings(LabPaths(tmp_path)).notify
    assert (notify.bell, notify.desktop, notify.osc, notify.webhook) == (False, True, 777, None)
