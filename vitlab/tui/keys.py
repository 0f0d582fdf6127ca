"""The keys of every screen: which action each starts, and how both are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from textual.binding import Binding, BindingType


class Key(NamedTuple):
    """One key and its action."""

    key: str
    """As Textual names it; the settings may set another."""
    action: str
    """Of the screen that has the key; with `app.` before it where it is one of every screen's."""
    word: str
    meaning: str
    in_line: bool = True
    """Whether the key line has it where it can be done; the help has all."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        name, _, value = self.action.rpartition(".")[2].partition("(")
        return name + ("_back" if value == "-1)" else "")


KEYS = (
    Key("n", "launch_next", "next", "launch the next MVP of the plan"),
    Key("L", "launch_selected", "launch", "launch the selected MVP"),
    Key("x", "stop_job", "stop", "stop the selected job or the MVP's, or drop a lost one"),
    Key("c", "resume_job", "resume", "resume the job from its last checkpoint"),
    Key("p", "hold_job", "hold", "hold the selected queued job, or release it"),
    Key("R", "resume_left", "resume lost", "resume all jobs lost in a crash or restart"),
    Key("X", "drop_left", "drop lost", "drop all jobs lost in a crash or restart"),
    Key("w", "write", "write", "review what results change in the documents, and write it"),
    Key("S", "set_status", "status", "set the status of the MVP, or decide the gate"),
    Key("slash", "filter", "find", "filter the rows; in the log, search"),
    Key("N", "add", "add", "add an MVP or a gate to the plan, or make a new plan"),
    Key("A", "autopilot", "auto", "the autopilot: start, show, pause or end it", in_line=False),
    Key("u", "undo", "undo", "undo the last write"),
    Key("U", "redo", "redo", "redo the last undone write", in_line=False),
    Key("K", "move_up", "", "move the selected queued job up", in_line=False),
    Key("J", "move_down", "", "move the selected queued job down", in_line=False),
    Key("1", "open_roadmap", "home", "home: the plan, its jobs and curves"),
    Key("2", "open_jobs", "jobs", "the queue and all jobs"),
    Key("3", "open_curves", "curves", "curves of any runs and values"),
    Key("4", "open_log", "log", "the log of the selected job"),
    Key("5", "open_spectrum", "stars", "test stars of the selected job, and predictions"),
    Key("6", "open_results", "results", "all results side by side"),
    Key("7", "open_gates", "gates", "gates: rules, evidence, verdicts"),
    Key("8", "open_documents", "documents", "pending edits, past writes, contradictions"),
    Key("o", "open_roadmaps", "roadmaps", "choose the roadmap"),
    Key("left_square_bracket", "last_roadmap", "", "the previous roadmap", in_line=False),
    Key("right_square_bracket", "next_roadmap", "", "the next roadmap", in_line=False),
    Key("number_sign", "jump", "jump", "jump to an MVP, gate or job by its id", in_line=False),
    Key("y", "copy", "copy", "copy what is under the cursor", in_line=False),
    Key("e", "edit", "edit", "open it in your editor ($EDITOR)", in_line=False),
    Key("E", "export", "export", "export this view: text, CSV or SVG", in_line=False),
    Key("exclamation_mark", "messages", "messages", "all messages so far", in_line=False),
    Key("r", "reread", "", "reload everything now", in_line=False),
    Key("T", "next_theme", "", "the next theme: dark, light, high contrast", in_line=False),
    Key("B", "debug", "", "information for a bug report", in_line=False),
    Key("f1", "tour", "tour", "show the tour again", in_line=False),
    Key("question_mark", "help", "help", "the keys of this screen"),
    Key("q", "quit", "quit", "quit; jobs keep running"),
)
"""Of every screen. A screen's own never give one of these another meaning."""

SCREENS = tuple(key.action for key in KEYS if key.key.isdigit())
"""The actions that open a screen, by its number."""

MORE_ACTIONS = ("move_first", "raise_job", "lower_job", "command_palette")
"""Of the app too, but with a key on one screen only, or one of Textual's own."""

_SHOWN = {
    "slash": "/",
    "question_mark": "?",
    "exclamation_mark": "!",
    "number_sign": "#",
    "asterisk": "*",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "comma": ",",
    "plus": "+",
    "minus": "-",
    "ampersand": "&",
}


def bindings(keys: Iterable[Key]) -> list[BindingType]:
    """The keys as Textual binds them, each by the name the settings use."""
    return [
        Binding(key.key, key.action, key.word, id=key.name, tooltip=key.meaning, show=False)
        for key in keys
    ]


def shown_key(key: Key, own: Mapping[str, str]) -> str:
    """The key as it is written on the screen; `own` are the settings' keys."""
    keys = own.get(key.name, key.key)
    return " ".join(_SHOWN.get(name, name) for name in str(keys).split(",")[:2])
