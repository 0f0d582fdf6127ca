"""The command that scores trained models again: vitlab evaluate."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.commands.common import (
    Options,
    add_json,
    add_roadmap,
    named_roadmap,
    print_json,
    print_table,
    results_lab,
)
from vitlab.contract.config import GRID_SOURCES
from vitlab.contract.excluded import sentence
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.terminal import Progress
from vitlab.contract.value import LOG_SCORE, SCORES, Value, measured
from vitlab.docs.judge.ceiling import Ceiling, Share
from vitlab.jobs.store import all_jobs
from vitlab.lab.results.ceilings import ceiling_in, ceilings
from vitlab.lab.results.job_results import all_moved, lookup_job

if TYPE_CHECKING:
    from vitlab.lab.inspector.labelled_stars import Compared
    from vitlab.recipes.evaluate import Rescored


def _evaluate_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "jobs", nargs="+", metavar="JOB", help="a job, or an MVP's newest: 1.0, 1.0/Run 1"
    )
    evaluate.add_argument("--data", metavar="FILE", help="pfsspec file or folder of shards")
    evaluate.add_argument(
        "--stars",
        type=Path,
        metavar="LIST.csv",
        help="observed stars with known labels: columns file, T_eff, log_g, ... (docs/survey.md)",
    )
    evaluate.add_argument(
        "--noise", type=float, metavar="LEVEL", help="factor on the added noise; default: the job's"
    )
    evaluate.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    add_roadmap(evaluate)
    add_json(evaluate)
    evaluate.set_defaults(handler=evaluate_jobs)


def evaluate_jobs(args: argparse.Namespace) -> int:
    """`vitlab evaluate`: scores overall and in bins; the residuals are kept in the job's folder."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    this = results_lab()
    lab, of, gone = this.paths, named_roadmap(this, args, args.jobs), all_moved(this)
    jobs = [lookup_job(lab, name, of, gone) for name in args.jobs]
    if args.stars is not None:
        return _against_stars(args, jobs)
    if args.noise is not None and not args.noise >= 0:
        raise UsageError(f"--noise {args.noise:g}: must be >= 0")
    if args.data not in (None, *GRID_SOURCES) and not Path(args.data).exists():
        raise UsageError(f"--data {args.data}: no such file")
    reports = [_evaluated(lab, job, args) for job in jobs]
    if args.json:
        print_json(reports)
        return 0
    print_reports(reports)
    return 0


def _evaluated(lab: LabPaths, job: JobPaths, args: argparse.Namespace) -> dict[str, Any]:
    from vitlab.ml.residual_file import save_residuals
    from vitlab.ml.scoring import binned
    from vitlab.recipes.evaluate import rescore, residuals_path

    job.check_is_here()
    rescored = rescore(job, args.data, args.noise, args.device)
    path = residuals_path(job, rescored)
    path.parent.mkdir(exist_ok=True)
    if path.parent.is_symlink():
        raise UsageError(f"{path.parent}: a link; residuals are kept in the job's own folder")
    save_residuals(path, rescored.residuals)
    values, errors = rescored.named()
    known = ceilings(all_jobs(lab))
    bounds = {name: bound for name in values if (bound := ceiling_in(rescored.world, known, name))}
    shares = {name: bound.part(values[name], errors.get(name)) for name, bound in bounds.items()}
    bins = [one for by in ("mag", "snr") for one in binned(rescored.residuals, by, rescored.seed)]
    return {
        "job": job.name,
        "mvp": rescored.spec.mvp,
        "run": rescored.spec.run,
        "model": rescored.result.model_name if rescored.result else rescored.spec.recipe,
        "data": {"source": rescored.residuals.source, "hash": rescored.residuals.hash},
        "world": rescored.world.record(),
        "n": len(rescored.residuals.star),
        "overlap": rescored.overlap,
        "excluded": (rescored.excluded or {}).get("test", {}),
        "checks": {name: check.record() for name, check in rescored.checks.items()},
        "failed": rescored.failed(),
        "values": _finite(values),
        "errors": _finite(errors),
        "before": _earlier_values(rescored),
        "ceiling": {name: [bound.r2, bound.error] for name, bound in bounds.items()},
        "share": {name: [one.value, one.error] for name, one in shares.items() if one},
        "bins": [
            {
                "by": one.by,
                "low": one.low,
                "high": one.high,
                "n": one.n,
                "values": _finite(one.scores.named("test")[0]),
                "errors": _finite(one.scores.named("test")[1]),
            }
            for one in bins
        ],
        "residuals": lab.relative(path),
    }


def _earlier_values(rescored: Rescored) -> dict[str, float | None]:
    """The same values from the job itself; empty for other data."""
    result = rescored.result
    if result is None or result.data.get("hash") != rescored.residuals.hash:
        return {}
    return {k: v for k, v in result.values.items() if Value.parse(k).split == "test"}


def _against_stars(args: argparse.Namespace, jobs: Sequence[JobPaths]) -> int:
    """`--stars`: predicted minus known labels of observed stars, beside the stated errors."""
    if args.data is not None or args.noise is not None or args.device != "cpu":
        raise UsageError("--stars: not with --data, --noise or --device")
    from vitlab.lab.inspector import labelled_stars
    from vitlab.lab.inspector.observed import open_observer

    reports = []
    for job in jobs:
        observer = open_observer(job)
        labels = observer.config.labels
        stars = labelled_stars.read_stars(args.stars, labels)
        compared, progress = list[labelled_stars.Compared](), Progress("stars", len(stars))
        for number, star in enumerate(stars, start=1):
            for one in labelled_stars.compare(observer, star):
                compared.append(one)
                progress.report(number)
        progress.close()
        sums = {
            label: labelled_stars.agreement([d for one in compared if (d := one.away(label))])
            for label in labels
        }
        velocity = labelled_stars.velocity_agreement(compared)
        reports.append(
            {
                "job": observer.job.name,
                "labels": {label: one and asdict(one) for label, one in sums.items()},
                "velocity": velocity and asdict(velocity),
                "stars": [_star_record(one, labels) for one in compared],
                "notes": list(observer.notes),
            }
        )
    if args.json:
        print_json(reports)
        return 0
    for report in reports:
        _print_stars(report)
    return 0


def _star_record(one: Compared, labels: Sequence[str]) -> dict[str, Any]:
    said = one.predicted
    return {
        "file": one.star.file,
        "object": one.star.object,
        "kind": None if said is None else said.spectrum.kind,
        "known": one.star.labels,
        "predicted": {}
        if said is None
        else {name: {"value": v, "error": e} for name, (v, e) in said.labels.items()},
        "away": {name: pair[0] for name in labels if (pair := one.away(name))},
        "velocity_known": one.star.velocity,
        "velocity_found": None
        if said is None or said.found is None or not said.found.visible
        else {"value": said.found.velocity, "error": said.found.error},
        "unlike": None if said is None else said.unlike,
        "why": one.why if said is None else said.why,
    }


def _print_stars(report: dict[str, Any]) -> None:
    """Each star's differences, then what they are of all."""
    print(f"{report['job']}: predicted minus known, with the stated error")
    labels = list(report["labels"])
    rows = []
    for star in report["stars"]:
        cells = [
            measured(star["away"][name], star["predicted"][name]["error"], signed=True)
            if name in star["away"]
            else "-"
            for name in labels
        ]
        found, known = star["velocity_found"], star["velocity_known"]
        away = found and known is not None
        speed = measured(found["value"] - known, found["error"], signed=True) if away else "-"
        unlike = {True: "yes", False: "no", None: "-"}[star["unlike"]]
        rows.append([star["file"], *cells, speed, unlike])
    print_table(["FILE", *labels, "KM/S", "UNLIKE"], rows)
    sums = [*report["labels"].items(), ("km/s", report["velocity"])]
    shown = [
        [
            name,
            one["n"],
            f"{one['bias']:+.3g}",
            f"{one['scatter']:.3g}",
            "-" if one["error"] is None else f"{one['error']:.3g}",
            "-" if one["within"] is None else "{:.0%}, {:.0%}".format(*one["within"]),
        ]
        for name, one in sums
        if one
    ]
    print()
    print_table(["LABEL", "N", "BIAS", "SCATTER", "ERROR", "WITHIN 1, 2"], shown)
    for star in report["stars"]:
        if star["why"]:
            print(f"{star['file']}: {star['why']}")
    for note in report["notes"]:
        print(note)


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: x if abs(x) < float("inf") else None for name, x in values.items()}


def print_reports(reports: list[dict[str, Any]]) -> None:
    """A table for each label, all stars and bins, and what is to be known of the scores."""
    labels = dict.fromkeys(Value.parse(n).label for report in reports for n in report["values"])
    for position, label in enumerate(labels):
        density = any(str(Value("test", LOG_SCORE, label)) in one["values"] for one in reports)
        names = [*SCORES, *([LOG_SCORE] if density else [])]
        header = ["JOB", "MODEL", "STARS", "N", *(f"{m} {label}".upper() for m in names)]
        rows = []
        for report in reports:
            parts = [{"by": "", "n": report["n"], **report}, *report["bins"]]
            for part in parts:
                first = not part["by"]
                where = "all" if first else f"{part['by']} {part['low']:.4g}-{part['high']:.4g}"
                rows.append(
                    [
                        report["job"] if first else "",
                        report["model"] if first else "",
                        where,
                        part["n"],
                        *(_shown(part, str(Value("test", name, label))) for name in names),
                    ]
                )
        print("\n" * (position > 0), end="")
        print_table(header, rows)
    for report in reports:
        for line in report["failed"]:
            print(f"{report['job']}: {line}: its scores are meaningless")
        for name, part in report["share"].items():
            bound, label = Ceiling(*report["ceiling"][name]), Value.parse(name).label
            print(f"{report['job']}: {label}: {Share(*part)} of the ceiling {bound}")
        if counts := report["excluded"]:
            of = report["n"] + sum(counts.values())
            print(f"{report['job']}: {sentence('test', counts, of)}")
        print(f"residuals: {report['residuals']}")


def _shown(part: dict[str, Any], name: str) -> str:
    value, error = part["values"].get(name), part["errors"].get(name)
    if value is None:
        return "-"
    return measured(value, error)


OPTIONS: Options = {"evaluate": _evaluate_options}
