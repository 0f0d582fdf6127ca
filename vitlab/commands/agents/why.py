"""`vitlab why`: which job and value a number in the documents comes from, wherever it stands."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from vitlab.commands.common import (
    Options,
    add_json,
    cut,
    plain,
    print_json,
    print_note,
    results_lab,
)
from vitlab.contract.paths import UsageError, real
from vitlab.contract.reading import whole_number
from vitlab.contract.terminal import in_color, painted, print_drawn
from vitlab.docs.judge.conclusion import count_text
from vitlab.docs.text.numbers import Digits, asked_number
from vitlab.lab.lab import Lab
from vitlab.lab.results.provenance import Source
from vitlab.lab.writeback.number_origins import NOT_CHECKED, Origin, origins, results_with

_PLACE = re.compile(r"(?P<file>.+):(?P<line>\d+)")
_COMMA = re.compile(r"\d+,\d+ ?%?")
NAMED = 40
"""Characters of what was asked, in a note on it."""
FEWEST = 2
"""Decimals at least by which a number of fewer digits is told for the one that is asked for."""
_ABOUT = """\
NUMBER as it is written: 0.711, "0.711 +- 0.005", 71.1%, 8.19k, 790,657; numbers with more digits
that round to it count. FILE:LINE: all numbers of that line. Verdicts: result; computed (by vitlab,
from several numbers); differs (another number is or was the result); no result has it; lint finds
it (a result has it, but it is of a trial that is not marked, of another model, or the best of
several seeds); not checked (no result to hold it against). Exit status 1 where one differs, has no
result or is found by lint, or the number stands nowhere."""


def _why_options(why: argparse.ArgumentParser) -> None:
    why.epilog = _ABOUT
    why.add_argument("number", metavar="NUMBER|FILE:LINE")
    add_json(why)
    why.set_defaults(handler=tell_origins)


def tell_origins(args: argparse.Namespace) -> int:
    """`vitlab why`: every place of a number with its verdict, or every number of a line."""
    lab = results_lab()
    if (asked := asked_number(args.number)) is not None:
        found = origins(lab, lambda _, one: one.number.is_asked(asked))
    elif match := _PLACE.fullmatch(args.number):
        file, line = _file(lab, match["file"]), whole_number(match["line"])
        found = origins(lab, lambda path, one: one.line == line and real(path) == file)
    else:
        kinds = 'neither a number (0.711, "0.711 +- 0.005", 71.1%, 8.19k) nor FILE:LINE'
        if _COMMA.fullmatch(args.number.strip()):
            kinds += ", as its point is a comma"
        raise UsageError(f"{args.number!r}: {kinds}")
    names = {path: os.path.relpath(path) for path in {one.path for one in found}}
    if args.json:
        print_json([_record(one, names[one.path]) for one in found])
    for one in () if args.json else found:
        print_drawn(_text(one, names[one.path]))
    if not found:
        what = "no number stands there" if asked is None else _elsewhere(lab, asked)
        print_note(f"{cut(args.number, NAMED)}: {what}")
    return int(not found or any(one.is_wrong for one in found))


def _elsewhere(lab: Lab, asked: Digits) -> str:
    """Of a number that stands nowhere: which result has it, or how it stands in fewer digits."""
    if known := results_with(lab, asked):
        also = f", and {len(known) - 1} others" if len(known) > 1 else ""
        return f"stands in no document; {_of(known[0])} has it{also}"
    shorter = origins(
        lab,
        lambda _, one: (
            FEWEST <= one.number.decimals < asked.decimals and one.number.is_rounded(asked.value)
        ),
    )
    for one in shorter[:1]:
        place = f"{os.path.relpath(one.path)}:{one.line}"
        return f"stands in no document with so many digits; {one.text} does ({place})"
    return "no such number in the lab's roadmaps, hubs, reports and boards"


def _file(lab: Lab, name: str) -> Path:
    """A document by its path from here or from the lab's root."""
    for path in (Path(name), lab.paths.root / name):
        if path.is_file():
            return lab.paths.inside(real(path))
    raise UsageError(f"{name}: no such file")


def _record(one: Origin, file: str) -> dict[str, Any]:
    source = one.source
    record: dict[str, Any] = {
        "file": file,
        "line": one.line,
        "text": one.text,
        "verdict": one.verdict,
        "value": (source.value or None) if source else None,
        "job": ", ".join(source.jobs) if source else None,
    }
    if source and source.value:
        record |= {"number": source.number, "error": source.error, "n": dict(source.n)}
        record["profile"] = source.profile
    return record | ({"why": one.why} if one.why else {})


def _text(one: Origin, file: str) -> str:
    """`roadmaps/vit_roadmap.md:41: 0.711: result: test/r2/log_g of VIT-.../a1b2 (full, n ...)`."""
    said = f"{file}:{one.line}: {one.text}: {one.verdict}"
    if one.source:
        said += f": {_of(one.source)}"
    line = plain(said + (f" ({one.why})" if one.why else ""))
    if not in_color():
        return line
    color = "31" if one.is_wrong else "2" if one.verdict == NOT_CHECKED else ""
    return painted(line, color)


def _of(source: Source) -> str:
    if not source.value:
        return f"from {source.of_jobs}"
    counts = ", ".join(f"{count_text(count)} {split}" for split, count in source.n.items() if count)
    about = ", ".join(filter(None, (source.profile, source.model, counts)))
    return f"{source.value} = {source.shown} of {source.of_jobs} ({about})"


OPTIONS: Options = {"why": _why_options}
