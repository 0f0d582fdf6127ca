"""Cells are found where they stand, whatever their author put into them."""

import pytest

from tests.docs.conftest import real
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import Table, tables_of


def table(header: str, *rows: str) -> Table:
    columns = header.count("|") - 1
    text = "\n".join([header, "|" + "---|" * columns, *rows])
    (found,) = tables_of(Document(text))
    return found


def cells(header: str, row: str) -> list[str]:
    return [cell.text for cell in table(header, row).rows[0].cells]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("| a | b | c |", ["a", "b", "c"]),
        ("a | b | c", ["a", "b", "c"]),
        ("|a|b|c|", ["a", "b", "c"]),
        (r"| a \| x | b | c |", ["a | x", "b", "c"]),
        ("| `a|x` | b | c |", ["a|x", "b", "c"]),
        (r"| `a\|x` | b | c |", ["a|x", "b", "c"]),
        ("| [[a|x]] | b | c |", ["x", "b", "c"]),
        ("| S4 ||error|| only | b | c |", ["S4 ||error|| only", "b", "c"]),
        ("|| a | b | c |", ["a", "b", "c"]),
        ("|| b | c |", ["", "b", "c"]),
        ("| $p(a|b)$ | b | c |", ["$p(a|b)$", "b", "c"]),
        ("| 5 $ | 6 $ | c |", ["5 $", "6 $", "c"]),
        ("| `a | b` | c |", ["`a", "b`", "c"]),
        ("| a || c |", ["a", "", "c"]),
        ("| a | b |", ["a", "b"]),
        ("| a | b | c | d |", ["a", "b", "c", "d"]),
        ("| a<br>x | **b** | ~~c~~ |", ["a x", "b", "c"]),
        ("| [t](./u(1).md) | ![i](p) | `` c`d `` |", ["t", "i", "c`d"]),
        ("| ~~**🆕 `X-1`**~~ | ~~~4h~~ | log_g *5* |", ["🆕 X-1", "~4h", "log_g 5"]),
        ("|  |  |  |", ["", "", ""]),
    ],
)
def test_a_row_is_read_as_its_author_meant_it(row: str, expected: list[str]) -> None:
    assert cells("| A | B | C |", row) == expected


def test_spans_are_the_content_and_outers_reach_from_pipe_to_pipe() -> None:
    text = "> | 状态 | B |\r\n> |---|---|\r\n> |  ✅  | b|\r\n"
    document = Document(text)
    (found,) = tables_of(document)
    row = found.rows[0]
    assert [document.slice(c.span) for c in row.cells] == ["✅", "b"]
    assert [document.slice(c.outer) for c in row.cells] == ["  ✅  ", " b"]
    assert (found.line, row.line, row.index) == (1, 3, 2)


def test_a_ruler_among_the_rows_is_told_from_a_row() -> None:
    found = table("| A | B |", "| x | y |", "|---|:--:|", "| - | - |")
    assert [row.is_rule for row in found.rows] == [False, True, False]


def test_tables_in_code_are_none() -> None:
    assert tables_of(Document("```\n| A |\n|---|\n| 1 |\n```\n\n    | A |\n    |---|\n")) == ()


def test_every_row_of_the_real_documents_has_the_columns_of_its_header() -> None:
    names = ["vit_roadmap_20251227.md", "moe_snr_roadmap.md", "fisher_roadmap_20251225.md"]
    for name in [*names, "vit_hub_20251227.md", "kanban.md", "template_roadmap.md"]:
        for found in tables_of(real(name)):
            assert {len(row.cells) for row in found.rows} == {found.width}, (name, found.line)
