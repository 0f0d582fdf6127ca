"""Unattended work in a lab of the campaign: an autopilot, proposals, a budget, a log of changes.

It reads the contract of docs/autopilot.md and docs/agents.md by itself: what a file that was spoilt
may make a command tell is less than before, with a word, and never anything else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

from campaign_lab import Answer, Lab, prefix, wait_for

FILES = ("tray", "autopilot", "agents", "changes", "numbers")
"""What the names of their files in `.vitlab` begin with."""
NAMES = [f".vitlab/{name}" for name in (
    "autopilot.json", "autopilot.lock", "autopilot.again", "autopilot.env.json", "agents.json",
    "agents.lock", "changes.jsonl", "changes.lock", "numbers.jsonl", "tray", "tray/lock",
    "tray/00000001.accepted.json", "tray/00000002.open.json", "tray/00000003.open.json",
)]  # fmt: skip
"""Names of the contract: the ones that a lab lacks are made."""
LOOKS = [
    ("auto",),
    ("auto", "--json"),
    ("tray",),
    ("tray", "--json"),
    ("wait", "--timeout", "0", "--json"),
    ("paper", "check", "draft.md"),
]
DRAFT = "Our model reaches R2 = 0.5 for log g, and 0.123 on val.\n"


class Assistant:
    """Speaks the Model Context Protocol to `vitlab mcp`, a line for each message."""

    def __init__(self, lab: Lab, role: str) -> None:
        words = [*prefix(), sys.executable, "-m", "vitlab", "mcp", "--role", role, "--budget", "2h"]
        self._server = subprocess.Popen(
            words,
            cwd=lab.root,
            env=lab.run.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        client = {"name": "campaign", "version": "1"}
        start = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        self._number = 0
        self._ask("initialize", start)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def __call__(self, tool: str, **arguments: Any) -> Any:
        """The answer of a tool, which has to be no refusal."""
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        text = result["content"][0]["text"]
        assert not result["isError"], text
        return json.loads(text)

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._send(message)
        assert self._server.stdout is not None
        return json.loads(self._server.stdout.readline())["result"]

    def _send(self, message: dict[str, Any]) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(message) + "\n")
        self._server.stdin.flush()

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(20)


def furnish(lab: Lab) -> None:
    """A paused autopilot and the page of one before, proposals of each state, a budget, a log.

    MVP-1.0 has ended and is written back, one slot is taken by a job that goes on; jobs launched
    here are held.
    """
    lab.run(lab.root, "wait", "--timeout", "0")
    (lab.root / "draft.md").write_text(DRAFT)
    lab.ok("auto", "--budget", "1h", "--until", "4.0", "--detach", fresh=True)
    jobs = wait_for(lambda: _jobs_of(lab, "4.0"))
    assert jobs, "the autopilot launches nothing"
    lab.ok("hold", str(lab.root / jobs[0]))
    lab.run(lab.root, "auto", "--end")  # on a slow machine it has ended by itself
    assert [*lab.root.glob("roadmaps/auto_*.md")], "the autopilot has left no page"
    lab.ok("auto", "--budget", "1h", "--detach", fresh=True)
    jobs = wait_for(lambda: _jobs_of(lab, "5.0"))
    assert jobs, "the second autopilot launches nothing"
    lab.ok("hold", str(lab.root / jobs[0]))
    lab.ok("auto", "--pause")
    assistant = Assistant(lab, "act")
    for mvp, status in (("6.0", "ready"), ("6.0", "paused"), ("7.0", "ready")):
        assistant("propose_status", mvp=mvp, status=status, reason="it is next")
    (job,) = assistant("launch", mvp="7.0", reason="it is next")["data"]["jobs"]
    assistant.close()
    lab.ok("hold", str(lab.root / "experiments" / job))
    lab.ok("tray", "accept", "1", "--yes")
    lab.ok("tray", "dismiss", "3")
    lab.run(lab.root, "wait", "--timeout", "0")


def _jobs_of(lab: Lab, mvp: str) -> list[str]:
    return [job for job, row in lab.rows().items() if row.get("mvp") == mvp]


def questions(lab: Lab, *, every: bool) -> list[tuple[str, ...]]:
    """Commands whose answers depend on these files alone, while nothing happens in the lab.

    Without `every` those of a lab that is not furnished.
    """
    number = next(str(one["text"]) for one in _written(lab) if "." in str(one["text"]))
    return [
        *([("auto", "--json")] if every else []),
        ("tray", "--json"),
        ("wait", "--timeout", "0", "--json", "--since", "x-1"),
        ("why", number, "--json"),
    ]


def _written(lab: Lab) -> list[dict[str, Any]]:
    """The numbers that the record says were written, read from the file itself."""
    found = []
    for line in (lab.root / ".vitlab/numbers.jsonl").read_text().splitlines():
        with suppress(ValueError):
            places = json.loads(line.partition(" ")[2])["places"]
            found += [{"file": name, "text": one[2]} for name in places for one in places[name]]
    assert found, "no number was written"
    return found


def is_unattended(target: str) -> bool:
    """Whether a path from the lab's root is one of these files."""
    return target.removeprefix(".vitlab/").startswith(FILES) and target.startswith(".vitlab/")


def differs(before: Any, answer: Answer) -> str:
    """What an answer tells that the one before did not; empty for the same, or for less."""
    now = answer.json()
    if now is None or answer.status not in (0, 1, 124):
        return ""
    match answer.argv[0]:
        case "auto":
            keys = ("state", "done", "budget", "page", "why")
            wrong = [key for key in keys if now and now.get(key) != before.get(key)]
            return f"the autopilot's {wrong[0]} is {now[wrong[0]]!r}" if wrong else ""
        case "wait":
            # Jobs that could not be read for a while are told too, without a number.
            known = [(one["job"], one.get("gate"), one["values"]) for one in before["changes"]]
            odd = [
                one
                for one in now["changes"]
                if one["values"] and (one["job"], one.get("gate"), one["values"]) not in known
            ]
        case "tray":
            odd = [one for one in now if one not in before]
        case _:
            # Without its record a number may be found by what it is: told before of another place.
            known = [_claim(one) for one in before]
            odd = [one for one in now if _source(one) and _claim(one) not in known]
    return f"`{answer.argv[0]}` tells {json.dumps(odd[0], ensure_ascii=False)[:150]}" if odd else ""


def _claim(place: dict[str, Any]) -> dict[str, Any]:
    """What is told of a number, whichever its place."""
    return {key: value for key, value in place.items() if key not in ("file", "line")}


def _source(place: dict[str, Any]) -> bool:
    """Whether a number's place is told to come from a job."""
    return bool(place.get("jobs") or place.get("job"))
