"""The process behind the spectrum viewer: opens a job once, then answers for star after star.

    python -m vitlab.recipes.spectrum JOBDIR

A line of JSON on standard input asks, `{"star": 17, "label": "log_g"}`; a line on standard output
answers: `{"kind": "note", "text": ...}` while it works, `list` once (`vitlab.records.stars`), then
`star`, or `error` with one line. It ends with its input, so with whoever asks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from vitlab.contract.paths import JobPaths, UsageError
from vitlab.recipes.onestar import Bench, open_bench
from vitlab.records.stars import plain, write

UNUSABLE = 2
THREADS = 2
"""One star is little work: more threads would only wait for each other."""


def main(arguments: Sequence[str]) -> int:
    """Serve the job in the folder named; returns the exit status."""
    if len(arguments) != 1:
        print("usage: python -m vitlab.recipes.spectrum JOBDIR", file=sys.stderr)
        return UNUSABLE
    torch.set_num_threads(min(THREADS, torch.get_num_threads()))
    # What a library prints must not stand between two answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out, redirect_stdout(sys.stderr):

        def tell(kind: str, record: Mapping[str, Any]) -> None:
            out.write(write({"kind": kind, **record}) + "\n")
            out.flush()

        try:
            bench = open_bench(
                JobPaths(Path(arguments[0])), lambda text: tell("note", {"text": text})
            )
        except UsageError as error:
            tell("error", {"text": str(error)})
            return UNUSABLE
        tell("list", plain(bench.stars()))
        return serve(bench, sys.stdin, tell)


def serve(
    bench: Bench, asked: Iterable[str], tell: Callable[[str, Mapping[str, Any]], None]
) -> int:
    """Answer each line of `asked` until they end."""
    for line in asked:
        try:
            request = json.loads(line)
            star, label = int(request["star"]), str(request["label"])
        except (ValueError, KeyError, TypeError):
            tell("error", {"text": f"not a question: {line.strip()[:80]}"})
            continue
        try:
            tell("star", plain(bench.star(star, label)))
        except UsageError as error:
            tell("error", {"text": str(error)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
