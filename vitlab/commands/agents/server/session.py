"""One connection: its lab, its role and its budget; and what a tool is."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from vitlab.commands.agents.server.answers import Answer
from vitlab.contract.paths import UsageError
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.tray.account import Account

Role = Literal["read", "propose", "act"]
ROLES: tuple[Role, ...] = get_args(Role)
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Session:
    """What a connection may do, and where."""

    root: Path
    role: Role
    hours: float = 0.0
    """What launches of role act may take, in hours of run time, all jobs added up."""
    gpu_hours: float | None = None
    """The same of GPUs; None for no limit of their own."""

    def lab(self) -> Lab:
        """The lab as it is now; its notes are its own affair."""
        return open_lab(self.root)

    def account(self, lab: Lab) -> Account:
        return Account(lab, self.hours, self.gpu_hours)

    def keep_budget(self) -> None:
        """Stop what is over it, where no supervisor did: on a cluster, or as one was killed."""
        if self.role == "act":
            with contextlib.suppress(UsageError, OSError):  # at the next look
                self.account(self.lab()).keep()


@dataclass(frozen=True)
class Tool:
    """One tool."""

    name: str
    description: str
    call: Callable[[Session, Arguments], Answer | Awaitable[Answer]]
    """In a thread; what it has to wait for is awaited without one."""
    properties: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """JSON Schema of each argument."""
    required: Sequence[str] = ()
    role: Role = "read"
    """The least role that has it."""

    @property
    def schema(self) -> dict[str, object]:
        """JSON Schema of its arguments; others are refused."""
        return {
            "type": "object",
            "properties": dict(self.properties),
            "required": list(self.required),
            "additionalProperties": False,
        }


def roadmap_of(lab: Lab, arguments: Arguments) -> Path | None:
    """The roadmap that is named, by its path in the lab; no other file can be."""
    name = arguments.get("roadmap")
    if name is None:
        return None
    known = {lab.paths.relative(path): path for path in lab.roadmaps()}
    if name not in known:
        names = ", ".join(known) or "none"
        raise UsageError(f"roadmap {name[:80]!r}: is none of the lab's ({names})")
    return known[name]
