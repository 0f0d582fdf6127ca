"""Trained models scored again give what their jobs said, and new numbers on new data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from tests.recipes.test_run import CONFIGS, DATA
from vitlab.cli import main as vitlab
from vitlab.commands.evaluate import print_reports
from vitlab.contract.checks import CEILING, CONTENT, LABELS, read_check, unknown
from vitlab.contract.job import Result, Spec, read_result
from vitlab.contract.paths import JobPaths, UsageError, find_lab
from vitlab.contract.world import read_world
from vitlab.jobs.store import all_jobs
from vitlab.lab.inspector.observed import open_observer
from vitlab.lab.inspector.server import open_inspector
from vitlab.lab.results.ceilings import ceilings
from vitlab.ml.baselines.model_file import load_model, save_model
from vitlab.ml.baselines.ridge import Ridge
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.inputs import Inputs
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import WAVE, make_file
from vitlab.ml.spectra.simulate import Simulator
from vitlab.recipes import evaluate, run
from vitlab.recipes.evaluate import rescore
from vitlab.recipes.sealed import score_sealed

EXP_ID = "VIT-20260101-x-01"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a ViT, trees and a template fit that have ended."""
    root = tmp_path_factory.mktemp("lab")
    (root / "vitlab.yaml").write_text("{}\n")
    (root / "roadmaps").mkdir()
    for number, recipe in enumerate(("vit", "lightgbm", "template"), start=1):
        assert ran(root, recipe, recipe, CONFIGS[recipe], f"{number}.0").returncode == 0
    return root


class ran:  # noqa: N801 - reads as what happened
    def __init__(
        self, root: Path, name: str, recipe: str, config: dict[str, Any], mvp: str = "9.0"
    ) -> None:
        self.paths = JobPaths(root / "experiments" / EXP_ID / name)
        self.paths.folder.mkdir(parents=True)
        extra = {"wandb": {"mode": "off"}}
        spec = Spec(
            mvp, "main", "full", recipe, config, EXP_ID, "roadmaps/r.md", device="cpu", extra=extra
        )
        self.paths.spec.write_bytes(spec.to_json())
        self.returncode = run.main([str(self.paths.folder)])
        record = {"v": 1, "code": 0, "reason": "ok", "started": 1.0, "ended": 2.0}
        self.paths.exit.write_text(json.dumps(record))

    @property
    def result(self) -> Result:
        found = read_result(self.paths.result)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(load_grid(), load_noise())


@pytest.fixture(scope="module")
def spectra(lab: Path, simulator: Simulator) -> Path:
    """A file of 50 stars; its first 10 are the last of the 64 the models were trained on."""
    file = lab / "some.h5"
    list(make_file(simulator, 54, 104, file))
    return file


def evaluated(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str
) -> list[dict[str, Any]]:
    monkeypatch.chdir(lab)
    capsys.readouterr()
    assert vitlab(["evaluate", *args, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_every_model_says_again_what_its_job_said(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = evaluated(lab, capsys, monkeypatch, "1.0", f"{EXP_ID}/lightgbm", "3.0")
    assert [report["model"] for report in reports] == ["ViT", "LightGBM", "TemplateFit"]
    fitted = load_residuals(lab / reports[2]["residuals"])
    assert fitted.sigma is not None
    assert (fitted.sigma > 0).all()  # a fit knows its own uncertainty
    for report in reports:
        for name in ("test/r2/log_g", "test/scatter/log_g"):
            assert report["values"][name] == pytest.approx(report["before"][name], rel=1e-5)
        assert report["n"] == DATA["test_size"]
        assert sum(one["n"] for one in report["bins"] if one["by"] == "mag") == report["n"]
        kept = load_residuals(lab / report["residuals"])
        assert kept.hash == report["data"]["hash"]
        assert (lab / report["residuals"]).name == "residuals.parquet"


def test_a_model_of_another_run_does_not_replace_what_is_kept(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = JobPaths(lab / "experiments" / EXP_ID / "lightgbm")
    text, name = job.result.read_text(encoding="utf-8"), "test/r2/log_g"
    record = json.loads(text)
    record["values"][name] -= 0.05
    job.result.write_text(json.dumps(record), encoding="utf-8")
    (report,) = evaluated(lab, capsys, monkeypatch, f"{EXP_ID}/lightgbm")
    job.result.write_text(text, encoding="utf-8")
    numbers = f"{report['values'][name]:.4f}, its result {record['values'][name]:.4f}"
    assert report["failed"] == [f"the model kept here has {name} {numbers}"]
    assert (lab / report["residuals"]).parent == job.evaluations


@pytest.mark.parametrize("recipe", ["vit", "lightgbm"])
def test_a_model_of_another_run_is_asked_nothing(
    lab: Path, spectra: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a backup may bring one: of as many labels and pixels, trained from another seed."""
    monkeypatch.chdir(lab)
    own = JobPaths(lab / "experiments" / EXP_ID / recipe)
    job = JobPaths(shutil.copytree(own.folder, own.folder.with_name("replaced")))
    config = {**CONFIGS[recipe], "data": {**DATA, "seed": 7}}
    other = ran(lab, "other", recipe, config).paths
    config = {"job": f"{EXP_ID}/replaced", "source": str(spectra)}
    asked: list[Callable[[], object]] = [
        lambda: open_observer(job),
        lambda: rescore(job, str(spectra)),
        lambda: score_sealed(job, 20),
    ]
    for ask in asked:
        assert ask()
    assert not open_inspector(job, lambda _: None).notes
    shutil.rmtree(job.checkpoints)
    shutil.copytree(other.checkpoints, job.checkpoints)
    for ask in asked:
        with pytest.raises(UsageError, match="replaced: the model kept here is not that of its"):
            ask()
    sheet = open_inspector(job, lambda _: None)
    assert "the model kept here is not that" in sheet.notes[0]
    kept = load_residuals(own.residuals).predicted[3]
    assert [*sheet.star(3, "log_g").guesses[0].values.values()] == pytest.approx(kept)
    evaluations = [config]
    if recipe == "vit":  # trees of a blink score alike, whatever they learned from
        assert rescore(job).unlike()
        evaluations.append({"job": f"{EXP_ID}/replaced"})
    for config in evaluations:
        again = ran(lab, "again", "evaluate", config)
        assert (again.returncode != 0, again.paths.result.exists()) == (True, False)
        shutil.rmtree(again.paths.folder)
    for name in ("replaced", "other"):
        shutil.rmtree(own.folder.with_name(name))


def test_a_model_is_scored_on_a_file_and_a_leak_is_seen(
    lab: Path,
    spectra: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reports = evaluated(lab, capsys, monkeypatch, "1.0", "2.0", "--data", str(spectra))
    assert [report["overlap"] for report in reports] == [10, 10]
    assert all(report["n"] == 50 and report["before"] == {} for report in reports)
    assert "evaluations/some-" in reports[0]["residuals"]
    (quiet,) = evaluated(lab, capsys, monkeypatch, "1.0", "--data", str(spectra), "--noise", "0.1")
    assert quiet["data"]["hash"] != reports[0]["data"]["hash"]
    assert (quiet["world"]["noise"], reports[0]["world"]["noise"]) == (0.1, 1.0)
    assert quiet["world"]["file"] == reports[0]["world"]["file"] != ""
    snr = [report["bins"][-1]["high"] for report in (quiet, reports[0])]
    assert snr[0] == pytest.approx(10 * snr[1], rel=1e-4)
    config = {"job": "2.0", "source": str(spectra)}
    job = ran(lab, "again", "evaluate", config)
    assert job.returncode == 0
    assert job.result.model_name == "LightGBM"
    assert job.result.data["overlap"] == 10
    # A file is a world of its own: whatever ceiling the lab has of its grid, it is not this one's.
    assert job.result.world == reports[1]["world"]
    assert read_check(job.result.checks, CEILING) == unknown("no_ceiling")
    assert job.result.values["test/r2/log_g"] == pytest.approx(
        reports[1]["values"]["test/r2/log_g"]
    )


def test_a_file_s_own_ceiling_is_what_its_scores_are_held_against(
    lab: Path,
    spectra: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(lab)
    assert vitlab(["ceiling", "--data", str(spectra), "--stars", "4"]) == 0
    name, data = "test/r2/log_g", ("--data", str(spectra))
    (report,) = evaluated(lab, capsys, monkeypatch, "2.0", *data)
    r2, error = report["ceiling"][name]
    assert report["share"][name][0] == pytest.approx(report["values"][name] / r2)
    assert error > 0
    (quiet,) = evaluated(lab, capsys, monkeypatch, "2.0", *data, "--noise", "0.5")
    assert quiet["share"] == {}
    for kept in (lab / ".vitlab" / "ceilings").glob("file-*"):
        kept.unlink()


def test_a_ceiling_has_the_world_of_models_on_its_stars(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    config = {"data": {**DATA, "mag": [21.5, 21.5]}, "labels": ["log_g"]}
    results = []
    for name, recipe, more in (
        ("bound", "ceiling", {"bayes": 2, "bayes_each": 0, "mags": [21.5]}),
        ("fit", "template", {"refine": 1}),
    ):
        job = ran(lab, name, recipe, {**config, **more}, "7.0")
        assert job.returncode == 0
        results.append(job.result)
    bound, fit = results
    world = read_world(fit.world)
    assert world is not None
    assert (bound.world, world.mag, world.file) == (fit.world, (21.5, 21.5), "")
    known = ceilings(all_jobs(find_lab(lab)))
    assert known[world, "log_g"].r2 == bound.values["ceiling/r2_bayes/log_g"]
    assert read_check(fit.checks, CEILING).outcome != "unknown"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["1.0/other"], "no result of a run 'other' (there are: main)"),
        (["nothing"], "no job 'nothing'"),
        (["1.0", "--data", "missing.h5"], "--data missing.h5: no such file"),
        (["1.0", "--noise", "-1"], "--noise -1: must be >= 0"),
        (["1.0", "--data", "short.h5"], "pixels from 7100.0 to 8850.0 A, not 8 pixels"),
    ],
)
def test_a_mistake_is_one_line(
    lab: Path,
    spectra: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(lab)
    _shortened(spectra, Path("short.h5"))
    assert vitlab(["evaluate", *args]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_job_s_spectra_are_those_of_the_lab_in_whatever_folder_one_is(
    lab: Path, spectra: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is named from the lab's root; another of this name may be in the folder."""
    vit = lab / "experiments" / EXP_ID / "vit"
    job = JobPaths(shutil.copytree(vit, vit.with_name("of-file")))
    spec = json.loads(job.spec.read_bytes())
    sizes = {"train_size": 20, "val_size": 10, "test_size": 20}
    data = {**spec["config"]["data"], **sizes, "source": spectra.name}
    job.spec.write_text(json.dumps({**spec, "config": {**spec["config"], "data": data}}))
    (lab / "sub").mkdir()
    list(make_file(simulator, 104, 154, lab / "sub" / spectra.name))
    found = []
    for folder in (lab, lab / "sub"):
        monkeypatch.chdir(folder)
        found.append(rescore(job))
    assert found[0].residuals.hash == found[1].residuals.hash
    assert found[0].named() == found[1].named()
    shutil.rmtree(job.folder)


def test_a_file_that_was_replaced_is_not_what_it_was_trained_on(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By other noise alone, other training stars, or the same in another order."""
    monkeypatch.chdir(lab)
    whole = lab / "whole.h5"
    list(make_file(Simulator(load_grid(), load_noise()), 0, 90, whole))
    arrays = ("flux", "error")
    with h5py.File(whole) as file:
        before = {name: file[f"dataset/arrays/{name}/value"][()] for name in arrays}
    data = {"source": "whole.h5", "train_size": 50, "val_size": 20, "test_size": 20}
    config = {**CONFIGS["ridge"], "data": data}
    job = ran(lab, "replaced", "ridge", config).paths
    kept = job.residuals.read_bytes()
    assert rescore(job).named()[0]
    for name, rows, factor, step in (
        ("error", slice(70, 90), 1 / 3, 1),
        ("flux", slice(0, 50), 1.0, -1),
        ("flux", slice(87, 90), 1.0, -1),
    ):
        with h5py.File(whole, "r+") as file:
            for each in arrays:
                file[f"dataset/arrays/{each}/value"][...] = before[each]
            file[f"dataset/arrays/{name}/value"][rows] = factor * before[name][rows][::step]
        evaluate._open.cache_clear()
        with pytest.raises(UsageError, match=r"whole\.h5 is not the file it was trained on any"):
            rescore(job)
        scored = rescore(job, "whole.h5")
        assert scored.overlap is None
        assert [scored.checks[one].reason for one in (CONTENT, LABELS)] == ["changed"] * 2
    assert job.residuals.read_bytes() == kept
    shutil.rmtree(job.folder)


def test_simulated_stars_of_another_grid_are_not_what_it_was_trained_on(
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    """Or of other noise, as after an upgrade."""
    evaluate._open.cache_clear()  # a data set that is open keeps its hash
    request.addfinalizer(evaluate._open.cache_clear)
    monkeypatch.chdir(lab)
    job = JobPaths(lab / "experiments" / EXP_ID / "template")
    monkeypatch.setattr("vitlab.ml.spectra.dataset.STREAMS", "another")
    why = "template: simulated stars are not those it was trained on any more"
    with pytest.raises(UsageError, match=why):
        rescore(job)
    with pytest.raises(UsageError, match=why):
        score_sealed(job, 10)
    assert vitlab(["evaluate", f"{EXP_ID}/template", "--data", "grid", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["overlap"], report["before"]) == (None, {})
    reference: Any = SimpleNamespace(grid=load_grid())
    assert why in open_observer(job, {None: reference}).notes[0]


def test_the_medium_of_a_model_is_that_of_its_training(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of what its file has become."""
    monkeypatch.chdir(lab)
    data = {"source": "then.h5", "train_size": 50, "val_size": 20, "test_size": 20}
    references: Any = {None: SimpleNamespace(grid=load_grid())}

    def made(start: int, medium: str) -> None:
        list(make_file(Simulator(load_grid(), load_noise()), start, start + 90, lab / "then.h5"))
        with h5py.File(lab / "then.h5", "r+") as file:
            file[WAVE].attrs.pop("medium", None)
            if medium:
                file[WAVE].attrs["medium"] = medium

    for then in ("air", ""):
        (lab / "then.h5").unlink(missing_ok=True)
        made(0, then)
        run = ran(lab, f"trained in {then}", "ridge", {**CONFIGS["ridge"], "data": data})
        job, before = run.paths, open_observer(run.paths, references)
        assert (run.result.data.get("medium", ""), before.notes) == (then, ())
        (lab / "then.h5").unlink()
        made(500, "vacuum")
        if then:
            after = open_observer(job, references)
            assert after.wave.tolist() == before.wave.tolist()
            assert "then.h5 is not the file it was trained on any more" in after.notes[0]
        else:
            with pytest.raises(UsageError, match="whether its wavelengths were in air is not kno"):
                open_observer(job, references)
        (lab / "then.h5").unlink()
        made(0, "vacuum")  # the same spectra
        if then:
            with pytest.raises(UsageError, match="says that it is in vacuum, and said air at its"):
                open_observer(job, references)
        else:
            assert open_observer(job, references).wave[0] < before.wave[0] - 1.9


def test_spectra_in_another_medium_are_refused(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab)
    job = JobPaths(lab / "experiments" / EXP_ID / "vit")
    for medium in ("air", "vacuum"):
        path = lab / f"{medium}.h5"
        list(make_file(Simulator(load_grid(), load_noise()), 0, 60, path))
        with h5py.File(path, "r+") as file:
            file[WAVE].attrs["medium"] = medium
    assert rescore(job, "air.h5").named()[0]
    with pytest.raises(UsageError, match=r"vacuum\.h5: .*/vit was trained in air, not in vacuum"):
        rescore(job, "vacuum.h5")


def test_a_foreign_job_has_no_spectra_outside_the_lab_scored(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their labels would be kept in the lab."""
    monkeypatch.chdir(lab)
    vit = lab / "experiments" / EXP_ID / "vit"
    job = JobPaths(shutil.copytree(vit, vit.with_name("copied")))
    spec = json.loads(job.spec.read_bytes())
    for name in ("source", "grid"):
        odd = {**spec["config"], "data": {**spec["config"]["data"], name: "../private.h5"}}
        job.spec.write_text(json.dumps({**spec, "config": odd}))
        with pytest.raises(UsageError, match=r"its data are outside the lab: \.\./private\.h5"):
            rescore(job)
    Path("list.txt").write_text("../private.h5\n")
    Path("shards").mkdir()
    Path("shards/shard_index.txt").write_text("a.h5\n")
    Path("shards/a.h5").symlink_to("../../private.h5")
    for source in ("list.txt", "shards"):
        odd = {**spec["config"], "data": {**spec["config"]["data"], "source": source}}
        job.spec.write_text(json.dumps({**spec, "config": odd}))
        with pytest.raises(UsageError, match=f"its data are outside the lab: {source}"):
            rescore(job)
    shutil.rmtree(job.folder)


def test_nothing_is_written_through_the_link_of_an_archived_job(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(lab)
    ended = next(path.parent for path in (lab / "experiments").glob("*/*/result.json"))
    archived = shutil.copytree(ended, tmp_path / "archived")
    before = sorted(archived.rglob("*"))
    link = ended.with_name("linked-job")
    link.symlink_to(archived)
    try:
        assert vitlab(["evaluate", "linked-job"]) == 2
    finally:
        link.unlink()
    assert capsys.readouterr().err.endswith(
        "linked-job: a link; nothing is written into the folder it names\n"
    )
    assert sorted(archived.rglob("*")) == before


def test_a_checkpoint_makes_no_network_larger_than_what_it_holds(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(lab)
    vit = lab / "experiments" / EXP_ID / "vit"
    job = JobPaths(shutil.copytree(vit, vit.with_name("copied")))
    best = job.checkpoints / "best.pt"
    document = torch.load(best, weights_only=True)
    for name, number, why in (("hidden", 4096, "more weights"), ("layers", 10**9, "config.layers")):
        torch.save({**document, "config": {**document["config"], name: number}}, best)
        with pytest.raises(UsageError, match=rf"best\.pt: from another version .*{why}"):
            rescore(job)
    repeated = {name: torch.zeros(1).expand(20_000, 20_000) for name in document["model"]}
    config = {**document["config"], "hidden": 4096}
    torch.save({**document, "config": config, "model": repeated}, best)
    with pytest.raises(UsageError, match="more weights than it holds"):
        rescore(job)
    torch.save({**document, "labels": ["T_eff", "M_H"]}, best)  # that of another job in its place
    with pytest.raises(UsageError, match=r"best\.pt: predicts T_eff, M_H, not log_g"):
        rescore(job)
    inputs = document["inputs"]  # the grid was replaced by one of as many pixels
    torch.save({**document, "inputs": {**inputs, "wave": inputs["wave"] + 2.2}}, best)
    with pytest.raises(UsageError, match=r"best\.pt: was trained on .* A, not .* A"):
        rescore(job)
    del inputs["wave"]  # as an earlier vitlab saved it
    torch.save(document, best)
    assert rescore(job).named()[0]
    shutil.rmtree(job.folder)


def _shortened(source: Path, out: Path) -> None:
    with h5py.File(source) as file, h5py.File(out, "w") as short:
        file.copy("dataset/params", short.require_group("dataset"), "params")
        short["spectrumdataset/wave"] = file["spectrumdataset/wave"][:8]
        for name in ("flux", "error", "mask"):
            short[f"dataset/arrays/{name}/value"] = file[f"dataset/arrays/{name}/value"][:, :8]


TWO = ["T_eff", "log_g"]


def test_a_ridge_is_kept_without_code(tmp_path: Path) -> None:
    import torch

    ridge = Ridge(np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0]), 10.0)
    wave = np.array([7100.0, 7101.0, 7102.0])
    save_model(tmp_path, ridge, Inputs("whitened", torch.tensor([1.0, 2.0, 3.0]), wave), TWO)
    model, inputs = load_model(tmp_path, TWO, wave)
    x = np.ones((1, 3), dtype=np.float32)
    np.testing.assert_array_equal(model.predict(x), ridge.predict(x))
    assert (inputs.kind, inputs.sigma.tolist()) == ("whitened", [1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="predicts T_eff, log_g, not log_g, T_eff"):
        load_model(tmp_path, TWO[::-1], wave)  # with as many labels its weights would fit
    with pytest.raises(
        UsageError, match=r"on 3 pixels from 7100\.0 to 7102\.0 A, not 3 .* 7102\.5 A"
    ):
        load_model(tmp_path, TWO, wave + 0.5)
    (tmp_path / "best.npz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match="not a readable model"):
        load_model(tmp_path, TWO, wave)
    np.savez(tmp_path / "best.npz", format=1, kind=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="not a readable model"):
        load_model(tmp_path, TWO, wave)
    for other in (replace(ridge, weights=ridge.weights[:2]), replace(ridge, intercept=np.ones(1))):
        save_model(tmp_path, other, Inputs("whitened", torch.ones(3), wave), TWO)
        with pytest.raises(UsageError, match="not a readable model"):
            load_model(tmp_path, TWO, wave)


@pytest.mark.parametrize("name", ["test/r2/log_g", "test/log_score/log_g"])
def test_a_log_score_is_shown_where_there_is_one(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, Any] = {"n": 9, "values": {name: -0.5}, "errors": {name: 0.03}}
    others = {"failed": [], "share": {}, "excluded": {}, "residuals": "r.parquet"}
    print_reports([{"job": "J", "model": "ViT", **values, "bins": [], **others}])
    header, row, _ = capsys.readouterr().out.splitlines()
    assert row.split()[3] == "9"
    assert "-0.50 ± 0.03" in row
    assert ("LOG_SCORE LOG_G" in header) == ("log_score" in name)
