"""The documents kept here, read."""

import pytest

from tests.docs.documents import document_path
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.source import read


@pytest.fixture
def survey() -> Roadmap:
    return parse_roadmap(read(document_path("survey_roadmap.md")))


@pytest.fixture
def english() -> Roadmap:
    return parse_roadmap(read(document_path("english.md")))
