"""Gates that are judged at each seed: how often they close, and what an open one needs."""

from __future__ import annotations

import importlib.util
import math
import random
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.cases import Stated
from tests.docs.test_seeds import PLAN, R2, one, seeds, verdict
from vitlab.contract.job import CORE_HOURS, Result
from vitlab.docs.judge.conclusion import conclusion
from vitlab.docs.judge.errors import ALPHA, SeedMean, SeedScatter, Spread, sequential
from vitlab.docs.judge.gates import judge
from vitlab.docs.judge.needs import needs_of
from vitlab.docs.judge.seeds import Repeats
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.source import Document

WIDTH = 1 / math.sqrt(0.005)
"""Standard deviation of the effects the sequence is mixed over, in errors of one number."""


def student(t: float, freedom: float) -> float:
    """Density of Student's t."""
    log = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    log -= (freedom + 1) / 2 * math.log1p(t * t / freedom) + math.log(math.pi * freedom) / 2
    return math.exp(log)


def normal(t: float, _: float = math.inf) -> float:
    return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("count", [1, 3, 5, 12, 40])
def test_the_bound_is_where_the_mixture_outweighs_zero_a_hundredfold(count: int) -> None:
    # An effect of normal distribution widens the statistic's own by sqrt(1 + count WIDTH^2).
    for freedom, density in ((math.inf, normal), (count + 6, student)):
        t, wide = sequential(count, freedom), math.sqrt(1 + count * WIDTH**2)
        odds = density(t / wide, freedom) / wide / density(t, freedom)
        if math.isinf(freedom):
            assert odds == pytest.approx(1 / ALPHA)
        else:  # of Student's t with a normal effect: by its own likelihood
            ratio = 1 / wide**2
            expected = math.sqrt(ratio) * (
                (1 + t * t / freedom) / (1 + ratio * t * t / freedom)
            ) ** ((freedom + 1) / 2)
            assert odds == pytest.approx(expected) == pytest.approx(1 / ALPHA)


def test_few_seeds_bound_nothing_and_many_as_much_as_a_known_scatter() -> None:
    assert math.isinf(sequential(2, 1))
    assert sequential(3, 2) > 20 > 10 > sequential(5, 4) > sequential(5, 50) > sequential(5)
    assert sequential(5, 10**6) == pytest.approx(sequential(5), rel=1e-4)


def test_means_leave_the_bound_at_any_look_in_one_of_a_hundred_at_most() -> None:
    draw, left = random.Random(3), [0, 0]
    bounds = [(sequential(k), sequential(k, k - 1) if k > 1 else math.inf) for k in range(1, 31)]
    for _ in range(2000):
        total = squares = 0.0
        out = [False, False]
        for k, (known, estimated) in enumerate(bounds, 1):
            x = draw.gauss(0, 1)
            total, squares = total + x, squares + x * x
            size = abs(total) / math.sqrt(k)
            scatter = math.sqrt(max(squares - total**2 / k, 0.0) / max(k - 1, 1))
            out = [out[0] or size > known, out[1] or (k > 1 and size > estimated * scatter)]
        left = [n + one for n, one in zip(left, out, strict=True)]
    assert max(left) / 2000 <= ALPHA


@pytest.mark.parametrize("others", [2, 6])
def test_a_scatter_from_other_repeats_is_as_safe(others: int) -> None:
    # As `Repeats.seed_mean` has it: the larger of the seeds' own and the lab's, which holds both.
    draw, left = random.Random(4), 0
    bounds = [sequential(k, others + k - 1) for k in range(1, 25)]
    for _ in range(2000):
        elsewhere = sum(draw.gauss(0, 1) ** 2 for _ in range(others))
        total = squares = 0.0
        out = False
        for k, bound in enumerate(bounds, 1):
            x = draw.gauss(0, 1)
            total, squares = total + x, squares + x * x
            own = max(squares - total**2 / k, 0.0)
            scatter = max((elsewhere + own) / (others + k - 1), own / max(k - 1, 1)) ** 0.5
            out = out or abs(total) / math.sqrt(k) > bound * scatter
        left += out
    assert left / 2000 <= ALPHA


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "gates.py"
    if not path.is_file():
        pytest.skip("no benchmarks here")
    spec = importlib.util.spec_from_file_location("gates_benchmark", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("paired", [False, True])
def test_gates_seldom_close_at_no_difference_and_mostly_at_two_errors(
    simulation: ModuleType, monkeypatch: pytest.MonkeyPatch, paired: bool
) -> None:
    scenario = simulation.Scenario(paired, 1.0, known=True)
    true = [simulation.closing(scenario, 2 * scenario.error, k) for k in range(8)]
    assert sum(one is not None and one[1].verdict == "pass" for one in true) >= 6
    false = simulation.closing(scenario, -10 * scenario.error, 0)
    assert false
    assert false[1].verdict == "fail"  # gates of the simulation can close either way
    monkeypatch.setattr(simulation, "BUDGET", 3)
    null = [simulation.closing(scenario, 0.0, k) for k in range(60)]
    assert sum(one is not None for one in null) <= 1


def test_a_verdict_stands_until_it_is_within_two_errors() -> None:
    text = PLAN.format(rule="R² > 0.70").replace("| If ", "| 状态 | ✅ |\n| If ")
    plan = parse_roadmap(Document(text))
    assert judge(plan.gates[0], seeds(0.712), plan).verdict == "pass"
    near = judge(plan.gates[0], seeds(0.707), plan)
    assert (near.verdict, near.reopens) == ("open", True)
    assert verdict("R² > 0.70", one(0.712)).verdict == "open"


def runs(*numbers: float) -> list[Result]:
    """Seeds with an error of 0.0015 over the stars, of 1.5 core-hours each."""
    data = {CORE_HOURS: 1.5}
    return [one(x, f"ViT seed={k}", error=0.0015, data=data) for k, x in enumerate(numbers)]


def test_an_open_gate_tells_what_it_needs_and_how_to_run_it() -> None:
    found = verdict("R² > 0.70", *runs(0.7085, 0.7105, 0.7065), evidence=Stated())
    assert found.needs
    assert (found.needs.seeds, found.needs.stars) == (11, 160_000)
    assert found.because.endswith(
        "; needs 11 more seeds (about 16 core-hours) or 160k more test stars"
    )
    assert found.needs.launch == ("vitlab run 1.0 --profile full --run ViT --seeds 11",)
    (passed,) = (verdict("R² > 0.70", *seeds(0.8, 0.8, 0.8), evidence=Stated()),)
    assert (passed.verdict, passed.needs) == ("pass", None)
    told = conclusion(runs(0.71), "zh", [found])
    assert "；Gate-2 待定：R²_test = 0.709 ± 0.002 " in told
    assert told.endswith("，尚需 11 个随机种子（约 16 核时）或 160k 颗测试恒星")


def test_one_seed_of_each_needs_seeds_and_templates_need_stars() -> None:
    pair = one(0.74), one(0.70, model="LightGBM", mvp="2.0")
    needs = verdict("ViT > LGBM", *pair).needs
    assert needs
    assert needs.stars is None
    assert len(needs.launch) == 2
    template = one(0.71, model="Template", recipe="template")
    needs = verdict("R² > 0.70", template).needs
    assert needs
    assert (needs.seeds, needs.launch) == (None, ())
    assert needs.stars
    hopeless = verdict("R² > 0.70", replace(template, values={R2: 0.7001}))
    assert hopeless.because.endswith("needs more than 100 more seeds or 100 times the test stars")


def test_what_is_needed_closes_four_gates_in_five() -> None:
    draw, scatter, error, value = random.Random(5), 0.006, 0.001, 0.7088

    def closes(count: int) -> float:
        closed = 0
        for _ in range(300):
            star = draw.gauss(0, error)
            numbers = [value + star + draw.gauss(0, scatter) for _ in range(count)]
            spread = Spread(error, (SeedMean(SeedScatter(scatter), count),))
            closed += abs(sum(numbers) / count - 0.70) > spread.reach()
        return closed / 300

    group = Repeats(tuple(one(value, f"main seed={k}", error=error) for k in range(3)))
    known = Spread(error, (SeedMean(SeedScatter(scatter), 3),))
    needs = needs_of(known, value - 0.70, [group])
    assert needs.seeds
    assert closes(3 + needs.seeds) >= 0.75
    assert closes(3 + needs.seeds // 2) < 0.7
