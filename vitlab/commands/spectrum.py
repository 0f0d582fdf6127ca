"""The command that shows single stars, of a test set or observed: vitlab spectrum."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from vitlab.commands.common import (
    Options,
    add_json,
    add_observed,
    add_roadmap,
    check_observed,
    check_out,
    named_roadmap,
    print_json,
    print_table,
    results_lab,
)
from vitlab.contract.job import read_spec
from vitlab.contract.paths import JobPaths, UsageError, new_file
from vitlab.contract.value import Value, measured
from vitlab.jobs.store import all_jobs, job_folders
from vitlab.lab.inspector.askable import trained_for_surveys
from vitlab.lab.inspector.client import Client
from vitlab.lab.inspector.star import Observed, Sources, StarList, StarSheet, to_json
from vitlab.lab.inspector.words import comparisons, facts, headline
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import all_moved, finished, lookup_job

SUFFIXES = (".fits", ".fit", ".gz", ".csv", ".txt", ".dat")
"""Of files, as no job has them."""
_ABOUT = """\
FILE: observed spectra as `vitlab predict` takes them, or a CSV list of such files with known labels
(docs/survey.md). Shown are the spectrum over the nearest one of the grid, what JOB says of it and
what the newest model of each other run says that was trained for surveys, and where they disagree.
"""


def _spectrum_options(spectrum: argparse.ArgumentParser) -> None:
    spectrum.epilog = _ABOUT
    spectrum.add_argument(
        "job",
        nargs="?",
        metavar="JOB",
        help="a job, or an MVP's newest; default: the newest of all, or that can be asked of FILE",
    )
    spectrum.add_argument(
        "file", nargs="?", metavar="FILE", help="observed spectra in place of test stars"
    )
    spectrum.add_argument(
        "--star",
        type=int,
        metavar="N",
        help="its number in the test set (default: the worst), or in FILE (default: the first)",
    )
    spectrum.add_argument("--label", metavar="NAME", help="default: the headline's")
    spectrum.add_argument(
        "--also",
        action="append",
        metavar="JOB",
        help="of FILE: ask this model too, in place of those of all other runs; may be repeated",
    )
    add_observed(spectrum)
    spectrum.add_argument("--out", metavar="FILE.npz", help="write all arrays to a file")
    add_roadmap(spectrum)
    add_json(spectrum)
    spectrum.set_defaults(handler=show_star)


def show_star(args: argparse.Namespace) -> int:
    """`vitlab spectrum`: one star in words, as JSON, or in a file of arrays."""
    if args.out is not None:
        check_out(Path(args.out), ".npz")
    check_observed(args)
    lab = results_lab()
    if args.file is None and args.job is not None and _is_file(args.job):
        args.job, args.file = None, args.job  # `vitlab spectrum star.fits`
    named_roadmap(lab, args, args.job or args.also)
    if args.file is not None:
        job, sources = _model(lab, args), _sources(lab, args)
    elif args.also or args.corrected or (args.velocity, args.resolution) != (None, None):
        raise UsageError("--also, --velocity, --resolution and --corrected need a FILE")
    else:
        job, sources = _job(lab, args), None
    graph = Client(job, sources)
    try:
        stars = graph.open()
        spec = read_spec(job.spec)
        headline = Value.parse(spec.headline).label if spec is not None else ""
        usual = headline if headline in stars.labels else stars.labels[0]
        label = args.label or usual
        if label not in stars.labels:
            raise UsageError(
                f"--label {label}: not predicted (predicted: {', '.join(stars.labels)})"
            )
        order = stars.order(label, worst=True)
        if not order:
            raise UsageError(f"{job.name}: has no test stars")
        sheet = graph.star(order[0] if args.star is None else args.star, label)
    finally:
        graph.close()
    if args.out is not None:
        _write(Path(args.out), stars, sheet)
    if args.json:
        about = {
            "job": stars.job,
            "model": stars.model,
            "vacuum": stars.vacuum,
            "wave": to_json(stars)["wave"],
            "notes": [*stars.notes, *sheet.notes],
        }
        print_json({**to_json(sheet), **about})
    elif args.out is None:
        _print(stars, sheet)
    return 0


def _job(lab: Lab, args: argparse.Namespace) -> JobPaths:
    """The job named; else the newest with scores of test stars."""
    if args.job is not None:
        return lookup_job(lab.paths, args.job, named_roadmap(lab, args, args.job), all_moved(lab))
    for one in reversed(finished(all_jobs(lab.paths))):
        if one.job.paths.residuals.is_file() and one.job.spec.recipe not in (
            "evaluate",
            "ensemble",
        ):
            return one.job.paths
    raise UsageError("no job has scored test stars yet (`vitlab run MVP` makes one)")


def _is_file(word: str) -> bool:
    """Whether a word that may name a job names a file of spectra."""
    return Path(word).is_file() or Path(word).suffix.lower() in SUFFIXES


def _model(lab: Lab, args: argparse.Namespace) -> JobPaths:
    """The job named; else the newest that was trained for surveys."""
    if args.job is not None:
        return lookup_job(lab.paths, args.job, named_roadmap(lab, args, args.job), all_moved(lab))
    for one in trained_for_surveys(job_folders(lab.paths)):
        return one
    raise UsageError(
        "no model was trained for observed spectra yet (`vitlab new MVP --template survey`, and "
        "run it)"
    )


def _sources(lab: Lab, args: argparse.Namespace) -> Sources:
    path = Path(args.file)
    if not path.is_file():
        raise UsageError(f"{args.file}: no such file")
    of = named_roadmap(lab, args, args.also or args.job)
    gone = all_moved(lab) if args.also else ()
    also = args.also and tuple(str(lookup_job(lab.paths, x, of, gone).folder) for x in args.also)
    return Sources(str(path.absolute()), args.velocity, args.resolution, args.corrected, also)


def _write(path: Path, stars: StarList, sheet: StarSheet) -> None:
    """Every array by its name, and the scalars beside them."""
    import numpy as np

    traces = {"response": sheet.response, "attention": sheet.attention, "best": sheet.best}
    if sheet.observed is not None:
        traces["residual"] = sheet.observed.residual
    arrays = {name: np.array(one.values) for name, one in traces.items() if one is not None}
    for one in sheet.densities:
        arrays[f"density_{one.kind}"] = np.array([one.values, one.density])
    kinds = {f"{name}_kind": np.array(f"{t.kind} ({t.unit})") for name, t in traces.items() if t}
    try:
        with new_file(path) as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                wave=np.array(stars.wave),
                flux=np.array(sheet.flux),
                sigma=np.array(sheet.sigma),
                clean=np.array(sheet.clean),
                true=np.array(list(sheet.true.values())),
                labels=np.array(list(sheet.true)),
                star=np.array(sheet.number),
                mag=np.array(sheet.mag),
                snr=np.array(sheet.snr),
                bound=np.array(math.nan if sheet.bound is None else sheet.bound),
                **arrays,
                **kinds,
            )
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror}") from None


def _print(stars: StarList, sheet: StarSheet) -> None:
    if sheet.observed is not None:
        _print_observed(stars, sheet, sheet.observed)
    else:
        _print_simulated(stars, sheet)
    for one in sheet.densities:
        print(f"{one.kind} posterior: 68% in {one.low:.4g} to {one.high:.4g}")
    if sheet.response is not None:
        print(f"the model: {sheet.response.kind}, {sheet.response.unit}")
    for name, number in (
        ("Scatter from noise", sheet.scatter),
        ("Cramér-Rao limit", sheet.bound),
        ("Match with optimal", sheet.agreement),
    ):
        if number is not None:
            print(f"{name} {number:.3g}")
    shares = [[s.name, _percent(s.response), _percent(s.information)] for s in sheet.shares]
    columns = 3 if sheet.observed is None else 2  # the information is of simulated stars alone
    print_table(["LINE", "MODEL", "INFORMATION"][:columns], [row[:columns] for row in shares])
    for note in (*stars.notes, *sheet.notes):
        print(note)


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"


def _print_simulated(stars: StarList, sheet: StarSheet) -> None:
    labels = [f"{name} {value:.4g}" for name, value in sheet.true.items()]
    print(f"{stars.job}: star {sheet.number}, {', '.join(labels)}, "
          f"mag {sheet.mag:.2f}, S/N {sheet.snr:.1f}")  # fmt: skip
    truth = sheet.true[sheet.label]
    rows = []
    for estimate in sheet.guesses:
        value, error = estimate.values.get(sheet.label), estimate.errors.get(sheet.label)
        rows.append(
            [
                estimate.name,
                None if value is None else f"{value:.4g}",
                None if error is None else f"{error:.2g}",
                None if value is None else f"{value - truth:+.3g}",
            ]
        )
    print_table(["MODEL", sheet.label.upper(), "ERROR", "RESIDUAL"], rows)


def _print_observed(stars: StarList, sheet: StarSheet, seen: Observed) -> None:
    """What the file says, what each model says of every label, and where both disagree."""
    print(f"star {sheet.number} of {stars.n}: {headline(seen)}")
    print("\n".join(facts(sheet, seen)))
    rows = [
        [
            one.name,
            line.label,
            line.predicted,
            line.known or "-",
            line.away or "-",
            line.pull or "-",
        ]
        for one in sheet.guesses
        for line in comparisons(sheet, seen, one)
    ]
    print_table(["MODEL", "LABEL", "PREDICTED", "KNOWN", "AWAY", "Z"], rows)
    for one in sheet.guesses:
        if one.why:
            print(f"{one.name}: {one.why}")
    if seen.misfits:
        away = [
            [m.name, measured(100 * m.residual, 100 * m.error, signed=True)] for m in seen.misfits
        ]
        print_table(["LINE", "OBSERVED - GRID, %"], away)


OPTIONS: Options = {"spectrum": _spectrum_options}
