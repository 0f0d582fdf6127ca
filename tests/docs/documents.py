"""The documents of the tests: those written for them, and real ones where they are."""

from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE.parents[1].parent / "shared" / "corpus"


def document_path(name: str) -> Path:
    """A document kept here, or a real one, which is not in every checkout."""
    path = HERE / "roadmaps" / name
    return path if path.is_file() else CORPUS / name


def here(*names: str) -> list[str]:
    """Those of some documents that are in this checkout."""
    return [name for name in names if document_path(name).is_file()]
