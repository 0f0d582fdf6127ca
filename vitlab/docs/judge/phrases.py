"""The phrases of verdicts and conclusions, in Chinese and English."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vitlab.contract.contradictions import Contradiction

_WORDS = {
    "en": {
        "no_rule": "no rule is written",
        "unreadable": "no rule that can be read: {}",
        "trial": "no full result decides it; {} results would say {} ({})",
        "for_a_person": "{!r} is for a person to judge",
        "else_waits": "else waits for the rule before it",
        "else": "else: {}",
        "any_mvp": "any MVP",
        "no_full_result": "no full result of {} with {}",
        "no_number": "{} of MVP-{} is not a number",
        "in_sigma": "{} of {} is known only in units of the label's standard deviation",
        "not_a_number": "{} is not a number",
        "delta_unsaid": "Δ{}, against what is not said: for a person to judge",
        "delta_unknown": "Δ{} against {!r}: for a person to judge",
        "no_pair": "no two results on the same data for Δ against {}",
        "near": "{} is within 2 errors of {}",
        "in": "{} in {}",
        "out": "{} not in {}",
        "holds": "{} {} {}",
        "fails": "{} not {} {}",
        "missing": "no full result of {}",
        "no_gate": "there is no {}",
        "unit": "the limit is in {}, {} in {}: for a person to judge",
        "no_ceiling": "no ceiling is known for {}",
        "no_direction": "which way {} is better is not known: for a person to judge",
        "no_best": "{} runs, {}; which way is better is not known",
        "no_choice": "{} runs, {}; not chosen: no validation score",
        "no_gate_decided": "it decides no gate",
        "and": " and ",
        "unlike": "{} and {} have no {} on the same data",
        "gap": "{}: {}, {}, Δ = {}",
        "reopened": "reopened, was {}: {}",
        "within": "within 2 errors",
        "is_noise": "noise",
        "is_one_seed": "one seed, the seed scatter is unknown",
        "is_unequal": "unequal: more than 3 times the stars or noise draws",
        "reason": "{}: {}",
        "remarked": "{} ({})",
        "no_error": "{}: no error known",
        "no_error_here": "no error known",
        "not_chosen": "{} configurations, {}: not chosen: no validation score",
        "unsound": "{} [{}] decides nothing: {}",
        "control_failed": "a control on permuted labels fails: {}",
        "one_seed": "one seed",
        "one_seed_unknown": "one seed, seed scatter unknown",
        "seeds": "mean of {} seeds",
        "cells": "best of {} on validation, up to {} of it by the choice",
        "best_of_cells": "best of {} on validation",
        "optimism": "up to {} of it by the choice",
        "budget": "{}: {}",
        "stars": "stars",
        "draws": "noise draws",
        "core_hours": "core-hours",
        "gpu_hours": "GPU-hours",
        "amount": "{} {}",
        "unknown_of": "{} unknown",
        "comma_word": ", ",
        "slash_word": "/",
        "is": "{} = {}",
        "as_is": "{}",
        "paired": "{} (on the same {} stars)",
        "independent": "{} (independent errors)",
        "mean_of": "mean ± scatter of {} seeds",
        "first_of": "best of {} runs on validation, runner-up {}, Δ = {}{}",
        "alone_of": "best of {} runs on validation; no other can be compared",
        "against": "against {}: Δ = {}{}",
        "of_ceiling": "{} of the Bayes ceiling {}",
        "over_ceiling": "above the Bayes ceiling {}: a leak, not a result",
        "not_a_result": "{}: not a result",
        "at_mags": "by magnitude {}",
        "no_result_of": "without a result: {}",
        "check": "{}: {}",
        "check_failed": "❌ {}: {}",
        "check_overlap_content": "Test spectra in the training set, by content",
        "check_overlap_labels": "Test stars in the training set, by labels or ids",
        "check_alignment": "R² of the predictions with the labels of neighbouring rows",
        "check_input_leak": "R² from the errors shown to the model, without flux",
        "check_ceiling": "Above the Bayes ceiling by",
        "check_count": "{} of {}",
        "check_number": "{} (limit: {})",
        "check_no_errors": "none are shown",
        "check_unknown": "unknown ({})",
        "why_old": "not checked",
        "why_no_columns": "no columns identify a star",
        "why_coarse": "labels too coarse to identify a star",
        "why_few": "too few stars",
        "why_sorted": "rows are sorted by label",
        "why_constant": "predictions or labels are constant",
        "why_weak": "predictions too weak to tell",
        "why_no_ceiling": "no ceiling of these stars",
        "why_no_world": "what the spectra were drawn from is not known",
        "sanity_control": "Trained on permuted labels ({}): R² {}, as good as none",
        "sanity_control_bad": "❌ Trained on permuted labels ({}): R² {}, and should be none",
        "sanity_ceiling": "Bayes ceiling {}: not exceeded (highest: {})",
        "sanity_ceiling_bad": "❌ Bayes ceiling {}: exceeded by {}",
        "sanity_contradiction": "❌ {}: {}",
        "sanity_excluded": "Spectra left out of the file: none",
        "sanity_excluded_some": "Spectra left out of the file ({}): {}",
        "sanity_excluded_unknown": "Spectra left out of the file: not counted",
        "sanity_no_ceiling": "No ceiling is known for these stars (recipe `ceiling`)",
        "sanity_no_world": "What these spectra were drawn from is not known: no ceiling applies",
        "made_by": "{}: commit {}, spec {}, seed {}",
        "join": "; ",
        "pass": "pass", "fail": "fail", "open": "open", "manual": "manual",
    },
    "zh": {
        "no_rule": "没有写明规则",
        "unreadable": "没有可读的规则：{}",
        "trial": "尚无完整训练的结果；{} 档的结果为 {}（{}）",
        "for_a_person": "“{}” 需人工判断",
        "else_waits": "否则：等待前一条规则",
        "else": "否则：{}",
        "any_mvp": "任何 MVP",
        "no_full_result": "{} 尚无含 {} 的完整结果",
        "no_number": "MVP-{1} 的 {0} 不是有限数",
        "in_sigma": "{1} 的 {0} 只有以标签标准差为单位的数值",
        "not_a_number": "{} 不是有限数",
        "delta_unsaid": "Δ{} 未说明与谁比较，需人工判断",
        "delta_unknown": "Δ{} 与 “{}” 比较，需人工判断",
        "no_pair": "没有两个同口径的结果可与 {} 比较",
        "near": "{} 与 {} 相差不到 2 倍误差",
        "in": "{} 在 {} 内",
        "out": "{} 不在 {} 内",
        "holds": "{} {} {}",
        "fails": "{} 不满足 {} {}",
        "missing": "尚无 {} 的完整结果",
        "no_gate": "没有 {}",
        "unit": "界限的单位是 {}，{} 的单位是 {}，需人工判断",
        "no_ceiling": "没有 {} 的上限可比",
        "no_direction": "不知道 {} 越大还是越小越好，需人工判断",
        "no_best": "{} 个运行，{}；不知道越大还是越小越好",
        "no_choice": "{} 个运行，{}；没有验证集分数，未选择",
        "no_gate_decided": "不作任何 Gate 的判据",
        "and": " 与 ",
        "unlike": "{} 与 {} 没有同口径的 {}",
        "gap": "{}: {}, {}, Δ = {}",
        "reopened": "重新打开，原为 {}：{}",
        "within": "不到 2 倍误差",
        "is_noise": "属于噪声",
        "is_one_seed": "只有一个随机种子，种子间离散未知",
        "is_unequal": "不对等：恒星数或噪声样本数多于 3 倍",
        "reason": "{}：{}",
        "remarked": "{}（{}）",
        "no_error": "{}：误差未知",
        "no_error_here": "误差未知",
        "not_chosen": "{} 个配置，{}：没有验证集分数，未选择",
        "unsound": "{} [{}] 不作判据：{}",
        "control_failed": "置换标签的对照未通过：{}",
        "one_seed": "一个随机种子",
        "one_seed_unknown": "一个随机种子，种子间离散未知",
        "seeds": "{} 个随机种子的均值",
        "cells": "{} 个中验证集最佳，其中至多 {} 来自选择",
        "best_of_cells": "{} 个中验证集最佳",
        "optimism": "其中至多 {} 来自选择",
        "budget": "{}：{}",
        "stars": "恒星",
        "draws": "噪声样本",
        "core_hours": "核时",
        "gpu_hours": "GPU 时",
        "amount": "{} {}",
        "unknown_of": "{}未知",
        "comma_word": "，",
        "slash_word": "/",
        "is": "{} = {}",
        "as_is": "{}",
        "paired": "{}（同 {} 颗恒星配对）",
        "independent": "{}（按独立误差）",
        "mean_of": "{} 个随机种子的均值 ± 离散",
        "first_of": "{} 个 run 中验证集最佳，次优 {}，Δ = {}{}",
        "alone_of": "{} 个 run 中验证集最佳，其余无法比较",
        "against": "相对 {}：Δ = {}{}",
        "of_ceiling": "达到 Bayes 上限 {1} 的 {0}",
        "over_ceiling": "高于 Bayes 上限 {}：是泄漏，不是结果",
        "not_a_result": "{}：不是结果",
        "at_mags": "各星等 {}",
        "no_result_of": "没有结果的 run：{}",
        "check": "{}：{}",
        "check_failed": "❌ {}：{}",
        "check_overlap_content": "训练集中的测试光谱（按内容）",
        "check_overlap_labels": "训练集中的测试恒星（按标签或 id）",
        "check_alignment": "预测与相邻行标签的 R²",
        "check_input_leak": "仅由输入中的误差（不含流量）得到的 R²",
        "check_ceiling": "高出 Bayes 上限",
        "check_count": "{}/{}",
        "check_number": "{}（界限 {}）",
        "check_no_errors": "输入不含误差",
        "check_unknown": "未知（{}）",
        "why_old": "未检查",
        "why_no_columns": "没有可辨认恒星的列",
        "why_coarse": "标签过粗，无法辨认恒星",
        "why_few": "恒星太少",
        "why_sorted": "各行按标签排序",
        "why_constant": "预测或标签为常数",
        "why_weak": "预测太弱，无法判断",
        "why_no_ceiling": "这批恒星尚无上限",
        "why_no_world": "不知道光谱取自哪个总体",
        "sanity_control": "用置换标签训练的对照（{}）：R² {}，与零无异",
        "sanity_control_bad": "❌ 用置换标签训练的对照（{}）：R² {}，本应为零",
        "sanity_ceiling": "Bayes 上限 {}：未超过（最高 {}）",
        "sanity_ceiling_bad": "❌ Bayes 上限 {}：被 {} 超过",
        "sanity_contradiction": "❌ {}：{}",
        "sanity_excluded": "文件中剔除的光谱：无",
        "sanity_excluded_some": "文件中剔除的光谱（{}）：{}",
        "sanity_excluded_unknown": "文件中剔除的光谱：未统计",
        "sanity_no_ceiling": "这批恒星尚无上限可比（recipe `ceiling`）",
        "sanity_no_world": "不知道这些光谱取自哪个总体：没有上限可比",
        "made_by": "{}：commit {}，spec {}，seed {}",
        "join": "；",
        "pass": "通过", "fail": "未通过", "open": "待定", "manual": "需人工判断",
    },
}  # fmt: skip


_JOINTS = {"list": "join", "comma": "comma_word", "slash": "slash_word"}
"""Kinds of lists -> what joins them."""


@dataclass(frozen=True)
class Phrase:
    """One phrase, not yet in a language."""

    key: str
    parts: tuple[object, ...] = ()
    """Texts, numbers, other phrases, contradictions, or lists to be joined by `and`."""

    def text(self, language: str) -> str:
        """Its text in `zh` or `en`."""
        words = _WORDS[language]
        parts = [_part(part, language) for part in self.parts]
        if joint := _JOINTS.get(self.key):
            return words[joint].join(parts)
        return words[self.key].format(*parts)


def phrase(key: str, *parts: object) -> Phrase:
    return Phrase(key, parts)


def phrase_list(phrases: Iterable[Phrase]) -> Phrase:
    """Several phrases one after the other."""
    return Phrase("list", tuple(phrases))


def _part(part: object, language: str) -> str:
    if isinstance(part, Phrase | Contradiction):
        return part.text(language)
    if isinstance(part, list):
        return _WORDS[language]["and"].join(str(one) for one in part)
    return str(part)
