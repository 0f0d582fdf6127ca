"""`vitlab predict`: what a trained model says of observed spectra."""

from __future__ import annotations

import argparse
import csv
import os
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from vitlab.contract.paths import UsageError, new_file
from vitlab.contract.terminal import Progress, harmless, spreadsheet_text
from vitlab.contract.value import measured
from vitlab.lab.results.job_results import all_moved, lookup_job

if TYPE_CHECKING:
    from vitlab.lab.inspector.observed import Predicted

UNLIKE = {True: "yes", False: "no", None: "?"}
_ABOUT = """\
FILE: FITS or text of PFS, DESI, SDSS, LAMOST, GALAH, Gaia RVS, MIKE, MUSE and others
(docs/survey.md). UNLIKE: yes where a spectrum is unlike what the model was trained on, ? where it
is too faint to tell. Below the table: reasons, and what was left out or assumed of files."""


def _predict_options(predict: argparse.ArgumentParser) -> None:
    predict.epilog = _ABOUT
    predict.add_argument("job", metavar="JOB", help="a job, or an MVP's newest: 1.0, 1.0/Run 1")
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_observed(predict)
    predict.add_argument(
        "--out", type=Path, metavar="FILE", help="write a table too: .csv, or .fits (astropy)"
    )
    add_roadmap(predict)
    add_json(predict)
    predict.set_defaults(handler=predict_files)


def predict_files(args: argparse.Namespace) -> int:
    """`vitlab predict`: labels with errors, and whether each spectrum is like those trained on."""
    if args.out is not None:
        check_out(args.out, ".csv", ".fits")
        if args.out.suffix == ".fits" and find_spec("astropy") is None:
            text = "FITS is written by astropy: pip install 'vitlab[survey]', or name a .csv"
            raise UsageError(f"--out {args.out}: {text}")
    check_observed(args)
    lab = results_lab()
    job = lookup_job(lab.paths, args.job, named_roadmap(lab, args, args.job), all_moved(lab))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vitlab.lab.inspector.observed import open_observer
    from vitlab.ml.survey import read_spectra

    spectra = [
        replace(one, corrects_tellurics=args.corrected)
        for file in args.files
        for one in read_spectra(file)
    ]
    observer = open_observer(job)
    found, progress = [], Progress("spectra", len(spectra))
    for number, one in enumerate(spectra, start=1):
        found.append(observer.predict(one, args.velocity, args.resolution))
        progress.report(number)
    progress.close()
    names = list(observer.config.labels)
    if args.json:
        print_json([record(one) for one in found])
    else:
        _print(found, names)
    if args.out is not None:  # last: the answers are seen though the disk is full
        _write(args.out, found, names)
    return 0


def record(one: Predicted) -> dict[str, Any]:
    """One prediction as JSON has it."""
    near = one.match
    return {
        "file": one.spectrum.file,
        "where": one.spectrum.where,
        "survey": one.spectrum.survey,
        "object": one.spectrum.object,
        "kind": one.spectrum.kind,
        "labels": {name: {"value": v, "error": e} for name, (v, e) in one.labels.items()},
        "snr": one.snr,
        "resolution": one.resolution,
        "velocity": one.velocity,
        "velocity_error": one.velocity_error,
        "velocity_found": None
        if one.found is None or not one.found.visible
        else {"value": one.found.velocity, "error": one.found.error},
        "share": one.share,
        "left_out": dict(one.left_out),
        "unlike": one.unlike,
        "why": one.why,
        "nearest": None
        if near is None
        else {"labels": near.named(), "chi2": near.chi2, "highest": near.highest},
        "notes": list(one.notes),
    }


def _print(found: list[Predicted], names: list[str]) -> None:
    rows = [
        [
            Path(one.spectrum.file).name,
            one.spectrum.object or "-",
            *(measured(*one.labels[name]) if name in one.labels else "-" for name in names),
            "-" if one.snr is None else f"{one.snr:.0f}",
            "-" if one.velocity is None else measured(one.velocity, one.velocity_error),
            f"{one.share:.0%}",
            UNLIKE[one.unlike],
        ]
        for one in found
    ]
    print_table(["FILE", "OBJECT", *names, "S/N", "KM/S", "BAND", "UNLIKE"], rows)
    for one in found:
        if one.why:
            print(f"{one.spectrum.place}: {one.why}")
    _print_notes(found)


def _print_notes(found: list[Predicted]) -> None:
    """What was left out or assumed of the files; those that differ in numbers alone once."""
    told: dict[str, dict[str, str]] = {}
    for one in found:
        for note in one.notes:
            told.setdefault(re.sub(r"\d[\d.]*", "#", note), {}).setdefault(one.spectrum.place, note)
    for of in told.values():
        place, note = next(iter(of.items()))
        many = f"{len(of)} of {len(found)} spectra{', the first' * (len(set(of.values())) > 1)}"
        print(f"{place if len(of) == 1 else many}: {note}")


def _write(path: Path, found: list[Predicted], names: list[str]) -> None:
    """A row a spectrum; nothing of a failure stays."""
    columns: dict[str, list[Any]] = {
        "file": [one.spectrum.file for one in found],
        "where": [one.spectrum.where for one in found],
        "object": [one.spectrum.object for one in found],
        "kind": [one.spectrum.kind for one in found],
    }
    for name in names:
        pairs = [one.labels.get(name, (None, None)) for one in found]
        columns[name], columns[f"{name}_error"] = [p[0] for p in pairs], [p[1] for p in pairs]
    for name in ("snr", "velocity", "velocity_error", "share"):
        columns[name] = [getattr(one, name) for one in found]
    columns["unlike"] = [UNLIKE[one.unlike] for one in found]
    columns["why"] = [one.why for one in found]
    with new_file(path) as file:
        if path.suffix == ".fits":
            from vitlab.ml.survey.fits_table import write_fits

            write_fits(file, columns)
            return
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(columns)
            for row in zip(*columns.values(), strict=True):
                writer.writerow(
                    harmless(str(spreadsheet_text(x))) if isinstance(x, str) else x for x in row
                )


OPTIONS: Options = {"predict": _predict_options}
