"""The screen in a browser: on this machine's own address only, for who has the key only.

Every user of a machine can reach its loopback address, and so can, through a browser, any web page.
So a request must name a loopback host (no DNS rebinding), its path must begin with the key, and a
websocket, which drives the lab, must come from our own page (no cross-site websocket). The key is
no cookie: a browser sends those to every port of a host, so to other people's servers too.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import re
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import Any

from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from vitlab.contract.paths import UsageError, cause
from vitlab.contract.reading import parse, whole_number

HOST = "127.0.0.1"
MOST = 4
"""Screens at once: each is a process of its own."""
WIDEST, TALLEST = 1000, 500
"""Cells of a screen; each takes memory."""
PATIENCE = 5.0
"""Seconds that a screen has to end once its browser is gone."""
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
_FOREIGN = re.compile(r"<link[^>]*\"https?://[^>]*>")
_HEAD = """\
<title>{title}</title>
<link rel="icon" href="data:," />
<style>html, body {{ margin: 0; height: 100%; overflow: hidden; }}</style>
<script>
  new MutationObserver((_, observer) => {{
    const keys = document.querySelector(".xterm-helper-textarea");
    if (keys) {{ observer.disconnect(); keys.focus(); }}
  }}).observe(document, {{ childList: true, subtree: true }});
</script>
"""
"""A title, no scroll bars, and keys that reach the terminal without a click."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' ws://{host}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LabServer(Server):
    """textual-serve behind a guard."""

    def __init__(self, argv: Sequence[str], port: int, title: str) -> None:
        """`argv`: the program that draws the screen, one process for each that is opened."""
        super().__init__(f"exec {shlex.join(argv)}", host=HOST, port=port, title=title)
        self.key = secrets.token_urlsafe(24)
        self._open = 0
        self._told: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()
        """What ends screens whose browsers are gone."""

    @property
    def address(self) -> str:
        """What to open: all that is served lies below the key."""
        return f"http://{HOST}:{self.port}/{self.key}/"

    async def _make_app(self) -> web.Application:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        app = web.Application(middlewares=[guard])
        app.add_subapp(f"/{self.key}", await super()._make_app())
        return app

    async def on_startup(self, app: web.Application) -> None:  # noqa: ARG002 - it is called so
        """Print nothing: the command prints the address."""
        asyncio.get_running_loop().set_exception_handler(self._tell)

    def _tell(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What went wrong, once: who keeps its descriptors busy makes it come hundreds of times."""
        what, error = str(context["message"]), context.get("exception")
        if what not in self._told:
            self._told.add(what)
            reason = f": {cause(error)}" if isinstance(error, Exception) else ""
            print(f"vitlab serve: {what}{reason}", file=sys.stderr, flush=True)

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _LOOPBACK.fullmatch(request.host):
            raise web.HTTPForbidden(text="only as 127.0.0.1 or localhost\n")
        key, _, path = request.path[1:].partition("/")
        if not hmac.compare_digest(key.encode("utf-8", "replace"), self.key.encode()):
            words = "open the address that `vitlab serve` printed: it contains the key\n"
            raise web.HTTPForbidden(text=words)
        if path != "ws":
            return self._sealed(await handler(request), request)
        if request.headers.get("Origin") != f"http://{request.host}":
            raise web.HTTPForbidden(text="a websocket must come from this page\n")
        if self._open >= MOST:
            raise web.HTTPServiceUnavailable(text=f"{MOST} screens are open already\n")
        sizes = (("width", WIDEST), ("height", TALLEST))
        if not all(0 < (whole_number(request.query.get(n, "1")) or 0) <= most for n, most in sizes):
            raise web.HTTPBadRequest(text=f"at most {WIDEST} x {TALLEST} cells\n")
        self._open += 1
        try:
            return await handler(request)
        finally:
            self._open -= 1

    async def _process_messages(
        self, websocket: web.WebSocketResponse, app_service: AppService
    ) -> None:
        """Obey the page; what it can never say is passed over. Its screen ends with it."""
        try:
            async for message in websocket:
                if message.type == WSMsgType.TEXT:
                    await _obey(message.data, websocket, app_service)
        finally:
            ending = asyncio.create_task(_end(app_service))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def handle_index(self, request: web.Request) -> web.Response:
        """textual-serve's page, fetching nothing from elsewhere, by the port it was asked at."""
        page = await super().handle_index(request)
        assert isinstance(page, web.Response)
        text = (page.text or "").replace(f"http://{HOST}:{self.port}/", "/")
        text = _FOREIGN.sub("", text).replace(f"//{HOST}:{self.port}", f"//{request.host}")
        page.text = text.replace("<head>", "<head>" + _HEAD.format(title=escape(self.title)), 1)
        return page

    def _sealed(self, answer: web.StreamResponse, request: web.Request) -> web.StreamResponse:
        if not answer.prepared:
            for name, value in _HEADERS.items():
                answer.headers[name] = value.replace("{host}", request.host)
        return answer


async def _obey(text: str, page: web.WebSocketResponse, screen: AppService) -> None:
    try:
        said = parse(text)
    except ValueError:
        return
    match said:
        case ["stdin", str(keys)]:
            await screen.send_bytes(keys.encode("utf-8", "replace"))
        case ["resize", {"width": int(width), "height": int(height)}] if min(width, height) > 0:
            await screen.set_terminal_size(min(width, WIDEST), min(height, TALLEST))
        case ["ping", data]:
            await page.send_json(["pong", data])
        case ["blur", *_]:
            await screen.blur()
        case ["focus", *_]:
            await screen.focus()


async def _end(screen: AppService) -> None:
    """Kill the process of a screen that has been asked to end and does not."""
    process = screen._process
    if process is not None:
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def listen(port: int) -> socket.socket:
    """A socket on the loopback address; 0 takes any free port. UsageError where it is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
        sock.listen(128)  # at once: the address is printed before the server is ready
    except OSError as error:
        sock.close()
        raise UsageError(f"port {port}: {error.strerror}; --port chooses another") from error
    return sock


def serve(server: LabServer, sock: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM; the screens that are open end with it, no job does."""
    # No access log: it would have the key. What is no HTTP is answered, not shown on the terminal.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    web.run_app(server._make_app(), sock=sock, print=None, access_log=None, shutdown_timeout=0.5)
