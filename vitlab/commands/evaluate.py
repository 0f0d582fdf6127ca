"""The command that scores trained models again: vitlab evaluate."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.commands.common import Options, add_json, print_json, print_table, this_lab
from vitlab.contract.excluded import sentence
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.value import LOG_SCORE, SCORES, Value, measured
from vitlab.docs.judge.ceiling import Ceiling, Share
from vitlab.jobs.store import all_jobs
from vitlab.lab.results.ceilings import ceiling_in, ceilings
from vitlab.lab.results.job_results import lookup_job

if TYPE_CHECKING:
    from vitlab.recipes.evaluate import Rescored


def _evaluate_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "jobs", nargs="+", metavar="JOB", help="a job, or an MVP's newest: 1.0, 1.0/Run 1"
    )
    evaluate.add_argument("--data", metavar="FILE", help="pfsspec file or folder of shards")
    evaluate.add_argument(
        "--noise", type=float, metavar="LEVEL", help="factor on the added noise; default: the job's"
    )
    evaluate.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    add_json(evaluate)
    evaluate.set_defaults(handler=evaluate_jobs)


def evaluate_jobs(args: argparse.Namespace) -> int:
    """`vitlab evaluate`: scores overall and in bins; the residuals are kept in the job's folder."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    lab = this_lab().paths
    if args.noise is not None and not args.noise >= 0:
        raise UsageError(f"--noise {args.noise:g}: must be >= 0")
    if args.data is not None and not Path(args.data).exists():
        raise UsageError(f"--data {args.data}: no such file")
    jobs = [lookup_job(lab, name) for name in args.jobs]
    reports = [_evaluated(lab, job, args) for job in jobs]
    if args.json:
        print_json(reports)
        return 0
    print_reports(reports)
    return 0


def _evaluated(lab: LabPaths, job: JobPaths, args: argparse.Namespace) -> dict[str, Any]:
    from vitlab.ml.scoring import binned, save_residuals
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
