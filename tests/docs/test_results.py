"""What a result writes, as far as `cases/results.md` cannot say it."""

from dataclasses import replace

import pytest

from tests.docs.cases import DATE, result
from vitlab.contract.job import Result
from vitlab.docs.judge.conclusion import conclusion, count_text, key_metric
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.results import record_results
from vitlab.docs.write.rows import set_key_number


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


def test_sentences_and_sizes() -> None:
    sizes = (500, 10_000, 250_000, 1_000_000)
    assert [count_text(n) for n in sizes] == ["500", "10k", "250k", "1M"]
    assert key_metric([]) == "-"
    assert conclusion([], "zh") == "没有可用的数值"
    worse, better = result("1.0 A 0.5 run=a"), result("1.0 B 0.6 run=b")
    assert conclusion([worse, better], "en") == "B [b] on 1M spectra: R²_test=0.600 ± 0.004"


@pytest.mark.parametrize("text", ["", "# Nothing\n", "| 指标 | 值 |\n|---|---|\n"])
def test_a_hub_without_the_tables_is_left_alone_or_filled(text: str) -> None:
    edits = set_key_number(parse_hub(Document(text)), "a", "1", "c", "s", DATE)
    assert apply(text, edits) in (text, text + "| a | 1 |", text.rstrip("\n") + "\n| a | 1 |\n")


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
