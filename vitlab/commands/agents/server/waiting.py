"""The tool that waits, without holding up other calls."""

from __future__ import annotations

import time
from functools import partial

import anyio

from vitlab.commands.agents.server.answers import Answer, page
from vitlab.commands.agents.server.session import Arguments, Session, Tool
from vitlab.commands.agents.wait import quiet_pace
from vitlab.lab.live.changes import ChangeLog

LONGEST = 24 * 3600.0
"""Seconds of one wait."""
USUAL = 50.0
"""Seconds, if none are given: many clients give up after a minute."""


async def _wait(session: Session, arguments: Arguments) -> Answer:
    """As `vitlab wait`."""
    log, pace = ChangeLog(session.lab()), quiet_pace()
    look = partial(_look, session, log)
    await anyio.to_thread.run_sync(look)
    awaited = log.awaited(
        arguments.get("names", ()), arguments.get("since"), arguments.get("any", False)
    )
    until = time.monotonic() + arguments.get("timeout", USUAL)
    while (changes := log.answer(awaited)) is None and (left := until - time.monotonic()) > 0:
        await anyio.sleep(min(pace.rest(), left))
        await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
    own: dict[str, object] = {"cursor": log.cursor}
    shown, more = page([one.record for one in changes or ()], None)
    if changes and more:  # the next call tells the rest
        own = {"cursor": log.cursor_at(changes[len(shown) - 1]), "more": more["more"]}
    if changes is None:
        own["timed_out"] = True
    return Answer({"changes": shown}, own)


def _look(session: Session, log: ChangeLog) -> None:
    session.keep_budget()
    log.look()


WAIT = Tool(
    "wait",
    "Block until something ends, fails, is judged or needs a person: until all of the jobs or MVPs "
    "in `names` are over (`any`: the first), or else anything happens. With the `since` of an "
    "earlier answer nothing is missed or told twice. One call pays for a night: give `timeout` in "
    "seconds (50 unless given, at most a day) if you may wait that long.",
    _wait,
    {
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 50},
        "any": {"type": "boolean"},
        "since": {"type": "string", "description": "cursor of wait or launch"},
        "timeout": {"type": "number", "minimum": 0, "maximum": LONGEST},
    },
)
