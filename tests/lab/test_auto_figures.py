"""A launch that ended leaves the figures that suit it, and the documents link to them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_figures import bounded, enriched
from vitlab.contract.job import read_result, read_spec, write_result
from vitlab.contract.paths import JobPaths
from vitlab.lab.figures import auto_figures
from vitlab.lab.figures.auto_figures import draw_figures, launch_figures
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.figure_files import existing_figures
from vitlab.lab.writeback.writeback import pending
from vitlab.recipes import run


def names(pictures: list[Path]) -> list[str]:
    return [path.name for path in pictures]


def under_way(job: JobPaths) -> None:
    """As a job stands that has its result and draws: begun, not ended."""
    job.exit.unlink()


def test_one_run_gives_its_curve_and_its_stars(ended: Ended) -> None:
    job = ended("one", profile="demo")
    enriched(job, 100, 0.5)
    under_way(job)
    drawn = draw_figures(job.folder)
    kinds = ("training", "parity", "residuals")
    assert names(drawn) == [f"mvp_1.0_{kind}_demo.png" for kind in kinds]
    assert all(path.stat().st_size > 5000 for path in drawn)
    assert all(path.with_suffix(".pdf").read_bytes().startswith(b"%PDF") for path in drawn)


def test_sizes_scale_and_other_choices_are_compared(ended: Ended) -> None:
    for n in (100, 1000):
        enriched(first := ended(f"train_size={n}"), n, 0.5)
    assert names(draw_figures(first.folder))[0] == "mvp_1.0_scaling.png"
    for name in ("a", "b"):
        enriched(second := ended(name, mvp="2.0"), 100, 0.5)
    assert names(draw_figures(second.folder))[0] == "mvp_2.0_ablation.png"


def test_a_short_run_waits_for_the_last_of_its_launch(
    ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = ended("a"), ended("b")
    for job in (first, last):
        enriched(job, 100, 0.5)
    last.result.rename(last.result.with_suffix(".later"))
    for path in (last.exit, last.started):
        path.unlink()
    assert draw_figures(first.folder) == []
    with monkeypatch.context() as patch:
        patch.setattr(auto_figures, "LONG", 1.0)  # its 5 s are long now
        assert names(draw_figures(first.folder)) != []
    last.result.with_suffix(".later").rename(last.result)
    assert names(draw_figures(last.folder))[0] == "mvp_1.0_ablation.png"


def test_a_ceiling_is_shown_over_the_best_run_of_each_model(lab: Lab, ended: Ended) -> None:
    for spread in (0.9, 0.5):
        enriched(last := ended(f"run {spread}"), 100, spread)
    job = bounded(ended)
    assert names(draw_figures(job.folder)) == ["mvp_8.0_snr.png"]
    spec = read_spec(job.spec)
    assert spec is not None
    ((_, picture),) = launch_figures(lab, spec)
    assert "ViT: the best of 2 configurations on validation" in picture.notes
    result = read_result(last.result)
    assert result is not None
    values = {name: x for name, x in result.values.items() if name == "test/r2/log_g"}
    write_result(last.result, replace(result, values=values))
    ((_, picture),) = launch_figures(lab, spec)
    assert "ViT: all 2 configurations shown, no validation scores" in picture.notes
    shown = [curve.name for curve in picture.panels[0].curves if not curve.reference]
    assert shown == ["ViT run 0.9", "ViT run 0.5"]
    enriched(ended("run 0.5 seed=43"), 100, 0.5, 43)
    ((_, picture),) = launch_figures(lab, spec)
    assert "ViT: all 2 configurations (3 jobs) shown, no validation scores" in picture.notes
    enriched(later := ended("later", mvp="2.0", model="MLP"), 100, 0.5)
    assert names(draw_figures(later.folder))[-1] == "mvp_8.0_snr.png"  # with it, too


def test_a_job_outside_a_lab_or_of_no_roadmap_draws_nothing(lab: Lab, ended: Ended) -> None:
    job = ended("one")
    enriched(job, 100, 0.5)
    (lab.paths.roadmaps / "plan_roadmap.md").unlink()
    spec = read_spec(job.spec)
    assert spec is not None
    assert draw_figures(job.folder) == []
    assert run.have_figures_drawn(job, spec) == ""


def test_what_goes_wrong_with_a_figure_is_a_note(
    ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended("one")
    spec = read_spec(job.spec)
    assert spec is not None

    def broken(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(returncode=1, stdout="", stderr="Traceback\nValueError: no font\n")

    monkeypatch.setattr("vitlab.recipes.run.subprocess.run", broken)
    assert run.have_figures_drawn(job, spec) == "no figures: ValueError: no font"


def test_what_was_drawn_is_linked_where_the_results_are_written(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    text = roadmap.read_text(encoding="utf-8")
    spec = "\n### MVP-1.0: The run\n\n| Item | Content |\n|------|---------|\n| Goal | know |\n"
    roadmap.write_text(text + spec, encoding="utf-8")
    job = ended("one", profile="demo")
    enriched(job, 100, 0.5)
    found = read_spec(job.spec)
    assert found is not None
    assert "drew roadmaps/img/mvp_1.0_training_demo.png" in run.have_figures_drawn(job, found)
    accept(lab, pending(lab, roadmap))
    links = ", ".join(
        f"[{kind}](./img/mvp_1.0_{kind}_demo.png)" for kind in ("parity", "residuals", "training")
    )
    assert f"| Figures | {links} |" in roadmap.read_text(encoding="utf-8")
    (report,) = roadmap.parent.glob("exp_*.md")
    assert report.read_text(encoding="utf-8").count("_demo.png>)") == 3
    assert json.loads(job.result.read_bytes())["figures"] == []


def test_figures_of_two_roadmaps_and_of_a_person_stand_beside_each_other(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    other = roadmap.with_name("other_roadmap.md")
    other.write_bytes(roadmap.read_bytes())
    mine = roadmap.parent / "img/mvp_1.0_parity.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    jobs = {}
    for path in (roadmap, other, roadmap):  # a later launch takes the place of its own figures
        exp_id = f"VIT-20260102-{path.stem}-01"
        jobs[path] = ended("one", roadmap=lab.paths.relative(path), exp_id=exp_id)
        enriched(jobs[path], 100, 0.5)
        draw_figures(jobs[path].folder)
    assert mine.read_bytes() == b"mine"
    own, theirs = "./img/mvp_1.0", "./img/mvp_1.0_other_roadmap"
    shown = [jobs[roadmap].name], [jobs[other].name]
    assert existing_figures(roadmap, "1.0", "full", shown[0]) == {
        "training": f"{own}_training.png",
        "parity": f"{own}_plan_roadmap_parity.png",
        "residuals": f"{own}_residuals.png",
    }
    assert existing_figures(other, "1.0", "full", shown[1]) == {
        kind: f"{theirs}_{kind}.png" for kind in ("training", "parity", "residuals")
    }
    assert len(list(mine.parent.glob("*.png"))) == 7
