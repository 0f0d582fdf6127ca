"""What the keys do: the verbs every screen has, and those that act on the chosen job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding, BindingType

from vitlab.contract.job import Done, Lost, Queued, Running

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView
    from vitlab.tui.desk import Desk


class Verb(NamedTuple):
    """One key and what it does."""

    key: str
    """As Textual names it; the settings may say another."""
    action: str
    """Of the screen it stands in; `app.` before it where it is one of every screen's."""
    word: str
    meaning: str
    said: bool = True
    """Whether the key line has it; the help has all."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        name, _, value = self.action.rpartition(".")[2].partition("(")
        return name + ("_back" if value == "-1)" else "")


VERBS = (
    Verb("n", "launch_next", "next", "launch the next MVP of the plan"),
    Verb("L", "launch_selected", "launch", "launch the selected MVP"),
    Verb("x", "stop_job", "stop", "stop the selected job, or drop a lost one"),
    Verb("w", "write", "write", "show what results change in the documents, and write it"),
    Verb("u", "undo", "undo", "undo the last write"),
    Verb("slash", "filter", "filter", "filter by words", said=False),
    Verb("o", "open_roadmaps", "roadmaps", "choose the roadmap"),
    Verb("b", "open_jobs", "jobs", "the queue and all jobs"),
    Verb("v", "open_curves", "curves", "curves of any runs, any values"),
    Verb("f", "open_log", "log", "the log of the selected job"),
    Verb("a", "open_results", "results", "all results side by side"),
    Verb("s", "open_spectrum", "stars", "test stars of the selected job: spectrum, models"),
    Verb("d", "open_documents", "docs", "edits that wait, past writes, contradictions"),
    Verb("i", "open_gates", "gates", "gates: rule, evidence, verdict, what each decides"),
    Verb("left_square_bracket", "last_roadmap", "", "the roadmap before this one", said=False),
    Verb("right_square_bracket", "next_roadmap", "", "the roadmap after this one", said=False),
    Verb("number_sign", "jump", "jump", "jump to an MVP, a gate or a job by its id", said=False),
    Verb("U", "redo", "redo", "make the last undone write again", said=False),
    Verb("c", "resume_job", "", "continue the selected job from its last checkpoint", said=False),
    Verb("p", "hold_job", "", "put the selected waiting job aside, or release it", said=False),
    Verb("K", "move_up", "", "move the selected waiting job up the queue", said=False),
    Verb("J", "move_down", "", "move the selected waiting job down the queue", said=False),
    Verb("R", "resume_left", "", "resume all that a crash or a restart left behind", said=False),
    Verb("X", "drop_left", "", "drop all that a crash or a restart left behind", said=False),
    Verb("m", "next_metric", "", "plot the next value", said=False),
    Verb("r", "reread", "", "read everything again now", said=False),
    Verb("T", "next_theme", "", "the next theme: dark, light, high contrast", said=False),
    Verb("y", "copy", "copy", "copy what is under the cursor to the clipboard", said=False),
    Verb("e", "edit", "edit", "open it in your editor ($EDITOR), at its line", said=False),
    Verb("E", "export", "export", "write this view to a file: text, CSV, SVG", said=False),
    Verb("B", "debug", "", "what a bug report needs", said=False),
    Verb("f1", "tour", "tour", "the tour of home again", said=False),
    Verb("question_mark", "help", "help", "what this screen can do"),
    Verb("q", "quit", "quit", "leave the screen; jobs go on"),
)
"""The verbs of every screen; a screen's own win where the key is the same."""

_SHOWN = {
    "slash": "/",
    "question_mark": "?",
    "number_sign": "#",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "plus": "+",
    "minus": "-",
    "ampersand": "&",
}


def bindings(verbs: Iterable[Verb]) -> list[BindingType]:
    """The verbs as Textual binds them, each by the name the settings know it by."""
    return [
        Binding(verb.key, verb.action, verb.word, id=verb.name, tooltip=verb.meaning, show=False)
        for verb in verbs
    ]


def shown_key(verb: Verb, own: Mapping[str, str]) -> str:
    """The verb's key as it is written on the screen; `own` are the settings' keys."""
    keys = own.get(verb.name, verb.key)
    return " ".join(_SHOWN.get(key, key) for key in str(keys).split(",")[:2])


@dataclass(frozen=True)
class JobVerb:
    """What can be done with one job."""

    fits: Callable[[JobView], bool]
    needs: str
    """Which jobs it is for; said when another one is selected."""
    deed: Callable[[Desk, JobView], object]
    said: str
    """What was done, after the job's name."""
    question: str = ""
    """Asked before, with the job's name after it; empty when there is nothing to lose."""


def _waits(job: JobView) -> bool:
    return isinstance(job.state, Queued)


JOB_VERBS = {
    "stop_job": JobVerb(
        lambda job: isinstance(job.state, Running | Queued | Lost),
        "a running, queued or lost",
        lambda desk, job: desk.stop(job.paths),
        "asked to stop",
        question="Stop",
    ),
    "resume_job": JobVerb(
        lambda job: isinstance(job.state, Done | Lost) or job.held or job.left,
        "an ended, lost or held",
        lambda desk, job: desk.resume(job.paths),
        "goes on when its turn comes",
    ),
    "hold_job": JobVerb(
        _waits,
        "a queued",
        lambda desk, job: desk.release(job.paths) if job.held else desk.hold(job.paths),
        "put aside, or released",
    ),
    "move_up": JobVerb(_waits, "a queued", lambda desk, job: desk.move(job.paths, -1), "moved up"),
    "move_down": JobVerb(
        _waits, "a queued", lambda desk, job: desk.move(job.paths, 1), "moved down"
    ),
    "move_first": JobVerb(
        _waits, "a queued", lambda desk, job: desk.move(job.paths, None), "moved to the front"
    ),
    "raise_job": JobVerb(
        _waits, "a queued", lambda desk, job: desk.prioritise(job.paths, 1), "priority raised"
    ),
    "lower_job": JobVerb(
        _waits, "a queued", lambda desk, job: desk.prioritise(job.paths, -1), "priority lowered"
    ),
}
