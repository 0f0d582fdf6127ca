"""A page in a real headless Chromium, driven over the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.waiting import DEADLINE, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZE = (1280, 720)


class Page:
    """One page: what it is told, what it answers, and what the terminal in it was sent."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.drawn = b""
        self._socket = socket
        self._asked = 0

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer."""
        self._asked += 1
        await self._socket.send_json({"id": self._asked, "method": method, "params": parameters})
        while True:
            message = await asyncio.wait_for(self._socket.receive_json(), DEADLINE)
            if message.get("method") == "Network.webSocketFrameReceived":
                frame = message["params"]["response"]
                if frame["opcode"] == 2:
                    self.drawn += base64.b64decode(frame["payloadData"])
            if message.get("id") == self._asked:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def until_drawn(self, words: bytes) -> None:
        """Wait until the terminal was sent these words."""
        async with asyncio.timeout(DEADLINE):
            while words not in self.drawn:
                await self.value("0")
                await asyncio.sleep(0.02)

    async def press(self, key: str) -> None:
        """A letter, or Enter."""
        code = 13 if key == "Enter" else ord(key.upper())
        text = "\r" if key == "Enter" else key
        for kind, typed in (("keyDown", {"text": text}), ("keyUp", {})):
            await self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed
            )

    async def picture(self, path: Path) -> None:
        """Save what is shown, as PNG."""
        path.write_bytes(base64.b64decode((await self.ask("Page.captureScreenshot"))["data"]))


@asynccontextmanager
async def browser(address: str) -> AsyncIterator[Page]:
    """A page at `address`; the browser ends with it."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        # Without a sandbox, which root may not have: it opens our own page alone.
        process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu",
             "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={home}",
             f"--window-size={SIZE[0]},{SIZE[1]}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            opened = Path(home) / "DevToolsActivePort"
            await until(lambda: opened.exists() and opened.read_text().count("\n"))
            root = f"http://127.0.0.1:{opened.read_text().split()[0]}"
            async with aiohttp.ClientSession() as session:
                async with session.put(f"{root}/json/new?about:blank") as made:
                    target = await made.json(content_type=None)
                socket = target["webSocketDebuggerUrl"]
                async with session.ws_connect(socket, max_msg_size=0) as connected:
                    page = Page(connected)
                    await page.ask("Network.enable")
                    await page.ask("Page.navigate", url=address)
                    yield page
        finally:
            process.kill()
            process.wait()
