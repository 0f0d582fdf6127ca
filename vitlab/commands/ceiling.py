"""The command that computes the best score to expect of a model: vitlab ceiling."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitlab.commands.common import Options, add_json, check_out, number, print_json, print_table
from vitlab.contract.config import DataConfig
from vitlab.contract.job import GRID_LABELS
from vitlab.contract.paths import NoLab, UsageError, find_lab
from vitlab.contract.terminal import Progress
from vitlab.contract.value import axis_of_label, measured
from vitlab.lab.results.worlds import grid_world
from vitlab.plot.figures.paper import write
from vitlab.plot.figures.picture import Curve, Panel, Picture
from vitlab.plot.series import Line

MAGS = (18.0, 20.0, 21.5, 22.0, 22.5, 23.0)
STARS = 256
BOUNDED = 2000
"""Stars of the Cramer-Rao bound."""
_OF_FILE = {
    "velocity": ("V", "velocity unknown, uniform within ±V km/s (default: known)"),
    "continuum": (
        "ORDER[:SIGMA]",
        "unknown polynomial factor; SIGMA of its coefficients (default: 0.1)",
    ),
    "extinction": ("A", "unknown A_V, from 0 to A mag"),
    "resolution": ("LOW:HIGH", "resolution unknown, uniform in this range"),
    "noise": ("LEVEL", "factor on the added noise (default: 1, or 0 where the flux has noise)"),
    "density": (
        "grid|file",
        "density of the labels (default: grid for files of `vitlab data make`)",
    ),
    "out": ("STEM", "write the windows' figure"),
}
"""Options that need `--data`, besides `--mask` and `--windows`."""


def _ceiling_options(ceiling: argparse.ArgumentParser) -> None:
    ceiling.description = (
        "The best R2 expected of a model that sees the flux alone, for stars of the grid. "
        "R2_CRLB_MEDIAN and R2_CRLB_MEAN: the Cramer-Rao bound of unbiased estimators, the median "
        "and the mean over the stars. R2_BAYES_ERR: Monte Carlo, over the stars. With "
        "--data, the Bayes ceiling for a file's own stars, with their errors and labels."
    )
    ceiling.add_argument(
        "--mag",
        metavar="M,...",
        help=f"i-band magnitudes (default: {','.join(f'{m:g}' for m in MAGS)})",
    )
    ceiling.add_argument(
        "--dims", type=int, choices=(3, 5), help="labels of the grid; 5 adds a_M and C_M"
    )
    ceiling.add_argument("--label", choices=GRID_LABELS, default="log_g")
    ceiling.add_argument(
        "--stars",
        type=int,
        default=STARS,
        metavar="N",
        help="stars for the Bayes ceiling (default: %(default)s)",
    )
    ceiling.add_argument(
        "--seed",
        type=int,
        default=42,
        help="seed of the stars, or of the noise added to a file (default: %(default)s)",
    )
    add_json(ceiling)
    own = ceiling.add_argument_group("the ceiling of a file's own stars")
    own.add_argument("--data", type=Path, metavar="FILE", help="pfsspec file or folder of shards")
    for name, (metavar, text) in _OF_FILE.items():
        kind = float if name in ("velocity", "extinction", "noise") else str
        own.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)
    own.add_argument(
        "--mask", action="append", metavar="LOW:HIGH", help="hide these wavelengths (A)"
    )
    own.add_argument(
        "--windows",
        nargs="?",
        const="50",
        metavar="WIDTH|LOW:HIGH,...",
        help="information in each window, and what hiding it costs (default: 50 A wide)",
    )
    ceiling.set_defaults(handler=show_ceiling)


def show_ceiling(args: argparse.Namespace) -> int:
    """`vitlab ceiling`: by magnitude for simulated stars, or of a file's own."""
    if args.stars < 2:
        raise UsageError(f"--stars {args.stars}: must be at least 2")
    if not 0 <= args.seed < 2**31:
        raise UsageError(f"--seed {args.seed}: must be 0 to {2**31 - 1}")
    # Before the learner is loaded: threads that spin while they wait cost a busy machine most.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if args.data is not None:
        for name in ("mag", "dims"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name}: for simulated stars, not for --data")
        return _show_own(args)
    for name in (*_OF_FILE, "mask", "windows"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name}: needs --data")
    return _show_simulated(args)


def _cache() -> Path | None:
    try:
        return find_lab(Path.cwd()).private.ceilings
    except NoLab:
        return None


def _show_simulated(args: argparse.Namespace) -> int:
    """Cramer-Rao and Bayes ceilings, one row a magnitude."""
    mags = _magnitudes(args.mag) if args.mag is not None else list(MAGS)
    from vitlab.ml.spectra.grid import load_derivatives, load_grid
    from vitlab.ml.spectra.observation import load_noise
    from vitlab.ml.spectra.simulate import Simulator
    from vitlab.ml.theory.ceilings import ceilings

    simulator = Simulator(load_grid(), load_noise(), seed=args.seed)
    nuisances = load_derivatives() if args.dims == 5 else ()
    world = grid_world(DataConfig(), simulator.noise.level)
    progress = Progress("posteriors", args.stars * len(mags))
    sizes = BOUNDED, args.stars
    found = []
    for row in ceilings(
        simulator, nuisances, mags, args.label, sizes, _cache(), progress.report, world
    ):
        progress.before += args.stars
        found.append(row)
    progress.close()
    for row in found:
        if row.unidentified or row.unsettled:
            print(
                f"mag {row.mag:g}: {row.unidentified} stars without a finite bound, "
                f"{row.unsettled} posteriors not converged",
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


def _show_own(args: argparse.Namespace) -> int:
    """The Bayes ceiling of a file's own stars, and what each window tells."""
    if not args.data.exists():
        raise UsageError(f"--data {args.data}: no such file")
    if args.out is not None and args.windows is None:
        raise UsageError("--out: needs --windows")
    for ending in ("pdf", "png") if args.out is not None else ():
        check_out(Path(f"{args.out}.{ending}"), makes_folder=True)
    nuisances = _nuisances(args)
    masked = tuple(_pair("--mask", text) for text in args.mask or ())
    if args.noise is not None and not (args.noise >= 0 and math.isfinite(args.noise)):
        raise UsageError(f"--noise {args.noise:g}: must be >= 0")
    if args.density not in (None, "grid", "file"):
        raise UsageError(f"--density {args.density}: must be grid or file")
    edges = _edges(args.windows) if args.windows is not None else None
    from vitlab.ml.theory.forward import Nuisances
    from vitlab.ml.theory.own_file import Wanted
    from vitlab.recipes.own_ceiling import own_ceiling

    wanted = Wanted(
        args.stars, args.noise, args.density or "auto", args.seed, Nuisances(**nuisances), masked
    )
    progress = Progress("posteriors")
    report = own_ceiling(args.data, wanted, edges, args.label, _cache(), progress.report)
    progress.close()
    if args.json:
        print_json(report)
        return 0
    _print_own(report, args.label)
    if edges is not None:
        _print_windows(report, args)
    return 0


def _nuisances(args: argparse.Namespace) -> dict[str, Any]:
    """What is unknown; `UsageError` for numbers that mean nothing."""
    found: dict[str, Any] = {}
    for name, most in (("velocity", 1000.0), ("extinction", 10.0)):
        value = getattr(args, name)
        if value is not None and not 0 < value <= most:
            raise UsageError(f"--{name} {value:g}: must be above 0, and {most:g} at most")
        found |= {} if value is None else {name: value}
    if args.continuum is not None:
        order, _, sigma = args.continuum.partition(":")
        try:
            found |= {"continuum": int(order), "continuum_sigma": float(sigma or 0.1)}
        except ValueError:
            found["continuum"] = -1
        if not 0 <= found["continuum"] <= 8 or not 0 < found["continuum_sigma"] <= 1:
            raise UsageError(
                f"--continuum {args.continuum}: must be an order, 0 to 8, and a sigma up to 1, "
                "like 3:0.1"
            )
    if args.resolution is not None:
        low, high = _pair("--resolution", args.resolution)
        if not 500 <= low < high <= 5000:
            raise UsageError(
                f"--resolution {args.resolution}: must be 500 to 5000, that of the grid"
            )
        found["resolution"] = (low, high)
    return found


def _pair(option: str, text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        pair = float(low), float(high)
    except ValueError:
        pair = math.nan, math.nan
    if not pair[0] < pair[1] < math.inf:
        raise UsageError(f"{option} {text}: must be two numbers, the lower first, like 8480:8680")
    return pair


def _edges(text: str) -> float | list[tuple[float, float]]:
    """The width of all windows, Angstrom, or each of them."""
    if ":" in text:
        return [_pair("--windows", part) for part in text.split(",")]
    try:
        width = float(text)
    except ValueError:
        width = math.nan
    if not 1 <= width < math.inf:
        raise UsageError(f"--windows {text}: must be a width in Angstrom or ranges, like 8480:8680")
    return width


def _print_own(report: dict[str, Any], label: str) -> None:
    rows = []
    for part in report["parts"]:
        where = f"{part['by']} {part['low']:.4g}-{part['high']:.4g}" if part["by"] else "all"
        best = part["labels"][label]
        cells = [_measured(best[name], best[f"{name}_err"]) for name in ("r2", "rmse", "mae")]
        rows.append([where, part["n"], part["of"], *cells])
    heads = [f"{name} {label}".upper() for name in ("r2", "rmse", "mae")]
    print_table(["STARS", "N", "OF", *heads], rows)
    for note in report["notes"]:
        print(note)


def _measured(value: float | None, error: float | None) -> str:
    return "-" if value is None else measured(value, error)


def _windows_picture(report: dict[str, Any], label: str) -> Picture:
    """Information against wavelength, and what hiding each window costs, with named lines."""
    windows = report["windows"]
    ends = tuple(x for one in windows for x in (one["low"], one["high"]))
    share = tuple(
        1e4 * one["share"] / (one["high"] - one["low"]) for one in windows for _ in range(2)
    )
    middle = tuple((one["low"] + one["high"]) / 2 for one in windows)
    cost = tuple(math.nan if (x := one["r2_cost"]) is None else x for one in windows)
    errors = tuple(one["r2_cost_err"] or 0.0 for one in windows)
    across = min(ends), max(ends)
    lines = sorted(report["lines"], key=lambda line: -_told_at(line["wave"], windows))
    named = tuple((one["wave"], one["name"]) for one in lines)
    of = axis_of_label(label).partition(" [")[0]
    wave = "wavelength [Å]"
    panels = (
        Panel(wave, f"information on {of} [% per 100 Å]", (Curve("", ends, share, marked=False),),
              x_range=across, marks=named),
        Panel(wave, "R² lost without the window", (Curve("", middle, cost, errors),),
              lines=(Line(0.0, ""),), x_range=across),
    )  # fmt: skip
    keys = ("error bars: over the stars of the file; named: lines of metals and hydrogen",)
    title = f"{label} by window: {Path(report['file']).name}"
    return Picture(title, panels, keys=keys, across=(1, 1), wide=True)


def _told_at(wave: float, windows: Sequence[Mapping[str, Any]]) -> float:
    """The share of the information, per Angstrom, in the window a line is in."""
    return max(
        (x["share"] / (x["high"] - x["low"]) for x in windows if x["low"] <= wave < x["high"]),
        default=0.0,
    )


def _print_windows(report: dict[str, Any], args: argparse.Namespace) -> None:
    rows = [
        [
            f"{one['low']:.0f}-{one['high']:.0f}",
            f"{one['share']:.1%}",
            "-" if one["sigma_ratio"] is None else f"{one['sigma_ratio']:.3f}",
            _measured(one["r2_cost"], one["r2_cost_err"]),
        ]
        for one in report["windows"]
    ]
    print()
    print_table(["WINDOW", "INFORMATION", "SIGMA WITHOUT", "R2 LOST WITHOUT"], rows)
    picture = _windows_picture(report, args.label)
    if args.out is not None:
        try:
            print(*write(picture, Path(args.out)), sep="\n")
        except OSError as error:
            raise UsageError(f"--out {args.out}: {error.strerror}") from None


OPTIONS: Options = {"ceiling": _ceiling_options}
