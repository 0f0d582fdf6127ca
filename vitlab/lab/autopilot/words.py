"""The words of an autopilot's report, in the language of its roadmap."""

from __future__ import annotations

import re

WORDS = {
    "en": {
        "title": "Autopilot", "ended": "Ended", "from": "from", "to": "to",
        "tried": "What was tried", "decided": "What was decided", "left": "What waits",
        "mvp": "MVP", "profile": "Profile", "jobs": "Jobs", "hours": "Run time",
        "cores": "Core time", "gpus": "GPU time", "found": "Found", "all": "All",
        "gate": "Gate", "before": "Before", "now": "Now", "because": "Because",
        "nothing": "Nothing.", "budget": "Budget", "launches": "launches",
        "coming": "not launched: ", "going": "Jobs that go on",
        "unwritten": "results not written yet (`vitlab sync` writes them): ",
        "ok": "ok", "failed": "failed", "stopped": "stopped", "lost": "lost", "held": "held",
        "behind": "behind a failed job", "waiting": "waiting", "running": "running",
        "pass": "pass", "fail": "fail", "waits": "waits", "open": "open", "manual": "needs you",
    },
    "zh": {
        "title": "自动运行", "ended": "结束原因", "from": "自", "to": "至",
        "tried": "做了什么", "decided": "判定", "left": "待办",
        "mvp": "MVP", "profile": "配置档", "jobs": "任务", "hours": "运行时间",
        "cores": "核时间", "gpus": "GPU 时间", "found": "结果", "all": "合计",
        "gate": "Gate", "before": "之前", "now": "现在", "because": "依据",
        "nothing": "无。", "budget": "预算", "launches": "次启动",
        "coming": "未启动：", "going": "仍在进行的任务",
        "unwritten": "结果尚未写入（`vitlab sync` 写入）：",
        "ok": "成功", "failed": "失败", "stopped": "已停止", "lost": "丢失", "held": "搁置",
        "behind": "前置任务失败", "waiting": "等待", "running": "运行中",
        "pass": "通过", "fail": "未通过", "waits": "尚无结果", "open": "未决",
        "manual": "需要你判定",
    },
}  # fmt: skip
_CHINESE = {
    r"nothing is left": "计划中没有可启动的任务了",
    r"budget spent: what is left does not fit it": "剩余预算不够运行其余任务",
    r"budget spent": "预算已用完",
    r"three failures in a row": "连续三次启动均失败",
    r"disk": "磁盘空间不足",
    r"ended by you": "由你结束",
    r"(.*Gate-\S+) is open: it needs you": r"\1 未决，需要你判定",
    r"((?:.*Gate-\S+ needs you: )?)says (\w+), no result supports it and no decision is recorded: "
    r"(`.*`) records yours": r"\1文档写着 \2，但没有结果支持，也没有决定的记录；\3 可记录你的决定",
    r"(.*Gate-\S+) needs you": r"\1 需要你判定",
    r"(.*Gate-\S+) is not decided yet": r"\1 尚未判定",
    r"(.*Gate-\S+) passed": r"\1 已通过",
    r"(.*Gate-\S+) failed": r"\1 未通过",
    r"(MVP-\S+) has ended": r"\1 已结束",
    r"was launched before: launch it yourself": "此前已启动过，如需再运行请自行启动",
    r"has the runs of (.+) again, or with other seeds: launch it yourself":
        r"与 \1 的 run 相同或仅随机种子不同，如需运行请自行启动",
    r"decided by hand; by the results it is (\w+): (.*)": r"由人工判定；按结果为 \1：\2",
    r"its rules were changed while it ran; before: (.*)": r"运行期间规则被改动；原为：\1",
    r"needs (.+), (.+) are left": r"预计需要 \1，只剩 \2",
}  # fmt: skip


def in_language(why: str, language: str) -> str:
    """A reason of the autopilot's own; what documents and others have said stays as it is."""
    if language != "zh":
        return why
    for pattern, chinese in _CHINESE.items():
        if match := re.fullmatch(pattern, why):
            return match.expand(chinese)
    return WORDS[language].get(why, why)
