"""Figures as files: PDF for a journal, PNG for a report, and what jobs they show."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.reading import open_regular
from vitlab.plot.figures.picture import Picture, drawable, with_texts

if TYPE_CHECKING:
    from vitlab.plot.figures.drawing import Drawn

Columns = Literal[1, 2]
"""Columns of a journal's page that a figure takes: 88 or 180 mm."""
_JOBS = "Jobs"
"""The text chunk of a PNG that names what it shows."""
_HEAD = 1 << 20
"""Bytes of a PNG in which that chunk stands, before the picture itself."""
_MINUS = re.compile(r"(?<![\w.)\]])-(?=[\d.])|(?<= )-(?= )")
"""A hyphen that stands for a minus: before a number, or between spaces."""


def write(
    picture: Picture, stem: Path, jobs: Sequence[str] = (), columns: Columns | None = None
) -> tuple[Path, Path]:
    """Write `stem`.pdf and `stem`.png atomically, without a date so that they are reproducible.

    The notes are drawn below the PNG, which stands alone in a report; the PDF has them as its
    subject, for the caption. `columns`: None: as fits. `jobs`: names of the jobs it shows, kept in
    the PNG for `shown_jobs`.
    """
    build = _builder()
    picture = with_texts(drawable(picture), true_minus)
    png_text = {"Software": None, _JOBS: json.dumps(list(jobs))}
    buffer = io.BytesIO()
    build(picture, columns, picture.notes).save(buffer, "png", png_text)
    stem.parent.mkdir(parents=True, exist_ok=True)
    files = {"pdf": pdf(picture, columns), "png": buffer.getvalue()}
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in files]
    for path, data in zip(paths, files.values(), strict=True):
        write_atomic(path, data)
    return paths[0], paths[1]


def pdf(picture: Picture, columns: Columns | None = None) -> bytes:
    """The figure's PDF, the same bytes for the same figure; its notes are the subject."""
    build = _builder()
    picture = with_texts(drawable(picture), true_minus)
    about = {"CreationDate": None, "Title": picture.title, "Subject": "\n".join(picture.notes)}
    buffer = io.BytesIO()
    build(picture, columns, ()).save(buffer, "pdf", about)
    return buffer.getvalue()


def _builder() -> Callable[[Picture, Columns | None, Sequence[str]], Drawn]:
    try:
        # It would take the settings in a lab before the user's own.
        with contextlib.chdir("/"), _without_backend():
            from vitlab.plot.figures.drawing import build
    except ModuleNotFoundError as error:
        raise UsageError(f"figures need matplotlib: {error} (install vitlab again)") from None
    return build


@contextlib.contextmanager
def _without_backend() -> Iterator[None]:
    """No window is opened: a backend is of no use here, and one of old ends matplotlib's import."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if backend is not None:  # for scripts that are started from here
            os.environ["MPLBACKEND"] = backend


def true_minus(text: str) -> str:
    """With minus signs where hyphens stand for them: `R² = −0.4`, `1 − R²`; `Gate-1` as it is."""
    return _MINUS.sub("−", text)


def shown_jobs(png: Path) -> tuple[str, ...]:
    """The names of the jobs a figure shows; empty where it is missing or does not say."""
    try:
        with os.fdopen(open_regular(png), "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ()
    _, _, text = head.partition(f"tEXt{_JOBS}\0".encode())
    try:
        names, _ = json.JSONDecoder().raw_decode(text.decode("latin-1"))
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()
