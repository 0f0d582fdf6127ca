"""The code a job runs with, by git: its commit, and what was changed since."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

MAX_DIFF = 4 << 20
"""Bytes of a diff that are kept."""


@dataclass(frozen=True)
class Code:
    """The state of the lab's repository; all empty outside one."""

    commit: str = ""
    diff: bytes = b""
    """`git diff HEAD` without documents: empty when no tracked code is changed."""

    @property
    def dirty(self) -> bool:
        return bool(self.diff)


def read_code(root: Path) -> Code:
    """The code in the work tree at `root`. Runs no program the repository names."""
    commit = _git(root, "rev-parse", "HEAD").decode().strip()
    if not commit:
        return Code()
    # Every launch writes into the roadmap, which makes the code no other.
    diff = _git(root, "diff", "--no-ext-diff", "--no-textconv", "HEAD", "--", ":/", ":!/*.md")
    return Code(commit, diff[:MAX_DIFF])


def _git(root: Path, *arguments: str) -> bytes:
    try:
        process = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return process.stdout if process.returncode == 0 else b""
