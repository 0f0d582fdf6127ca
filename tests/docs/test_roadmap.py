"""What a roadmap offers besides its facts, which `cases/reading.md` lists."""

from pathlib import Path

import pytest

from vitlab.contract.paths import UsageError
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, launch_order, next_mvp, parse_roadmap
from vitlab.docs.text.source import Document


def test_what_is_next_is_the_first_to_launch(survey: Roadmap) -> None:
    assert next_mvp(survey) == launch_order(survey)[0]
    assert survey.mvps[0].status_text == "🚀"


def test_ids_are_looked_up_with_or_without_prefix(survey: Roadmap) -> None:
    assert survey.mvp("MVP-2.0") is survey.mvp("2.0")
    assert survey.gate("Gate-2") is survey.gate("2")
    with pytest.raises(UsageError, match=r"no MVP '9\.9'; there are 1\.0, 1\.1"):
        survey.mvp("9.9")
    with pytest.raises(UsageError, match="no gate '9'; there are 1, 2, 3, 4"):
        survey.gate("9")


def test_a_document_without_an_overview_is_refused_by_name() -> None:
    with pytest.raises(NoMvpTable, match=r"x\.md: no MVP overview table.*headers mvp/.*名称.*状态"):
        parse_roadmap(Document("# Nothing\n\n| A | B |\n|---|---|\n", Path("x.md")))
    with pytest.raises(NoMvpTable, match=r"^x\.md: is empty$"):
        parse_roadmap(Document("\n", Path("x.md")))
