"""Every case of `cases/*.md`: see `cases.py` for how one is written."""

import pytest

from tests.docs.cases import CASES, Case, Step, load, run
from tests.docs.documents import HERE

ALL = [(path.stem, case) for path in sorted(CASES.glob("*.md")) for case in load(path)[1]]


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=f"{name}: {c.title}") for name, c in ALL if c.is_here]
)
def test_each_command_prints_what_stands_below_it(case: Case) -> None:
    for step, lines in run(case):
        assert Step(step.command, lines) == step


def test_every_case_is_of_a_document_that_is_here_or_a_real_one() -> None:
    assert {name for name, case in ALL if not case.is_here} <= {"shared"}
    titles = [(name, case.title) for name, case in ALL]
    assert len(set(titles)) == len(titles)


def test_no_document_has_a_line_that_looks_like_a_command() -> None:
    for path in (HERE / "roadmaps").glob("*.md"):
        assert "%%%" not in path.read_text(encoding="utf-8")
