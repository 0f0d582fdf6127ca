"""The code a job runs with, by git: its commit, and what was changed since."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from vitlab.contract.paths import SETTINGS, real
from vitlab.contract.reading import matching, read_regular

MAX_DIFF = 4 << 20
"""Bytes of a diff that are kept."""
_SECONDS = 10.0
"""How long one call of git may take."""
_SECRET_FILE = re.compile(
    r"""\.env(rc)?([._-].*)?|.*\.env|.*\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg|ovpn)
    |id_(rsa|dsa|ecdsa|ed25519)([._-].*)?|\.?netrc|_netrc|\.?pgpass|\.?npmrc|\.?pypirc|\.htpasswd
    |\.git-credentials|\.?s3cfg|\.boto|(.*[._-])?(credentials?|secrets?|passwords?)([._-].*)?
    |(.*[._-])?tokens?(\.(txt|json|ya?ml))?|kaggle\.json|service[_-]account.*\.json|kubeconfig
    |"""
    + re.escape(SETTINGS),
    re.VERBOSE,
)
"""Of the lab's settings one may be the webhook's address."""
_SECRET_FOLDERS = frozenset([".ssh", ".aws", ".azure", ".docker", ".gnupg", ".kube"])
_HARMLESS = (
    "core.fsmonitor=", "core.hooksPath=/dev/null", "core.sshCommand=false", "core.gitProxy=false",
    "core.askPass=false", "credential.helper=", "diff.external=", "safe.bareRepository=explicit",
    "diff.relative=false", "core.bigFileThreshold=16m",
)  # fmt: skip
"""In place of what a repository's configuration says, which would be run as a program, or hold
large files in memory."""


_CODE = ("--", ":/", ":!/*.md")
"""Every launch writes into the roadmap, which makes the code no other."""


class _GitError(Exception):
    """Why git has not answered, in a few words."""


@dataclass(frozen=True)
class Code:
    """The state of a repository; all empty outside one."""

    commit: str = ""
    diff: bytes = b""
    """`git diff HEAD` without documents: empty when no tracked code is changed, a comment on why
    where that cannot be known."""
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
    commit, _, root = _git(folder, "rev-parse", "HEAD", "--show-toplevel").partition(b"\n")
    if not root:
        return Code()
    try:
        without = _without_filters(folder)
        if without is None:
            return Code()
        diff = _changes(folder, without)
    except _GitError as error:
        diff = os.fsencode(f"# what was changed since is not known: {error}\n")
    return Code(commit.decode(), diff, os.fsdecode(root.rstrip(b"\n")))


@lru_cache(256)
def differ(repository: str, first: str, *others: str) -> bool:
    """Whether commits differ in more than documents; True where git does not say."""
    if not others:
        return False
    if any(not re.fullmatch(r"[0-9a-f]{7,64}", commit) for commit in (first, *others)):
        return True
    try:
        without = _without_filters(Path(repository))
        names = [_diff(Path(repository), without or (), "--name-only", first, other, *_CODE)
                 for other in others]  # fmt: skip
    except (_GitError, OSError):
        return True
    return without is None or not _work_tree(Path(repository)) or any(names)


def _changes(folder: Path, without: Sequence[str]) -> bytes:
    """What was changed since the commit; files that may hold secrets are named only."""
    every = ("HEAD", *_CODE)
    changed = _diff(folder, without, "--name-only", "-z", *every)
    if len(changed) > MAX_DIFF:
        raise _GitError(f"the names of the changed files alone take over {MAX_DIFF >> 20} MiB")
    names = [os.fsdecode(name) for name in changed.split(b"\0") if name]
    secret = sorted(name for name in names if is_secret_file(name))
    left_out = [f":(top,exclude,literal){name}" for name in secret]
    diff = _diff(folder, without, *every, *left_out)
    if secret:
        shown = ", ".join(name if name.isprintable() else repr(name) for name in secret)
        diff = os.fsencode(f"# changed, and left out as it may hold secrets: {shown}\n") + diff
    if len(diff) > MAX_DIFF:
        diff = diff[:MAX_DIFF] + f"\n# cut here, after {MAX_DIFF >> 20} MiB\n".encode()
    return diff


def _diff(folder: Path, without: Sequence[str], *options: str) -> bytes:
    """`git diff`, its form whatever the repository is configured for."""
    plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short")
    # Looking into a submodule would run what its own configuration names.
    quiet = ("--ignore-submodules=dirty", "--src-prefix=a/", "--dst-prefix=b/")
    return _run(folder, *without, "diff", *plain, *quiet, *options)


def _without_filters(folder: Path) -> list[str] | None:
    """Options that turn off the repository's filters, which are programs; None: not possible."""
    options = []
    names = _run(folder, "config", "--null", "--name-only", "--get-regexp", r"^filter\.", none=1)
    for name in os.fsdecode(names).split("\0"):
        driver, _, key = name.rpartition(".")
        if "=" in driver or not name.isprintable():
            return None
        if key in ("clean", "smudge", "process"):
            options += ["-c", f"{name}=", "-c", f"{driver}.required=false"]
    return options


def is_secret_file(path: str) -> bool:
    """Whether a file is one that usually holds passwords or keys, by its name."""
    *folders, name = PurePosixPath(path.lower()).parts
    return bool(_SECRET_FILE.fullmatch(name)) or not _SECRET_FOLDERS.isdisjoint(folders)


def in_repository(folder: Path) -> bool:
    """Whether a folder is in a work tree, which may have no commit yet."""
    return bool(_git(folder, "rev-parse", "--show-toplevel"))


def is_tracked(path: Path) -> bool:
    """Whether the repository that holds a file knows it: no diff shows one that it does not."""
    return bool(_git(path.parent, "ls-files", "--", f":(literal){path.name}"))


def committed(path: Path) -> bytes:
    """A file as of the last commit of its repository; empty where there is none."""
    return _git(path.parent, "cat-file", "blob", f"HEAD:./{path.name}")


def not_ignored(folder: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns of a folder's `.gitignore` that its repository does not ignore otherwise."""
    paths = {pattern.replace("*", "any") + "any": pattern for pattern in patterns}
    found = _git(folder, "check-ignore", "--", *paths).decode().splitlines()
    return tuple(pattern for path, pattern in paths.items() if path not in found)


def leads_out(folder: Path) -> bool:
    """Whether the repository of a work tree is, or reads, one that does not belong to it.

    A stranger's may lead to another one of this user, whose texts a diff would show.
    """
    root = _work_tree(folder.resolve())
    if root is None:
        return False
    try:
        own = real(root / ".git")
        if own.is_file():
            own = real(root / _line(own).removeprefix("gitdir: "))
        common = real(own / _line(own / "commondir")) if _has(own, "commondir") else own
        is_inside = own.is_relative_to(root) and common.is_relative_to(root)
        if not is_inside and not _names(root, own, common):
            return True
        objects = common / "objects"
        parts = {own, common, objects, objects / "pack", objects / "info"}
        inside = [one for part in parts if part.is_dir() for one in part.iterdir()]
        inside += matching(common / "refs", "**", folders=True)
        links = any(one.is_symlink() for one in inside if one.name != "hooks")
        return links or _has(objects, "info/alternates") or os.pathsep in str(root)
    except OSError:
        return True


def _names(root: Path, own: Path, common: Path) -> bool:
    """Whether a repository elsewhere names a work tree as its own: `git worktree`, a submodule."""
    if _has(own, "gitdir"):
        named = real(own / _line(own / "gitdir"))
        return common == own.parent.parent and named == real(root) / ".git"
    text = read_regular(own / "config", 1 << 20).decode("utf-8", "surrogateescape")
    found = re.findall(r'(?m)^\s*worktree\s*=\s*"?(\S.*?)"?\s*$', text)
    return common == own and [real(own / one) for one in found] == [root]


def _has(folder: Path, name: str) -> bool:
    return os.path.lexists(folder / name)


def _line(path: Path) -> str:
    """What a small file of one line holds."""
    return os.fsdecode(read_regular(path, 1 << 16)).removesuffix("\n")


def _work_tree(folder: Path) -> Path | None:
    """The folder, or the nearest above it, that has a repository."""
    return next((one for one in (folder, *folder.parents) if _has(one, ".git")), None)


def _git(folder: Path, *arguments: str) -> bytes:
    """The output of `git` in the work tree that holds `folder`; empty for none, or an error."""
    try:
        return _run(folder, *arguments)
    except _GitError:
        return b""


def _run(folder: Path, *arguments: str, none: int = 0) -> bytes:
    """The output of `git`, empty outside a work tree; of a long one `MAX_DIFF` + 1 bytes.

    `none`: the exit status that says that nothing was found. Raises `_GitError`.
    """
    folder = folder.resolve()
    root = _work_tree(folder)
    if root is None or leads_out(root):
        return b""
    # A variable such as GIT_DIR would name another repository; a configuration may name another
    # work tree, or a program that fetches what is missing; a folder above may have another one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_WORK_TREE": str(root), "GIT_OPTIONAL_LOCKS": "0",
                    "GIT_CEILING_DIRECTORIES": str(root.parent),
                    "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}  # fmt: skip
    command = ["git", *(word for one in _HARMLESS for word in ("-c", one)), *arguments]
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise _GitError(f"git does not start ({error.strerror})") from None
    deadline = time.monotonic() + _SECONDS
    try:
        output = _output(process, deadline)
        if len(output) <= MAX_DIFF:
            process.wait(max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        raise _GitError(f"git took more than {_SECONDS:.0f} seconds") from None
    finally:
        _end(process)
    if len(output) <= MAX_DIFF and process.returncode not in (0, none):
        raise _GitError(f"git ended with status {process.returncode}")
    return output


def _output(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """What it writes, of much `MAX_DIFF` + 1 bytes; `TimeoutExpired` where that lasts too long."""
    assert process.stdout is not None
    output = b""
    while len(output) <= MAX_DIFF:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise subprocess.TimeoutExpired(process.args, _SECONDS)
        if not (part := os.read(process.stdout.fileno(), 1 << 16)):
            break
        output += part
    return output[: MAX_DIFF + 1]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started, as git behind a script; what hangs is left."""
    assert process.stdout is not None
    process.stdout.close()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
