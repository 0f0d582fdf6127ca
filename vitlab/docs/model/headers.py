"""The words that head a column of a table, and those of a status, in Chinese and English."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from vitlab.docs.text.inline import folded, plain

_METRIC_NAME = re.compile(r"(Δ?)((?<![A-Za-z])R\W{0,2}[²2](?!\d)|MAE|RMSE|bias|ρ|σ|loss)", re.I)
HEADERS: dict[str, tuple[str, ...]] = {
    "mvp": ("mvp", "对应mvp", "mvpid", "mvp编号", "mvps", "相关mvp", "编号", "id"),
    "name": (
        "名称", "实验名称", "实验名", "实验", "名字", "标题", "name", "experiment", "title",
        "description", "描述",
    ),
    "phase": ("phase", "阶段"),
    "gate": ("gate", "验证gate", "门控", "gates", "需要的gate", "对应gate", "决策门"),
    "status": (
        "状态", "status", "state", "当前状态", "exp.md状态", "实验状态", "执行状态", "完成情况",
        "进展", "new status", "current status", "present status", "latest status", "新状态",
        "目前状态", "最新状态",
    ),
    "exp_id": ("exp_id", "expid", "experiment_id", "experimentid", "实验id", "run_id"),
    "report": ("报告", "report", "reports", "exp.md", "实验报告"),
    "priority": ("优先级", "priority", "prio"),
    "due": ("预计完成", "eta", "due", "deadline", "截止", "预期结束"),
    "estimate": ("预估时间", "预计时间", "estimate"),
    "result": (
        "结果", "result", "results", "outcome", "keyresult", "keyresults", "mainresult",
        "bestresult", "headline", "主要结果", "关键结果", "核心结果", "最佳结果", "最终结果",
    ),
    "verdict": ("verdict", "判定", "裁决", "验证结果", "验证状态", "假设状态"),
    "conclusion": ("结论", "conclusion", "conclusions", "核心结论", "finding", "findings"),
    "key_metric": (
        "关键指标", "关键数字", "关键数值", "主指标", "keymetric", "keymetrics", "keynumber",
        "keynumbers", "metrics",
    ),
    "hub": ("同步hub", "同步到main", "同步", "syncedtohub", "hub", "synced", "hubsync"),
    "date": ("日期", "date", "添加日期", "完成日期", "完成时间", "开始时间", "立项时间", "时间"),
    "event": ("事件", "event", "events", "里程碑", "milestone"),
    "change": ("变更", "change", "changes", "更新", "变更内容"),
    "section": ("章节", "section", "sections"),
    "impact": ("影响", "impact"),
    "project": ("project", "项目"),
    "topic": ("topic", "主题"),
    "script": ("脚本", "script"),
    "config": ("配置", "config", "configuration", "setup"),
    "output": ("输出", "output", "outputs"),
    "key_variable": ("关键变量", "keyvariable", "keyvariables", "变量"),
    "data": ("数据", "数据量", "data", "dataset", "数据规模"),
    "number": ("#", "序号", "no", "no.", "id", "编号"),
    "artifact": ("论文artifact", "artifact", "论文产物", "paperartifact"),
    "type": ("类型", "type"),
    "path": ("路径", "path"),
    "run_path": ("运行路径", "rawlog路径", "runpath"),
    "file": ("file", "文件"),
    "repository": ("仓库", "repo", "repository"),
    "purpose": ("用途", "purpose", "作用"),
    "route": ("route", "路线"),
    "pick": ("hub推荐", "推荐", "当前倾向", "hubpick", "recommended"),
    "reason": ("关键理由", "理由", "关闭原因", "原因", "reason"),
    "item": ("项", "item", "字段", "field", "key"),
    "content": ("内容", "配置", "content", "value", "details", "规格", "configuration", "config"),
    "run": ("run", "runs", "运行"),
    "wandb": ("wandb", "w&b"),
    "consensus": ("共识", "核心共识", "关键共识", "consensus", "keyconsensus"),
    "hypothesis": ("假设", "假说", "核心假设", "假设内容", "hypothesis", "hypotheses"),
    "evidence": ("证据", "否定证据", "支持证据", "关键证据", "依据", "evidence"),
    "decision": ("决策", "decision"),
    "method": ("模型/方法", "模型", "方法", "架构", "model", "method", "model/method"),
    "value": ("指标值", "值", "value", "数值"),
    "indicator": ("指标", "indicator", "metric", "quantity"),
    "condition": ("条件", "condition", "conditions", "限定"),
    "source": ("来源", "source", "session来源", "数据来源"),
    "gap": ("dg", "gap", "decisiongap", "决策空白", "dp", "决策点", "decisionpoint"),
    "question": (
        "我们缺的答案", "缺口", "缺的答案", "缺失的答案", "问题", "要回答的问题", "missinganswer",
        "question", "openquestion",
    ),
    "rule": ("决策规则", "decisionrule", "rule"),
    "principle": ("原则", "设计原则", "principle", "designprinciple"),
    "advice": ("建议", "初步建议", "advice"),
    "direction": ("方向", "已关闭方向", "已关闭的方向", "direction", "closeddirection"),
    "lesson": ("教训", "lesson"),
    "insight": ("洞见", "insight"),
    "branch": ("分支", "branch"),
    "answer": ("当前答案", "currentanswer", "answer"),
    "next": ("下一步", "下一步行动", "next", "nextstep", "nextsteps"),
    "confidence": ("置信度", "confidence"),
    "implication": ("决策含义", "决策影响", "implication", "sowhat"),
    "observation": ("观察", "observation", "what"),
    "explanation": ("解释", "explanation", "why"),
    "scope": ("适用范围", "scope"),
    "position": ("一句话定位", "position"),
    "importance": ("为什么重要", "whyitmatters", "importance"),
    "closes": ("什么结果能关闭它", "closedby"),
    "verification": ("需要验证", "verification"),
    "features": ("特征", "features"),
    "device": ("gpu", "device"),
    "idea": ("idea", "灵感"),
    "figure": ("图表", "figure", "图"),
    "command": ("命令", "command"),
    "count": ("数量", "count"),
    "note": ("备注", "note", "notes", "说明", "remark", "remarks"),
}  # fmt: skip
"""Header words of every column, case folded and without spaces."""

SHORT_CODES: dict[str, tuple[str, ...]] = {
    "planned": (":hourglass:", ":hourglass_flowing_sand:"),
    "ready": (":red_circle:",),
    "running": (":rocket:", ":construction:", ":arrows_counterclockwise:"),
    "done": (":white_check_mark:", ":heavy_check_mark:", ":ballot_box_with_check:"),
    "partial": (":warning:",),
    "failed": (":x:",),
    "cancelled": (":no_entry:", ":no_entry_sign:"),
    "paused": (":pause_button:",),
}
"""Glyphs of a status as GitHub writes them in letters."""

STATUS_WORDS: dict[str, tuple[str, ...]] = {
    "planned": (
        "计划", "计划中", "规划", "规划中", "待启动", "待规划", "待完成", "待验证", "待定",
        "待开始", "待做", "待跑", "待执行", "待实验", "待测", "待测试", "待补", "待补充", "待重跑",
        "需重跑", "需要重跑", "重跑", "未开始", "未启动", "未起", "未做", "未跑", "未完成",
        "未验证", "待办", "立项", "立项中", "待立项", "已立项", "考虑中", "待考虑", "排队",
        "排队中", "排期中", "待排期", "没跑", "还没跑", "没做", "planned", "plan", "planning",
        "todo", "to do", "pending", "not started",
        "not yet", "not done", "not yet done", "not yet started", "not finished",
        "not yet finished",
        "not complete", "not completed", "unfinished", "incomplete", "没做完", "没跑完", "未跑完",
        "没开始", "还没开始", "尚未开始", "unstarted", "queued", "tbd", "backlog", "proposed",
        "considering", "under consideration", "upcoming", "scheduled", "to rerun", "rerun",
        "open", "untested",
    ),
    "ready": (
        "就绪", "已就绪", "准备就绪", "待运行", "待提交", "可启动", "可运行", "ready", "next",
        "next up", "up next",
    ),
    "running": (
        "运行", "运行中", "正在运行", "进行中", "正在进行", "训练中", "正在训练", "进行", "执行中",
        "实验中", "验证中", "重跑中", "在跑", "正在跑", "跑着呢", "开发中", "调试中", "写作中",
        "测试中", "探索中", "testing", "exploring",
        "running", "in progress", "ongoing", "on track",
        "active", "wip", "started", "已启动", "已提交",
        "submitted", "launched", "training", "underway", "under way", "doing",
        "rerunning", "re running",
    ),
    "analysing": (
        "分析", "分析中", "待分析", "评估中", "analysing", "analyzing", "analysis", "in analysis",
        "review", "in review", "under review", "needs review", "evaluating", "审核中", "待审核",
    ),
    "done": (
        "探索性完成", "初步完成", "顺利完成", "基本完成",
        "完成", "已完成", "全部完成", "运行完成", "训练完成", "实验完成",
        "评估完成", "已验证", "已归档", "已结束", "已跑完", "跑完", "完毕",
        "成功", "已成功", "已确认", "已证实", "成立", "冻结", "已冻结", "已达成", "达成", "done",
        "complete", "completed", "achieved", "finished", "archived", "success", "successful",
        "succeeded", "shipped", "concluded", "frozen", "confirmed", "verified", "validated",
        "supported", "resolved", "merged", "released", "100%", "完工", "搞定", "做完了", "跑完了",
        "已结项", "answered", "solved", "proven", "已证实", "已回答", "已解决",
    ),
    "partial": (
        "部分", "部分完成", "部分通过", "部分成立", "部分验证", "待确认", "无定论", "partial",
        "partly", "partially", "partially done", "partially confirmed", "inconclusive", "mixed",
        "partly confirmed", "partially supported", "partly supported", "部分支持", "部分证实",
    ),
    "failed": (
        "失败", "已失败", "已否定", "否定", "证伪", "已证伪", "被证伪", "已推翻", "不成立", "崩溃",
        "报错", "跑崩了", "跑崩", "崩了", "运行失败", "启动失败", "训练失败",
        "实验失败", "提交失败", "oom",
        "out of memory", "failed", "failure", "rejected", "refuted", "falsified",
        "disproved", "crashed",
        "diverged", "unsuccessful", "not confirmed", "not supported", "disproven",
        "proven wrong", "proved wrong", "proven false", "已推翻",
    ),
    "cancelled": (
        "取消", "已取消", "已关闭", "关闭", "废弃", "已废弃", "作废", "不需要", "无需", "不做",
        "放弃", "已放弃", "跳过", "已跳过", "终止", "已终止", "中止", "弃用", "cancelled",
        "canceled", "closed", "dropped", "skipped", "abandoned", "aborted", "obsolete",
        "停止", "已停止", "停了", "stopped", "superseded", "deprecated",
        "won't do", "wontfix", "discarded", "merged into",
        "merged with", "并入", "已并入", "合并到", "已合并到", "合并入", "已合并入",
    ),
    "paused": (
        "暂停", "已暂停", "搁置", "已搁置", "暂缓", "推迟", "延期", "阻塞", "阻塞中", "被阻塞",
        "已阻塞", "受阻", "卡住", "先不做", "等待", "等待中", "parked", "waiting", "awaiting",
        "paused", "on hold", "blocked", "hold", "stalled", "stuck",
        "postponed", "deferred", "suspended", "挂起", "已挂起", "冷冻", "icebox",
    ),
}  # fmt: skip
"""Words of a status, where they open a cell or follow its glyph."""


PERCENT_DONE = re.compile(
    r"[~≈约]?\s*\d{1,2}(?:\.\d+)?\s?%\s*(?:done|completed?|finished|完成)(?!\w)", re.I
)
"""`80% done`: not all."""
_OPENED = r"[\s*_`]*[(（\[【]?\s*"
_LESS = {
    "analysing": re.compile(
        rf"{_OPENED}(?:[!！]*[?？]+|(?:tb[cd]|maybe|perhaps|provisional(?:ly)?|tentative(?:ly)?|if|when"
        r"|once|un(?:verified|confirmed|checked)|(?:not(?: yet)?|to be) (?:verified|confirmed"
        r"|checked|reviewed))(?![A-Za-z])|待(?:复核|确认|验证|核[实对]|复查|审)|未(?:验证|核实|复核|确认)|存疑"
        r"|暂定|若|如果)",
        re.I,
    ),
    "partial": re.compile(
        rf"{_OPENED}(?:(?:partial(?:ly)?|partly|in part|部分(?:完成)?)\s*[)）\]】]|except\b|除了?"
        r"|(?P<some>\d{1,4})(?:\s*of\s*|\s*/\s*(?=\d+\s*(?:seed|run|个|组|轮)))(?P<all>\d{1,4}))",
        re.I,
    ),
    "running": re.compile(rf"{_OPENED}[~≈约]?\s*\d{{1,2}}(?:\.\d+)?\s?[%％]\s*[)）\]】]?[\s*_`]*$"),
    "planned": re.compile(r"[\s*_`]*[:：=]\s*(?:no|not|false|否|没有?|☐|\[ \])(?![A-Za-z])", re.I),
}
"""What behind `done` says that it is not: `(partially)`, `50%`, `?`, `: no`."""


def less_than(status: str, text: str, at: int) -> tuple[str, int] | None:
    """What a text says from `at` on that the status before it is instead, and where that ends."""
    if status not in ("done", "partial", "failed"):
        return None
    for less, pattern in _LESS.items():
        of_word = less != "running" or text[at - 1 : at].isalnum()  # `✅ 95%` may be a result
        may = less == "analysing" or (status == "done" and of_word)
        if may and (match := pattern.match(text, at)):
            some = match.groupdict().get("some")
            if some is None or int(some) < int(match["all"]):
                return less, match.end()
    return None


LABELS = {
    "log_g": re.compile(r"log[\s_]?g(?![a-z])", re.I),
    "T_eff": re.compile(r"T[\s_]?eff", re.I),
    "M_H": re.compile(r"\[?(?:M|Fe)[/_]H\]?", re.I),
}
"""Labels as heads of columns name them."""
NOT_OF_ONE = re.compile(
    rf"\b(?:vs|and)\b|对比|相比|[与和、/&+]|{'|'.join(p.pattern for p in LABELS.values())}", re.I
)
"""Beside an MVP's id: what is told is of several, or of one label."""
SOME_STARS = (
    r"\b(?:sub)?(?:giants?|dwarfs?)\b|\bmetal-(?:poor|rich)\b|\b(?:faint|bright)\b"
    r"|[巨矮暗亮]星|[贫富]金属"
)
"""What makes a rule or a row one of some stars, as a pattern."""
_OF_METRIC = re.compile(
    r"(?:val(?:id(?:ation)?)?|test|train(?:ing)?|验证|测试|训练|集|set|score|dex|K|nats?|of|on|the"
    r"|best|final|overall|最[好佳优终]|总体|整体|mean|average|avg|平均值?|均值|(?:±|\+/-)\s*(?:std|sd|σ|误差|标准差|error)"
    r"|\d+\s*(?:seeds?|个?种子)"
    r"|[\s()（）\[\],，:：_↑↓|*{}$`]|\\\\)*",
    re.I,
)
"""What may stand beside a metric in the head of a column of its numbers."""


SPLITS = (("val", r"val|验证"), ("test", "test|测试"), ("train", "train|训练"))
_UNIT = re.compile(r"(?<![A-Za-z])(?:(?-i:(K))|(dex)|(nat)s?)(?![A-Za-z])", re.I)
_UNITS = ("K", "dex", "nat")
_COUNT = re.compile(r"(\d+)\s*(?:seeds?|个?种子)", re.I)


class NumberHead(NamedTuple):
    """What the head of a column says of its numbers; None where it says nothing."""

    metric: str
    """`r2`, `mae`, ...; `delta_r2` for a difference."""
    split: str | None
    unit: str | None
    """`K`, `dex`, `nat`."""
    seeds: int | None
    """Over how many they are means."""
    is_best: bool
    """Whether they are those of the best of several runs."""
    is_size: bool
    """Whether they have no sign: `|bias|`."""


@lru_cache(4096)
def metric_header(header: str) -> NumberHead | None:
    """What a column has numbers of: `R² (val)` of ("r2", "val", ...); None for other columns."""
    text = plain(header)
    match = _METRIC_NAME.search(text)
    if not match:
        return None
    word = folded(match[2])
    is_r2 = word.startswith("r") and word.endswith("2")
    name = "r2" if is_r2 else {"ρ": "rho", "σ": "sigma"}.get(word, word)
    rest = f"{text[: match.start()]} {text[match.end() :]}"
    for pattern in LABELS.values():
        rest = pattern.sub(" ", rest)
    if "1" in text[: match.start()] or not _OF_METRIC.fullmatch(rest):  # `R²_max`, `R² 目标`
        return None
    splits = [split for split, words in SPLITS if re.search(rf"(?<![a-z])(?:{words})", rest, re.I)]
    if len(splits) > 1:
        return None
    unit, count = _UNIT.search(rest), _COUNT.search(rest)
    return NumberHead(
        ("delta_" if match[1] else "") + name,
        splits[0] if splits else None,
        next(name for name, text in zip(_UNITS, unit.groups(), strict=True) if text)
        if unit
        else None,
        int(count[1]) if count else None,
        re.search(r"best|最[好佳优]", rest, re.I) is not None,
        "|" in rest,
    )


@lru_cache(4096)
def is_measured(header: str) -> bool:
    """Whether a column holds numbers of a metric, even one that is no model's score (`R²_max`)."""
    return bool(_METRIC_NAME.search(plain(header)))
