"""Drafts held against results: each wrong number is found, and no right one is called wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import process_time

import pytest

from tests.lab.conftest import Ended
from tests.lab.paper.results import WORLD, finished, lab_facts, other_facts
from vitlab.cli import main
from vitlab.contract.paths import UsageError
from vitlab.docs.judge.ceiling import Ceiling
from vitlab.lab.lab import Lab
from vitlab.lab.paper.check import check
from vitlab.lab.paper.draft import read_draft
from vitlab.lab.paper.facts import facts_of
from vitlab.lab.paper.tex import plain_tex
from vitlab.lab.paper.verdicts import WRONG, Checked

FOLDER = Path(__file__).parent
PLANTED = {
    31: ("rounded wrongly", 0.7109),  # cut, not rounded
    33: ("of another run", 0.6138),  # its validation score
    35: ("stale", 0.7109),  # of the run before
    37: ("of another unit", 0.3952),  # in standard deviations of the label
    39: ("of another run", 0.70227),  # the best of three seeds
    41: ("not backed", 0.4657),  # invented
    43: ("not backed", None),  # a difference that no pair of results has
    45: ("of another run", 2_361_345),  # the parameters of another model
    47: ("not backed", None),  # a share of the ceiling
    56: ("not backed", 0.4871),  # two digits exchanged in a table
}
"""Line -> its verdict, and the value it should have where results say a single one."""
PLANTED_APJ = {
    13: ("stale", 0.7109),  # in the abstract, of the run before
    29: ("of another run", 200),  # the epochs of another model
    38: ("of another run", 0.4871),  # an RMSE quoted as MAE
    41: ("not backed", None),  # an improvement in percent
    50: ("not backed", 0.4871),  # digits exchanged in a deluxetable
    58: ("of another run", 0.5963),  # of five times as many spectra
    63: ("not backed", 0.7921),  # the ceiling
    65: ("not backed", 0.0052),  # an error bar that is too small
    68: ("of another unit", 0.3952),  # in standard deviations of the label
    70: ("not backed", 0.70227),  # the variance explained, in percent
}
"""The same in a draft that was written by somebody who had not seen how drafts are read."""
PLANTED_MNRAS = {
    17: ("not backed", 2_361_345),  # digits exchanged in a number of parameters
    26: ("not backed", 0.5641),  # digits exchanged, of the second of two models
    28: ("of another run", 0.7134),  # the test score as that on validation
    30: ("of another run", 0.70227),  # the best of three seeds
    31: ("not backed", 61.3),  # an MAE in K
    39: ("not backed", 0.5995),  # digits exchanged in a table
    47: ("not backed", None),  # the distance to the ceiling
    48: ("not backed", 0.012),  # a bias
}
PLANTED_AA = {
    10: ("not backed", None),  # the second of two differences
    20: ("of another run", 100),  # the epochs of another model
    29: ("of another run", 0.6138),  # its validation score
    31: ("rounded wrongly", 0.4657),  # cut, not rounded
    33: ("not backed", 18.866762),  # in percent of the smaller of two errors
    35: ("not backed", 0.6138),  # digits exchanged, at the second of two sizes
    38: ("not backed", 1.0493),  # the labels' standard deviation
    39: ("not backed", 0.9871),  # digits exchanged, of another label
    44: ("not backed", None),  # a share of "it"
}
PLANTED_NOTES = {
    13: ("not backed", 100),  # epochs, in a table
    23: ("not backed", 0.652),  # digits exchanged in a table
    29: ("not backed", 0.0180901),  # an error that leaves out the scatter over seeds
    38: ("not backed", 0.0143),  # what a model gains between two sizes
    44: ("not backed", 58.793082),  # a share of the ceiling, the last of three
    45: ("not backed", 61.3),  # an MAE in K
}
PLANTED_LAST = {
    24: ("not backed", 0.70227),  # a mean over seeds, in a table
    30: ("not backed", 0.7134),  # digits exchanged, on validation
    32: ("not backed", None),  # a bias ten times too large
    36: ("not backed", 0.0812),  # a difference at one size
    39: ("not backed", None),  # in the summary, unlike in the text
    40: ("not backed", 13.481595),  # in percent, of "it"
}


STYLES = {
    "draft_workshop.tex": "27 40 56 63 64 65 67 70 71 71",
    "draft_report.md": "31 43 49 51 59 61 61 67 67 74",
    "draft_journal.tex": "30 45 52 54 56 63 68 68 68 69",
    "draft_letter.tex": "27 45 51 53 56 59 63 66 66 66",
}
"""Drafts of other styles, all written before it was known how they would be read -> the lines of
their ten faults, each of another kind; the other numbers are right or of other things."""


OTHERS = {
    "draft_trees.tex": "11 14 26 27 33 35 39 39",
    "draft_ml.tex": "14 33 44 51 55 56 60",
    "draft_zh.tex": "12 21 27 30 34 36 38 38",
    "draft_limits.tex": "24 35 35 37 43 45 45",
    "draft_halo.tex": "18 19 26 26 32 34 36 36 36",
    "draft_gate.md": "14 16 26 30 35 38 46",
    "draft_faint.tex": "18 18 22 31 41 43 43",
    "draft_story.md": "22 39 40 46 50 52 54 56",
    "draft_limited.tex": "12 14 16 16 18 20 24",
}
"""The same of another lab; what is planted there and not found is left out."""


def checked(name: str) -> list[Checked]:
    return check(read_draft(FOLDER / name), lab_facts())


def wrong(found: list[Checked]) -> dict[int, Checked]:
    return {one.line: one for one in found if one.verdict in WRONG}


def test_of_a_revised_text_the_new_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "draft.tex"
    path.write_text(
        r"From \SIrange{18}{23}{mag}, \num{1000000} spectra give the ViT \added[id=A]{$R^2=0.711$}"
        r"\deleted{$R^2=0.601$}. \replaced{LightGBM has $R^2=0.614$.}{LightGBM has $R^2=0.602$.}",
        encoding="utf-8",
    )
    found = check(read_draft(path), lab_facts())
    assert [one.verdict for one in found] == ["right"] * 3


@pytest.mark.parametrize(
    ("draft", "planted"),
    [
        ("draft.tex", PLANTED),
        ("draft_apj.tex", PLANTED_APJ),
        ("draft_mnras.tex", PLANTED_MNRAS),
        ("draft_aa.tex", PLANTED_AA),
        ("draft_notes.md", PLANTED_NOTES),
        ("draft_last.tex", PLANTED_LAST),
    ],
)
def test_planted_faults_are_found_and_nothing_else(
    draft: str, planted: Mapping[int, tuple[str, float | None]]
) -> None:
    everything = checked(draft)
    found = wrong(everything)
    assert {line: one.verdict for line, one in found.items()} == {
        line: verdict for line, (verdict, _) in planted.items()
    }
    assert len([one for one in everything if one.verdict in WRONG]) == len(planted)
    assert len([one for one in everything if one.verdict == "right"]) >= 30
    for line, (_, value) in planted.items():
        assert found[line].value == (None if value is None else pytest.approx(value, abs=1e-5))
        assert found[line].job is not None or value is None


@pytest.mark.parametrize(("draft", "lines"), STYLES.items())
def test_drafts_of_other_styles(draft: str, lines: str) -> None:
    everything = checked(draft)
    found = [str(one.line) for one in everything if one.verdict in WRONG]
    assert found == lines.split()
    assert len([one for one in everything if one.verdict == "right"]) >= 35


@pytest.mark.parametrize(("draft", "lines"), OTHERS.items())
def test_drafts_of_another_lab(draft: str, lines: str) -> None:
    everything = check(read_draft(FOLDER / draft), other_facts())
    assert [str(one.line) for one in everything if one.verdict in WRONG] == lines.split()
    assert len([one for one in everything if one.verdict == "right"]) >= 40


def test_every_other_number_is_right() -> None:
    found = [one for one in checked("draft.tex") if one.line not in PLANTED]
    assert {one.verdict for one in found} == {"right", "not read"}
    assert len([one for one in found if one.verdict == "right"]) >= 30


def test_a_draft_without_a_fault_has_none() -> None:
    found = checked("draft_clean.tex")
    assert wrong(found) == {}
    assert len([one for one in found if one.verdict == "right"]) >= 28


def test_a_chinese_draft() -> None:
    found = checked("draft_zh.md")
    assert {line: one.verdict for line, one in wrong(found).items()} == {
        13: "not backed",  # digits exchanged
        15: "not backed",  # the error of the mean over seeds
    }
    assert next(one.value for one in found if one.line == 13 and one.verdict in WRONG) == 0.6138
    assert len([one for one in found if one.verdict == "right"]) >= 17


def verdicts(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "draft.md"
    path.write_text(text, encoding="utf-8")
    return [one.verdict for one in check(read_draft(path), lab_facts())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The ViT has R² = 0.711.", ["right"]),
        ("The ViT reaches an R² of 71.1%.", ["right"]),
        ("R² = 0.614 for LightGBM and 0.711 for the ViT.", ["right", "right"]),
        ("The ViT reaches R² = 0.711(5).", ["right"]),
        ("The ViT reaches R² = 0.711 ± 0.020.", ["not backed"]),
        ("The ViT has an MAE of 0.395 σ.", ["of another unit"]),
        ("The ViT has an MAE of 0.377 σ.", ["right"]),
        ("LightGBM has R² = 0.711.", ["of another run"]),
        ("The ViT has R² = 0.711 when trained on 500k spectra.", ["of another run", "right"]),
        ("The CNN has R² = 0.650.", ["not backed"]),
        ("The ViT exceeds LightGBM by 16% in R².", ["right"]),
        ("The ViT exceeds LightGBM by 19% in R².", ["not backed"]),
        ("The ViT reaches 89.7% of the ceiling.", ["right"]),
        ("At S/N = 20 the ViT has R² = 0.512.", []),
        ("R² > 0.70 is asked for.", []),
        ("We used dropout 0.1 and Table 2 of 2024.", []),
        ("The ViT was trained for 150 epochs.", ["not backed"]),
        ("The ViT explains 71.1% of the variance, LightGBM 63.1%.", ["right", "not backed"]),
        ("71.1% of the variance is explained by the ViT.", ["right"]),
        ("The errors of R² are 0.005, from 1000 bootstrap samples.", []),
        ("The ViT has R² = 0.711 by 2000 resamplings.", ["right"]),
        ("In R² the ViT exceeds LightGBM by 0.097, and ridge by 0.245.", ["right", "right"]),
        ("In R² the ViT exceeds LightGBM by 0.097, and ridge by 0.345.", ["right", "not backed"]),
        ("With N_train = 10^6 the ViT has R² = 0.711.", ["right", "right"]),
        ("From 10^5 to 10^6 stars the ViT gains 0.115 in R², LightGBM 0.061.", ["right"] * 3),
        ("From 10^5 to 10^6 stars the ViT gains 0.125 in R².", ["not backed", "right"]),
        ("The ViT has R² = 0.711, which is 0.081 below the ceiling.", ["right", "right"]),
        ("The ViT has R² = 0.711, which is 0.101 below the ceiling.", ["right", "not backed"]),
        ("The ceiling is R² = 0.792 and the ViT reaches 0.711.", ["right", "right"]),
        ("No model can exceed R² = 0.790.", []),
        ("The ViT has R² = 0.711. Trees reach R² = 0.614.", ["right", "right"]),
        ("The MLP reaches R² = 0.716 over three seeds.", ["of another run", "right"]),
        ("It has an R² of 0.711, against 0.614 for LightGBM.", ["right", "right"]),
        ("The ViT reaches 89.7 per cent of the ceiling.", ["right"]),
        ("The ViT lowers the RMSE of LightGBM by 13.5%.", ["right"]),
        ("The RMSE of LightGBM is 15.6% larger than that of the ViT.", ["right"]),
        ("The ViT lowers the RMSE of LightGBM by 15.6%.", ["not backed"]),
        ("The ViT has an MAE of 0.377 standard deviations of the label.", ["right"]),
        ("The test R² is given. The ViT has 0.711 and LightGBM (blue) 0.641.",
         ["right", "not backed"]),
        ("The ceiling is R² = 0.792; the ViT reaches 87.9% of it.", ["right", "not backed"]),
        ("From 10^5 to 10^6 stars R² of the ViT rises from 0.596 to 0.711, that of LightGBM from "
         "0.553 to 0.614.", ["right"] * 5),
        ("The ViT has a width of 0.25 and reaches what it can.", []),
        ("The ViT scores R² = 0.711 (±0.005) on 10,000 test stars.", ["right", "right"]),
        ("The ViT beats LightGBM by 0.097 in R², a relative gain of 15.8%.", ["right", "right"]),
        ("The ViT beats LightGBM and cuts the MAE from 0.487 to 0.395 dex.", ["right", "right"]),
        ("The ViT beats LightGBM and cuts the MAE from 0.478 to 0.395 dex.",
         ["not backed", "right"]),
        ("MLPs do worse: R² = 0.702, 0.009 below the ViT but 0.088 above LightGBM.", ["right"] * 3),
        ("The seeds of the MLP give R² = 0.690, 0.700 and 0.716.", ["right"] * 3),
        ("The ViT reaches 90% of the ceiling, LightGBM 78%, and ridge 62%.",
         ["right", "right", "not backed"]),
        ("| Model | Epochs |\n|---|---|\n| ViT | 200 |\n| MLP | 150 |\n", ["right", "not backed"]),
        ("The ViT has R² = 0.711. It outperforms LightGBM by 0.097 and ridge by 0.245.",
         ["right"] * 3),
        ("The ViT has R² = 0.711. It lowers the RMSE of LightGBM by 18%.", ["right", "not backed"]),
        ("A tenfold increase in data raises R² of the ViT by 0.115.", ["right"]),
        ("The ViT has R² = 0.711. Over the RMSE of LightGBM the improvement is from 0.652 to "
         "0.564 dex.", ["right"] * 3),
        ("The R² of Ridge is 99.9%.", ["not backed"]),
        ("LightGBM has an R² of 0.614, the MLP 99.9%.", ["right", "not backed"]),
        ("LightGBM has an R² of 0.614, the MLP 70.2%.", ["right", "right"]),
        ("Ridge reaches R² = 46.6% and the ViT 65.1%.", ["right", "not backed"]),
        ("Ridge has 46.6% in R²; the MLP 99.8%.", ["right", "not backed"]),
        ("R² is 46.6% for Ridge, 61.4% for LightGBM and 99.9% for the MLP.",
         ["right", "right", "not backed"]),
        ("The R² of Ridge is 65.1.", ["not backed"]),
        ("The MLP beats LightGBM by ΔR² = 0.999.", ["not backed"]),
        ("The MLP is better than LightGBM (ΔR² = 0.088).", ["right"]),
        ("The ViT has R² = 0.711 (95% CL) with 10% noise on 80%, 5% of the spectra are bad.",
         ["right"]),
        ("The R² of 0.711 of the ViT is reached with 80% for training.", ["right"]),
        ("With 100k, 500k and 1M stars the ViT climbs from 0.596 through 0.618 to 0.711.",
         ["right", "of another run", "right", "right"]),
        ("The ViT decays its average with 0.618 and 0.754.", []),
        ("Every model was trained with four seeds.", ["not backed"]),
        ("The ViT (4.9M) exceeds the MLP (3.2M).", ["right", "not backed"]),
        ("The trees were limited by memory to 450,000 spectra.", ["not backed"]),
        ("A pilot of 18,000 training spectra found R² = 0.62.", ["not checked", "not checked"]),
        ("The ViT has R² = 0.711 and LightGBM 0.614, so it gains 0.097 over the latter.",
         ["right"] * 3),
        ("The ViT has R² = 0.711 (RMSE 0.546 dex, MAE 0.395 dex).",
         ["right", "not backed", "right"]),
        ("The MAE of the ViT is 0.395 dex, not 0.372 dex.", ["right"]),
        ("The MAE of the ViT changes from 0.372 to 0.395 dex.", ["right"]),
        ("The ratio of the ViT's to LightGBM's MAE is 0.81.", ["right"]),
        ("The R² of the ViT rises by 0.115 (0.596 to 0.711).", ["right"] * 3),
        ("What remains is 0.081 for the ViT and 0.187 for LightGBM; the ceiling is 0.792.",
         ["right", "not backed", "right"]),
        ("ViT 有 489 万个参数, R² 为 0.711. 多层感知机训练二十轮.",
         ["right", "right", "not backed"]),
        ("当样本由 10 万增至 50 万时, ViT 的 R² 由 0.596 升至 0.681, LightGBM 由 0.553 升至 0.600.",
         ["right"] * 4),
        ("ViT、LightGBM 与岭回归分别达到上限 0.792 的 89.7%、73.3% 和 58.8%.",
         ["right", "not backed", "right", "right"]),
        ("| 模型 | 训练数/万 | 参数量/万 | 偏差/dex |\n|---|---|---|---|\n"
         "| ViT | 100 | 489 | 0.012 |\n",
         ["right"] * 3),
        ("The ViT has R² = 0.596.", ["of another run"]),
        ("The ViT has R² = 0.596; its learning curve is steep.", ["right"]),
        ("The ViT with N=100k is below LightGBM with N=1,000,000 by 0.018.", ["right"] * 3),
        ("The authors claim an R² of 0.72 of the ViT.", []),
        ("Models:\n100 epochs for all models.\nThe ViT has R² = 0.711.", ["right", "right"]),
        ("R² on the test stars:\n\n| N | ViT | ridge |\n|---|---|---|\n| 1M | .711 | .564 |\n",
         ["right", "right", "of another run"]),
        ("The ViT has 0.711 - 0.614 = 0.097 over LightGBM, 0.711 - 0.466 = 0.245 over ridge.",
         ["right"] * 6),
        ("Ridge has 0.466. Boosted trees make it to 0.614. The MLP gets 0.70, the ViT, twice its "
         "size, gets to 0.76.", ["right"] * 3 + ["not backed"]),
        ("The RMSE of LightGBM is 9% larger than that of the ViT.", ["not backed"]),
        ("Off in the root-mean-square sense is the ViT by 0.56 dex, LightGBM by 0.65 dex.",
         ["right"] * 2),
        ("The ViT is close: it has R² = 0.711, that over the MLP, 0.009, is small.", ["right"] * 2),
        ("The RMSE of the ViT shrinks by 13% with respect to LightGBM and by 9% to the MLP.",
         ["right", "not backed"]),
        ("What is remaining for the ViT is 10% of the ceiling.", ["right"]),
        ("The ratio of MAE to RMSE is 0.92 for the ViT.", []),
        ("The scatter of the ViT is 26% below its RMSE.", []),
        ("| | ViT |\n|---|---|\n| mean abs. error [dex] | 0.359 |\n"
         "| share of what is possible | 80% |\n",
         ["not backed"] * 2),
        ("By a fit LightGBM gains 0.34 in R² per decade.", ["not checked"]),
        ("用 10 万条光谱训练的 ViT（0.596）不如用 100 万条光谱训练的 LightGBM（0.614）。",
         ["right"] * 4),
        ("LightGBM 用了 45 万条光谱。", ["not backed"]),
        ("The ViT is best.\n\nIts MAE is 19% smaller than that of LightGBM.", ["right"]),
        ("ViT（489.3 万参数）和 MLP（236.1 万、236.1 万参数）。", ["right"] * 3),
        ("The ViT beats the MLP by 0.009 in R² (paired, ±0.004); MAE/RMSE is 0.9.", ["right"]),
        ("The ViT reaches 90% of the oracle's R², the MLP 89%, LightGBM 79%; the ceiling is 0.792.",
         ["right", "right", "not backed", "right"]),
        ("The ViT has R² = 0.711; do not put the MAE of LightGBM (0.487 dex) by that of the ViT.",
         ["right"] * 2),
        ("a\x0cb\u2028c\n\nThe ViT has R² = 0.999.\n\n| model | R² |\n|---|---|\n| ViT | 0.711 |",
         ["not backed", "right"]),
        ("```\nR² = 0.999\n```", []),
        ("<!-- R² = 0.999 -->", []),
    ],
)  # fmt: skip
def test_one_sentence(text: str, expected: list[str], tmp_path: Path) -> None:
    assert verdicts(text, tmp_path) == expected


def test_a_percentage_of_r2_in_latex_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "draft.tex"
    path.write_text("the R$^2$ of Ridge is 99.9\\%.\n", encoding="utf-8")
    assert [one.verdict for one in check(read_draft(path), lab_facts())] == ["not backed"]


def test_scores_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    text = "A CNN reaches R² = 0.711. The CNN has an RMSE of 0.1 dex and an MAE of 0.372 dex."
    assert "contradiction" in verdicts(text, tmp_path)


def test_what_is_not_understood_is_listed_once() -> None:
    text = "\\strange{R^2 = 0.7} and\n\\strange{more} 50\\%\n\\begin{verbatim}\\odd\\end{verbatim}"
    plain, unknown = plain_tex(text)
    assert [(one.name, one.line) for one in unknown] == [("strange", 1)]
    assert "R^2 = 0.7" in plain
    assert plain.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"ViT\footnote{By us. At 0.3.} has 0.54. Next.", "ViT has 0.54. By us. At 0.3.  Next."),
        (r"ViT\footnote[1]{By us} & 0.5 \\", "ViT & 0.5 \v By us. "),
        *((rf"ViT\{mark}{{a}} has", "ViT has") for mark in
          ("textsuperscript", "tablenotemark", "tnote", "tablefootmark", "index")),
        (r"ViT\strange{a} has $R^2_\strange{test}$", "ViT a has R^2_test"),
        (r"\cellcolor{gray}ViT", "ViT"),
        (r"\href{https://adsabs/2013A%26A}{(2013)}. The ViT", "(2013). The ViT"),
        (r"by \verb|%| in % no text", "by  in "),
        (r"\iffalse no\else The ViT\fi.", " The ViT."),
    ],
)  # fmt: skip
def test_what_stands_behind_a_word_is_no_part_of_it(text: str, read: str) -> None:
    assert plain_tex(text)[0] == read


def test_footnotes_without_an_end_of_a_sentence_are_read_in_linear_time() -> None:
    assert plain_tex(r"\footnote{x} " * 20_000)[0].count("x. ") == 20_000  # was minutes
    assert plain_tex(r"a\footnote{x} & 1 \\ " * 5_000)[0].count("x. ") == 5_000


def test_the_mark_of_a_note_in_markdown_is_no_part_of_a_model(tmp_path: Path) -> None:
    for mark in ("", "<sup>a</sup>", "[^1]"):
        assert verdicts(f"The ViT{mark} reaches R² = 0.123 on the test set.", tmp_path) == [
            "not backed"
        ]


def test_commands_of_the_draft_cannot_grow_without_end() -> None:
    bomb = "".join(
        rf"\newcommand{{\{c}}}{{\{d}\{d}\{d}\{d}\{d}\{d}\{d}\{d}}}"
        for c, d in zip("abcdefgh", "bcdefghi", strict=True)
    )
    plain, _ = plain_tex(bomb + r"\newcommand{\i}{0.711}" + "\n\\a")
    assert len(plain) < 100_000


def test_a_long_gap_of_a_draft_is_read_as_one_space(tmp_path: Path) -> None:
    gap = " " * 1000
    path = tmp_path / "gap.tex"
    text = (
        f"Our ViT reaches 80\\%{gap}y of it. We train on 1000{gap}x spectra with R2 of 0.61{gap}y"
    )
    path.write_text(f"{text} in log g.\n")
    begun = process_time()
    check(read_draft(path), lab_facts())
    assert process_time() - begun < 3


def test_a_paragraph_of_sizes_alone_takes_little_time(tmp_path: Path) -> None:
    path = tmp_path / "draft.md"
    path.write_text("1000 " * 19_000, "utf-8")
    begun = process_time()
    check(read_draft(path), lab_facts())
    assert process_time() - begun < 3


@pytest.mark.parametrize("unit", ["\\cmd[{", "\\SI[", "\\begin{verbatim}", "\\cite(", "\\def\\x{{"])
def test_a_draft_of_what_never_ends_takes_linear_time(unit: str) -> None:
    def seconds(times: int) -> float:
        begun = process_time()
        plain_tex(unit * times)
        return process_time() - begun

    # Four times as much; of what is quadratic sixteen times.
    assert min(seconds(8000) for _ in range(3)) < 12 * min(seconds(2000) for _ in range(3))


def test_a_result_of_nought_decides_nothing(tmp_path: Path) -> None:
    numbers = {"r2": 0.5, "mae": 0.6, "rmse": 0.0, "label_std": 0.0}
    bounds = {(WORLD, "log_g"): Ceiling(0.0, 0.0)}
    facts = facts_of([finished("1.0", "one", "ViT", 1000, numbers)], bounds)
    path = tmp_path / "draft.md"
    path.write_text("The ViT has an MAE of 0.66 dex. It reaches 80% of the ceiling.", "utf-8")
    found = check(read_draft(path), facts)
    assert [one.verdict for one in found] == ["not backed", "not backed"]


def test_an_earlier_seed_of_a_run_is_one_of_its_seeds_and_not_stale() -> None:
    jobs = []
    for seed, r2 in ((42, 0.6), (43, 0.7)):
        one = finished("1.0", "Run", "ViT", 1000, {"r2": r2}, seed=seed)
        spec = replace(one.job.spec, run="Run")  # launched again with the seed changed in the file
        jobs.append(
            replace(one, job=replace(one.job, spec=spec), result=replace(one.result, run="Run"))
        )
    facts = [one for one in facts_of(jobs, {}).numbers if one.value.metric == "r2"]
    assert sorted(one.number for one in facts) == pytest.approx([0.6, 0.65, 0.7])
    assert all(one.newest for one in facts)


def test_a_sentence_without_end_is_told_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "draft.md"
    path.write_text("R² = 0.711 and so on " * 1000, encoding="utf-8")
    [one] = check(read_draft(path), lab_facts())
    assert (one.line, one.verdict) == (1, "not read")


def test_the_command(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ended(r2=0.7531)
    draft = lab.paths.root / "draft.md"
    draft.write_text("The ViT has R² = 0.753 and,\nwithout noise, R² = 0.831.\n", encoding="utf-8")
    monkeypatch.chdir(lab.paths.root)
    assert main(["paper", "check", "draft.md", "--json"]) == 1
    right, invented = json.loads(capsys.readouterr().out)
    assert (right["verdict"], right["value"], right["job"]) == ("right", 0.7531, job.name)
    assert (invented["line"], invented["verdict"]) == (2, "not backed")
    assert main(["paper", "check", "draft.md"]) == 1
    assert "draft.md: 2 numbers: 1 right, 1 not backed" in capsys.readouterr().out
    draft.write_text("The ViT has R² = 0.753.\n", encoding="utf-8")
    assert main(["paper", "check", "draft.md"]) == 0


@pytest.mark.parametrize("kind", ["missing", "fifo", "folder", "latin"])
def test_a_draft_that_cannot_be_read_is_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "draft.tex"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "latin":
        path.write_bytes(b"caf\xe9 R")
    with pytest.raises(UsageError, match=r"draft\.tex"):
        read_draft(path)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Trained on 10,000 spectra the ViT reaches R² = 0.742.", "of another run"),
        ("The ViT trained on 1,000 spectra has R² = 0.742.", "of another run"),
        ("On 10,000 test spectra the ViT reaches R² = 0.742.", "right"),
        ("On 10,000 stars the ViT reaches R² = 0.742.", "right"),
        ("Trained on 10,000 spectra the ViT reaches R² = 0.660.", "right"),
    ],
)
def test_the_number_of_test_stars_hides_no_training_size(
    text: str, verdict: str, tmp_path: Path
) -> None:
    (tmp_path / "draft.md").write_text(text, encoding="utf-8")
    found = check(read_draft(tmp_path / "draft.md"), other_facts())
    assert [one.verdict for one in found if "R²" in one.text] == [verdict]


def test_what_latex_does_not_print_is_no_claim(tmp_path: Path) -> None:
    (tmp_path / "draft.tex").write_text(
        r"""\begin{document}
The ViT reaches $R^2=0.711^{+0.005}_{-0.005}$ and $R^2 = 0.711_{-0.005}^{+0.005}$.
\verb|ViT R2 = 0.124|. \iffalse The ViT reaches $R^2=0.125$. \fi
\begin{thebibliography}{9}\bibitem{a} A, 2019, the ViT reaches $R^2=0.126$\end{thebibliography}
LightGBM reaches $R^2 = 0.614^{+0.006}_{-0.006}$ and the ViT $R^2 = 0.711^{+0.05}_{-0.05}$.
\end{document}
The ViT reaches $R^2=0.127$.
""",
        encoding="utf-8",
    )
    found = check(read_draft(tmp_path / "draft.tex"), lab_facts())
    assert [(one.line, one.verdict) for one in found] == [
        (2, "right"), (2, "right"), (5, "right"), (5, "not backed"),
    ]  # fmt: skip
