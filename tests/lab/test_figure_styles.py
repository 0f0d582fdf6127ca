"""One colour and marker for a model, in every figure of a lab for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_figures import enriched
from vitlab.cli import main as vitlab
from vitlab.contract.paths import UsageError
from vitlab.lab.figures.auto_figures import MAKERS
from vitlab.lab.figures.figure_specs import figure_data
from vitlab.lab.figures.styles import styles_of
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import lookup_results
from vitlab.plot.figures.picture import FIGURES, Curve, Picture
from vitlab.plot.figures.styles import Style

MODELS = ("Conv", "ViT", "LightGBM", "Ridge", "Payne")


def curves(picture: Picture) -> Iterator[Curve]:
    for panel in picture.panels:
        yield from panel.curves
        yield from panel.below.curves if panel.below else ()


def looks(lab: Lab, figures: tuple[str, ...] = FIGURES) -> dict[str, set[tuple[object, str]]]:
    """Model -> the colours and markers it has in the figures that can be drawn."""
    made = figure_data(lab, lookup_results(lab.paths, []))
    found: dict[str, set[tuple[object, str]]] = {}
    for name in figures:
        try:
            picture = MAKERS[name](made)
        except UsageError:
            continue
        for curve in curves(picture):
            model = next((model for model in MODELS if curve.name.startswith(model)), None)
            if model is not None and not curve.reference:
                assert curve.style is not None, (name, curve.name)
                found.setdefault(model, set()).add((curve.style.ink, curve.style.marker))
    return found


def test_a_model_looks_the_same_in_all_figures_and_whatever_is_added(
    lab: Lab, ended: Ended
) -> None:
    for model in MODELS[:4]:
        for n in (100, 1000):
            enriched(ended(f"{model} {n}", model=model), n, 0.5)
    before = looks(lab)
    assert set(before) == set(MODELS[:4])
    assert all(len(styles) == 1 for styles in before.values())
    assert len({style for styles in before.values() for style in styles}) == 4
    enriched(ended("Payne 100", model="Payne"), 100, 0.5)
    after = looks(lab)
    assert {model: after[model] for model in before} == before
    assert json.loads(lab.paths.private.styles.read_bytes()) == {"conv": 5, "payne": 6}


def test_known_models_look_the_same_in_every_lab(lab: Lab) -> None:
    found = styles_of(lab.paths, ["Ridge", "ViT", "ViT ensemble", "ViT"], list)
    assert found == [Style(3), Style(0), Style(0, 1), Style(0, 2)]
    assert not lab.paths.private.styles.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"conv": "x", "payne": -1, "other": 99999999}'])
def test_what_the_file_says_wrong_is_not_taken(lab: Lab, text: str) -> None:
    lab.paths.private.make()
    lab.paths.private.styles.write_text(text)
    found = styles_of(lab.paths, ["Conv", "Payne"], lambda: ["Payne", "Conv"])
    assert found == [Style(6), Style(5)]


def test_a_link_out_of_the_lab_is_not_written_through(lab: Lab, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-mine.json"
    outside.write_text("mine")
    lab.paths.private.make()
    lab.paths.private.styles.symlink_to(outside)
    assert styles_of(lab.paths, ["Conv"], list) == [Style(5)]
    assert outside.read_text() == "mine"


def test_the_width_is_asked_for(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab.paths.root)
    enriched(ended("one"), 100, 0.5)
    sizes = []
    for columns in ("1", "2"):
        command = ["figure", "training", "--columns", columns, "--no-link", "--out", columns]
        assert vitlab(command) == 0
        pdf = (lab.paths.root / columns / "mvp_1.0_training.pdf").read_bytes()
        sizes.append(float(pdf.split(b"/MediaBox [ 0 0 ")[1].split()[0]) * 25.4 / 72)
    assert sizes == [pytest.approx(88, abs=0.01), pytest.approx(180, abs=0.01)]
    with pytest.raises(SystemExit):
        vitlab(["figure", "training", "--columns", "3"])
    assert "--columns" in capsys.readouterr().err
