"""The command that draws figures for papers: vitlab figure."""

from __future__ import annotations

import argparse
from pathlib import Path

from vitlab.commands.charts import draw_picture
from vitlab.commands.here import this_lab
from vitlab.commands.output import Commands, add_json, print_json
from vitlab.plot.picture import FIGURES


def add_commands(commands: Commands) -> None:
    figure = commands.add_parser("figure", help="a figure as PDF and PNG, shown here too")
    figure.add_argument("name", choices=FIGURES, metavar="NAME", help=", ".join(FIGURES))
    figure.add_argument(
        "jobs", nargs="*", metavar="JOB|MVP", help="default: every newest result of the lab"
    )
    figure.add_argument("--out", metavar="FOLDER", help="default: img/ beside the roadmap")
    figure.add_argument("--no-link", action="store_true", help="leave the reports as they are")
    figure.add_argument("--ascii", action="store_true", help="only ASCII characters")
    add_json(figure)
    figure.set_defaults(handler=draw_figure)


def draw_figure(args: argparse.Namespace) -> int:
    """`vitlab figure`: drawn from the job folders alone, linked from the reports there are."""
    from vitlab.docs.edits import save
    from vitlab.plot.figures import write
    from vitlab.records.drawings import links, stem_of
    from vitlab.records.illustrate import MAKERS
    from vitlab.records.named import found_named
    from vitlab.records.pictures import material

    lab = this_lab()
    made = material(lab, found_named(lab.paths, args.jobs))
    picture = MAKERS[args.name](made)
    stem = stem_of(lab, made.found, args.name)
    if args.out is not None:
        stem = Path(args.out) / stem.name
    pdf, png = write(picture, stem)
    changes = [] if args.no_link or args.out is not None else links(lab, made.found, png)
    written = save(changes, lab.journal) if changes else ()
    linked = [lab.paths.relative(one.path) for one in written]
    if args.json:
        files = [lab.paths.relative(path) for path in (pdf, png)]
        print_json({"figure": args.name, "files": files, "linked": linked})
        return 0
    print(draw_picture(picture, ascii_=args.ascii))
    print(f"{lab.paths.relative(pdf)}\n{lab.paths.relative(png)}")
    for name in linked:
        print(f"linked in {name}; `vitlab undo` takes that back")
    return 0
