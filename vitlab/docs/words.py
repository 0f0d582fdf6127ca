"""The words a roadmap is read by when it brings none of its own: statuses and table headers."""

from __future__ import annotations

STATUSES = (
    "planned",
    "ready",
    "running",
    "analysing",
    "done",
    "partial",
    "failed",
    "cancelled",
    "paused",
)
"""Every status, as commands and JSON say it."""

GLYPHS: dict[str, tuple[str, ...]] = {
    "planned": ("⏳",),
    "ready": ("🔴",),
    "running": ("🚀", "🔄", "▶️"),
    "analysing": ("🔆",),
    "done": ("✅", "☑️", "✔️"),
    "partial": ("⚠️",),
    "failed": ("❌", "✖️"),
    "cancelled": ("🗑️", "🚫", "⛔"),
    "paused": ("⏸️", "💤"),
}
"""Glyphs of a status; the first is the one written."""

SHORT_WORDS: dict[str, dict[str, str]] = {
    "zh": {
        "planned": "计划",
        "ready": "就绪",
        "running": "运行",
        "analysing": "分析",
        "done": "完成",
        "partial": "部分",
        "failed": "失败",
        "cancelled": "取消",
        "paused": "暂停",
    },
    "en": {
        "planned": "planned",
        "ready": "ready",
        "running": "running",
        "analysing": "analysing",
        "done": "done",
        "partial": "partial",
        "failed": "failed",
        "cancelled": "cancelled",
        "paused": "paused",
    },
}
"""The word of a legend or a column head."""

LONG_WORDS: dict[str, dict[str, str]] = {
    "zh": {**SHORT_WORDS["zh"], "planned": "待启动", "running": "运行中", "analysing": "分析中"},
    "en": SHORT_WORDS["en"],
}
"""The word that stands beside a glyph in a cell or a heading."""

STATUS_WORDS: dict[str, tuple[str, ...]] = {
    "planned": (
        "计划", "计划中", "待启动", "待规划", "待完成", "待验证", "待定", "待开始", "未开始",
        "待办", "立项", "立项中", "planned", "plan", "planning", "todo", "to do", "to-do",
        "pending",
        "not started", "queued", "tbd",
    ),
    "ready": ("就绪", "已就绪", "待运行", "ready", "next"),
    "running": (
        "运行", "运行中", "进行中", "训练中", "进行", "running", "in progress", "in-progress",
        "ongoing", "active", "wip", "started",
    ),
    "analysing": (
        "分析", "分析中", "待分析", "analysing", "analyzing", "analysis", "in analysis", "review",
    ),
    "done": (
        "完成", "已完成", "已验证", "已归档", "done", "complete", "completed", "finished",
        "archived",
    ),
    "partial": ("部分", "部分完成", "部分通过", "待确认", "partial", "partly", "partially done"),
    "failed": ("失败", "已失败", "已否定", "failed", "failure", "rejected"),
    "cancelled": (
        "取消", "已取消", "已关闭", "关闭", "废弃", "不需要", "cancelled", "canceled", "closed",
        "dropped", "skipped", "abandoned",
    ),
    "paused": ("暂停", "已暂停", "搁置", "paused", "on hold", "blocked", "hold"),
}  # fmt: skip
"""Words that say a status, when they open a cell or follow its glyph."""

VERDICT_WORDS: dict[str, tuple[str, ...]] = {
    "done": ("pass", "passed", "通过"),
    "partial": ("marginal",),
    "failed": ("fail", "不通过", "未通过"),
}
"""Words of a verdict: they say a status, but are never rewritten as one."""

HEADERS: dict[str, tuple[str, ...]] = {
    "mvp": ("mvp", "对应mvp", "mvpid", "mvp编号", "mvps", "相关mvp", "编号", "id"),
    "name": (
        "名称", "实验名称", "实验名", "实验", "名字", "标题", "name", "experiment", "title",
        "description", "描述",
    ),
    "phase": ("phase", "阶段"),
    "gate": ("gate", "验证gate", "门控", "gates", "需要的gate", "对应gate", "决策门"),
    "status": ("状态", "status", "state", "当前状态", "exp.md状态"),
    "exp_id": ("exp_id", "expid", "experiment_id", "experimentid", "实验id", "run_id"),
    "report": ("报告", "report", "reports", "exp.md", "实验报告"),
    "priority": ("优先级", "priority", "prio"),
    "due": ("预计完成", "eta", "due", "deadline", "截止", "预期结束"),
    "estimate": ("预估时间", "预计时间", "estimate"),
    "result": ("结果", "result", "results", "outcome"),
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
    "number": ("#", "序号", "no", "no."),
    "artifact": ("论文artifact", "artifact", "论文产物", "paperartifact"),
    "type": ("类型", "type"),
    "path": ("路径", "path"),
    "run_path": ("运行路径", "rawlog路径", "runpath"),
    "file": ("file", "文件"),
    "repository": ("仓库", "repo", "repository"),
    "purpose": ("用途", "purpose", "作用"),
    "route": ("route", "路线"),
    "pick": ("hub推荐", "推荐", "当前倾向", "hubpick", "recommended"),
    "reason": ("关键理由", "理由", "关闭原因", "reason"),
    "item": ("项", "item", "字段", "field", "key"),
    "content": ("内容", "配置", "content", "value", "details", "规格", "configuration", "config"),
    "run": ("run", "runs", "运行"),
    "wandb": ("wandb", "w&b"),
    "consensus": ("共识", "consensus"),
    "evidence": ("证据", "否定证据", "evidence"),
    "decision": ("决策", "decision"),
    "method": ("模型/方法", "模型", "方法", "架构", "model", "method", "model/method"),
    "value": ("指标值", "值", "value", "数值"),
    "indicator": ("指标", "indicator", "metric", "quantity"),
    "condition": ("条件", "condition", "conditions", "限定"),
    "source": ("来源", "source", "session来源", "数据来源"),
    "gap": ("dg", "gap", "decisiongap"),
    "question": ("我们缺的答案", "missinganswer", "question"),
    "rule": ("决策规则", "decisionrule", "rule"),
    "principle": ("原则", "principle"),
    "advice": ("建议", "初步建议", "advice"),
    "direction": ("方向", "direction"),
    "lesson": ("教训", "lesson"),
    "insight": ("洞见", "insight"),
    "branch": ("分支", "branch"),
    "answer": ("当前答案", "currentanswer", "answer"),
    "next": ("下一步", "next", "nextstep"),
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
"""Header words of every column this program knows, full-width and case folded, no spaces."""
