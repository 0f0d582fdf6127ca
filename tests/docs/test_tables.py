"""Cells are found where they stand, whatever their author put into them."""

import pytest

from tests.docs.documents import document_path, here
from vitlab.docs.text.source import Document, read
from vitlab.docs.text.tables import Table, tables_of


def table(header: str, *rows: str) -> Table:
    columns = header.count("|") - 1
    text = "\n".join([header, "|" + "---|" * columns, *rows])
    (found,) = tables_of(Document(text))
    return found


def test_spans_are_the_content_and_outers_reach_from_pipe_to_pipe() -> None:
    text = "> | 状态 | B |\r\n> |---|---|\r\n> |  ✅  | b|\r\n"
    document = Document(text)
    (found,) = tables_of(document)
    row = found.rows[0]
    assert [document.slice(c.span) for c in row.cells] == ["✅", "b"]
    assert [document.slice(c.outer) for c in row.cells] == ["  ✅  ", " b"]
    assert (found.line, row.line, row.index) == (1, 3, 2)


def test_a_pipe_that_is_text_is_one_in_a_quoted_table_too() -> None:
    (found,) = tables_of(Document("> | A | B |\n> |---|---|\n> | [[a|b]] | `c|d` |\n"))
    assert [cell.raw for cell in found.rows[0].cells] == ["[[a|b]]", "`c|d`"]


def test_the_tables_of_a_large_text_are_read_once_for_one_edit() -> None:
    text = "| A | B |\n|---|---|\n" + "| 1 | 2 |\n" * 20_000
    (kept,) = tables_of(Document(text))
    assert tables_of(Document("".join([text])))[0] is kept
    assert len(kept.rows) == 20_000
    assert tables_of(Document(text.replace("1", "3")))[0].rows[0].cells[0].raw == "3"


def test_a_ruler_among_the_rows_is_told_from_a_row() -> None:
    found = table("| A | B |", "| x | y |", "|---|:--:|", "| - | - |")
    assert [row.is_delimiter for row in found.rows] == [False, True, False]


@pytest.mark.parametrize("name", here(
    "survey_roadmap.md", "verdicts.md", "letters.md", "placeholders.md", "survey_hub.md",
    "vit_roadmap_20251227.md", "moe_snr_roadmap.md", "fisher_roadmap_20251225.md",
    "template_roadmap.md", "vit_hub_20251227.md", "kanban.md",
))  # fmt: skip
def test_every_row_of_a_sound_document_has_the_columns_of_its_header(name: str) -> None:
    for found in tables_of(read(document_path(name))):
        assert {len(row.cells) for row in found.rows} <= {found.width}, found.line
