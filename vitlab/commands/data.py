"""The command about files of spectra: vitlab data."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.commands.common import Options, add_json, number, print_json, print_table
from vitlab.contract.config import DataConfig
from vitlab.contract.excluded import sentence, share_text
from vitlab.contract.job import GRID_LABELS
from vitlab.contract.paths import UsageError
from vitlab.contract.terminal import print_drawn

if TYPE_CHECKING:
    from vitlab.ml.spectra.inspection import Description

MOST_MADE = 100_000_000
"""Spectra of one command: 3 TB."""
AFTER_MAKING = 20.0
"""Seconds for which a file is read that was just made."""


def _data_options(data: argparse.ArgumentParser) -> None:
    parts = data.add_subparsers(title="commands", metavar="COMMAND", required=True)
    make = parts.add_parser("make", help="write simulated spectra in the layout of ga_pfsspec")
    make.add_argument("--n", type=int, required=True, help="spectra")
    make.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="file, or folder of shards, to write",
    )
    make.add_argument("--seed", type=int, default=42)
    make.add_argument(
        "--shards", type=int, default=0, metavar="K", help="number of shards; 0: one file"
    )
    add_json(make)
    make.set_defaults(handler=make_data)
    inspect = parts.add_parser("inspect", help="describe a file of spectra, or a folder of shards")
    inspect.add_argument("file", type=Path, metavar="FILE")
    inspect.add_argument(
        "--seconds",
        type=float,
        default=math.inf,
        metavar="S",
        help="stop reading after this many seconds",
    )
    add_json(inspect)
    inspect.set_defaults(handler=inspect_data)
    grid = parts.add_parser("grid", help="your own grids")
    grids = grid.add_subparsers(title="commands", metavar="COMMAND", required=True)
    grid_import = grids.add_parser(
        "import", help="a grid file from a folder of spectra (ASCII, FITS)"
    )
    grid_import.add_argument("folder", type=Path, metavar="FOLDER")
    grid_import.add_argument("--out", type=Path, required=True, metavar="FILE")
    grid_import.add_argument("--resolution", type=float, default=5000.0, metavar="R")
    grid_import.add_argument("--vacuum", action="store_true", help="its wavelengths are in vacuum")
    grid_import.set_defaults(handler=bring_grid)


def make_data(args: argparse.Namespace) -> int:
    """`vitlab data make`: noise-free spectra of a seed with their errors, masks and labels."""
    if not 1 <= args.n <= MOST_MADE:
        raise UsageError(f"--n {args.n}: must be from 1 to {MOST_MADE:,}")
    if not 0 <= args.shards <= args.n:
        raise UsageError(f"--shards {args.shards}: must be 0 to --n")
    if not 0 <= args.seed < 2**31:
        raise UsageError(f"--seed {args.seed}: must be 0 to {2**31 - 1}")
    _share_cores()
    from vitlab.ml.spectra.dataset import open_simulator
    from vitlab.ml.spectra.pfsspec import make_file, make_shards

    simulator = open_simulator(DataConfig(seed=args.seed), 1.0)
    if args.shards:
        progress = make_shards(simulator, args.n, args.shards, args.out)
    else:
        progress = make_file(simulator, 0, args.n, args.out)
    _follow(progress)
    args.file, args.seconds = args.out, AFTER_MAKING
    return inspect_data(args)


def bring_grid(args: argparse.Namespace) -> int:
    """`vitlab data grid import`: the result is what `config.data.grid` names."""
    if not 100 <= args.resolution <= 1e6:
        raise UsageError(f"--resolution {args.resolution:g}: must be 100 to 1000000")
    from vitlab.ml.spectra.grid import load_grid
    from vitlab.ml.spectra.grid_import import NOTES, import_grid
    from vitlab.ml.spectra.hdf5 import open_hdf5

    n = _follow(import_grid(args.folder, args.out, args.resolution, args.vacuum))
    ranges = (f"{axis[0]:g} to {axis[-1]:g}" for axis in load_grid(args.out).axes)
    names = ", ".join(f"{name} {text}" for name, text in zip(GRID_LABELS, ranges, strict=True))
    print(f"{args.out}: {n} spectra, {names}")
    with open_hdf5(args.out) as file:
        print(file.attrs[NOTES], end="\n" * bool(file.attrs[NOTES]))
    return 0


def _share_cores() -> None:
    """Before the learner is loaded: threads that spin while they wait cost a busy machine most."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _follow(progress: Iterator[int]) -> int:
    """Show how many spectra are done where a person watches; returns the last number."""
    live, done = sys.stderr.isatty(), 0
    for done in progress:
        if live:
            print_drawn(f"\r{done} spectra", "", sys.stderr)
    if live:
        print(file=sys.stderr)
    return done


def inspect_data(args: argparse.Namespace) -> int:
    """`vitlab data inspect`: sizes and ranges, and what a run would leave out."""
    if not args.seconds > 0:
        raise UsageError(f"--seconds {args.seconds:g}: must be above 0")
    _share_cores()
    from vitlab.ml.spectra.inspection import describe
    from vitlab.ml.spectra.pfsspec import open_spectra_files
    from vitlab.ml.spectra.single_files import is_single_file

    if is_single_file(args.file):
        return _inspect_single(args)
    file = describe(open_spectra_files(args.file), args.seconds)
    if args.json:
        print_json(file)
        return 0
    low, high = file["wave"]
    medium = file["medium"] or "air or vacuum: not stated"
    print(f"{file['n']} spectra of {file['pixels']} pixels, {low:.1f} to {high:.1f} A ({medium})")
    rows = [
        [name, number(a), number(b), file["invalid"].get(name, 0), file["outside"].get(name, 0)]
        for name, (a, b) in file["labels"].items()
    ]
    print_table(["COLUMN", "FROM", "TO", "NOT VALID", "OUTSIDE GRID"], rows)
    if file["snr"]:
        print("S/N from {:.2f} to {:.2f}".format(*file["snr"]))
    for line in _findings(file):
        print(line)
    return 0


def _inspect_single(args: argparse.Namespace) -> int:
    """A FITS or text file: the spectra it holds as a survey's, then its parts."""
    from vitlab.ml.spectra import single_files
    from vitlab.ml.survey.description import describe_spectra, lines

    single = single_files.describe_single(args.file)
    why = ""
    try:
        spectra = describe_spectra(args.file)
    except UsageError as error:
        spectra, why = [], str(error)
    if args.json:
        print_json({"spectra": spectra, "no_spectrum": why, **single})
    else:
        print("\n".join([*lines(spectra), *single_files.lines(single)]))
    if why:
        raise UsageError(why)
    return 0


def _findings(file: Description) -> Iterator[str]:
    """What a person should know before learning from a file, one line each."""
    yield from file["notes"]
    n, read = file["n"], file["read"]
    without = [name for name, bad in file["invalid"].items() if bad == n]
    if empty := [name for name in without if name not in file["labels"]]:
        yield f"no value: {', '.join(empty)}"
    for name in (name for name in without if name in file["labels"]):
        low, high = file["possible"][name]
        yield f"{name}: no valid value; it can be {low:g} to {high:g} (is the unit right?)"
    if read < n:
        yield f"{read:,} of {n:,} spectra read, spread over the file"
    counts = file["excluded"]
    yield sentence("spectra", counts, read) if counts else "no spectra are left out"
    if file["no_data"]:
        share = share_text(file["no_data"], 1)
        yield f"{share} of the other spectra's pixels have no data: flux 1"
    if file["duplicates"]:
        yield f"{file['duplicates']:,} spectra are copies of earlier ones"


OPTIONS: Options = {"data": _data_options}
