"""One MVP on a page of its own, for terminals without room beside the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from vitlab.tui.screens.base import LabScreen
from vitlab.tui.widgets.brief_pane import BriefPane, Reader
from vitlab.tui.words import clean

if TYPE_CHECKING:
    from vitlab.docs.roadmap import Mvp


class MvpScreen(ModalScreen[None]):
    """Follows the lab while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close"),
        Binding("L", "launch", "Launch"),
    ]

    def __init__(self, of: LabScreen, mvp: Mvp, read: Reader, *, plain: bool) -> None:
        """`of`: the screen it lies over, which has the lab as last seen."""
        super().__init__()
        self._of = of
        self._mvp = mvp
        self._pane = BriefPane(read, plain=plain)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as dialog:
            dialog.border_title = Text(clean(f"MVP {self._mvp.id}"))
            dialog.border_subtitle = Text("j k scroll   L launches it   esc closes")
            yield self._pane

    def on_mount(self) -> None:
        self._pane.focus()
        self.call_after_refresh(self._show)
        self.set_interval(1.0, self._show)

    async def action_launch(self) -> None:
        self.dismiss(None)
        await self.app.run_action("app.launch_selected")

    def _show(self) -> None:
        view = self._of.view
        if view is None or not self.is_mounted:
            return
        mvps = view.roadmap.mvps if view.roadmap else ()
        self._mvp = next((mvp for mvp in mvps if mvp.id == self._mvp.id), self._mvp)
        self._pane.show(view, self._mvp)
