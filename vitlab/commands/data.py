"""Commands about spectra and what can be read from them: data and ceiling."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path

from vitlab.commands.output import Commands, add_json, number, print_json, print_table
from vitlab.contract.config import GRID_LABELS
from vitlab.contract.paths import NoLab, UsageError, find_lab

MAGS = (18.0, 20.0, 21.5, 22.0, 22.5, 23.0)


def add_commands(commands: Commands) -> None:
    ceiling = commands.add_parser("ceiling", help="the most any model can reach, by magnitude")
    ceiling.add_argument("--mag", default=",".join(f"{m:g}" for m in MAGS), metavar="M,...")
    ceiling.add_argument("--dims", type=int, choices=(3, 5), default=3, help="5: with a_M, C_M")
    ceiling.add_argument("--label", choices=GRID_LABELS, default="log_g")
    ceiling.add_argument("--stars", type=int, default=256, metavar="N", help="of the Bayes ceiling")
    ceiling.add_argument("--seed", type=int, default=42)
    add_json(ceiling)
    ceiling.set_defaults(handler=show_ceiling)


def show_ceiling(args: argparse.Namespace) -> int:
    """`vitlab ceiling`: Cramer-Rao and Bayes ceilings, one row a magnitude."""
    mags = _magnitudes(args.mag)
    if args.stars < 2:
        raise UsageError(f"--stars {args.stars}: must be at least 2")
    from vitlab.ml.ceilings import ceilings
    from vitlab.ml.grid import load_derivatives, load_grid
    from vitlab.ml.noise import load_noise
    from vitlab.ml.simulate import Simulator

    try:
        cache = find_lab(Path.cwd()).private / "ceilings"
    except NoLab:
        cache = None
    simulator = Simulator(load_grid(), load_noise(), seed=args.seed)
    nuisances = load_derivatives() if args.dims == 5 else ()
    found = list(ceilings(simulator, nuisances, mags, args.label, (2000, args.stars), cache))
    for row in found:
        if row.unidentified or row.unsettled:
            print(
                f"mag {row.mag:g}: {row.unidentified} stars without a finite bound, "
                f"{row.unsettled} posteriors not settled",
                file=sys.stderr,
            )
    rows = [_plain(dataclasses.asdict(row)) for row in found]
    if args.json:
        print_json(rows)
    else:
        cells = [
            [number(row[name], 2 if name in ("mag", "snr") else 4) for name in KEYS] for row in rows
        ]
        print_table([name.upper() for name in KEYS], cells)
    return 0


KEYS = ("mag", "snr", "r2_crlb_median", "r2_crlb_mean", "r2_bayes", "r2_bayes_err", "sigma_crlb")


def _plain(row: dict[str, float]) -> dict[str, float | None]:
    """The keys other programs rely on; a number that is none becomes null."""
    return {name: row[name] if math.isfinite(row[name]) else None for name in KEYS}


def _magnitudes(text: str) -> list[float]:
    try:
        mags = [float(part) for part in text.split(",")]
    except ValueError:
        mags = []
    if not mags or not all(10 <= mag <= 30 for mag in mags):
        raise UsageError(f"--mag {text}: must be magnitudes between 10 and 30, like 20.5,22")
    return mags
