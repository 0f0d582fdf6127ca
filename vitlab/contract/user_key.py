"""The secret key of this user: what a lab says was done by this user holds only with its seal.

A lab may come from somebody else: its files can claim anything, but cannot be sealed by a key that
never leaves the user's own state folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

from vitlab.contract.paths import PrivatePaths, UsageError, sync_folder, write_atomic
from vitlab.contract.reading import read_document, read_regular

_BYTES = 32
_LAB = "lab_mark"
"""The key by which a record says which lab it is of; older ones have none."""
_LIBRARIES = ("TORCH", "PYTORCH", "CUDA", "NCCL", "MPL", "POLARS", "HDF5", "OMP", "MKL", "NUMBA")
"""What the names of variables begin with that the libraries of vitlab read."""


def state_folder() -> Path:
    """The folder of this user's own state, mode 0700: below `XDG_STATE_HOME` or the home.

    Where there is no home, or it takes no files, one in the folder of temporary files.
    """
    tried: list[str] = []
    for folder in _wanted():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            _check_private(folder)
        except OSError as error:
            tried.append(f"{folder}: {error.strerror or error}")
        else:
            return folder
    raise UsageError(f"cannot keep this user's state ({'; '.join(tried)})")


def _wanted() -> Iterator[Path]:
    """Where the state folder may be, the best first."""
    if (given := os.environ.get("XDG_STATE_HOME", "")).startswith("/"):
        yield Path(given) / "vitlab"
    with contextlib.suppress(RuntimeError):  # no HOME, and no such user
        yield Path.home() / ".local/state/vitlab"
    with contextlib.suppress(FileNotFoundError):  # no folder takes a file
        yield Path(tempfile.gettempdir()) / f"vitlab-{os.geteuid()}"


def _check_private(folder: Path) -> None:
    """It is this user's own, and becomes closed to others if it is not."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not a folder of this user")
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    if not ((folder / "key").exists() or os.access(folder, os.W_OK | os.X_OK)):
        raise PermissionError(f"{folder} takes no files")


@cache
def _key(folder: Path) -> bytes:
    path = folder / "key"
    if not path.exists():
        descriptor, temporary = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(temporary, path)
        except OSError as error:
            error.filename, error.filename2 = str(path), None  # of a full disk it has none
            raise
        finally:
            Path(temporary).unlink()
    key = read_regular(path)
    if len(key) != _BYTES or not any(key):  # zeros are what a power loss leaves
        raise UsageError(f"{path}: is not a key of {_BYTES} bytes; remove it to have a new one")
    return key


def seal(*parts: bytes) -> str:
    """HMAC-SHA256 of the parts by this user's key, in hexadecimal."""
    import hmac  # OpenSSL is 4 MB, which a supervisor can do without

    made = hmac.new(_key(state_folder()), digestmod="sha256")
    for part in parts:
        made.update(len(part).to_bytes(8, "big") + part)
    return made.hexdigest()


def is_sealed(text: object, *parts: bytes) -> bool:
    """Whether `text` is the seal of the parts: this user wrote them, and nobody changed them."""
    import hmac

    given = text.encode("utf-8", "replace") if isinstance(text, str) else b""
    return hmac.compare_digest(given, seal(*parts).encode())


def sealed(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A JSON object that is kept in `path`, with this user's seal on it as `seal`."""
    return {**record, "seal": seal(*_parts(record, path))}


def own_record(path: Path) -> dict[str, Any]:
    """What `sealed` was written to `path`; empty for all that is not of this user, or changed,
    and for a record of another lab.

    What a lab holds that vitlab has computed may be a stranger's, and say what is not so.
    """
    record = _sealed_record(path)
    mark = record.pop(_LAB, "")
    return record if not mark or _lab_mark(path) in ("", mark) else {}


def _sealed_record(path: Path) -> dict[str, Any]:
    """As `own_record`, of whatever lab of this user."""
    with contextlib.suppress(OSError, UsageError):
        record = read_document(path)
        if isinstance(record, dict):
            mark = record.pop("seal", None)
            return record if is_sealed(mark, *_parts(record, path)) else {}
    return {}


def write_own(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record of a lab sealed, with the lab's mark.

    A file in its place that is no record of this user, or of another lab, is kept aside.
    """
    _mark_lab(path)
    if os.path.lexists(path) and not own_record(path):
        with contextlib.suppress(OSError):
            path.rename(path.with_name(f"{path.name}.aside"))
    named = {**record, _LAB: mark} if (mark := _lab_mark(path)) else record
    write_atomic(path, json.dumps(sealed(named, path)).encode())


def _mark_lab(path: Path) -> None:
    """Name the lab that this file of `.vitlab/` is in, unless it has a name.

    It is that of a record which is here already: one may have been brought back alone.
    """
    lab = PrivatePaths(path.parent)
    try:
        known = read_regular(lab.mark)
    except FileNotFoundError:
        known = None
    except OSError:
        return  # a colleague's may be closed
    if known is not None and _as_mark(known):
        return
    kept = (_sealed_record(one).get(_LAB) for one in (path, lab.decisions, lab.earlier, lab.agents))
    new = os.urandom(12).hex()
    mark = str(next(filter(None, kept), new + _sum(new)))
    if known is not None:  # a killed process or a power loss has left it empty
        write_atomic(lab.mark, mark.encode() + b"\n")
        return
    with contextlib.suppress(FileExistsError):  # another process was first
        descriptor = os.open(lab.mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.write(descriptor, mark.encode() + b"\n")
            os.fsync(descriptor)
            sync_folder(lab.folder)
        except OSError:
            lab.mark.unlink()
            raise
        finally:
            os.close(descriptor)


def _sum(text: str) -> str:
    return f"{crc32(text.encode()):08x}"


def _lab_mark(path: Path) -> str:
    """The mark of the lab that this file is in; empty where it has none that can be read."""
    with contextlib.suppress(OSError):
        return _as_mark(read_regular(PrivatePaths(path.parent).mark))
    return ""


def _as_mark(data: bytes) -> str:
    mark = data.decode("ascii", "replace").strip()
    return mark if mark and mark.endswith(_sum(mark[:-8])) else ""


def _parts(record: Mapping[str, Any], path: Path) -> tuple[bytes, ...]:
    # The name alone: a lab may be moved.
    return b"record", os.fsencode(path.name), json.dumps(record, sort_keys=True).encode()


def unforeseen(error: Exception) -> str:
    """One line on an exception that nothing foresaw, and how to report it.

    One that quotes a library's variable of the environment is told as the variable's. The
    traceback is kept in this user's state folder, and shown where VITLAB_DEBUG is set.
    """
    with contextlib.redirect_stderr(io.StringIO()) as written:
        sys.__excepthook__(type(error), error, error.__traceback__)
    text, kept = written.getvalue(), ""
    with contextlib.suppress(OSError, UsageError):
        path = state_folder() / "traceback.txt"
        write_atomic(path, text.encode("utf-8", "replace"))
        kept = f" and {path}"
    if os.environ.get("VITLAB_DEBUG"):
        print(text, file=sys.stderr)
    if "can't start new thread" in str(error):
        return "no more threads can be started: a limit of processes (`ulimit -u`, a container's)"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    if variable := _variable_of(error):
        return f"{variable}, a variable of the environment, is refused: {what[:300]}"
    report = f"this is a bug in vitlab; please report it with the output of `vitlab debug`{kept}"
    return f"{_file_of(error)}{what[:300]}; {report}"


def _variable_of(error: Exception) -> str:
    """`NAME=VALUE` of a library's variable whose value the error quotes; empty for none."""
    for name, value in os.environ.items():
        own = name.startswith(_LIBRARIES) and len(value) > 2
        if own and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", str(error)):
            return f"{name}={value[:60]}"
    return ""


def _file_of(error: Exception) -> str:
    """`FILE: ` where the innermost functions that failed were given a file; else empty."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        known = trace.tb_frame.f_locals
        named = (getattr(known.get(name), "folder", known.get(name)) for name in ("path", "job"))
        found = next((str(one) for one in named if isinstance(one, Path)), found)
        trace = trace.tb_next
    return f"{found}: " if found else ""
