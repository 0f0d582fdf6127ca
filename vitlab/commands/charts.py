"""Curves and figures as commands print and draw them: `vitlab figure`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from vitlab.commands.common import (
    Options,
    add_json,
    add_roadmap,
    named_roadmap,
    print_json,
    results_lab,
)
from vitlab.contract.terminal import in_color, print_drawn
from vitlab.docs.save import save
from vitlab.lab.figures.auto_figures import MAKERS
from vitlab.lab.figures.axes import AXES
from vitlab.lab.figures.curves import curves
from vitlab.lab.figures.figure_specs import figure_data
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import all_moved, lookup_results
from vitlab.lab.writeback.figure_files import figure_target_of, link_in_reports
from vitlab.plot.chart import draw
from vitlab.plot.figures.paper import write
from vitlab.plot.figures.picture import FIGURES, Picture
from vitlab.plot.figures.terminal import draw_panels

WIDEST = 120


def draw_jobs(
    lab: Lab, folders: list[Path], value: str | None = None, *, ascii_: bool = False
) -> str | None:
    """The chart of `folders` (of the last launch when empty); None when no value is reported."""
    chart = curves(lab, folders, value)
    if not chart.series:
        return None
    width, height = _size()
    return draw(
        chart.series,
        chart.thresholds,
        width=width,
        height=min(height, 26),
        title=chart.value,
        x_label=AXES[chart.axis],
        x_range=chart.x_range,
        color=in_color(),
        ascii=ascii_,
    )


def draw_picture(picture: Picture, *, ascii_: bool = False) -> str:
    """A figure in characters."""
    width, height = _size()
    return draw_panels(picture, width, min(height, 22), color=in_color(), ascii=ascii_)


def _size() -> tuple[int, int]:
    """Columns, and lines with room for a prompt."""
    size = shutil.get_terminal_size((100, 30))
    return min(size.columns, WIDEST), max(size.lines - 5, 12)


def _figure_options(figure: argparse.ArgumentParser) -> None:
    figure.add_argument("name", choices=FIGURES, metavar="NAME", help=", ".join(FIGURES))
    figure.add_argument(
        "jobs", nargs="*", metavar="JOB|MVP", help="default: every newest result of the lab"
    )
    figure.add_argument(
        "--columns",
        type=int,
        choices=(1, 2),
        help="width: one column of a journal, 88 mm, or two, 180 mm; default: as fits",
    )
    figure.add_argument("--out", metavar="FOLDER", help="default: img/ beside the roadmap")
    figure.add_argument("--no-link", action="store_true", help="leave the reports as they are")
    figure.add_argument("--ascii", action="store_true", help="only ASCII characters")
    add_roadmap(figure)
    add_json(figure)
    figure.set_defaults(handler=draw_figure)


def draw_figure(args: argparse.Namespace) -> int:
    """`vitlab figure`: drawn from the job folders alone, linked from the reports there are."""
    lab = results_lab()
    of = named_roadmap(lab, args, args.jobs)
    made = figure_data(lab, lookup_results(lab.paths, args.jobs, of, all_moved(lab)))
    picture = MAKERS[args.name](made)
    stem = figure_target_of(lab, made.results, args.name)
    if args.out is not None:
        stem = Path(args.out) / stem.name
    pdf, png = write(picture, stem, [one.job.name for one in made.results], args.columns)
    linking = not args.no_link and args.out is None
    changes = link_in_reports(lab, made.results, png) if linking else []
    written = save(changes, lab.journal, what="figure") if changes else ()
    linked = [lab.paths.relative(one.path) for one in written]
    if args.json:
        files = [lab.paths.relative(path) for path in (pdf, png)]
        print_json({"figure": args.name, "files": files, "linked": linked})
        return 0
    print_drawn(draw_picture(picture, ascii_=args.ascii))
    print(f"{lab.paths.relative(pdf)}\n{lab.paths.relative(png)}")
    for name in linked:
        print(f"linked in {name}; `vitlab undo` undoes that")
    return 0


OPTIONS: Options = {"figure": _figure_options}
