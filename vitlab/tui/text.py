"""How the screen words things: statuses, durations, jobs; text made safe for a terminal."""

from __future__ import annotations

import math
import os
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual.color import Color
from textual.content import Content
from textual.filter import LineFilter
from textual.widget import Widget

from vitlab.contract.job import (
    Done,
    Failed,
    JobState,
    Killed,
    Lost,
    Queued,
    Running,
    Unknown,
    Unreadable,
    ended_well,
)
from vitlab.contract.terminal import UNSAFE
from vitlab.contract.value import Value, for_choosing, judged_by, shown, shown_text
from vitlab.docs.judge.conclusion import profile_mark
from vitlab.jobs.processes import ADOPTED
from vitlab.lab.progress import TREND
from vitlab.plot.series import SELECTORS, cells, shortened
from vitlab.tui.jobs_index import index_of, seeds_as_one

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabSnapshot

STALE = 3.0
"""Seconds after which what was read is shown to be old."""


def now() -> float:
    """Unix seconds, as in the jobs' events."""
    return time.time()


def ticks() -> float:
    """Seconds of a clock that is never set."""
    return time.monotonic()


def since(then: float) -> float:
    """Seconds since `then`, by `ticks`."""
    return ticks() - then


STATUS = {
    "planned": ("-", "-", ""),
    "ready": ("+", "+", "strong"),
    "running": (">", ">", "accent"),
    "analysing": ("~", "~", "accent"),
    "done": ("✓", "v", "success"),
    "partial": ("/", "/", "warning"),
    "failed": ("✗", "x", "error"),
    "cancelled": ("x", "x", "muted"),
    "paused": ("=", "=", "muted"),
}
"""Status word -> glyph, ASCII glyph, tone. All glyphs are one cell in every terminal."""

VERDICT = {
    "pass": ("✓", "v", "success"),
    "fail": ("✗", "x", "error"),
    "open": ("-", "-", ""),
    "manual": ("?", "?", "muted"),
}


_UNSHOWN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
"""Unicode categories that are never shown."""


def ascii_only() -> bool:
    """Whether only ASCII may be drawn: the terminal cannot do more, or the user wants it."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    return "utf" not in encoding or os.environ.get("VITLAB_ASCII", "") not in ("", "0")


class HarmlessLines(LineFilter):
    """Blanks in every line drawn what a terminal would obey, should a text not be `clean`."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        if not any(UNSAFE.search(text) for text, _, _ in segments):
            return segments
        return [
            Segment(UNSAFE.sub(lambda found: " " * cell_len(found[0]), text), style, control)
            for text, style, control in segments
        ]


def clean(text: str) -> str:
    """`text` without controls, bidi marks and zero-width characters."""
    if text.isascii() and text.isprintable():
        return text  # nearly every text
    kept = []
    for character in text:
        if character in "\n\r\t":
            kept.append(" ")
        elif character not in SELECTORS and unicodedata.category(character) not in _UNSHOWN:
            kept.append(character)
    return "".join(kept)


def status_word(word: str | None, plain: bool = False) -> str:
    """`✓ done`; `? -` for a cell with none of the known words."""
    if word not in STATUS:
        return "? -"
    return f"{STATUS[word][plain]} {word}"


def verdict_word(verdict: str, plain: bool = False, shown: str = "") -> str:
    """`✓ pass`; `shown`: other words for the same verdict."""
    glyph = VERDICT.get(verdict, VERDICT["manual"])[plain]
    return f"{glyph} {shown or verdict}"


def job_words(job: JobView, plain: bool = False) -> tuple[str, str]:
    """As `state_words`; one that was not submitted here, or is put aside, has its own word."""
    if job.held and not job.foreign and isinstance(job.state, Queued):
        return "= held", "warning"
    return ("? foreign", "warning") if job.foreign else state_words(job.state, plain)


def state_words(state: JobState, plain: bool = False) -> tuple[str, str]:
    """A job's state as `glyph word` and its tone."""
    match state:
        case Queued():
            return "- queued", ""
        case Running():
            return "> running", "accent"
        case Done() if ended_well(state):
            return ("v done" if plain else "✓ done"), "success"
        case Done() if isinstance(state.end, Unknown):
            return "? unknown", "warning"
        case Done(end=Killed(asked=True)):
            return f"{'#' if plain else '■'} {state.word}", "muted"
        case Done() as done:
            return f"{'x' if plain else '✗'} {done.word}", "error"
        case Lost():
            return "! lost", "error"
        case Unreadable():
            return "! bad file", "error"


def duration(seconds: float | None) -> str:
    """`42s`, `3m10s`, `2h05m`, `4d03h`; empty for None."""
    if seconds is None or not 0 <= seconds < 1e9:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def short_duration(seconds: float | None) -> str:
    """As `duration`, without seconds from ten minutes on: `47m`."""
    if seconds is None or not 600 <= seconds < 3600:
        return duration(seconds)
    return f"{int(seconds) // 60}m"


def age(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h`, `4 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(int(seconds), 0)} s"


def metric_name(name: str) -> str:
    """`val/r2/log_g` as a title: `R² log_g (val)`."""
    value = Value.parse(name)
    split = f"({value.split})" if value.split else ""
    symbol = value.symbol + (f"[{value.unit}]" if value.is_normalised else "")
    return " ".join(part for part in (symbol, value.label, split) if part)


def progress_bar(done: int, of: int, width: int, plain: bool = False) -> str:
    """A bar of `width` cells."""
    filled = round(width * done / of) if of > 0 else 0
    filled = min(max(filled, 0), width)
    return ("#" if plain else "━") * filled + ("." if plain else "─") * (width - filled)


def tone_style(widget: Widget, tone: str) -> str:
    """A tone as a Rich style, in the colours of the current theme."""
    if tone in ("", "strong"):
        return "bold" if tone else ""
    color = widget.app.theme_variables.get(tone, "")
    weight = "bold " if tone in ("accent", "error") else ""
    return weight + color if color.startswith("#") else ("dim" if tone == "muted" else "bold")


def cell(text: str, style: str = "") -> Text:
    """A table cell: safe, never markup, cut by the table with an ellipsis."""
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis", end="")


def set_titles(pane: Widget, title: str | None = None, below: str | None = None) -> None:
    """Set the titles in the pane's upper and lower border; None leaves one as it is.

    Only where they differ: setting the same text again would redraw everything inside the pane.
    """
    if title is not None and _unmarked(pane.border_title) != clean(title).rstrip():
        pane.border_title = Text(clean(title).rstrip())
    if below is not None and _unmarked(pane.border_subtitle) != clean(below).rstrip():
        pane.border_subtitle = Text(clean(below).rstrip())


def _unmarked(markup: str | None) -> str:
    """Textual returns a title as markup."""
    return Content.from_markup(markup).plain.rstrip() if markup else ""


# jobs in words

BARS = "▁▂▃▄▅▆▇█"
SILENT = 30.0
"""Seconds without an event after which a running job is shown as silent."""
NOISE = 0.02
"""The smallest span of R2 that fills the height of a trend; a smaller one is drawn lower."""


def device_of(job: JobView) -> str:
    """Where it runs: `cpu`, `gpu0`, `slrm` for Slurm; empty for a job that does not run."""
    if job.spec.extra.get("backend") == "slurm":
        return "slrm"  # four cells
    return clean(job.state.device) if isinstance(job.state, Running) else ""


def steps_of(job: JobView) -> str:
    """`112k/200k`, of a command `e3/40`, or the steps alone while the total is not known."""
    if not job.of and job.epochs:
        return job.epochs.replace("epoch ", "e")
    if not job.of:
        return short_count(job.step) if job.step else ""
    return f"{short_count(job.step)}/{short_count(job.of)}"


def _validated(job: JobView) -> list[float]:
    """The last finite values of its headline on the validation set."""
    name = str(Value.parse(job.spec.headline).live)
    values = [sample.value for sample in job.progress.curve(name).newest(TREND)]
    return [value for value in values if value is not None and math.isfinite(value)]


def change_of(job: JobView) -> str:
    """Between the last two evaluations: `+.012`, `-1.4`, `+0`; empty before there are two."""
    known = _validated(job)
    if len(known) < 2:
        return ""
    move = known[-1] - known[-2]
    if abs(move) < 0.0005:
        return "+0"
    if abs(move) < 0.9995:
        return f"{move:+.3f}".replace("0.", ".", 1)
    return f"{move:+.1f}" if abs(move) < 99 else ("-99" if move < 0 else "+99")


def trend_of(job: JobView, plain: bool = False) -> str:
    """The last values of its headline on the validation set, as a small picture or a word.

    A boosted model may begin at R2 -20: once it is above 0, lower values are drawn at 0, so that
    the rest can be seen. Noise does not fill the height.
    """
    known = _validated(job)
    if len(known) < 2:
        return ""
    if plain:
        move = known[-1] - known[-2]
        return "up" if move > 0 else "down" if move < 0 else "flat"
    is_r2 = Value.parse(job.spec.headline).metric == "r2"
    if is_r2 and known[-1] > 0:
        known = [max(value, 0.0) for value in known]
    high = max(known)
    span = max(high - min(known), NOISE if is_r2 else 0.0)
    if not span:
        return BARS[0] * len(known)
    low = high - span
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in known)


def silence(job: JobView) -> float:
    """Seconds since a running job's last event; 0 for other jobs and before the first event."""
    if not isinstance(job.state, Running) or not job.progress.last:
        return 0.0
    return max(now() - job.progress.last, 0.0)


def time_of(job: JobView) -> str:
    """What is left of a running job, or what an ended one took."""
    match job.state:
        case Queued():
            return "waiting"
        case Running():
            quiet = silence(job)
            if quiet > SILENT:  # the time left is as old as the last event
                return f"silent {age(quiet).replace(' ', '').removesuffix('in')}"
            left = short_duration(job.eta)
            return f"{left} left" if left else duration(job.seconds)
        case _:
            return duration(job.seconds)


def job_label(job: JobView) -> str:
    """`1.0 Run 1 (demo)`."""
    profile = "" if job.spec.profile == "full" else f" ({job.spec.profile})"
    return clean(f"{job.spec.mvp} {job.spec.run}{profile}")


def longest_label(jobs: Iterable[JobView]) -> tuple[int, int]:
    """Characters of the longest label, with its profile's initial and word; cheaply."""
    sizes = [
        (len(job.spec.mvp) + len(job.spec.run) + 1, len(profile_mark(job.spec.profile)))
        for job in jobs
    ]
    return max((a + min(b, 3) for a, b in sizes), default=0), max(map(sum, sizes), default=0)


def short_label(job: JobView, width: int) -> str:
    """Its label, or what fits of it with the profile's initial: `1.1 lr=0.01,s=2(s)`."""
    label = job_label(job)
    if cells(label) <= width:
        return label
    mark = clean(f"({job.spec.profile[:1]})") if job.spec.profile != "full" else ""
    return shortened(clean(f"{job.spec.mvp} {job.spec.run}"), max(width - len(mark), 0)) + mark


def job_detail(job: JobView) -> str:
    """A job in a line: why it waits, what is wrong with it, or its folder."""
    if isinstance(job.state, Queued) and job.why:
        return clean(f"waiting: {job.why}")
    if isinstance(job.state, Unreadable):
        return clean(f"unreadable: {job.problem}")
    if isinstance(job.state, Running) and job.warnings:
        return clean(f"{job.health.partition(':')[0] or 'warn'}: {'; '.join(job.warnings)}")
    if was_requested(job):
        again = "" if ADOPTED in job.spec.extra else "(c resumes)"
        return " ".join(filter(None, ("stopped", steps_of(job), again)))
    if isinstance(job.state, Done) and (job.state.detail or job.warnings):
        return clean(job.state.detail or "; ".join(job.warnings))
    if isinstance(job.state, Done) and job.health.startswith("warn: "):
        return clean(job.health)
    return clean(job.paths.name)


def short_count(count: int) -> str:
    """`950`, `12k`, `3.1M`."""
    if count < 10_000:
        return str(count)
    if count < 1_000_000:
        return f"{count // 1000}k"
    return f"{count / 1e6:.1f}M"


def last_r2(job: JobView) -> float | None:
    """The job's last R2: its headline, or the same on the validation split."""
    return shown(job.spec.headline, job.values)


def score_cell(job: JobView) -> str:
    """A job's last headline in a column headed `R²`; `≤0.830` of a ceiling."""
    value = last_r2(job)
    text = _score_text(job)
    one = Value.parse(job.spec.headline)
    # By its name it would take the room of the others' names.
    return f"≤{value:.3f}" if value is not None and one.is_ceiling else text


def best_score(job: JobView) -> str:
    """A number of the plan's column headed `R²`; a trial's has a star: `0.713*`, `0.713* val`."""
    number, *split = score_cell(job).split(" val")
    return " val".join([f"{number}*" if number and job.spec.profile != "full" else number, *split])


def _score_text(job: JobView, digits: int = 3) -> str:
    runs = isinstance(job.state, Running)
    return shown_text(job.spec.headline, job.values, runs=runs, digits=digits)


def score_words(job: JobView, digits: int = 3) -> str:
    """A job's last headline by its name: `R² 0.713`; empty without one."""
    text = _score_text(job, digits)
    return f"R² {text}" if text[:1] in "-0123456789" and text else text


def marked_score(job: JobView) -> str:
    """A job's last headline, a trial's with its profile: `R² 0.7130 (demo)`; empty without one."""
    words = score_words(job, 4)
    return words + profile_mark(job.spec.profile) if words else ""


def model_of(best: JobView, view: LabSnapshot) -> str:
    """The run that a number of its MVP is from, where the MVP compares several models."""
    recipes = {job.spec.recipe for job in index_of(view).of_mvp.get(best.spec.mvp, ())}
    return clean(best.spec.run) if len(recipes) > 1 else ""


def best_line(best: JobView, view: LabSnapshot) -> str:
    """The best number of an MVP: `R² 0.7130 (demo)`, with ` of MLP` where models are compared."""
    model = model_of(best, view)
    return marked_score(best) + (f" of {model}" if model else "")


def best_jobs(view: LabSnapshot) -> Mapping[str, JobView]:
    """MVP id -> the job with its best headline so far: a full run, or of the trials without one.

    Of these the running ones, once any has a number, and the newest of each run; ended seeds of
    a run are one, with their mean. Chosen on validation where all have such a number. None is best
    where it is not known which way is better, none whose numbers are no result.
    """
    best = {}
    for mvp, jobs in index_of(view).of_mvp.items():
        known = _best.get(mvp)
        if known is None or known[0] is not jobs or known[1] is not view.faults:
            sound = [job for job in jobs if job.paths.name not in view.faults]
            _best[mvp] = jobs, view.faults, _best_of(sound)
        if (one := _best[mvp][2]) is not None:
            best[mvp] = one
    return best


_best: dict[str, tuple[Sequence[JobView], Mapping[str, str], JobView | None]] = {}
"""MVP id -> its jobs and the faults as last asked of, and the best of them."""


def _best_of(jobs: Sequence[JobView]) -> JobView | None:
    known = [job for job in jobs if last_r2(job) is not None]
    full = [job for job in known if job.spec.profile == "full"] or known
    running = [job for job in full if isinstance(job.state, Running)]
    by_age = sorted(running or full, key=lambda job: job.spec.submitted)
    mine = list({(job.spec.run, job.spec.profile, job.spec.recipe): job for job in by_age}.values())
    mine = mine if running else seeds_as_one(mine)
    name = judged_by(j.spec.headline for j in mine)
    mine = [job for job in mine if job.spec.headline == name]
    validated = [for_choosing(name, job.values) for job in mine]
    by = last_r2 if None in validated else lambda job: for_choosing(name, job.values)
    return Value.parse(name).best(mine, by)


def ended_badly(job: JobView) -> bool:
    """Whether it failed or was lost; not where that is unknown."""
    return not isinstance(job.state, Done) or isinstance(job.state.end, Failed)


def was_requested(job: JobView) -> bool:
    """Whether a person stopped it, who need not be told."""
    return isinstance(job.state, Done) and job.state.end == Killed(asked=True)


def end_line(job: JobView) -> str:
    """`1.0 Run 1 (demo): ok after 2h05m, R2 0.7132`."""
    words = score_words(job, 4)
    score = f", {words}" if words else ""
    if not isinstance(job.state, Done):
        return f"{job_label(job)}: lost, its supervisor was killed"
    explained = ended_badly(job) or isinstance(job.state.end, Unknown)
    detail = f": {job.state.detail}" if explained and job.state.detail else ""
    took = duration(job.seconds or None)
    after = f" after {took}" if took else ""
    return f"{job_label(job)}: {job.state.word}{after}{score}{detail}"


def ends_line(jobs: Sequence[JobView]) -> str:
    """One line on any number of ended jobs."""
    if len(jobs) == 1:
        return end_line(jobs[0])
    bad = sum(ended_badly(job) for job in jobs)
    return f"{len(jobs)} jobs ended, {bad} failed" if bad else f"{len(jobs)} jobs ended"
