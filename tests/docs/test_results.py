"""What a result writes, as far as `cases/results.md` cannot say it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.docs.cases import DATE, result
from vitlab.contract.job import Result
from vitlab.contract.world import FLUX, World
from vitlab.docs.judge.conclusion import conclusion, count_text, key_metric, value_text
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.lint.document import lint
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.report import report_text
from vitlab.docs.write.results import number_rows, record_results
from vitlab.docs.write.rows import add_timeline_row, numbers_by_column, set_key_number


def test_what_is_written_stays_in_its_cell(survey: Roadmap) -> None:
    bad = "a | b\n| c `d"
    verdict = Verdict("2", "pass", bad)
    one = replace(result("2.0 ViT 0.6"), model={"name": bad})
    edits = record_results(
        survey, "2.0", [one], "done", bad, "./a (b)|c.md", {"2": verdict}, DATE, "full"
    )
    again = parse_roadmap(Document(apply(survey.document.text, edits)))
    for view in again.views:
        assert {len(e.row.cells) for e in view.entries} <= {view.table.width}
    assert again.mvp("2.0").report == "./a%20%28b%29%7Cc.md"


@pytest.mark.parametrize(
    ("heads", "seeds", "cells"),
    [
        (["R²", "R² (val)", "MAE"], 1, ["0.750", "0.780", "-0.300"]),
        (["R² (val)", "MAE"], 1, ["0.780", "-0.280"]),
        (["R² (val)", "R² (test)", "MAE"], 1, ["0.780", "0.750", "-0.300"]),
        (["验证集 R²", "R²（训练）"], 1, ["0.780", "0.930"]),
        (["MAE (K)", "MAE (dex)", r"\|MAE\|"], 1, ["", "-0.300", "0.300"]),
        (["R² (3 seeds)", "R²（5个种子）", "best R²"], 3, ["0.750", "", ""]),
        (["R² (3 seeds)", "best R²"], 1, ["", "0.750"]),
    ],
)
def test_a_column_takes_the_number_its_head_names(
    heads: list[str], seeds: int, cells: list[str]
) -> None:
    plan = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n"
    table = [["MVP", *heads], ["---"] * (len(heads) + 1), ["1.0", *"-" * len(heads)]]
    summary = "".join(f"| {' | '.join(row)} |\n" for row in table)
    roadmap = parse_roadmap(Document(f"# Plan\n\n{plan}\n## 数值汇总\n\n{summary}"))
    (view,) = (view for view in roadmap.views if view.kind == "numbers")
    values = {"test/r2/log_g": 0.75, "val/r2/log_g": 0.78, "train/r2/log_g": 0.93}
    values |= {"test/mae/log_g": -0.3, "val/mae/log_g": -0.28}  # a sign shows what a size is
    one = replace(result("1.0 A 0.75"), values=values, model={"name": "A", "seeds": seeds})
    found = numbers_by_column(view, one)
    assert [found.get(column, "") for column in range(1, len(heads) + 1)] == cells


@pytest.mark.parametrize(
    ("heads", "recipe", "step", "cells"),
    [
        (["Best val R²", "Final val R²", "Test R²"], "command", 5, ["", "0.780", "0.750"]),
        (["最佳验证 R²", "验证 R²", "最佳 R²"], "command", 5, ["", "0.780", "0.750"]),
        (["Best test R²", "R² (train, best)"], "command", 5, ["0.750", ""]),
        (["Best val R²", "Test R²"], "command", 1, ["0.780", "0.750"]),
        (["Best val R²", "Test R²"], "vit", 5, ["0.780", "0.750"]),
    ],
)
def test_a_programs_last_score_is_not_called_its_best(
    heads: list[str], recipe: str, step: int, cells: list[str]
) -> None:
    plan = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n"
    table = f"| MVP | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}\n"
    table += f"| 1.0 {'| - ' * len(heads)}|\n"
    roadmap = parse_roadmap(Document(f"# Plan\n\n{plan}\n## 数值汇总\n\n{table}"))
    (view,) = (view for view in roadmap.views if view.kind == "numbers")
    values = {"test/r2/log_g": 0.75, "val/r2/log_g": 0.78, "train/r2/log_g": 0.93}
    one = replace(result("1.0 A 0.75"), values=values, recipe=recipe, best={"step": step})
    found = numbers_by_column(view, one)
    assert [found.get(column, "") for column in range(1, len(heads) + 1)] == cells


@pytest.mark.parametrize(
    ("rows", "runs", "filled"),
    [
        (["1.0 | ViT | L2 | -", "1.0 | ViT | L4 | -"], ["L4", "L2"], ["L2", "L4"]),
        (["1.0 | ViT | lr 1e-3 | -", "1.0 | ViT | lr 1e-4 | -"], ["main"], ["", "", "main"]),
        (["1.0 | Baseline | - | -", "1.0 | Ours | - | -"], ["Ours"], ["", "Ours"]),
        (["1.0 | small | - | -", "1.0 | main | - | -"], ["main"], ["", "main"]),
        (["1.0 | ViT | first | -"], ["main"], ["main"]),
        (["1.0 | ViT | a | -", "1.0 | ViT | a | -"], ["main"], ["main", ""]),
        (["1.0 | ViT | a | -", "2.0 | ViT | b | -"], ["main"], ["main", ""]),
        (["1.0 | lr 1e-3 | - | 0.60", "1.0 | lr 1e-4 | - | -"], ["main"], ["", "main"]),
        (["1.0 | September, on the cluster | - | 0.62"], ["main"], ["", "main"]),
        (["1.0 | - | - | 0.62"], ["main"], ["main"]),
        (["1.0 | main, 1M | - | 0.62"], ["main"], ["main"]),
        (["1.0 L2 | deep | - | 0.62", "1.0 L4 | deep | - | 0.6"], ["L4", "L2"], ["L2", "L4"]),
    ],
)
def test_of_several_rows_of_an_mvp_that_of_the_run_is_filled(
    rows: list[str], runs: list[str], filled: list[str]
) -> None:
    """Where nothing says which it is, or a person's number stands there, a row is added."""
    plan = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n| 2.0 | B | ⏳ |\n"
    lines = "".join(f"| {row} |\n" for row in ["MVP | Config | Depth | R²", "--|--|--|--", *rows])
    table = lines.replace("| --|--|--|-- |", "|--|--|--|--|")
    roadmap = parse_roadmap(Document(f"# Plan\n\n{plan}\n## 数值汇总\n\n{table}"))
    scores = {run: 0.61 + number / 10 for number, run in enumerate(runs)}
    results = [
        replace(result(f"1.0 A {score}"), run=run, recipe="command", model={"name": run})
        for run, score in scores.items()
    ]
    edits = number_rows(roadmap, roadmap.mvp("1.0"), results, "done", "full")
    again = parse_roadmap(Document(apply(roadmap.document.text, edits)))
    (view,) = (view for view in again.views if view.kind == "numbers")
    names = {f"{score:.3f}": run for run, score in scores.items()}
    assert [names.get(e.row.cells[3].text, "") for e in view.entries] == filled


def test_a_row_that_was_added_is_known_again() -> None:
    plan = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n"
    table = "| MVP | Date | R² |\n|--|--|--|\n| 1.0 | 11-20 | - |\n| 1.0 | 11-21 | - |\n"
    text = f"# Plan\n\n{plan}\n## 数值汇总\n\n{table}"
    for score in (0.71, 0.72, 0.73):
        roadmap = parse_roadmap(Document(text))
        edits = number_rows(roadmap, roadmap.mvp("1.0"), [result(f"1.0 A {score}")], "done", "full")
        text = apply(text, edits)
    assert text.endswith(f"{table}| 1.0 | - | 0.730 |\n")


def test_a_row_that_vitlab_filled_takes_the_next_number() -> None:
    plan = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n"
    table = "| MVP | Config | R² |\n|--|--|--|\n| 1.0 | lr 1e-4 | 0.62 |\n"
    roadmap = parse_roadmap(Document(f"# Plan\n\n{plan}\n## 数值汇总\n\n{table}"))
    (view,) = (view for view in roadmap.views if view.kind == "numbers")
    own = {(view.entries[0].line, "0.62")}
    (edit,) = number_rows(roadmap, roadmap.mvp("1.0"), [result("1.0 A 0.75")], "done", "full", own)
    assert (edit.old, edit.new) == ("0.62", "0.750")


@pytest.mark.parametrize(
    ("head", "cell", "is_own"),
    [
        ("Config", "T_eff", False),
        ("Config", "log_g, MSE", True),
        ("Config", "giants", False),
        ("标签", "T_eff", False),
        ("SNR", "10", False),
        ("SNR", "all", True),
        ("split", "val", False),
        ("split", "test", True),
        ("模型", "LightGBM", False),
        ("Model", "ViT-S", True),
        ("N", "10k", False),
        ("N", "1,000,000", True),
        ("数据量", "100万", True),
        ("Loss", "MSE", True),
        *(
            ("Config", cell, False)
            for cell in (
                "LightGBM", "10k", "N=1e4", "验证集", "(val)", "smoke", "target", "Fisher ceiling",
                "5 seeds", "ensemble of 5", "真实光谱", "DESI", "noise=2", "no noise",
                "Ting+19", "打乱标签",
            )
        ),
        *(
            ("Note", cell, True)
            for cell in ("MSE, L6_h256", "lr=1e-3", "1M/10k", "seed 43", "noise 1, 30 noise draws",
                         "no gain on giants in later runs", "test", "5M params", "100k steps")
        ),
        ("Note", "SNR>20", False),
    ],
)  # fmt: skip
def test_a_row_of_other_numbers_takes_none(head: str, cell: str, is_own: bool) -> None:
    text = f"""# Plan

| MVP | Name | Status |
|---|---|---|
| 1.0 | A | ⏳ |

## Numbers

| MVP | {head} | R² |
|---|---|---|
| 1.0 | {cell} | - |

### MVP-1.0 A

| Run | {head} | R² | Status |
|---|---|---|---|
| main | {cell} | - | ⏳ |

| MVP | Conclusion | Key metric |
|---|---|---|
| 1.0 vs 2.0 | A wins | - |
"""
    one = replace(result("1.0 ViT 0.75 n=1000000"), run="main")
    edits = record_results(
        parse_roadmap(Document(text)), "1.0", [one], "done", "so", None, {}, DATE, "full"
    )
    after = apply(text, edits)
    assert (f"| 1.0 | {cell} | 0.750 |" in after) == is_own
    assert (f"| main | {cell} | 0.750 |" in after) == is_own
    assert (f"| 1.0 | {cell} | - |" in after) == (not is_own)
    assert "| 1.0 vs 2.0 | A wins | - |" in after


def test_a_conclusion_stands_in_the_mvp_s_own_row_whatever_its_name() -> None:
    text = """# Plan

| MVP | Name | Status |
|---|---|---|
| 1.0 | ViT + noise | ⏳ |

| MVP | Conclusion | Key metric |
|---|---|---|
| MVP-1.0 ViT + noise | - | - |
"""
    one, plan = replace(result("1.0 ViT 0.75"), run="main"), parse_roadmap(Document(text))
    after = apply(text, record_results(plan, "1.0", [one], "done", "so", None, {}, DATE, "full"))
    assert "| MVP-1.0 ViT + noise | so | R²_test=0.750 ± 0.004 |" in after


def test_sentences_and_sizes() -> None:
    sizes = (500, 10_000, 250_000, 1_000_000)
    assert [count_text(n) for n in sizes] == ["500", "10k", "250k", "1M"]
    assert key_metric([]) == "-"
    control = replace(result("1.0 A 0.9"), data={"permuted": True})
    assert key_metric([control]) == "-"
    assert key_metric([control, result("1.0 A 0.5")]) == "R²_test=0.500 ± 0.004"
    assert conclusion([], "zh") == "没有可用的数值"
    worse, better = result("1.0 A 0.5 run=a"), result("1.0 B 0.6 run=b")
    assert conclusion([worse, better], "en") == "B [b] on 1M stars: R²_test=0.600 ± 0.004"
    assert key_metric([worse, better]) == "B R²_test=0.600 ± 0.004"  # not the MVP's own model, A
    assert key_metric([worse, replace(better, model=worse.model)]) == "R²_test=0.600 ± 0.004"


@pytest.mark.parametrize(
    ("value", "error", "digits", "text"),
    [
        (0.99871, 0.00042, 2, "0.9987 ± 0.0004"),
        (0.99871, 0.00042, 3, "0.9987 ± 0.0004"),
        (0.9829, 0.0062, 2, "0.98 ± 0.01"),
        (0.774, 0.0055, 3, "0.774 ± 0.005"),
        (0.774, 0.0, 3, "0.774"),
    ],
)
def test_an_error_is_never_shown_as_none(
    value: float, error: float, digits: int, text: str
) -> None:
    one = result("1.0 A 0.5")
    name = one.headline
    shown = replace(one, values={name: value}, errors={name: error})
    assert value_text(shown, name, digits) == text


@pytest.mark.parametrize("text", ["", "# Nothing\n", "| 指标 | 值 |\n|---|---|\n"])
def test_a_hub_without_the_tables_is_left_alone_or_filled(text: str) -> None:
    edits = set_key_number(parse_hub(Document(text)), "a", "1", "c", "s", DATE)
    assert apply(text, edits) in (text, text + "| a | 1 |", text.rstrip("\n") + "\n| a | 1 |\n")


@pytest.mark.parametrize(
    ("days", "at"),
    [
        (["2025-12-01", "2026-02-01"], 1),  # a date to come stays below
        (["2025-12-01", "2025-12-30"], 2),
        (["2026-02-01", "2025-12-01", "2025-11-01"], 1),  # the newest first
        (["2026-02-01", "2026-01-15"], 2),
        (["2025-12-30", "2025-12-01"], 0),
        (["2026-02-01", "2026-03-01"], 0),
        (["-"], 1),
        ([], 0),
    ],
)
def test_what_happened_stands_in_the_order_of_dates(days: list[str], at: int) -> None:
    rows = "".join(f"| {day} | x |\n" for day in days)
    logs = [f"## {n}\n\n| Date | {n} |\n|---|---|\n{rows}\n" for n in ("Event", "Change")]
    table = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | 🚀 |\n\n"
    plan = parse_roadmap(Document("\n".join([table, *logs])))
    one = result("1.0 A 0.5")
    edits = record_results(plan, "1.0", [one], "done", "x", None, {}, DATE, "full")
    after = parse_roadmap(Document(apply(plan.document.text, edits)))
    for kind in ("timeline", "changelog"):
        dates = [entry.text("date") for entry in after.rows(kind)]
        assert dates == [*days[:at], DATE, *days[at:]]
    assert [one.kind for one in lint(after, None)] == []


@pytest.mark.parametrize(
    ("heads", "cells"),
    [
        (("R² (test)", "MAE"), ("-", "0.250 (val)")),
        (("R² (val)", "MAE"), ("0.200", "0.250")),
        (("R²", "MAE (test)"), ("0.200 (val)", "-")),
        (("R²", "MAE"), ("0.200 (val)", "0.250 (val)")),
    ],
)
def test_a_validation_number_never_stands_for_one_of_the_test(
    heads: tuple[str, str], cells: tuple[str, str]
) -> None:
    overview = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | 🚀 |\n\n"
    numbers = f"| MVP | {heads[0]} | {heads[1]} |\n|---|---|---|\n| 9.0 | 0.3 | 0.4 |\n"
    plan = parse_roadmap(Document(overview + numbers))
    values = {"val/mae/log_g": 0.25, "val/r2/log_g": 0.2}
    one = replace(result("1.0 A -"), headline="val/mae/log_g", values=values, errors={})
    edits = record_results(plan, "1.0", [one], "done", "x", None, {}, DATE, "full")
    after = apply(plan.document.text, edits)
    assert f"| 1.0 | {' | '.join(cells)} |" in after
    settings = {"exp_id": "A-1", "conclusion": "x", "date": DATE, "command": "x", "verdicts": {}}
    report = report_text(plan, "1.0", [one], **settings)  # type: ignore[arg-type]
    assert "| Parameters | MAE (val) | Wall time (s) |" in report


RUNS = """\
| MVP | Name | Status |
|---|---|---|
| 1.0 | A | 🚀 |

### MVP-1.0: A

| Run | Loss | Status | R²_test | MAE_test |
|---|---|---|---|---|
| Run 1 | MSE | 🚀 | - | 0.5 |
| seed=2 | MSE | ⏳ |  | seen |
| Run 3 | L1 | ⏳ | 0.1 | - |
"""


def test_the_table_of_runs_has_the_numbers_of_a_run_and_of_a_seed() -> None:
    """Words and the rows of other runs stay; so does a column that is no number."""
    runs = [
        Result("1.0", run, "full", "command", {"test/r2/log_g": r2, "test/mae/log_g": 0.25})
        for run, r2 in (("Run 1", 0.75), ("seed=2", 0.5))
    ]
    plan = parse_roadmap(Document(RUNS))
    edits = record_results(plan, "1.0", runs[:1], "done", "x", None, {}, DATE, "full", runs=runs)
    assert apply(RUNS, edits).splitlines()[-3:] == [
        "| Run 1 | MSE | ✅ | 0.750 | 0.250 |",
        "| seed=2 | MSE | ✅ | 0.500 | seen |",
        "| Run 3 | L1 | ⏳ | 0.1 | - |",
    ]


PLANNED = """\
| MVP | Name | Status |
|---|---|---|
| 1.0 | A | 🚀 |

### MVP-1.0: A

| Item | Content |
|---|---|
| Model | p16_h256_L6_a8, ~4.9M params |
| Training | 200 epochs, AdamW, lr=3e-4, batch 256 |
"""


def reported(
    results: Sequence[Result], settings: Sequence[Mapping[str, object]]
) -> tuple[list[str], list[str]]:
    """The lines of a report's setup: what ran, and the plan."""
    text = report_text(
        parse_roadmap(Document(PLANNED)), "1.0", results, exp_id="x", conclusion="-", date=DATE,
        command="vitlab run 1.0", verdicts={}, settings=settings,
    )  # fmt: skip
    setup = text.partition("## Setup")[2].partition("## Results")[0]
    ran, _, plan = setup.strip().partition("\n\n")
    return ran.split("\n"), plan.split("\n")


def test_a_report_names_the_plan_and_what_ran_apart() -> None:
    demo = replace(
        result("1.0 ViT 0.7 profile=demo"),
        model={"name": "ViT", "params": 790_657},
        n={"train": 512_000, "val": 1000, "test": 10_000},
        recipe="vit",
    )
    ran_with = {
        "labels": ["log_g"], "loss": "mse", "model.patch": 1024, "model.hidden": 128,
        "train.epochs": 10, "train.batch": 512, "train.lr": 1e-3, "train.steps": "700 of 1000",
        "train.compile": False, "train.threads": 0, "data.mag": [20.5, 22.5], "data.grid": None,
        "noise.level": 1.0,
    }  # fmt: skip
    ran, plan = reported([demo], [ran_with])
    assert ran == [
        "| Item | What ran: vit |",
        "|---|---|",
        "| Profile | demo |",
        "| Data | simulated |",
        "| Train/val/test | 512k/1k/10k |",
        "| Labels | log_g |",
        "| Model | ViT, patch=1024, hidden=128 |",
        "| Parameters | 790,657 |",
        "| Other settings | loss=mse |",
        "| Training settings | epochs=10, batch=512, lr=0.001, steps=700 of 1000, compile=false |",
        "| Data settings | mag=[20.5, 22.5], noise.level=1 |",
    ]
    assert plan[0] == "| Item | Plan (from the roadmap) |"
    assert "4.9M" in plan[2]
    assert "200 epochs" in plan[3]
    assert not any("4.9M" in line or "200" in line for line in ran)


def test_runs_that_differ_show_all_their_values_by_recipe() -> None:
    one = replace(result("1.0 ViT 0.7 run=a"), recipe="vit", n={"train": 2000})
    two = replace(one, run="b", n={"train": 10_000}, model={"name": "ViT", "params": 397_057})
    trees = replace(result("1.0 LightGBM 0.5 run=c"), recipe="lightgbm", model={"name": "LightGBM"})
    ran, _ = reported(
        [one, two, trees],
        [{"train.lr": 1e-3, "train.seed": 42}, {"train.lr": 3e-4, "train.seed": 42}],
    )
    assert ran[0] == "| Item | What ran: vit | What ran: lightgbm |"
    assert "| Train/val/test | {2k/-/-; 10k/-/-} | 1M/1k/10k |" in ran
    assert "| Parameters | {4,900,000; 397,057} | - |" in ran
    unknown = "unknown (no configuration of the run)"
    bound = replace(two, recipe="ceiling", n={"train": 0, "val": 0, "test": 200})
    sizes = {"data.train_size": 50_000, "data.val_size": 1000, "data.test_size": 200}
    assert "| Data settings | test_size=200 |" in reported([bound], [sizes])[0]
    assert f"| Training settings | lr={{0.001; 0.0003}}, seed=42 | {unknown} |" in ran


def test_each_error_is_named_by_what_it_is() -> None:
    stars, draws = result("1.0 ViT 0.7"), replace(result("1.0 Ceiling 0.8"), recipe="ceiling")
    assert (stars.error_kind, draws.error_kind) == ("stars", "draws")
    for language, plan, words in (
        (
            "en",
            PLANNED,
            ("the bootstrap standard error over the test stars", "a Monte Carlo standard error"),
        ),
        (
            "zh",
            PLANNED.replace("A |", "测试实验 |"),
            ("对测试恒星 bootstrap", "Monte Carlo 标准误"),
        ),
    ):
        roadmap = parse_roadmap(Document(plan))
        assert roadmap.language == language
        for results, shown in (
            ([stars], (True, False)),
            ([draws], (False, True)),
            ([stars, draws], (True, True)),
            ([replace(stars, errors={})], (False, False)),
        ):
            text = report_text(
                roadmap, "1.0", results, exp_id="x", conclusion="-", date=DATE,
                command="vitlab run 1.0", verdicts={},
            )  # fmt: skip
            assert tuple(word in text for word in words) == shown


TWO_OF_EACH = """\
# Plan

| MVP | Name | Phase | Status | exp_id |
|---|---|---|---|---|
| 1.0 | ViT | 1 | 🚀 | - |
| 2.0 | Trees | 2 | 🚀 | - |
| 2.1 | Ridge | 2 | 🚀 | - |

## Deadlines

| Date | Event |
|---|---|
| 2026-12-01 | ApJ |

## Timeline

| Date | Event |
|---|---|
| 2026-01-01 | Made |

## Numbers of phase 1

| MVP | R² | bias | Status |
|---|---|---|---|
| 1.0 | - | - | 🚀 ep112 |

| MVP | Conclusion | Key metric |
|---|---|---|
| 1.0 | - | - |

## Numbers of phase 2

| MVP | R² | bias | Status |
|---|---|---|---|
| 2.0 | 0.1 | - | 🚀 ep3+ |

| MVP | Conclusion | Key metric |
|---|---|---|
| 2.0 | - | - |
"""


def test_of_several_tables_the_one_with_the_row_or_its_phase_is_written() -> None:
    text = TWO_OF_EACH
    for line in ("2.0 A 0.6 test/bias/log_g=-0.0004", "2.1 A 0.5 test/bias/log_g=0.02"):
        one = replace(result(line), best={})
        roadmap = parse_roadmap(Document(text))
        edits = record_results(roadmap, one.mvp, [one], "done", "so", None, {}, DATE, "full")
        text = apply(text, edits)
    first, second = text.split("## Numbers of phase 2")
    assert "| 2026-12-01 | ApJ |\n\n## Timeline" in first
    assert f"| {DATE} | MVP-2.1 done" in first
    assert "| 1.0 | - | - | 🚀 ep112 |\n\n" in first
    assert "| 2.0 | 0.600 | -0.00040 | ✅ |\n| 2.1 | 0.500 | 0.020 | ✅ |\n\n" in second
    assert (
        re.findall(r"^\| ([\d.]+) \| so \|", text, re.M)
        == re.findall(r"^\| ([\d.]+) \| so \|", second, re.M)
        == ["2.0", "2.1"]
    )


@pytest.mark.parametrize(
    ("tables", "where"),
    [
        ("## 请假\n\n| 日期 | 事件 |\n|---|---|\n| 2026-01-02 | 家 |\n", ""),
        ("## 4.5\n\n| 日期 | 事件 |\n|---|---|\n", "4.5"),
        (
            "## A\n\n| 日期 | 事件 |\n|---|---|\n| 2026-01-02 | x |\n\n"
            "## B\n\n| 日期 | 事件 |\n|---|---|\n| 2026-01-02 | MVP-0.1 done |\n",
            "B",
        ),
    ],
)
def test_only_a_timeline_takes_its_rows(tables: str, where: str) -> None:
    text = f"# Plan\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n\n{tables}"
    roadmap = parse_roadmap(Document(text))
    new = apply(text, add_timeline_row(roadmap, "MVP-1.0 x", "2026-01-03"))
    last = [part.partition("\n")[0] for part in new.split("## ") if "MVP-1.0 x" in part]
    assert last == ([where] if where else [])


@pytest.mark.parametrize(
    ("title", "head", "cell"),
    [
        ("Numbers", "R²", "0.950 (T_eff)"),
        ("Numbers", "R² (T_eff)", "0.950"),
        ("T_eff", "R²", "0.950"),
        ("Numbers", "R² (log_g)", ""),
    ],
)
def test_a_number_of_another_label_has_its_name(title: str, head: str, cell: str) -> None:
    plan = "# Plan\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n"
    table = f"## {title}\n\n| MVP | {head} |\n|---|---|\n| 1.0 | - |\n"
    (view,) = (v for v in parse_roadmap(Document(plan + table)).views if v.kind == "numbers")
    one = replace(result("1.0 A 0.75"), values={"test/r2/T_eff": 0.95}, headline="test/r2/T_eff")
    assert numbers_by_column(view, one).get(1, "") == cell


@pytest.mark.parametrize(
    ("title", "is_own"),
    [
        ("6.1 数值汇总", True),
        ("Numbers (giants)", False),
        ("T_eff", False),
        ("Numbers at mag 20.5-22.5", True),
        ("Numbers (mag 20.5–21, noise 1)", False),
        ("数值（星等 20.5–22.5）", True),
    ],
)
def test_a_table_whose_heading_is_of_other_numbers_gets_no_row(title: str, is_own: bool) -> None:
    plan = "# Plan\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | giants | ⏳ |\n"
    text = f"{plan}\n## {title}\n\n| MVP | R² |\n|---|---|\n| 0.9 | 0.1 |\n"
    roadmap = parse_roadmap(Document(text))
    world = World("grid", "Beta", (20.5, 22.5), 1.0, FLUX).record()
    one = replace(result("1.0 ViT 0.75"), run="main", world=world)
    edits = number_rows(roadmap, roadmap.mvp("1.0"), [one], "done", "full")
    assert ("| 1.0 | 0.750 |" in apply(text, edits)) == is_own


@pytest.mark.parametrize(
    ("validated", "cell"), [((0.6, 0.5), "0.750"), ((0.5, 0.6), "0.850"), ((None, 0.5), "-")]
)
def test_of_two_configurations_of_one_name_the_chosen_one_has_the_row(
    validated: tuple[float | None, float], cell: str
) -> None:
    plan = "# Plan\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n"
    text = f"{plan}\n## Numbers\n\n| MVP | Run | R² |\n|---|---|---|\n| 1.0 | main | - |\n"
    roadmap = parse_roadmap(Document(text))
    both = []
    for test, val in zip((0.75, 0.85), validated, strict=True):
        one = replace(result(f"1.0 ViT {test}"), run="main")
        both.append(replace(one, values={**one.values, "val/r2/log_g": val}))
    edits = number_rows(roadmap, roadmap.mvp("1.0"), both, "done", "full")
    assert f"| 1.0 | main | {cell} |\n" in (apply(text, edits) if edits else text)


@pytest.mark.parametrize(
    ("rows", "after"),
    [
        ("| MVP-1.0 | alpha=1 | X.XX |", "| MVP-1.0 Ridge | alpha=1 | 0.750 |"),
        ("| **1.0** | alpha=1 | - |", "| **1.0** Ridge | alpha=1 | 0.750 |"),
        # of another run, or of several: a row is added
        ("| 1.0 | alpha=1 | 0.5 |", "| 1.0 | alpha=1 | 0.5 |\n| 1.0 Ridge | ViT | 0.750 |"),
        ("| 1.0 ViT | - | - |", "| 1.0 ViT | - | - |\n| 1.0 Ridge | ViT | 0.750 |"),
        (
            "| 1.0 | a | - |\n| 1.0 | b | - |",
            "| 1.0 | a | - |\n| 1.0 | b | - |\n| 1.0 Ridge | ViT | 0.750 |",
        ),
    ],
)
def test_the_row_prepared_for_an_mvp_is_that_of_its_only_run(rows: str, after: str) -> None:
    plan = "# Plan\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n"
    text = f"{plan}\n## Numbers\n\n| MVP | Config | R² |\n|---|---|---|\n{rows}\n"
    one = replace(result("1.0 ViT 0.75"), run="Ridge", n={})
    for _ in range(2):  # written again it is the same
        roadmap = parse_roadmap(Document(text))
        edits = number_rows(roadmap, roadmap.mvp("1.0"), [one], "done", "full")
        text = apply(text, edits) if edits else text
        assert text.endswith(f"|---|---|---|\n{after}\n")


def test_runs_that_differ_in_a_sign_have_a_row_each() -> None:
    names = ("x=-0.1", "x=0.1", "lr=1e-4", "lr=1e4", "A_1", "A1", "Run1")
    runs = (*names[:-1], "Run 1")
    row = "".join(f"| 1.0 {name} | - |\n" for name in names)
    own = "".join(f"| {name} | - | ⏳ |\n" for name in names)
    text = (
        "# Plan\n\n| MVP | Name | Status |\n|---|---|---|\n| 1.0 | A | ⏳ |\n\n## Numbers\n\n"
        f"| MVP | R² |\n|---|---|\n{row}\n"
        f"### MVP-1.0 A\n\n| Run | R² | Status |\n|---|---|---|\n{own}"
    )
    results = [replace(result(f"1.0 A 0.{n}1"), run=run) for n, run in enumerate(runs, 1)]
    edits = record_results(
        parse_roadmap(Document(text)),
        "1.0",
        results,
        "done",
        "so",
        None,
        {},
        DATE,
        "full",
        runs=results,
    )
    after = apply(text, edits)
    for number, name in enumerate(names, 1):
        assert f"| 1.0 {name} | 0.{number}10 |\n" in after
        assert f"| {name} | 0.{number}10 | ✅ |\n" in after


@pytest.mark.parametrize(
    ("other", "written"),
    [
        ("MAE=80 K", "R²_test=0.754"),
        ("R²=0.7", "R²=0.75"),
        ("R²≈0.70", "R²≈0.75"),
        ("R²=0.7012", "R²=0.7540"),
        ("R²=0.70 ± 0.01", "R²_test=0.754 ± 0.004"),
    ],
)
def test_a_headline_is_rounded_as_others_of_its_metric(other: str, written: str) -> None:
    text = (
        "# Plan\n\n| MVP | Name | Status | Key metric |\n|---|---|---|---|\n"
        f"| 1.0 | A | ⏳ | - |\n| 1.1 | B | ✅ | {other} |\n"
    )
    one = replace(result("1.0 A 0.754"), errors={"test/r2/log_g": 0.004})
    edits = record_results(
        parse_roadmap(Document(text)), "1.0", [one], "done", "so", None, {}, DATE, "full"
    )
    assert f"| 1.0 | A | ✅ | {written} |" in apply(text, edits)
