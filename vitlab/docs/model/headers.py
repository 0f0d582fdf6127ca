"""The words that head a column of a table, in Chinese and English."""

from __future__ import annotations

import re
from functools import lru_cache

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
        "进展",
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
        "我们缺的答案", "缺的答案", "缺失的答案", "问题", "要回答的问题", "missinganswer",
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


@lru_cache(4096)
def metric_header(header: str) -> tuple[str, str | None] | None:
    """The metric of a number column and its split: `R² (val)` -> ("r2", "val")."""
    text = plain(header)
    match = _METRIC_NAME.search(text)
    if not match:
        return None
    word = folded(match[2])
    is_r2 = word.startswith("r") and word.endswith("2")
    name = "r2" if is_r2 else {"ρ": "rho", "σ": "sigma"}.get(word, word)
    split = re.search(r"(?<![a-z])(val|test|train)", text, re.I)
    rest = text[match.end() : match.end() + 1]
    if rest == "_" and not split:  # R²_max is no score of a model
        return None
    return ("delta_" if match[1] else "") + name, split[1].lower() if split else None


@lru_cache(4096)
def is_measured(header: str) -> bool:
    """Whether a column holds numbers of a metric, even one that is no model's score (`R²_max`)."""
    return bool(_METRIC_NAME.search(plain(header)))
