"""The environment a job is submitted with, and the one it starts with. Standard library only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from vitlab.contract.paths import JobPaths, write_atomic
from vitlab.contract.reading import read_regular
from vitlab.jobs.processes import MARKER

_WORDS = frozenset(
    ["AUTH", "COOKIE", "COOKIES", "CRED", "CREDS", "KEY", "KEYS", "PASS", "PASSPHRASE", "PAT",
     "TOKEN", "TOKENS"]
)  # fmt: skip
_PARTS = ("APIKEY", "CREDENTIAL", "PASSWD", "PASSWORD", "SECRET")
_NO_SECRET = ("_SOCK", "_SOCKET", "_DIR")
"""Ends of names that say where something is."""
_KEY = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S{16,}")
_ISSUED = re.compile(r"(?:hf|gh[opsu])_[A-Za-z0-9]{8,}|(?:sk|glpat|xox[abps])-[\w-]{8,}")
"""What well-known services give out as keys."""
_OPTION = re.compile(r"(?:^|\s)-{0,2}([A-Za-z][\w.-]*)(?:=|\s+)(?!-)(\S+)")
"""`--lr 0.1`, `--lr=0.1`, `lr=0.1`, and what else looks so."""
_LOGIN = re.compile(r"\w://[^/\s@]*:[^/\s@]+@")
"""An address with a password: `https://me:secret@host`."""


_OF_SESSION = re.compile(
    r"_|PWD|OLDPWD|SHLVL|LINES|COLUMNS|DISPLAY|WINDOWID|MAIL|PS\d|HIST.*|CUDA_VISIBLE_DEVICES"
    r"|LS_COLORS|LESS.*|.*(?:TERM(?!IN[EI])|TMUX|SSH|XDG|DBUS|VSCODE|SESSION|_PID|_TTY|KONSOLE|STY|PROMPT).*"
)
"""Variables of a terminal or login, which say nothing of what a program computes."""


def is_secret(name: str, value: str = "") -> bool:
    """Whether a variable looks like a secret, which is not written to disk."""
    upper = name.upper()
    if upper.endswith(_NO_SECRET):
        return False
    words = re.split(r"[^A-Z0-9]+", upper)
    return (
        not _WORDS.isdisjoint(words)
        or any(part in upper for part in _PARTS)
        or words[-1].endswith(("TOKEN", "KEY"))
        or (words[-1] == "PWD" and upper not in ("PWD", "OLDPWD"))
        or bool(_LOGIN.search(value))
    )


def secrets_in(variables: Mapping[str, str]) -> list[str]:
    """The names that look like secrets."""
    return sorted(name for name, value in variables.items() if is_secret(name, value))


def is_secret_setting(name: str, value: object) -> bool:
    """Whether a setting or an option of a command line is a secret, which is shown nowhere.

    As a variable; but a name like `sort_key` or `tokens` needs a value as keys have one.
    """
    text = "" if value is None or isinstance(value, bool) else str(value)
    name = name.rpartition(".")[2]
    upper = name.upper().replace("-", "_")
    surely = any(part in upper for part in (*_PARTS, "API_KEY"))
    named = is_secret(name, text) and (surely or _LOGIN.search(text) or _KEY.fullmatch(text))
    return bool(text and (named or _ISSUED.fullmatch(text)))


def secrets_of(config: Mapping[str, object]) -> list[str]:
    """The names of secrets in a command's configuration: of its variables and its options."""
    env, argv = config.get("env"), config.get("argv")
    given = {k: str(v) for k, v in env.items()} if isinstance(env, Mapping) else {}
    line = " ".join(map(str, argv)) if isinstance(argv, list | tuple) else ""
    own = [f"--{name}" for name, value in _OPTION.findall(line) if is_secret_setting(name, value)]
    return [*(f"env.{name}" for name in secrets_in(given)), *own]


def this_environment() -> dict[str, str]:
    """That of this process, as UTF-8 with surrogates for other bytes, whatever the locale."""
    return {_text(name): _text(value) for name, value in os.environb.items()}


def as_bytes(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    """As `os.execvpe` takes it."""
    return {_bytes(name): _bytes(value) for name, value in variables.items()}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def record_environment(path: Path, variables: Mapping[str, str], *, sync_name: bool = True) -> None:
    """Write a submission's variables, but for secrets, readable by their owner alone."""
    withheld = secrets_in(variables)
    kept = {k: v for k, v in variables.items() if k not in withheld and k != MARKER}
    # In ASCII: a value need not be UTF-8, and is then kept by surrogates.
    text = json.dumps({"v": 1, "variables": kept, "withheld": withheld}, indent=1)
    write_atomic(path, text.encode() + b"\n", mode=0o600, sync_name=sync_name)


def submitted_environment(
    job: JobPaths, here: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The environment a job starts with, and the secrets it was submitted with that it lacks.

    Its secrets come from `here`, the process that starts it; a job that recorded no environment
    has that of `here`.
    """
    try:
        # Not as other documents: a value that is not UTF-8 is kept by surrogates.
        record = json.loads(read_regular(job.environment))
    except (OSError, ValueError, RecursionError):
        record = None
    known = record if isinstance(record, dict) else {}
    variables, withheld = known.get("variables"), known.get("withheld")
    if not isinstance(variables, dict):
        return dict(here), []
    names = withheld if isinstance(withheld, list) else []
    given = {name: here[name] for name in names if name in here}
    return {**variables, **given}, [name for name in names if name not in given]


def differing(job: JobPaths, here: Mapping[str, str]) -> list[str]:
    """The variables of a program that differ from those a job was submitted with.

    Neither those of a terminal or login nor secrets; none where no environment was recorded.
    """
    recorded, lacking = submitted_environment(job, here)
    others = {k for k in {*recorded, *here} if recorded.get(k) != here.get(k)}
    others -= {*lacking, *secrets_in(here), MARKER}
    return sorted(name for name in others if not _OF_SESSION.fullmatch(name))
