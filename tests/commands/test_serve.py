"""`vitlab serve`, a real one: its page on the loopback address, and whom it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest import mock

import aiohttp
import pytest

from tests.commands.browser import CHROMIUM, browser
from tests.waiting import DEADLINE, nothing_runs, until
from vitlab.cli import main
from vitlab.tui.terminal import serve

ROADMAP = """\
# Plan

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | Sleep | 1 | - | ⏳ | - | - |
"""

EXPERIMENT = """\
mvp: "1.0"
roadmap: roadmaps/a_roadmap.md
recipe: command
config: {argv: ["true"]}
headline: test/r2/log_g
profiles: {smoke: {}}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "<b onload=x>"  # a folder's name is the page's title
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    (root / "roadmaps" / "a_roadmap.md").write_text(ROADMAP)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def served(lab: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and the address it printed."""
    argv = [sys.executable, "-P", "-m", "vitlab", "serve", "--port", "0"]
    environment = os.environ | {"TERM": "dumb"}  # the page is another terminal than the server's
    process = subprocess.Popen(argv, cwd=lab, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("open  http://127.0.0.1:"), line
    yield process, line.split()[1]
    process.kill()
    process.wait()


def children(pid: int) -> list[int]:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in words]


async def test_the_page_is_for_this_machine_for_who_has_the_key_and_for_no_other_page(
    served: tuple[subprocess.Popen[str], str],
) -> None:
    process, address = served
    assert process.stdout is not None
    base, key, _ = address.rsplit("/", 2)
    port = base.rpartition(":")[2]
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in process.stdout.readline()
    async with aiohttp.ClientSession() as user:
        for path in ("/", "/ws", "/static/js/textual.js", f"/?key={key}", f"/x{key}/", "//"):
            async with user.get(base + path) as answer:
                assert answer.status == 403, path
                assert "onload" not in await answer.text()  # nor the lab's name
        async with user.get(address, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403  # a name that was rebound to us
        async with user.get(address) as answer:
            page = await answer.text()
            assert answer.status == 200
            # A cookie would be sent to every other port of 127.0.0.1, whoever listens there.
            assert "Set-Cookie" not in answer.headers
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert f"ws://127.0.0.1:{port}/{key}/ws" in page
        assert "&lt;b onload" in page
        assert "<b onload" not in page
        assert not re.search(r"https?://(?!127\.0\.0\.1|www\.w3\.org)", page)
        async with user.get(address + "static/js/textual.js") as answer:
            assert answer.status == 200
        async with user.get(address, headers={"Host": "localhost:9999"}) as answer:
            assert answer.status == 200  # by a port that ssh forwards
            assert f"ws://localhost:9999/{key}/ws" in await answer.text()
        for origin in ("http://evil.example", f"http://127.0.0.1:{int(port) - 1}", "null", None):
            headers = {} if origin is None else {"Origin": origin}
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await user.ws_connect(f"{address}ws", headers=headers)
            assert refused.value.status == 403
        assert children(process.pid) == []
        async with user.ws_connect(f"{address}ws?width=90&height=30", origin=base) as screen:
            seen = b""
            while b"Sleep" not in seen:
                seen += await asyncio.wait_for(screen.receive_bytes(), DEADLINE)
            drawn = children(process.pid)
            assert len(drawn) == 1
            await screen.send_json(["stdin", "q"])
            while not screen.closed:
                await asyncio.wait_for(screen.receive(), DEADLINE)
        await until(lambda: not children(process.pid))
        async with user.ws_connect(f"{address}ws", origin=base) as screen:
            await asyncio.wait_for(screen.receive_bytes(), DEADLINE)
            [child] = children(process.pid)
            process.send_signal(signal.SIGINT)
            await asyncio.to_thread(process.wait, DEADLINE)
    assert process.returncode in (0, 130)
    await until(lambda: not _alive(child))


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
async def test_a_browser_shows_the_whole_screen_and_its_keys_launch_a_job(
    lab: Path, served: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    (lab / "experiments" / "sleep.yaml").write_text(EXPERIMENT)
    async with browser(served[1]) as page:
        await page.until_drawn(b"Sleep")
        assert await page.value("document.title") == f"vitlab {lab.name}"
        assert await page.value("document.activeElement.className") == "xterm-helper-textarea"
        # Only xterm's own style hides the field that takes the keys; unhidden it moves all down.
        assert await page.value("getComputedStyle(document.activeElement).opacity") == "0"
        box = "document.querySelector('.xterm-screen').getBoundingClientRect()"
        top, bottom = await page.value(f"[{box}.top, {box}.bottom]")
        inner, outer = await page.value("[innerHeight, document.documentElement.scrollHeight]")
        assert 0 == top < inner * 0.9 < bottom <= inner == outer  # the footer too, and no bars
        await page.picture(tmp_path / "page.png")
        await page.press("n")
        await page.until_drawn(b": command on ")
        await page.press("Enter")
        async with asyncio.timeout(DEADLINE):
            while not [*lab.glob("experiments/*/*/spec.json")]:
                await page.value("0")
    nothing_runs(lab)


def test_who_keeps_its_descriptors_busy_is_told_of_in_one_line(lab: Path) -> None:
    argv = [sys.executable, "-P", "-m", "vitlab", "serve", "--port", "0"]
    limited = ["bash", "-c", 'ulimit -n 40; exec "$@"', "bash", *argv]
    pipe = subprocess.PIPE
    with subprocess.Popen(limited, cwd=lab, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().split()[1]
        port = int(address.split(":")[2].partition("/")[0])
        with contextlib.ExitStack() as held:
            for _ in range(60):
                half = held.enter_context(socket.create_connection(("127.0.0.1", port)))
                half.sendall(b"GET / HTTP/1.1\r\n")
            first = process.stderr.readline()
        with urllib.request.urlopen(address, timeout=DEADLINE) as answer:
            assert answer.status == 200
        process.terminate()
        more = process.stderr.read()
    assert re.fullmatch("vitlab serve: .*out of system resource: Too many open files\n", first)
    assert more == ""


def _alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # also while it is read
        return False


async def test_what_a_page_sends_is_bounded_and_its_screen_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "PATIENCE", 0.0)
    sent = [
        "x",
        "[" * 100_000,
        "[]",
        '["resize", {}]',
        '["resize", {"width": -1, "height": 9}]',
        '["resize", {"width": 1000000, "height": 1000000}]',
        '["stdin", 5]',
        '["stdin", "q\\ud800"]',
    ]

    async def messages() -> AsyncIterator[object]:
        for text in sent:
            yield aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, text, None)

    screen = mock.AsyncMock(_process=await asyncio.create_subprocess_exec("sleep", "1000"))
    server = serve.LabServer(["true"], 0, "lab")
    await server._process_messages(messages(), screen)  # type: ignore[arg-type]
    await asyncio.gather(*server._ending)
    assert await screen._process.wait() == -signal.SIGKILL
    assert screen.set_terminal_size.await_args_list == [mock.call(serve.WIDEST, serve.TALLEST)]
    assert screen.send_bytes.await_args_list == [mock.call("q\ufffd".encode())]


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: only 127.0.0.1; from another machine use ssh -L"),
        (["--host", "example.org"], "--host example.org: only 127.0.0.1"),
        (["--port", "70000"], "--port 70000: a number from 0"),
        (["--roadmap", "none.md"], "none.md: no such roadmap"),
    ],
)
def test_another_host_or_a_wrong_port_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"vitlab: {said}")
    assert error.count("\n") == 1


@pytest.mark.usefixtures("lab")
def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from vitlab.tui.terminal.serve import listen

    with listen(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert capsys.readouterr().err.startswith(
        f"vitlab: port {port}: Address already in use; --port"
    )
