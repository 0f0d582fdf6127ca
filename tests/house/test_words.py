"""A status, verdict or outcome of the contract is known wherever such words are listed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from vitlab.contract.events import OUTCOMES
from vitlab.contract.job import STATUSES, VERDICTS, Done
from vitlab.contract.value import Value
from vitlab.docs.judge import conclusion, phrases
from vitlab.docs.model import headers, vocabulary
from vitlab.docs.model.gates import notation
from vitlab.docs.write import status
from vitlab.jobs import slurm
from vitlab.tui import text
from vitlab.tui.widgets import plan_pane

LANGUAGES = ("zh", "en")


@pytest.mark.parametrize(
    "listed",
    [
        vocabulary.GLYPHS,
        headers.STATUS_WORDS,
        *vocabulary.SHORT_WORDS.values(),
        *vocabulary.LONG_WORDS.values(),
        *status.EVENTS.values(),
        text.STATUS,
        [word for column in plan_pane.COLUMNS for word in column if word != "?"],
    ],
)
def test_every_status_is_listed_once(listed: Iterable[str]) -> None:
    assert sorted(listed) == sorted(STATUSES)


@pytest.mark.parametrize("listed", [*conclusion._JUDGED.values(), text.VERDICT])
def test_every_verdict_is_listed(listed: Iterable[str]) -> None:
    assert sorted(listed) == sorted(VERDICTS)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_a_phrase(verdict: str) -> None:
    assert all(phrases.phrase(verdict).text(language) for language in LANGUAGES)


def test_slurm_s_ends_are_ours() -> None:
    assert set(slurm.OUTCOMES.values()) <= set(OUTCOMES)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_shown_by_its_name(outcome: str) -> None:
    words, tone = text.state_words(Done(0, 1, outcome, 0))
    assert words.split(" ", 1)[1] == ("done" if outcome == "ok" else outcome.replace("_", " "))
    assert tone == {"ok": "success", "unknown": "warning"}.get(outcome, "error")


@pytest.mark.parametrize("metric", notation.METRICS)
def test_of_every_metric_a_rule_names_the_better_number_is_known(metric: str) -> None:
    assert Value("test", metric, "log_g").better is not None
    assert Value("test", metric, "log_g").unit is not None
