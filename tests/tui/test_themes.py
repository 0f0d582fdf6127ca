"""The colours of the screen: readable in every theme, chosen by the settings or by a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.theme import Theme

from tests.tui.conftest import Open
from tests.tui.fakes import FakeLab
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.jobs.experiment.settings import load_settings
from vitlab.plot.chart import PALETTE
from vitlab.tui.themes import CONTRAST, THEMES, contrast, legible


def test_the_ratio_is_that_of_the_guidelines() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_every_ink_is_readable_on_every_ground(theme: Theme) -> None:
    inks = [theme.foreground, theme.accent, theme.success, theme.warning, theme.error]
    inks += [theme.variables["muted"], theme.variables["footer-key-foreground"]]
    grounds = [theme.background, theme.surface, theme.panel]
    grounds += [
        theme.variables["block-cursor-background"],
        theme.variables["block-cursor-blurred-background"],
    ]
    least = 7.0 if theme is CONTRAST else 4.5
    for ground in grounds:
        for ink in inks:
            assert ink is not None
            assert ground is not None
            assert contrast(ink, ground) >= least, (ink, ground)


async def test_the_settings_choose_and_a_key_changes(stage: Open) -> None:
    async with stage(lab=FakeLab(theme="light"), size=(80, 24)) as it:
        assert it.app.theme == "vitlab-light"
        await it.press("T")
        assert it.app.theme == "vitlab-high-contrast"
        assert "theme: high-contrast" in it.toasts[-1]
        done = str(it.app.home.plan._shown["1.1"][1].style)
        assert done.casefold() == CONTRAST.success
        await it.press("T", "T")
        assert it.app.theme == "vitlab-light"


def test_a_wrong_theme_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "vitlab.yaml").write_text("theme: pink\n")
    with pytest.raises(UsageError, match=r"theme: 'pink' is not one of dark, light, high-contrast"):
        load_settings(LabPaths(tmp_path))
    (tmp_path / "vitlab.yaml").write_text("theme: light\n")
    assert load_settings(LabPaths(tmp_path)).theme == "light"


def test_the_settings_know_every_theme(tmp_path: Path) -> None:
    for word in THEMES:
        (tmp_path / "vitlab.yaml").write_text(f"theme: {word}\n")
        assert load_settings(LabPaths(tmp_path)).theme == word


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_curves_are_read_on_every_ground_and_stay_apart(theme: Theme) -> None:
    assert theme.background is not None
    shown = [legible(color, theme.background) for color in PALETTE]
    assert len(set(shown)) == len(PALETTE)
    for color in shown:
        least = 4.5 if not theme.dark else 3.0
        assert contrast("#{:02x}{:02x}{:02x}".format(*color), theme.background) >= least


async def test_a_light_ground_darkens_the_curves_of_home(stage: Open) -> None:
    async with stage(lab=FakeLab(theme="light")) as it:
        chart = it.app.home.beside.chart
        await it.until(lambda: chart.content_for_theme.series)
        assert chart.content_for_theme.series[0].color != PALETTE[0]
        await it.press("T")
        assert chart.content_for_theme.series[0].color == PALETTE[0]
        it.app.theme = "ansi-light"
        await it.settle()
        assert chart.content_for_theme.series
