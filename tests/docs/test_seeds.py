"""What a gate concludes from seeds, from missing errors and choices, leaks and unequal sides."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import pytest

from tests.docs.cases import Stated
from vitlab.contract.checks import CEILING, LABELS, Check
from vitlab.contract.job import CORE_HOURS, DRAWS, Result
from vitlab.docs.judge.ceiling import Ceiling, Share
from vitlab.docs.judge.comparison import Evidence, NoEvidence, Ranking, seeds_gap
from vitlab.docs.judge.conclusion import best_result, conclusion
from vitlab.docs.judge.errors import SeedScatter, expected_maximum, few_runs, stars_error
from vitlab.docs.judge.gates import Verdict, judge
from vitlab.docs.judge.phrases import phrase
from vitlab.docs.judge.seeds import Repeats, pooled
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.source import Document

R2, VAL, ERROR = "test/r2/log_g", "val/r2/log_g", 0.004
WORLD = {
    "simulator": "s", "prior": "p", "mag": [20.5, 22.5], "noise": 1.0, "inputs": "flux", "file": "",
}  # fmt: skip
PLAN = """\
### Gate-2: g

| Item | Content |
|---|---|
| MVP | MVP-1.0 |
| If {rule} | ✅ go on |

| MVP | Name | Status |
|---|---|---|
| 1.0 | x | ⏳ |
| 2.0 | y | ⏳ |
"""


def one(
    r2: float,
    run: str = "main",
    model: str = "ViT",
    *,
    mvp: str = "1.0",
    recipe: str = "vit",
    error: float | None = ERROR,
    val: float | None = None,
    data: Mapping[str, object] | None = None,
    train: int = 1000,
    more: Mapping[str, float] | None = None,
) -> Result:
    """A full result on 10,000 test stars; `more`: further values, `mae__T_eff` on test."""
    values: dict[str, float | None] = {R2: r2, VAL: r2 if val is None else val}
    values |= {f"test/{name.replace('__', '/')}": x for name, x in (more or {}).items()}
    errors = {name: error for name in values if error and name.startswith("test")}
    return Result(
        mvp, run, "full", recipe, values, errors, {"train": train, "val": 1000, "test": 10_000},
        {"name": model}, {"source": "grid", "hash": "h", **(data or {})}, world=WORLD,
    )  # fmt: skip


def verdict(
    rule: str,
    *results: Result,
    evidence: Evidence = NoEvidence(),  # noqa: B008 - frozen
) -> Verdict:
    plan = parse_roadmap(Document(PLAN.format(rule=rule)))
    return judge(plan.gates[0], results, plan, evidence)


def seeds(*numbers: float, model: str = "ViT", mvp: str = "1.0") -> list[Result]:
    return [one(x, f"main seed={k}", model, mvp=mvp) for k, x in enumerate(numbers)]


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        ("bias < 0.02", {"bias__log_g": -0.40}, "open"),  # another rule would fail it
        ("bias < 0.05", {"bias__log_g": 0.001}, "pass"),
        ("bias > -0.02", {"bias__log_g": 0.4}, "pass"),
        ("MAE < 50 K", {"mae__log_g": 0.44}, "manual"),
        ("MAE T_eff < 50 K", {"mae__log_g": 0.44, "mae__T_eff": 40.0}, "pass"),
        ("MAE(T_eff) < 50 K", {"mae__log_g": 0.44, "mae__T_eff": 60.0}, "open"),
        ("scatter < 0.5", {"scatter__log_g": 0.44}, "pass"),
        ("scatter < 0.5", {"scatter__log_g": 0.6}, "open"),
        ("R²_test(ViT) > 0.6", {}, "pass"),
        ("R²_test(LightGBM) > 0.6", {}, "open"),
    ],
)
def test_a_rule_is_about_the_number_it_names(
    rule: str, values: dict[str, float], expected: str
) -> None:
    found = verdict(rule, one(0.7, more=values))
    assert found.verdict == expected
    if expected == "open" and values:
        assert ">= " not in found.because
        assert " not <" in found.because


def test_three_seeds_around_the_limit_do_not_pass() -> None:
    found = verdict("R² > 0.70", *seeds(0.690, 0.700, 0.716))
    assert found.verdict == "open"
    assert "R²_test = 0.702 ± 0.018 (mean of 3 seeds) is within its full " in found.because
    assert "full error of 0.17 of the limit 0.7" in found.because
    assert verdict("R² > 0.70", *seeds(0.730, 0.732, 0.731)).verdict == "pass"
    assert verdict("R² > 0.70", *seeds(0.668, 0.670, 0.669)).verdict == "open"
    assert verdict("R² < 0.70", *seeds(0.668, 0.670, 0.669)).verdict == "pass"


def test_the_error_of_few_seeds_is_students() -> None:
    for freedom, factor in ((1, 6.984), (2, 2.263), (3, 1.653), (4, 1.435), (7, 1.214)):
        assert few_runs(freedom) == pytest.approx(factor, abs=1e-3)
    assert few_runs(math.inf) == 1.0
    group = Repeats(tuple(seeds(0.690, 0.700, 0.716)))
    scatter = statistics.stdev((0.690, 0.700, 0.716))
    mean = group.seed_mean(R2, None)
    assert mean
    assert mean.error == pytest.approx(2.2634 * scatter / math.sqrt(3), rel=1e-3)
    assert pooled([group, Repeats(tuple(seeds(0.5)))], R2) == SeedScatter(scatter, 2)


def test_the_best_of_n_errors_is_in_closed_form() -> None:
    assert expected_maximum(1) == 0.0
    assert expected_maximum(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-3)
    assert expected_maximum(3) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-3)
    assert expected_maximum(12) == pytest.approx(1.6292, abs=2e-3)


def test_the_side_of_one_seed_is_named_where_the_other_has_several() -> None:
    trees = one(0.70, model="LightGBM", mvp="2.0", recipe="lightgbm")
    found = verdict("ViT > LGBM", *seeds(0.740, 0.741, 0.742), trees)
    assert "LightGBM has one seed, its seed scatter is unknown" in found.because
    assert "mean of 3 seeds" in found.because
    assert "one seed, the seed scatter" in verdict("ViT > LGBM", one(0.74), trees).because


def test_one_seed_closes_a_comparison_only_beyond_a_known_scatter() -> None:
    pair = one(0.74), one(0.70, model="LightGBM", mvp="2.0", recipe="lightgbm")
    found = verdict("ViT > LGBM", *pair)
    assert found.verdict == "open"
    assert "one seed, the seed scatter is unknown" in found.because
    assert verdict("ViT > LGBM", *pair, evidence=Stated()).verdict == "pass"
    near = replace(pair[0], values={R2: 0.71, VAL: 0.71})
    assert verdict("ViT > LGBM", near, pair[1], evidence=Stated()).verdict == "open"
    template = replace(pair[1], recipe="template")
    repeated = verdict("ViT > LGBM", *seeds(0.740, 0.741, 0.742), template)
    assert repeated.verdict == "pass"
    assert "mean of 3 seeds" in repeated.because
    assert "one seed" in verdict("R² > 0.6", pair[0]).because


def test_a_worse_model_of_another_mvp_lowers_no_bar() -> None:
    """Though it had as many stars as the other side, it is none of the gate's own."""
    own = one(0.72, model="LightGBM", recipe="lightgbm", train=900)
    poor = one(0.60, model="LightGBM", mvp="2.0", recipe="lightgbm")
    vit = one(0.66, mvp="2.0")
    for others in ((vit, own), (vit, own, poor)):
        found = verdict("ViT > LGBM", *others, evidence=Stated())
        assert found.values[f"lightgbm/{R2}"] == 0.72
        assert found.verdict == "open"  # it has no rule for a failure
    assert verdict("ViT > LGBM", vit, poor, evidence=Stated()).verdict == "pass"
    elsewhere = replace(own, data={"hash": "other"})  # cannot be compared: the others' are
    assert verdict("ViT > LGBM", vit, elsewhere, poor, evidence=Stated()).verdict == "pass"


def test_seeds_of_one_method_seldom_differ() -> None:
    generator = random.Random(1)
    wrong = pairs = 0
    for _ in range(300):
        runs = [Repeats((one(0.7 + generator.gauss(0, 0.0044)),)) for _ in range(4)]
        for a, b in combinations(runs, 2):
            gap = seeds_gap(a, b, R2, _Known(SeedScatter(0.0044, 7)))
            assert gap is not None
            pairs, wrong = pairs + 1, wrong + (not gap.is_noise)
    assert wrong / pairs < 0.046


class _Known(NoEvidence):
    def __init__(self, scatter: SeedScatter) -> None:
        object.__setattr__(self, "scatter", scatter)

    def seed_scatter(self, result: Result, name: str) -> SeedScatter | None:  # noqa: ARG002
        return self.scatter  # type: ignore[attr-defined,no-any-return]


def test_a_sweeps_best_is_told_with_its_choice_and_corrected_for_it() -> None:
    alone = verdict("R² > 0.70", one(0.73))
    assert alone.verdict == "pass"
    swept = verdict(
        "R² > 0.70", one(0.73, "best", val=0.8), *(one(0.6, f"r{k}") for k in range(11))
    )
    assert swept.verdict == "open"
    best = "best of 12 on validation, on average up to 0.0065 of it from the selection"
    assert best in swept.because


def test_without_a_validation_score_nothing_is_chosen() -> None:
    cells = [replace(one(0.60 + k / 100, f"r{k}"), values={R2: 0.60 + k / 100}) for k in range(12)]
    found = verdict("R² > 0.70", *cells)
    assert found.verdict == "open"
    assert "12 configurations, R²_test: not chosen: no validation score" in found.because
    assert best_result(cells) is None
    said = conclusion(cells, "en")
    assert said == "12 runs, R²_test=0.600..0.710; not chosen: no validation score"
    assert "未选择" in conclusion(cells, "zh")


def test_a_number_without_an_error_closes_only_what_its_stars_can_resolve() -> None:
    near = verdict("R² > 0.7109", one(0.7110, error=None))
    assert (near.verdict, "± 0.012" in near.because) == ("open", True)
    assert verdict("R² > 0.5", one(0.7110, error=None)).verdict == "pass"
    nobody = replace(one(0.9, error=None), n={})
    found = verdict("R² > 0.5", nobody)
    assert (found.verdict, "error unknown" in found.because) == ("open", True)
    assert stars_error(replace(one(0.7), values={VAL: 0.7}), VAL) == pytest.approx(ERROR * 10**0.5)


def test_a_model_scored_again_is_not_its_own_score() -> None:
    own, again = one(0.6), one(0.9, "again", recipe="evaluate")
    assert verdict("R² < 0.65", own, again).verdict == "pass"
    assert verdict("R² > 0.8", again).verdict == "pass"  # an MVP that scores another file


@pytest.mark.parametrize("name", [CEILING, LABELS])
def test_what_fails_a_check_decides_nothing(name: str) -> None:
    check = Check("fail", 0.3, 0.03) if name == CEILING else Check("fail", 12, 0, 10_000)
    leak = replace(one(0.95, "leak"), checks={name: check.record()})
    for others in ((), (one(0.72, "honest"),)):
        found = verdict("R² > 0.70", leak, *others)
        assert (found.verdict, "decides nothing" in found.because) == ("open", True)
    trees = one(0.6, model="LightGBM", mvp="2.0")
    assert verdict("ViT > LGBM", leak, trees, evidence=Stated()).verdict == "open"


def test_a_control_that_learns_leaves_its_mvp_undecided() -> None:
    control = one(0.2, "control", data={"permuted": True})
    found = verdict("R² > 0.6", one(0.8), control)
    assert found.verdict == "open"
    assert "a control on permuted labels fails: control" in found.because
    assert verdict("R² > 0.6", one(0.8), one(0.001, data={"permuted": True})).verdict == "pass"


@pytest.mark.parametrize(("language", "said"), [("en", "decides no gate"), ("zh", "不作任何 Gate")])
def test_a_leak_is_not_told_beside_a_gate_that_passed(language: str, said: str) -> None:
    passed = [Verdict("2", "pass", "")]
    for ranking in (
        Ranking(ceiling=Ceiling(0.5, 0.01), share=Share(1.69, 0.03), leak=True),
        Ranking(failed=(phrase("as_is", "12"),)),
    ):
        text = conclusion([one(0.9)], language, passed, ranking)
        assert said in text
        assert "pass" not in text
        assert "通过" not in text


def test_unequal_sides_are_named_and_do_not_pass() -> None:
    cost = {DRAWS: 12_300_000, CORE_HOURS: 31.0}
    ours = one(0.75, data=cost, train=12_300_000)
    theirs = one(0.6, model="LightGBM", mvp="2.0", data={DRAWS: 100_000}, train=100_000)
    found = verdict("ViT > LGBM", ours, theirs, evidence=Stated())
    assert found.verdict == "open"
    assert "unequal" in found.because
    assert "ViT: 12.3M stars, 12.3M noise draws, 31 core-hours" in found.because
    assert "LightGBM: 100k stars, 100k noise draws, core-hours unknown" in found.because
    # Equal stars, but a network sees new noise in each epoch.
    epochs = one(0.75, data={DRAWS: 1_000_000}, train=100_000)
    assert verdict("ViT > LGBM", epochs, theirs, evidence=Stated()).verdict == "open"
    copies = replace(theirs, data={**theirs.data, DRAWS: 1_000_000})
    assert verdict("ViT > LGBM", epochs, copies, evidence=Stated()).verdict == "pass"
    # What is behind in spite of more is behind.
    assert (
        verdict(
            "LGBM > ViT", one(0.5, data=cost, train=12_300_000), theirs, evidence=Stated()
        ).verdict
        == "pass"
    )
    delta = verdict("ΔR² (vs LightGBM) > 0.02", ours, theirs, evidence=Stated())
    assert (delta.verdict, "unequal" in delta.because) == ("open", True)
