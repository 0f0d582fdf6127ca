"""Counts told with results, in English and Chinese: right ones silent, wrong ones found.

The results are 0.7201 of a ViT, the mean of three seeds, and 0.5234 of ridge.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import found, hand_edit
from vitlab.docs.lint.counts import counts_in
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.writeback.edits import write

COUNTED = [  # right, wrong
    ("R² = 0.720 (mean of three seeds)", "R² = 0.720 (mean of five seeds)"),
    ("R² = 0.720, 3 seeds", "R² = 0.720, 5 seeds"),
    ("the 3-seed mean is R² = 0.720", "the 10-seed mean is R² = 0.720"),
    ("R² = 0.720 averaged over three random seeds", "R² = 0.720 averaged over nine random seeds"),
    ("三个种子平均 R² 0.720", "五个种子平均 R² 0.720"),
    ("R² = 0.720（3 个随机种子）", "R² = 0.720（20 个随机种子）"),
    ("trained on 1k spectra R² 0.720", "trained on 1M spectra R² 0.720"),
    ("R² = 0.720 with 1,000 training stars", "R² = 0.720 with 100,000 training stars"),
    ("R² = 0.720 (N_train = 1k)", "R² = 0.720 (N_train = 10k)"),
    ("trained on 1k, it has R² = 0.720", "trained on 1M, it has R² = 0.720"),
    ("用 1k 颗恒星训练，R² = 0.720；3 个随机种子的均值", "R² = 0.720；9 个随机种子的均值"),
    ("用一千条光谱训练，R² = 0.720", "用 100 万条光谱训练，R² = 0.720"),
    ("在 1000 颗恒星上训练的 R² 为 0.720", "在 20 万颗恒星上训练的 R² 为 0.720"),
    ("R² = 0.720 after 30 epochs", "R² = 0.720 after 100 epochs"),
    ("R² = 0.720 after 10 epochs", "R² = 0.720 after ten seeds"),
    ("trained for 30 epochs, R² = 0.720", "trained for 20 epochs, R² = 0.720"),
    ("R² = 0.720 (epochs = 30)", "R² = 0.720 (epochs = 60)"),
    ("训练三十轮，R² 0.720", "训练一百轮，R² 0.720"),
    ("训练 30 轮后 R² 达到 0.720", "训练 300 轮后 R² 达到 0.720"),
]
NOT_COUNTED = [
    "R² = 0.720; five seeds are planned",
    "R² = 0.720; next: five seeds",
    "R² = 0.720; at least 5 seeds are wanted",
    "R² = 0.720 of seed 9 (run 5 seed=9)",
    "R² = 0.720 on 500 test stars",
    "R² = 0.720 after 50 epochs of warm-up, patience of 70 epochs",
    "R² = 0.720, 50 epochs earlier",
    "R² = 0.720, converged 20 epochs before the end",
    "R² = 0.720 with a decay over 50 epochs",
    "repeat R² = 0.720 with five seeds",
    "the trained ViT has R² = 0.720 on 500 stars",
    "R² = 0.720; the trained ViT on 500 stars is as good",
    "R² = 0.720，使用 500 颗恒星测试",
    "R² = 0.720, pre-trained on 1M spectra",
    "R² = 0.720; Leung & Bovy (2019) trained on 200k spectra",
    "R² = 0.720; the MLP was trained on 1M spectra",
    "R² = 0.720 in total over 30k training draws, 30k training spectra seen",
    "目标：五个种子平均 R² 0.720",
    "假设：五个种子平均 R² 0.720",
    "R² = 0.720；下一步跑五个种子",
    "R² = 0.720；第五轮实验，训练 5 轮实验",
    "R² = 0.720，在 500 颗测试恒星上",
    "R² = 0.720；计划训练 100 轮",
]


@pytest.fixture
def ran(lab: Lab, roadmap: Path, ended: Ended) -> Path:
    keep_earlier(lab, roadmap)
    for seed, number in enumerate((0.7101, 0.7201, 0.7301)):
        spec = ended(f"seed={seed}", number).spec
        config = {"data": {"train_size": 1000}, "train": {"seed": seed, "epochs": 30}}
        spec.write_text(json.dumps({**json.loads(spec.read_bytes()), "config": config}))
    ended("two", 0.5234, mvp="2.0", model="Ridge", exp_id="VIT-20260101-another-01")
    write(lab, roadmap, "1.0")
    assert found(lab, roadmap) == []
    return roadmap


def tell(lab: Lab, roadmap: Path, lines: list[str]) -> int:
    """Write lines into conclusions, the report and the hub; in how many places each stands."""
    report = next(roadmap.parent.glob("exp_the_run*.md"))
    hub = roadmap.with_name("plan_hub.md")
    rows = "".join(f"| MVP-1.0 | {one} | - |\n" for one in lines)
    head = "|-----|------------|------------|\n"
    for path, old, new in (
        (roadmap, head, head + rows),
        (report, "## Results\n", "## Results\n\n" + "".join(f"- {one}.\n" for one in lines)),
        (hub, "# Hub\n", "# Hub\n\n" + "".join(f"- MVP-1.0: {one}\n- {one}\n" for one in lines)),
    ):
        hand_edit(path, old, new)
    return 4


def test_right_counts_and_those_of_something_else(lab: Lab, ran: Path) -> None:
    tell(lab, ran, [right for right, _ in COUNTED] + NOT_COUNTED)
    assert [(one.line, one.message) for one in found(lab, ran)] == []


def test_counts_that_no_run_has(lab: Lab, ran: Path) -> None:
    wrong = [wrong for _, wrong in COUNTED]
    places = tell(lab, ran, wrong)
    hits = found(lab, ran)
    assert {one.kind for one in hits} == {"number-without-result"}
    lines = [
        (one.path or ran).read_text(encoding="utf-8").splitlines()[one.line - 1] for one in hits
    ]
    assert {text: sum(text in line for line in lines) for text in wrong} == dict.fromkeys(
        wrong, places
    )
    told = "\n".join(one.message for one in hits)
    for said in (
        "five seeds of MVP 1.0: its runs have 3 seeds",
        "1M spectra of MVP 1.0: its runs have 1,000 training spectra",
        "100 epochs of MVP 1.0: its longest run has 30 epochs",
    ):
        assert said in told


def test_counts_older_than_the_first_job_and_of_none(lab: Lab, roadmap: Path, ended: Ended) -> None:
    hub = roadmap.with_name("plan_hub.md")
    old = "- MVP-1.0: R² = 0.720 (mean of five seeds)\n- MVP-1.0: R² = 0.720 after 500 epochs\n"
    hand_edit(hub, "# Hub\n", f"# Hub\n\n{old}")
    keep_earlier(lab, roadmap)
    ended("one", 0.7201)
    hand_edit(hub, "# Hub\n", "# Hub\n\n- MVP-2.0: R² = 0.720, 5 seeds\n")
    assert [one.message for one in found(lab, roadmap) if "MVP 2.0" not in one.message] == []
    hand_edit(hub, "(mean of five seeds)", "(mean of six seeds)")
    assert any("six seeds" in one.message for one in found(lab, roadmap))


def test_the_job_that_has_the_number_has_the_count(lab: Lab, ran: Path) -> None:
    hub = ran.with_name("plan_hub.md")
    hand_edit(hub, "# Hub\n", "# Hub\n\n- R² = 0.523, 3 seeds\n- R² = 0.523 of ridge, one seed\n")
    assert [one.message for one in found(lab, ran)] == ["3 seeds: its runs have 1 seed"]


def test_seeds_that_a_program_of_one_s_own_may_have_inside(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    keep_earlier(lab, roadmap)
    spec = ended("one", 0.7201).spec
    command = {"recipe": "command", "config": {"argv": ["python", "train.py"]}}
    hub = roadmap.with_name("plan_hub.md")
    hand_edit(hub, "# Hub\n", "# Hub\n\n- MVP-1.0: R² = 0.720, 5 seeds, after 40 epochs\n")
    assert len(found(lab, roadmap)) == 2
    spec.write_text(json.dumps({**json.loads(spec.read_bytes()), **command}), encoding="utf-8")
    assert found(open_lab(lab.paths.root), roadmap) == []


@pytest.mark.parametrize("count", ["20 × 5 seeds", "3-5 seeds", "MVP-5 seeds", "Run 3 seed=4"])
def test_no_count(count: str) -> None:
    assert list(counts_in(f"R² = 0.720, {count}")) == []
