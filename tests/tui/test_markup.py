"""Whatever text a lab holds: shown on every screen as it is, obeyed by none, columns in line."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from textual.widgets import Static

from tests.tui.conftest import Open, Stage
from tests.tui.fakes import ROADMAP, FakeLab, gate, job, mvp, usual_view, verdict
from vitlab.contract.events import Event
from vitlab.contract.job import Done, Lost, Queued, Running
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.docs.judge.ceiling import Share
from vitlab.lab.results.rows import ResultRow
from vitlab.tui.navigation import SCREENS
from vitlab.tui.screens.dialogs import ConfirmScreen, LineScreen, PickScreen

SIGNAL = "[red]r[/] [/x] [[a|b]]"
"""What markup would eat; it must be there on every screen."""
NASTY = (
    SIGNAL,
    "[@click=app.quit]q[/] \\[ $error [$error]{x} - [x] done %s",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J \x9b31m \r\n\t\x00\x08\x7f\x85\u2028\u2029",
    "\u202eleft\u202c \u2066iso\u2069 zero\u200bwidth\u200d\ufeff \u034f",
    "⚠️ 🗺️ 👩‍🔬 🇨🇳 1️⃣ é é 中文字 ﷽ | `code` \U000e0041",
    "very long " * 60,
    "中" * 90,
    "",
)
EXAMPLES = int(os.environ.get("VITLAB_FUZZ_TEXTS", "1"))
"""How many labs of any text: each is shown on every screen."""
WILD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("[]/\\@=\x1b\x9b\x00\r\n\t\u202e\u200b\u200d\ufe0f\u0301⚠中🗺|`$"),
    ),
    max_size=60,
)


class NastyPaths(LabPaths):
    """Calls every file by the next text."""

    texts: ClassVar[Any]

    def relative(self, _: Path) -> str:
        return str(next(self.texts))


@dataclass
class NastyLab(FakeLab):
    """A lab in which every name, reason, line and value name is one of `texts`."""

    texts: Sequence[str] = NASTY
    _next: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._next = cycle(self.texts)
        self.view = self._lab()
        self.lines = list(self.texts)
        self.shown_diffs = [
            f"--- a\n+++ {text}\n@@ {text}\n-{text}\n+{text}" for text in self.texts
        ]
        self.findings = tuple(SimpleNamespace(status="warn", text=text) for text in self.texts)
        self.lines_of_roadmaps = tuple(
            self._line(Path(f"/lab/roadmaps/{number}")) for number in range(len(self.texts))
        )
        super().__post_init__()
        self.paths = NastyPaths(Path("/lab"))
        NastyPaths.texts = self._next

    def text(self) -> str:
        return str(next(self._next))

    def _line(self, path: Path) -> Any:
        return SimpleNamespace(
            path=path, title=self.text(), statuses={}, verdicts={"pass": 1}, running=1, pending=1,
            next=SimpleNamespace(id=self.text()), findings=1, problem=self.text(), mvps=1, done=1,
        )  # fmt: skip

    def _lab(self) -> Any:
        text, many = self.text, range(len(self.texts))
        states = cycle((Running(0, 1, text()), Queued(0), Done(0, 1, "failed", 1, text()), Lost(0)))
        usual = usual_view()
        usual.roadmap.title = text()
        usual.roadmap.mvps = tuple(
            mvp(f"{i} {text()}", text(), text(), text(), text()) for i in many
        )
        usual.roadmap.gates = tuple(gate(f"{i}{text()}", text(), (text(), text())) for i in many)
        usual.next = SimpleNamespace(id=usual.roadmap.mvps[0].id, why=text())
        usual.verdicts = {
            one.id: replace(
                verdict(one.id, "open", text()), rule=one.rules[0].if_, values={text(): 1.0}
            )
            for one in usual.roadmap.gates
        }
        usual.problems = tuple(text() for _ in many)
        usual.experiments = frozenset(one.id for one in usual.roadmap.mvps)
        usual.jobs = tuple(
            job(f"{i}", text(), next(states), mvp=text(), profile=text(), health=f"warn: {text()}",
                why=text(), values={f"val/{text()}/x": 0.1}, step=3, of=9)
            for i in many
        )  # fmt: skip
        return usual

    def results(self) -> tuple[ResultRow, ...]:
        return tuple(
            ResultRow(one.paths.name, self.text(), self.text(), self.text(), self.text(),
                     "test/r2/log_g", 0.5, 0.01, Share(0.9, 0.01), 10_000, 90.0, 1.0,
                     {self.text(): self.text()}, {self.text(): 0.1})
            for one in self.view.jobs
        )  # fmt: skip

    def document_state(self, *_: Any) -> Any:
        usual = super().document_state(*_)
        usual.updates = tuple(
            SimpleNamespace(mvp=f"{i}", summary=self.text(), conclusion=self.text(), changes=((),))
            for i in range(len(self.texts))
        )
        usual.problems[0].finding.message = self.text()
        return usual

    def pending(self, _: Path) -> Any:
        return SimpleNamespace(changes=((),), mvps=("2",), summary=tuple(self.texts))

    def plan(self, request: Any) -> Any:
        plan = super().plan(request)
        plan.specs = tuple(
            SimpleNamespace(run=text, recipe=text, device=text, exp_id=text) for text in self.texts
        )
        return plan

    def events(self, _: JobPaths) -> list[Event]:
        values = {f"val/r2/{text}": 0.1 for text in self.texts}
        return [Event("eval", 0.0, {"step": i, "values": values}) for i in range(3)]


def check(it: Stage, where: str) -> None:
    """Nothing that moves the cursor or hides, no line wider or narrower than the screen."""
    width = it.app.size.width
    for number, strip in enumerate(it.app.screen._compositor.render_strips()):
        text = "".join(segment.text for segment in strip)
        bad = [hex(ord(c)) for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl")]
        assert not bad, f"{where}, line {number}: {bad} in {text!r}"
        assert strip.cell_length == width, f"{where}, line {number}: {strip.cell_length} cells"
    for widget in it.app.screen.query(Static):
        spans = str(getattr(widget.content, "spans", ""))
        assert "app.quit" not in spans or widget.id == "keys", f"{where}: {widget!r} obeys"


async def walk(it: Stage) -> None:
    """Every screen, page and dialog there is."""
    for place in ("roadmap", *SCREENS):
        it.app.navigation.show_screen(place)
        await it.press("G")
        check(it, place)
    it.app.navigation.show_screen("roadmap")
    for key in "1345":
        await it.press(key)
        check(it, f"home {key}")
    for opens in (
        partial(it.app._handle, "launch_next"),
        partial(it.app._handle, "write"),
        partial(it.app._handle, "open_roadmaps"),
        it.app.action_command_palette,
        partial(it.app._handle, "help"),
        lambda: it.app.push_screen(ConfirmScreen(it.lab.lines[0])),
        lambda: it.app.push_screen(LineScreen(it.lab.lines[1], it.lab.lines[2])),
        lambda: it.app.push_screen(PickScreen(it.lab.lines[1], sorted(set(it.lab.lines)))),
    ):
        opens()
        await it.until(lambda: not it.at_home)
        await it.settle()
        check(it, str(it.app.screen))
        await it.press("escape")
    for text in it.lab.lines[:3]:
        it.app.notify(text)
    await it.settle()
    check(it, "toasts")
    it.app.see_messages()


async def test_nasty_text_on_every_screen(stage: Open) -> None:
    async with stage(size=(160, 45), lab=NastyLab(roadmap=Path("/lab") / ROADMAP)) as it:
        await walk(it)
        await it.pilot.resize_terminal(80, 24)
        await walk(it)
        assert it.app.is_running


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(WILD, min_size=6, max_size=6))
def test_any_text_on_every_screen(stage: Open, texts: list[str]) -> None:
    async def shown() -> None:
        async with stage(size=(80, 24), lab=NastyLab(texts=texts)) as it:
            await walk(it)

    asyncio.run(shown())


async def test_brackets_are_shown_on_every_screen(stage: Open) -> None:
    async with stage(size=(200, 60), lab=NastyLab(texts=(SIGNAL,))) as it:
        for place in ("roadmap", *SCREENS):
            it.app.navigation.show_screen(place)
            await it.until(lambda: SIGNAL in it.text())
