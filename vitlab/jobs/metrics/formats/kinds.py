"""Which kind of metrics file one is, by its first bytes."""

from __future__ import annotations

import codecs

from vitlab.jobs.metrics.formats.decoder import Decoder, flattened
from vitlab.jobs.metrics.formats.json_rows import JsonDocument, JsonLines, parsed, row_of, rows_in
from vitlab.jobs.metrics.formats.records import (
    TENSORBOARD_MARK,
    WANDB_MARK,
    TensorBoard,
    WandbFile,
)
from vitlab.jobs.metrics.formats.table import Table
from vitlab.jobs.metrics.source import Source

KINDS: dict[str, type[Decoder]] = {
    one.kind: one for one in (Table, JsonLines, JsonDocument, WandbFile, TensorBoard)
}
HEAD = 1 << 16
"""Bytes at the beginning that show the kind."""
_FIRST = 20
"""Lines at the beginning in which objects are looked for."""
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
          (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
_OTHERS = {
    b"\x1f\x8b": "gzip-compressed",
    b"PK\x03\x04": "a zip archive (Excel, npz, a checkpoint)",
    b"SQLite format 3\0": "an SQLite database",
    b"\x89HDF": "HDF5",
    b"PAR1": "Parquet",
    b"\x93NUMPY": "a NumPy array",
    b"\x80": "a pickle",
    b"ARROW1": "Arrow",
}


def decoder_of(head: bytes, source: Source, last: bool) -> Decoder | str | None:
    """What reads a file that begins with `head`; why nothing can; None before that is clear.

    `last`: no more will be written.
    """
    names = source.columns
    if head.startswith(WANDB_MARK):
        return WandbFile(*names)
    if TENSORBOARD_MARK in head[:64]:
        return TensorBoard(*names)
    for mark, what in _OTHERS.items():
        if head.startswith(mark):
            return f"is {what}, which is not read; write CSV or JSON lines"
    encoding = _encoding(head)
    text = head[: len(head) // 4 * 4] if encoding != "utf-8" else head
    text = text.decode(encoding, "replace").lstrip("\ufeff \t\r\n").encode()
    if not text and len(head) < HEAD:
        return None
    # A crash leaves zeros within a text, no text begins with them.
    if b"\0" in text.split(b"\n", 1)[0] or 2 * text.count(b"\0") > len(text):
        return "holds binary data of a kind that is not read; write CSV or JSON lines"
    if text[:1] not in (b"{", b"["):
        return _table_or_lines(text, names, encoding, last or len(head) >= HEAD)
    first, end, rest = text.partition(b"\n")
    row = parsed(first)
    row = row_of(first) if row is None else row
    if row is None and not end and len(head) < HEAD and not last:
        return None
    lines = isinstance(row, dict) and (
        rest.strip() or rows_in(row, [*names[0]], names[1:]) == [row]
    )
    lines = lines and (end or last)  # else a document, for now
    if lines or (text[:1] == b"{" and rest[:1] == b"{"):
        return JsonLines(*names, encoding)
    return JsonDocument(*names, encoding)


def _table_or_lines(
    text: bytes, names: tuple[dict[str, str], str, str], encoding: str, whole: bool
) -> Decoder | None:
    """A table, unless objects follow on a first line of words."""
    lines = text.split(b"\n")
    table = Table(*names, encoding)
    if table.names_ours(lines[0]):
        return table if whole or len(lines) > 1 else None
    for line in lines[:_FIRST] if whole else lines[:-1][:_FIRST]:
        if flattened(row_of(line) or {}).keys() & {*names[0]}:
            return JsonLines(*names, encoding)
    is_clear = any(name.encode() in lines[0] for name in names[0]) or len(lines) > 2
    return table if whole or (len(lines) > 1 and is_clear) else None


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    evens, odds = head[:1024:2], head[1:1024:2]
    if 2 * odds.count(0) > len(odds) and not evens.count(0):
        return "utf-16-le"
    return "utf-16-be" if 2 * evens.count(0) > len(evens) and not odds.count(0) else "utf-8"
