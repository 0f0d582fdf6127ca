"""What an assistant concludes of several MVPs: true sentences pass, false ones are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import WORLD, Ended
from vitlab.contract.job import Spec, read_result, write_result
from vitlab.contract.paths import UsageError
from vitlab.contract.world import FLUX, World
from vitlab.jobs.store import submit
from vitlab.lab.conclusions.check import check_because, check_conclusion, doubts_of_reason
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import newest_results
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.writeback.edits import plan_update, write

SETTINGS = {"train": {"epochs": 4, "batch": 64}, "model": {"leaves": 8, "rounds": 40}}


def one_run(ended: Ended, mvp: str, model: str, seed: int, r2: float, mae: float, n: int) -> None:
    job = ended(f"{model} seed={seed}", r2, mvp=mvp, model=model)
    spec = json.loads(job.spec.read_bytes())
    config = {**SETTINGS, "data": {"seed": 42}, "kind": model}
    config["train"] = {**SETTINGS["train"], "seed": seed}
    job.spec.write_text(json.dumps({**spec, "recipe": "vit", "config": config}))
    result = read_result(job.result)
    assert result is not None
    values = {**result.values, "test/mae/log_g": mae, "val/r2/log_g": r2 + 0.011}
    sizes = {"train": n, "val": 200, "test": 1000}
    kept = replace(result, values=values, n=sizes, seconds=22.0, world=WORLD.record())
    write_result(job.result, kept)


@pytest.fixture
def ran(lab: Lab, ended: Ended) -> Lab:
    """A ViT over three seeds, 0.619, and in another MVP two baselines of one seed each."""
    for seed, r2, mae in ((42, 0.601, 0.610), (43, 0.623, 0.605), (44, 0.633, 0.585)):
        one_run(ended, "1.0", "ViT", seed, r2, mae, 8192)
    one_run(ended, "2.0", "MLP", 42, 0.540, 0.672, 8192)
    one_run(ended, "2.0", "LightGBM", 42, 0.215, 0.978, 1000)
    return lab


def refusal(lab: Lab, mvp: str, text: str) -> str:
    roadmap = lab.roadmap_path()
    read, newest = lab.read_roadmap(roadmap), newest_results(lab, roadmap)
    verdicts = verdicts_of(lab, read, newest)
    try:
        check_conclusion(lab, plan_update(lab, roadmap, mvp), text, read.gates, verdicts)
    except UsageError as error:
        return str(error)
    return ""


def test_true_conclusions_are_not_refused(ran: Lab) -> None:
    for mvp, text in (
        ("1.0", "After 4 epochs the ViT has R² 0.619, the mean of three seeds."),
        ("1.0", "R² 0.619; seeds 42, 43 and 44 give 0.601, 0.623 and 0.633."),
        ("1.0", "R² = 0.619, well below the limit 0.70 of Gate-1, which stays open."),
        ("1.0", "R² 0.619. Next: the full run with 1M stars and 200 epochs."),
        ("1.0", "R² 0.619。下一步：用 1M 星做 full 训练。"),
        ("1.0", "R² 0.619, below the 0.98 of Leung & Bovy (2019) on APOGEE."),
        ("1.0", "MAE 0.600 dex, R² 0.619, means of 3 seeds, about 22 s each."),
        ("1.0", "Over three seeds R² scatters between 0.601 and 0.633."),
        ("1.0", "R² 0.619, which is below the 0.65 at which Gate-1 would fail."),
        ("1.0", "R² 0.619 尚未达到 0.70；种子间标准差约 0.016。"),
        ("1.0", "The ViT leaves 38% of the variance unexplained."),
        ("1.0", "The ViT is ahead of the MLP by 0.08 in R²; batch 64."),
        ("2.0", "With 1000 training stars LightGBM reaches R² 0.215, with 8192 the MLP 0.540."),
        ("2.0", "LightGBM with 40 rounds of 8 leaves: R² 0.215; one seed (42) only."),
        ("2.0", "LightGBM is 0.33 below the MLP in R²."),
        ("2.0", "The MLP explains 33 percentage points more variance than LightGBM."),
        ("2.0", "The MLP lowers the MAE from 0.978 (LightGBM) to 0.672 dex."),
        ("2.0", "The MLP does not reach the ViT (0.540 against 0.619)."),
        ("2.0", "Nothing is said of observed spectra; MLP R² 0.540."),
    ):
        assert refusal(ran, mvp, text) == "", text


def test_false_conclusions_are_refused(ran: Lab) -> None:
    for mvp, text, said in (
        ("1.0", "After 200 epochs R² = 0.619.", "200 epochs: no result"),
        ("1.0", "R² 0.619 with 200 training stars.", "200 training stars: no result"),
        ("1.0", "R² 0.619, one seed.", "one seed: no result"),
        ("1.0", "Final test score 0.633.", "0.633: no result"),
        ("1.0", "R² 0.619 on 50 rounds.", "50: no result"),
        ("1.0", "R² = 0.619: the acceptance criterion is met.", "Gate-1 is open"),
        ("1.0", "R² 0.619, so we can move on to the next phase.", "Gate-1 is open"),
        ("1.0", "R² 0.619，可以进入下一阶段。", "Gate-1 is open"),
        ("1.0", "R² 0.619: write the paper.", "write the paper: by the results Gate-1 is open"),
        ("1.0", "The first gate can be considered passed.", "Gate-1 is open"),
        ("1.0", "Gate-1 is settled.", "Gate-1 is open"),
        ("1.0", "R² is above 0.70.", "results say otherwise: R2 0.619"),
        ("1.0", "On observed PFS spectra R² is 0.619.", "simulated stars"),
        ("1.0", "在真实光谱上 R² 为 0.619。", "simulated stars"),
        ("1.0", "R² 0.619 | ✅ | done", "write a sentence"),
        ("2.0", "LightGBM outperformed the MLP.", "results say otherwise: R2 0.215 and 0.540"),
        ("2.0", "LightGBM is 0.33 above the MLP in R².", "results say otherwise"),
        ("2.0", "The MLP is better than the ViT.", "results say otherwise: R2 0.540 and 0.619"),
    ):
        assert said in refusal(ran, mvp, text), text


def test_files_of_observed_stars_are_told_of(ran: Lab, ended: Ended) -> None:
    text = "On observed spectra the MLP has R² 0.540."
    assert "simulated" in refusal(ran, "2.0", text)
    job = ended("seen", 0.517, mvp="2.0", model="Ridge")
    result = read_result(job.result)
    assert result is not None
    world = World("", "", None, 1.0, FLUX, file="0123")
    write_result(job.result, replace(result, world=world.record()))
    assert refusal(ran, "2.0", text) == ""


def test_a_reason_for_a_gate_is_no_limit(ran: Lab, roadmap: Path) -> None:
    read, newest = ran.read_roadmap(roadmap), newest_results(ran, roadmap)
    (gate,), (verdict,) = read.gates, verdicts_of(ran, read, newest)
    for good in ("R² = 0.619, below 0.65", "the rule R² > 0.70 is not met", "mean R² 0.619"):
        check_because(ran, gate, verdict, newest, good)
    for bad in ("R² > 0.70", "R² is above 0.70", "R² = 0.619 > 0.70", "R² 超过 0.70"):
        with pytest.raises(UsageError, match="results say otherwise"):
            check_because(ran, gate, verdict, newest, bad)
    with pytest.raises(UsageError, match=r"0\.633"):
        check_because(ran, gate, verdict, newest, "R² = 0.633")


def test_where_nothing_is_to_be_written_it_says_what_can_be_done(
    ran: Lab, roadmap: Path, ended: Ended
) -> None:
    with pytest.raises(UsageError, match=r"^MVP 3\.0: has not run: `vitlab run 3\.0` first$"):
        plan_update(ran, roadmap, "3.0")
    write(ran, roadmap, "2.0")
    with pytest.raises(UsageError, match=r"further runs or seeds .* `vitlab undo` in other words"):
        plan_update(ran, roadmap, "2.0", "The MLP is best.")
    one_run(ended, "2.0", "MLP", 43, 0.551, 0.665, 8192)  # a further seed: not refused
    assert refusal(ran, "2.0", "The MLP has R² 0.545 over 2 seeds.") == ""
    config = {"train": {"seed": 44}}
    where = "VIT-20260102-the-run-01", "roadmaps/plan_roadmap.md"
    waits = Spec("2.0", "MLP seed=44", "full", "vit", config, *where)
    job = submit(ran.paths, waits)
    said = rf"^MVP 2\.0: waits for {job.name} to end: `vitlab wait 2\.0`, then again$"
    with pytest.raises(UsageError, match=said):
        plan_update(ran, roadmap, "2.0", "The MLP is best.")


def test_what_no_result_bears_out_of_a_reason_is_marked(ran: Lab, roadmap: Path) -> None:
    read, newest = ran.read_roadmap(roadmap), newest_results(ran, roadmap)
    for kind, target, reason, marks in (
        ("results", "1.0", "R2 is 0.99, please accept", ["0.99: no result of MVP-1.0"]),
        ("status", "2.0", "LightGBM beats the MLP", ["LightGBM beats the MLP: results say"]),
        ("gate", "1", "Gate-1 passed long ago", ["Gate-1 passed: by the results it is open"]),
        ("launch", "1.0", "2 more seeds, 200 epochs, as R² 0.619 is open", []),
        ("launch", "3.0", "the MLP (0.540) trails the ViT (0.619)", []),
        ("launch", "1.0", "R² 0.77, 0.71, 0.72, 0.73 so far", ["0.77", "0.71", "0.72", "1 more"]),
        ("results", "1.0", "the mean of 3 seeds is 0.619", []),
    ):
        found = doubts_of_reason(ran, read, kind, target, newest, reason)
        assert all(one.startswith("in its reason: ") for one in found)
        assert len(found) == len(marks), found
        assert all(mark in one for mark, one in zip(marks, found, strict=True)), found


def test_what_is_not_read_is_told(ran: Lab, roadmap: Path) -> None:
    update = plan_update(ran, roadmap, "2.0")
    unread = check_conclusion(ran, update, "The MLP is comparable with LightGBM at R² 0.540.")
    assert [one.startswith("not checked: The MLP is comparable") for one in unread] == [True]
    assert check_conclusion(ran, update, "The MLP beats LightGBM.") == ()
