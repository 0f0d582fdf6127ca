"""Measures the documents: `python benchmarks/documents.py [--size 60000]`.

Reading a roadmap of that many bytes whole, planning and writing a status change (fsync left out,
so that the disk is not what is measured), and beside them, on the same text in the same run,
markdown-it-py's bare parse and, where they are installed, marko and mdformat. Each by the clock and
by the CPU, and as a share of the bare parse, which says more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from markdown_it import MarkdownIt

from vitlab.docs.journal import Journal
from vitlab.docs.lint.document import lint
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.save import change, save
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.status import set_status

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"read the whole roadmap": 40.0, "status planned and written": 20.0}
"""Milliseconds, for 60 kB."""
BARE: list[float] = []
"""CPU milliseconds of what was measured, first the bare parse."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    text = roadmap_of(arguments.size)
    print(f"a roadmap of {len(text.encode()):,} bytes, {arguments.rounds} rounds")
    print("  best, median and CPU, and the CPU time as a share of the bare parse")
    everything = read_whole(text)
    mvps, tables = len(everything.mvps), len(everything.views)
    print(f"  {mvps} MVPs, {tables} tables, {len(everything.gates)} gates")
    bare = MarkdownIt("commonmark").enable("table")
    report("markdown-it-py, bare parse", lambda: bare.parse(text), arguments.rounds)
    for name in ("marko", "mdformat"):
        other(name, text, arguments.rounds)
    report("read the whole roadmap", lambda: read_whole(text), arguments.rounds)
    mvp = everything.mvps[-1].id
    report("status planned", lambda: set_status(everything, mvp, "running"), arguments.rounds)
    report("lint", lambda: lint(everything, None), arguments.rounds)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(os, "fsync"):
        path = Path(folder) / "roadmap.md"
        path.write_bytes(text.encode())
        writer = Writer(path, Journal(Path(folder) / "journal", None), mvp)
        report("status planned and written", writer.write, arguments.rounds, writer.read)


def roadmap_of(size: int) -> str:
    """The project's roadmap, its sections said again until it has the size."""
    path = ROOT / "roadmaps" / "vit_roadmap.md"
    text = path.read_bytes().decode()
    whole = text
    while len(whole.encode()) < size:
        whole += "\n" + text
    return whole.encode()[:size].decode(errors="ignore")


def read_whole(text: str) -> Roadmap:
    """A roadmap with every view that is otherwise read only when it is asked for."""
    roadmap = parse_roadmap(Document(text))
    assert roadmap.gates is not None
    assert roadmap.specs is not None
    assert roadmap.boards
    return roadmap


class Writer:
    """Sets a status to and fro in a file; reading it is not part of the measured step."""

    def __init__(self, path: Path, journal: Journal, mvp: str) -> None:
        self.path, self.journal, self.mvp = path, journal, mvp
        self.rounds = 0
        self.roadmap: Roadmap

    def read(self) -> None:
        self.rounds += 1
        self.roadmap = parse_roadmap(read(self.path))

    def write(self) -> None:
        status = "running" if self.rounds % 2 else "done"
        edits = set_status(self.roadmap, self.mvp, status)
        save([change(self.roadmap.document, edits)], self.journal)


def other(name: str, text: str, rounds: int) -> None:
    """Another markdown library on the same text, where it is installed."""
    if importlib.util.find_spec(name) is None:
        print(f"  {name:32} not installed")
    elif name == "marko":
        import marko

        report("marko, parse", lambda: marko.Markdown(extensions=["gfm"]).parse(text), rounds)
    else:
        import mdformat

        report("mdformat, text to text", lambda: mdformat.text(text), max(3, rounds // 5))


def report(
    name: str, step: Callable[[], object], rounds: int, before: Callable[[], None] | None = None
) -> None:
    wall, cpu = [], []
    for _ in range(rounds + 1):
        if before:
            before()
        gc.collect()
        began, worked = time.perf_counter(), time.process_time()
        step()
        cpu.append((time.process_time() - worked) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
    best, middle, work = min(wall[1:]), statistics.median(wall[1:]), min(cpu[1:])
    BARE.append(work)
    limit = LIMITS.get(name)
    judged = f"  (at most {limit:.0f})" if limit else ""
    share = work / BARE[0]
    print(f"  {name:32} {best:7.1f} ms {middle:7.1f} ms {work:7.1f} ms {share:5.2f}{judged}")


if __name__ == "__main__":
    main()
