"""Verdicts are said in English on the screen and in the document's language in the document."""

import re

import pytest

from vitlab.contract.job import Result
from vitlab.docs.judge.gates import judge
from vitlab.docs.judge.phrases import _WORDS, phrase, phrase_list
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.source import Document


def test_both_languages_say_the_same_things() -> None:
    assert set(_WORDS["en"]) == set(_WORDS["zh"])
    for key, english in _WORDS["en"].items():
        holes = len(re.findall(r"\{[^}]*\}", english))
        assert len(re.findall(r"\{[^}]*\}", _WORDS["zh"][key])) == holes, key


def test_phrases_within_phrases() -> None:
    nested = phrase("trial", "demo", phrase("fail"), phrase("holds", "R² = 0.5", "<", "0.65"))
    assert nested.text("en") == ("no full run yet; demo: fail (R² = 0.5 < 0.65)")
    assert nested.text("zh") == "尚无完整训练的结果；demo 档的结果为 未通过（R² = 0.5 < 0.65）"
    assert phrase_list([phrase("no_rule"), phrase("missing", ["ViT", "Ridge"])]).text("en") == (
        "no rule: you decide; no full result of ViT and Ridge"
    )


@pytest.mark.parametrize("profile", ["full", "demo"])
def test_a_chinese_roadmap_is_told_in_chinese(profile: str) -> None:
    text = (
        "# 计划\n\n### Gate-1: 最终性能\n\n| 项 | 内容 |\n|---|---|\n| MVP | MVP-1.0 |\n"
        "| 若 R² > 0.70 | ✅ 就绪 |\n| 状态 | ⏳ 待启动 |\n\n"
        "| MVP | 名称 | Gate | 状态 |\n|---|---|---|---|\n| 1.0 | 训练 | Gate-1 | ⏳ |\n"
    )
    roadmap = parse_roadmap(Document(text))
    result = Result("1.0", "main", profile, "vit", {"test/r2/log_g": 0.5}, {"test/r2/log_g": 0.01})
    verdict = judge(roadmap.gates[0], [result], roadmap)
    assert "not >" in verdict.because
    assert "不满足" in verdict.because_in_document
    assert not re.search(r"[a-z]{5,}", verdict.because_in_document)
