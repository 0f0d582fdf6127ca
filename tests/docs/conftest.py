"""Documents to read: the small ones kept here, and the real ones where they are."""

from pathlib import Path

import pytest

from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.source import Document, read

HERE = Path(__file__).parent
CORPUS = HERE.parents[1].parent / "shared" / "corpus"
ROADMAPS = (
    "vit_roadmap_20251227.md",
    "moe_snr_roadmap.md",
    "fisher_roadmap_20251225.md",
    "template_roadmap.md",
)


def real(name: str) -> Document:
    """A real document; the test is skipped where there are none."""
    path = CORPUS / name
    if not path.is_file():
        pytest.skip(f"no real documents at {CORPUS}")
    return read(path)


def small(name: str) -> Document:
    """A document kept beside the tests."""
    return read(HERE / "roadmaps" / name)


@pytest.fixture
def vit() -> Roadmap:
    return parse_roadmap(real("vit_roadmap_20251227.md"))


@pytest.fixture
def english() -> Roadmap:
    return parse_roadmap(small("english.md"))


@pytest.fixture
def chinese() -> Roadmap:
    return parse_roadmap(small("chinese.md"))
