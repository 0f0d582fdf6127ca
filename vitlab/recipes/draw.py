"""The child that draws a launch's figures: `python -m vitlab.recipes.draw JOBDIR`.

A process of its own, so that a figure that can not be drawn takes no result with it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vitlab.contract.paths import JobPaths, UsageError, find_lab
from vitlab.contract.spec import Spec

PATIENCE = 300.0
"""Seconds a job waits for its figures."""


def main(arguments: Sequence[str]) -> int:
    """Draw what the launch of the job in the folder named has given; print what was written."""
    from vitlab.records.illustrate import draw_launch

    (folder,) = arguments
    try:
        for picture in draw_launch(Path(folder)):
            print(picture)
    except (UsageError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def figures_of(job: JobPaths, spec: Spec) -> str:
    """Have the figures drawn; a note on what came of it, empty where there was nothing to draw."""
    try:
        lab = find_lab(job.folder)
        if not lab.inside(spec.roadmap).is_file():
            return ""
        command = [sys.executable, "-P", "-m", "vitlab.recipes.draw", str(job.folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except UsageError:
        return ""  # a job outside a lab
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no figures: {error}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"no figures: {last}"
    drawn = [lab.relative(Path(line)) for line in done.stdout.splitlines()]
    return f"drew {', '.join(drawn)}" if drawn else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
