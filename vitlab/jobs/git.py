"""The code a job runs with, by git: its commit, and what was changed since."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_DIFF = 4 << 20
"""Bytes of a diff that are kept."""


@dataclass(frozen=True)
class Code:
    """The state of a repository; all empty outside one."""

    commit: str = ""
    diff: bytes = b""
    """`git diff HEAD` without documents: empty when no tracked code is changed."""
    repository: str = ""
    """Its folder."""

    @property
    def dirty(self) -> bool:
        return bool(self.diff)

    @property
    def record(self) -> Mapping[str, Any]:
        """What a job's `started.json` holds of it."""
        return {"repository": self.repository, "commit": self.commit, "dirty": self.dirty}


def read_code(folder: Path) -> Code:
    """The code in the work tree that holds `folder`. Runs no program the repository names."""
    commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    if not commit:
        return Code()
    # Every launch writes into the roadmap, which makes the code no other.
    diff = _git(folder, "diff", "--no-ext-diff", "--no-textconv", "HEAD", "--", ":/", ":!/*.md")
    root = os.fsdecode(_git(folder, "rev-parse", "--show-toplevel").rstrip(b"\n"))
    return Code(commit, diff[:MAX_DIFF], root)


def in_repository(folder: Path) -> bool:
    """Whether a folder is in a work tree, which may have no commit yet."""
    return bool(_git(folder, "rev-parse", "--show-toplevel"))


def is_tracked(path: Path) -> bool:
    """Whether the repository that holds a file knows it: no diff shows one that it does not."""
    return bool(_git(path.parent, "ls-files", "--", path.name))


def not_ignored(folder: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns of a folder's `.gitignore` that its repository does not ignore otherwise."""
    paths = {pattern.replace("*", "any") + "any": pattern for pattern in patterns}
    found = _git(folder, "check-ignore", "--", *paths).decode().splitlines()
    return tuple(pattern for path, pattern in paths.items() if path not in found)


def _git(folder: Path, *arguments: str) -> bytes:
    # A variable such as GIT_DIR would name another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        process = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return process.stdout if process.returncode == 0 else b""
