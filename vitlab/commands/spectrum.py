"""The command that shows single test stars: vitlab spectrum."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from vitlab.commands.common import Options, add_json, print_json, print_table, this_lab
from vitlab.contract.job import read_spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, new_file
from vitlab.contract.value import Value
from vitlab.jobs.store import all_jobs
from vitlab.lab.inspector.client import Client
from vitlab.lab.inspector.star import StarList, StarSheet, to_json
from vitlab.lab.results.job_results import finished, lookup_job


def _spectrum_options(spectrum: argparse.ArgumentParser) -> None:
    spectrum.add_argument(
        "job",
        nargs="?",
        metavar="JOB",
        help="a job, or an MVP's newest; default: the newest of all",
    )
    spectrum.add_argument(
        "--star", type=int, metavar="N", help="its number in the test set; default: the worst"
    )
    spectrum.add_argument("--label", metavar="NAME", help="default: the headline's")
    spectrum.add_argument("--out", metavar="FILE.npz", help="write all arrays to a file")
    add_json(spectrum)
    spectrum.set_defaults(handler=show_star)


def show_star(args: argparse.Namespace) -> int:
    """`vitlab spectrum`: one star in words, as JSON, or in a file of arrays."""
    if args.out is not None and not args.out.endswith(".npz"):
        raise UsageError(f"--out {args.out}: must end in .npz")
    job = _job(this_lab().paths, args.job)
    graph = Client(job)
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


def _job(lab: LabPaths, name: str | None) -> JobPaths:
    """The job named; else the newest with scores of test stars."""
    if name is not None:
        return lookup_job(lab, name)
    for one in reversed(finished(all_jobs(lab))):
        if one.job.paths.residuals.is_file() and one.job.spec.recipe not in (
            "evaluate",
            "ensemble",
        ):
            return one.job.paths
    raise UsageError("no job has scored test stars yet (`vitlab run MVP` makes one)")


def _write(path: Path, stars: StarList, sheet: StarSheet) -> None:
    """Every array by its name, and the scalars beside them."""
    import numpy as np

    traces = {"response": sheet.response, "attention": sheet.attention, "best": sheet.best}
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
    shares = [
        [s.name, *(None if x is None else f"{x:.1%}" for x in (s.information, s.response))]
        for s in sheet.shares
    ]
    print_table(["LINE", "INFORMATION", "MODEL"], shares)
    for note in (*stars.notes, *sheet.notes):
        print(note)


OPTIONS: Options = {"spectrum": _spectrum_options}
