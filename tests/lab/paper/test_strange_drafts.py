"""Drafts that no author writes: they cost bounded time, and end in no error."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from tests.lab.paper.results import lab_facts
from vitlab.contract.terminal import Progress
from vitlab.lab.paper.check import check
from vitlab.lab.paper.draft import read_draft
from vitlab.lab.paper.tex import plain_tex


def test_a_table_of_thousands_of_rows_takes_linear_time(tmp_path: Path) -> None:
    path, facts = tmp_path / "draft.tex", lab_facts()
    row = "ViT & 0.711 & 0.5 \\\\\n"
    path.write_text(
        f"\\begin{{tabular}}{{lll}}\nmodel & R2 & MAE \\\\\n{row * 1000}\\end{{tabular}}"
    )
    began = process_time()
    assert len(check(read_draft(path), facts)) == 2000
    assert process_time() - began < 4


def test_tables_far_apart_and_inputs_take_linear_time(tmp_path: Path) -> None:
    path, facts = tmp_path / "draft.md", lab_facts()
    table = "| model | R2 |\n|---|---|\n| ViT | 0.7 |\n"
    path.write_text((table + "\n" * 150) * 600)
    began = process_time()
    assert len(read_draft(path).mentions) == 600
    (tmp_path / "numbers.tex").write_text(r"\newcommand{\vitlabRA}{0.711}" + "\n%" * 200_000)
    path = tmp_path / "draft.tex"
    path.write_text(r"\input{numbers}" * 200 + r"The ViT has $R^2 = \vitlabRA$.")
    assert [one.verdict for one in check(read_draft(path), facts)] == ["right"]
    assert process_time() - began < 3


def test_names_without_end_take_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "draft.md"
    cell = "^ViT " * 180
    path.write_text("| model | R2 |\n|---|---|\n" + f"| {cell} | 0.7 {cell} |\n" * 40)
    began = process_time()
    read_draft(path)
    assert process_time() - began < 4


@pytest.mark.parametrize(
    "text",
    [
        f"The ViT has R2 = {'9' * 400} and MAE = 1{'0' * 400} dex.",
        f"The ViT has R2 = 0.{'0' * 400}1 and MAE = 0.{'9' * 330} dex.",
        f"The ViT has R2 = 0.711 ± {'9' * 400} and MAE = 0.5 ± 0.{'0' * 400}1 dex.",
        f"The ViT has {'9' * 310} parameters, 10^99 times those of ridge; R2 = 0.7(99) x 10^-99.",
    ],
)
def test_numbers_beyond_all_measure_are_no_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "draft.md"
    path.write_text(text)
    check(read_draft(path), lab_facts())


def test_commands_without_end_are_named_with_their_lines_in_linear_time() -> None:
    letters = "abcdefghij"
    names = ["zz" + "".join(letters[int(digit)] for digit in f"{k:05}") for k in range(60_000)]
    began = process_time()
    _, unknown = plain_tex("\n".join(f"\\{name}" for name in names))
    assert [(one.name, one.line) for one in unknown] == [(x, k) for k, x in enumerate(names, 1)]
    assert process_time() - began < 3


def test_reading_and_checking_tell_how_far_they_are(tmp_path: Path) -> None:
    path, read, checked = tmp_path / "draft.md", list[tuple[int, int]](), list[tuple[int, int]]()
    path.write_text("The ViT has R2 = 0.711.\n\n" * 3, encoding="utf-8")
    draft = read_draft(path, lambda *done: read.append(done))
    check(draft, lab_facts(), lambda *done: checked.append(done))
    assert read == [(1, 6), (3, 6), (5, 6)]
    assert checked == [(1, 3), (2, 3), (3, 3)]


def test_progress_says_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([5.0, 30.0])
    monkeypatch.setattr("time.monotonic", clock.__next__)
    progress = Progress("numbers", begun=0.0, shown=0.0)
    progress.report(100, 1000)  # too early to tell
    progress.report(250, 1000)
    assert capsys.readouterr().err == "250 of 1000 numbers, 1:30 left\n"
