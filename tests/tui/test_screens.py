"""The screens behind home: how one gets there and back, and what their keys do."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textual._context import NoActiveAppError
from textual.widgets import Input

from tests.tui.conftest import Open
from tests.tui.fakes import ROADMAP, FakeLab, usual_view
from vitlab.docs.judge.gates import Verdict
from vitlab.lab.conclusions import decisions
from vitlab.lab.conclusions.decisions import Preview
from vitlab.lab.tray.proposals import Proposal
from vitlab.tui.app import VitLab
from vitlab.tui.screens.curves import CurvesScreen
from vitlab.tui.screens.dialogs import RoadmapTable
from vitlab.tui.screens.documents import DocumentsScreen
from vitlab.tui.screens.gates import GatesScreen
from vitlab.tui.screens.jobs import JobsScreen
from vitlab.tui.screens.launch import LaunchScreen
from vitlab.tui.screens.log import LogScreen
from vitlab.tui.screens.results import ResultsScreen

RUN = "VIT-20251226-vit-1m-large-01/20251227-10000"


def line(name: str, **more: Any) -> Any:
    shape: dict[str, Any] = {
        "path": Path("/lab/roadmaps") / name,
        "title": name,
        "statuses": {"done": 1, "planned": 2},
        "verdicts": {"pass": 1},
        "running": 0,
        "pending": 0,
        "next": None,
        "findings": None,
        "problem": "",
        "mvps": 3,
        "done": 1,
    }
    return SimpleNamespace(**{**shape, **more})


def two_roadmaps() -> tuple[Any, ...]:
    shown = line(Path(ROADMAP).name, findings=2)
    return (shown, line("moe_roadmap.md", pending=3, title="MoE [/b] 专家"))


async def test_the_launch_goes_to_slurm_where_there_is_one(stage: Open) -> None:
    async with stage(lab=FakeLab(places=("local", "slurm"))) as it:
        await it.press("n")
        await it.until(lambda: "Runs on: < this machine >" in it.text())
        await it.press("l")
        await it.until(lambda: ("plan", "2.0", "demo", "slurm") in it.lab.asked)
        await it.until(lambda: "Run 1: vit on Slurm" in it.text())
        await it.press("enter")
        await it.until(lambda: ("launch", "2.0", "demo", "slurm") in it.lab.asked)
        await it.until(lambda: it.toasts)
        assert "1 job launched (demo, on Slurm)" in it.toasts[-1]
        assert it.lab.place == "slurm"


async def test_without_slurm_nothing_is_said_of_it(stage: Open) -> None:
    async with stage() as it:
        await it.press("n", "l")
        assert isinstance(it.app.screen, LaunchScreen)
        assert "Slurm" not in it.text()


async def test_o_and_brackets_change_the_roadmap(stage: Open) -> None:
    async with stage(lab=FakeLab(lines_of_roadmaps=two_roadmaps())) as it:

        def shown() -> str:
            roadmap = it.app.watcher.roadmap
            return roadmap.name if roadmap else ""

        await it.until(lambda: "o 1 of 2" in it.text())
        assert "3 results of other plans: o shows" in it.text()
        await it.press("o")
        assert "MoE [/b] 专家" in it.text()
        table = it.app.screen.query_one(RoadmapTable)
        assert [row[0] for row in table.table().rows] == [">", ""]
        await it.press("j")
        assert [row[0] for row in table.table().rows] == ["*", ">"]
        await it.press("enter")
        await it.until(lambda: shown() == "moe_roadmap.md")
        await it.press("right_square_bracket")
        assert shown() == "vit_roadmap.md"
        await it.press("left_square_bracket")
        assert shown() == "moe_roadmap.md"


async def test_the_only_roadmap_is_said_so(stage: Open) -> None:
    async with stage() as it:
        await it.press("right_square_bracket")
        assert "no other roadmap" in it.toasts[-1]


async def test_2_shows_the_jobs_and_escape_leads_back(stage: Open) -> None:
    async with stage() as it:
        await it.press("2")
        assert isinstance(it.app.screen, JobsScreen)
        text = it.text()
        assert "2 running, 1 queued, 5 in all" in text
        assert "the CPU is busy" in text
        await it.press("G")
        assert "CUDA out of memory" in it.text() or "sweep" in it.text()
        await it.press("escape")
        assert it.at_home


async def test_the_queue_is_ordered_from_the_jobs_screen(stage: Open) -> None:
    waiting = RUN + "2-run-3"
    async with stage() as it:
        await it.press("2", "j", "j")
        for key, asked in {
            "greater_than_sign": ("prioritise", waiting, 1),
            "less_than_sign": ("prioritise", waiting, -1),
            "t": ("move", waiting, None),
            "K": ("move", waiting, -1),
            "J": ("move", waiting, 1),
            "p": ("hold", waiting),
        }.items():
            await it.press(key)
            await it.until(partial(it.lab.asked.__contains__, asked))
        await it.press("x", "n")
        assert ("stop", waiting) not in it.lab.asked
        await it.press("x", "y")
        await it.until(lambda: ("stop", waiting) in it.lab.asked)
        await it.press("g", "g", "c")
        assert "select a stopped, failed, lost, held or foreign job" in it.toasts[-1]
        await it.press("G", "c")
        await it.until(lambda: any(asked[0] == "resume" for asked in it.lab.asked))


async def test_jobs_are_filtered_and_escape_clears_before_it_leaves(stage: Open) -> None:
    async with stage(size=(80, 24)) as it:
        await it.press("2", "slash", *"oom")
        screen = it.app.screen
        assert isinstance(screen, JobsScreen)
        assert it.app.focused is screen.query_one(Input)
        await it.press(*["backspace"] * 3, *"memory")
        assert screen.table.row_count == 1
        await it.press("enter", "escape")
        assert screen.table.row_count == 5
        await it.press("q")
        assert it.at_home
        assert it.app.is_running


async def test_number_sign_jumps_by_id(stage: Open) -> None:
    async with stage() as it:
        await it.press("number_sign", *"mvp-4", "enter")
        await it.until(lambda: it.app.home.plan.selected == "4.0")
        await it.press("number_sign", *"run-3", "enter")
        await it.until(lambda: isinstance(it.app.screen, JobsScreen))
        await it.until(lambda: str(it.app.screen.table.selected).endswith("run-3"))  # type: ignore[attr-defined]
        await it.press("number_sign", *"nowhere", "enter")
        await it.until(lambda: it.toasts)
        assert "nowhere: no such MVP, gate or job" in it.toasts[-1]


async def test_a_key_for_no_action_is_said(stage: Open) -> None:
    async with stage(lab=FakeLab(keys={"undoo": "z", "open_jobs": "B"})) as it:
        assert "vitlab.yaml: keys: undoo: no such action" in it.toasts[-1]
        await it.press("B")
        assert isinstance(it.app.screen, JobsScreen)


async def test_the_curves_are_zoomed_smoothed_and_read_by_keys(stage: Open) -> None:
    async with stage() as it:
        await it.press("3")
        screen = it.app.screen
        assert isinstance(screen, CurvesScreen)
        chart = screen.chart
        await it.until(lambda: "Gate-1 at 0.7" in str(chart.content))
        assert "2 of 4 runs shown" in it.text()
        assert "x: epoch" in it.text()
        at_end = chart.readings()
        await it.press("h", "h", "shift+left", "plus", "plus")
        assert chart.readings() != at_end
        low, high = chart.state.look.window or (0, 0)
        assert low <= (chart.state.look.cursor or 0) <= high < 112_000
        await it.press("minus", "0", "M", "Y")
        assert (chart.state.smooth, chart.state.look.log, chart.state.axis) == (0.6, True, "epoch")
        assert chart.state.look.window is None
        await it.press("a")
        await it.until(lambda: "x: spectra" in it.text())
        await it.press("j", "space")
        await it.until(lambda: "1 of 4 runs shown" in it.text())
        await it.press("asterisk")
        await it.until(lambda: "4 of 4 runs shown" in it.text())
        await it.press("m")
        await it.until(lambda: "loss (train)" in it.text())
        await it.press("P", *"r2", "enter")
        await it.until(lambda: "R² log_g (val)" in it.text())
        await it.press("slash", *"sweep", "enter")
        assert screen.table.row_count == 1


async def test_a_log_is_followed_searched_filtered_and_read_by_pages(
    stage: Open, tmp_path: Path
) -> None:
    run = tmp_path / "20251227-100000-run-1"
    run.mkdir()
    log = run / "out.log"
    log.write_text("".join(f"line {i} [/bold]\n" for i in range(3000)) + "ValueError: x\n")
    with log.open("a") as file:
        file.write("".join(f"after {i}\x1b[31m\n" for i in range(300)))
    async with stage(size=(80, 24), lab=FakeLab(folder=tmp_path)) as it:
        await it.press("2", "j", "enter")
        assert isinstance(it.app.screen, LogScreen)
        await it.until(lambda: "after 299" in it.text())
        assert "kB, following" in it.text()
        await it.press("k")
        await it.until(lambda: "paused" in it.text())
        assert "after 299" not in it.text()
        with log.open("a") as file:
            file.write("the newest\n")
        await it.press("full_stop")
        await it.until(lambda: "none below" in it.toasts[-1] if it.toasts else False)
        await it.press("G")
        await it.until(lambda: "the newest" in it.text())
        await it.press("full_stop")
        await it.until(lambda: "ValueError: x" in it.text().split("\n")[2])
        await it.press("slash", *"line 12", "enter")
        await it.until(lambda: "none below" in it.toasts[-1])
        await it.press("g")
        await it.until(lambda: "line 0 [/bold]" in it.text())
        await it.press("full_stop")
        await it.until(lambda: "line 12 [/bold]" in it.text().split("\n")[2])
        await it.press("full_stop", "comma")
        await it.until(lambda: "line 12 [/bold]" in it.text().split("\n")[2])
        await it.press("ampersand", *"line 299", "enter", "G")
        await it.until(lambda: "line 2999 [/bold]" in it.text())
        assert "line 12 " not in it.text()
        it.app.see_messages()  # they lie over it
        await it.until(lambda: 'only "line 299"' in it.text())
        await it.press("escape", "escape")
        await it.until(lambda: "the newest" in it.text())
        await it.press("escape")
        assert not isinstance(it.app.screen, LogScreen)


async def test_a_gate_tells_rule_evidence_verdict_and_who_decides_it(stage: Open) -> None:
    view = usual_view()
    view.verdicts["1"] = Verdict(
        "1", "pass", "R² 0.72 [/b] > 0.70", rule="若 R² > 0.70", values={"test/r2": 0.72}
    )
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        await it.press("7")
        assert isinstance(it.app.screen, GatesScreen)
        text = it.text()
        for words in ("2 pass, 1 fail, 1 manual", "R² 0.72 [/b] > 0.70", "> 若 R² > 0.70",
                      "then ✅ 论文主结果就绪", "0.72       test/r2", "MVP-1.0"):  # fmt: skip
            assert words in text
        await it.press("number_sign", *"gate-3", "enter")
        await it.until(lambda: it.app.screen.table.selected == "3")  # type: ignore[attr-defined]
        await it.until(lambda: "you decide" in it.text())
        await it.press("escape")
        assert it.at_home


async def test_a_gate_that_a_person_decided_is_shown_as_decided(stage: Open) -> None:
    view = usual_view()
    view.verdicts["1"] = Verdict("1", "open", "no full result [/b]", by_hand="pass")
    async with stage(size=(80, 24), lab=FakeLab(view=view)) as it:
        await it.press("7")
        await it.until(lambda: "2 pass, 1 fail, 1 manual" in it.text())
        for words in ("✓ passed (by hand)", "no full result [/b]"):
            assert words in it.text()


async def test_documents_are_accepted_reworded_refused_and_mended(stage: Open) -> None:
    async with stage() as it:
        await it.press("8")
        screen = it.app.screen
        assert isinstance(screen, DocumentsScreen)
        await it.until(lambda: "1 to write, 1 to fix" in it.text())
        await it.until(lambda: "+| 2.0 | LightGBM 1M Baseline" in it.text())
        await it.pilot.resize_terminal(80, 24)
        await it.until(lambda: "1 to write, 1 to fix" in it.text())
        await it.press("W", *" so", "enter")
        await it.until(lambda: ("worded", "2.0", "R² = 0.61 [/b] so") in it.lab.asked)
        await it.until(lambda: "MVP-2.0: R² = 0.61 [/b] so" in it.text())
        await it.press("enter")
        await it.until(lambda: ("write", "2.0", "R² = 0.61 [/b] so") in it.lab.asked)
        await it.until(lambda: any("written: roadmaps" in toast for toast in it.toasts))
        await it.press("d", "n")
        assert not it.lab.refused
        await it.press("d", "y")
        await it.until(
            lambda: screen.table.selected == "flaw 0" or "refused 2.0" in screen.table._shown
        )
        await it.press("g", "enter")
        await it.until(lambda: ("fix", 7) in it.lab.asked)
        screen.table.select("refused 2.0")
        await it.press("enter")
        await it.until(lambda: ("offer", "2.0") in it.lab.asked)
        await it.press("G", "W")
        assert "11-14 " in it.text()
        assert "MVP-1.0  1 file: roadmaps/vit_roadmap.md" in it.text()
        assert "select an unwritten conclusion" in it.toasts[-1]
        await it.press("enter")
        assert "select an entry to write" in it.toasts[-1]


async def test_what_assistants_propose_is_accepted_or_dismissed(stage: Open) -> None:
    lab = FakeLab()
    change: Any = SimpleNamespace(path=Path("/lab") / ROADMAP)
    for number, lacks in ((3, False), (4, True), (5, False)):
        proposal = Proposal("gate", ROADMAP, "1", f"reason {number} [/b]", number=number)
        remarks = (decisions.UNSUPPORTED,) if lacks else ()
        lab.proposed.append(Preview(proposal, f"Gate-1: {number}", (change,), remarks, lacks))
    async with stage(lab=lab) as it:
        await it.press("8")
        await it.until(lambda: "3 proposed, 1 to write, 1 to fix" in it.text())
        await it.until(lambda: "reason: reason 3 [/b]" in it.text())
        await it.until(lambda: "+| 2.0 | LightGBM 1M Baseline" in it.text())
        assert "w:accept" in it.text()
        await it.press("w")
        await it.until(lambda: ("accepted", 3, "") in lab.asked)
        await it.until(lambda: "2 proposed, 1 to write" in it.text())
        await it.press("g")
        await it.until(lambda: "no result supports it" in it.text())
        await it.press("enter", "escape")  # without a reason nothing is done
        await it.press("enter", *"seen", "enter")
        await it.until(lambda: ("accepted", 4, "seen") in lab.asked)
        await it.until(lambda: "1 proposed, 1 to write" in it.text())
        await it.press("g", "d")
        await it.until(lambda: ("dismissed", 5) in lab.asked)
        await it.until(lambda: "to write, 1 to fix" in it.text() and "proposed," not in it.text())
        new = Proposal("gate", ROADMAP, "1", "come meanwhile", number=6)
        lab.proposed.append(Preview(new, "Gate-1: 6", (change,), problem="it rests on less"))
        await it.until(lambda: "1 proposed, 1 to write" in it.text())  # no key is pressed
        await it.press("g")
        await it.until(lambda: re.search(r" void +Gate-1: 6 \(come meanwhile", it.text()))
        assert "it rests on less" in it.text()
        assert ":accept" not in it.text()
        await it.press("enter")
        assert it.toasts[-1] == "it cannot be accepted any more: d dismisses it"
        await it.press("d")
        await it.until(lambda: ("dismissed", 6) in lab.asked)


async def test_where_proposals_alone_wait_w_leads_to_them(stage: Open) -> None:
    lab = FakeLab(changes=())
    change: Any = SimpleNamespace(path=Path("/lab") / ROADMAP)
    proposal = Proposal("gate", ROADMAP, "1", "because", number=3)
    lab.proposed.append(Preview(proposal, "Gate-1: pass", (change,)))
    async with stage(lab=lab) as it:
        await it.press("w")
        await it.until(lambda: "1 proposed" in it.text() and "reason: because" in it.text())
        assert "w accepts the one selected" in it.toasts[-1]
        await it.press("w")
        await it.until(lambda: ("accepted", 3, "") in lab.asked)


def test_a_message_that_comes_while_the_app_leaves_ends_nothing() -> None:
    lab: Any = FakeLab()
    app = VitLab(lab, None)
    assert not app.screen_stack
    app._show_message()


async def test_results_are_sorted_filtered_and_held_against_one(stage: Open) -> None:
    async with stage() as it:
        await it.press("6")
        screen = it.app.screen
        assert isinstance(screen, ResultsScreen)
        await it.until(lambda: "2 of 2, by newest" in it.text())
        text = it.text()
        assert "lr=0.001" in text
        assert "batch=64" not in text
        assert "ViT [/b]" in text
        first = screen.table.selected
        await it.press("s")
        await it.until(lambda: "by score" in it.text())
        assert next(iter(screen.table._shown)) != first
        await it.press("i")
        assert next(iter(screen.table._shown)) == first
        await it.press("g", "space")
        await it.until(lambda: ("gaps", screen.table.selected) in it.lab.asked)
        await it.until(lambda: "+0.030 ± 0.004" in it.text())
        await it.press("G")
        assert "train.lr: 0.003 (there: 0.001)" in it.text()
        await it.press("slash", *"sweep", "enter")
        assert screen.table.row_count == 1
        await it.press("escape", "escape")
        assert it.at_home


async def test_work_for_a_widget_that_has_left_does_not_end_the_app(stage: Open) -> None:
    async def late() -> None:
        raise NoActiveAppError

    async with stage() as it:
        worker = it.app.run_worker(late())
        await it.until(lambda: worker.is_finished)
        assert it.app.is_running
