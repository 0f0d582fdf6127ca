"""The words of statuses and table headers; a document's own legend comes first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache

from vitlab.contract.job import STATUSES
from vitlab.contract.paths import UsageError
from vitlab.docs.text.inline import VS16, folded, plain, same_glyph

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
        "planned": "计划", "ready": "就绪", "running": "运行", "analysing": "分析", "done": "完成",
        "partial": "部分", "failed": "失败", "cancelled": "取消", "paused": "暂停",
    },
    "en": {status: status for status in STATUSES},
}  # fmt: skip
"""The word of a legend or a column head."""

LONG_WORDS: dict[str, dict[str, str]] = {
    "zh": {**SHORT_WORDS["zh"], "planned": "待启动", "running": "运行中", "analysing": "分析中"},
    "en": SHORT_WORDS["en"],
}
"""The word beside a glyph in a cell or a heading."""

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
"""Words of a status, where they open a cell or follow its glyph."""

VERDICT_WORDS: dict[str, tuple[str, ...]] = {
    "done": ("pass", "passed", "通过"),
    "partial": ("marginal",),
    "failed": ("fail", "不通过", "未通过"),
}
"""Words of a verdict: each implies a status, but is never replaced by one."""

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
"""Header words of every column, case folded and without spaces."""

_LEGEND = re.compile(
    r"^[\s>*_\ufeff-]*(?:状态|图例|status|legend)[*_\s]*[:：][*_\s]*(?P<items>.*)$", re.I
)
_EMOJI = re.compile(
    r"[\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff][\ufe0f\u200d\U0001f3fb-\U0001f3ff]*"
)
_MARKUP = re.compile(r"[\s*_~`\ufeff]*")
_METRIC_NAME = re.compile(r"(Δ?)((?<![A-Za-z])R\W{0,2}[²2](?!\d)|MAE|RMSE|bias|ρ|σ|loss)", re.I)
_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|（[^）]*）")
_REFINES = {"done": ("done",), "partial": ("partial",), "failed": ("failed", "cancelled")}
"""Status of a verdict -> those of a glyph before it that it refines; any other glyph wins."""


@dataclass(frozen=True)
class ParsedStatus:
    """A status in a text, and where its glyph and its word are (offsets in that text)."""

    status: str
    glyph: tuple[int, int] | None
    word: tuple[int, int] | None
    """None also for the word of a verdict (`PASS`), which is never rewritten."""
    verdict: bool
    end: int
    """Where the status ends; a remark may follow."""


@dataclass(frozen=True)
class Vocabulary:
    """The glyphs, words and headers of one document."""

    glyphs: Mapping[str, str]
    """Glyph without variation selector -> status."""
    words: Mapping[str, str]
    """Folded word -> status."""
    headers: Mapping[str, tuple[str, ...]]
    """Column -> folded header words without spaces."""
    legend: Mapping[str, tuple[str, str]]
    """Status -> (glyph as written, word) of the document's own legend line."""

    @cached_property
    def _glyph(self) -> re.Pattern[str]:
        glyphs = sorted(self.glyphs, key=len, reverse=True)
        return re.compile("(?:" + "|".join(map(re.escape, glyphs)) + f"){VS16}?")

    @cached_property
    def _word(self) -> re.Pattern[str]:
        words = sorted(self.words, key=len, reverse=True)
        # Whole words only: `完成度` and `plans` are no statuses.
        return re.compile("(?:" + "|".join(map(re.escape, words)) + r")(?!\w)", re.I)

    @cached_property
    def _verdict(self) -> re.Pattern[str]:
        words = sorted((w for ws in VERDICT_WORDS.values() for w in ws), key=len, reverse=True)
        return re.compile("(?:" + "|".join(words) + r")(?![A-Za-z\d])", re.I)

    @cached_property
    def _columns(self) -> dict[str, tuple[str, ...]]:
        columns: dict[str, tuple[str, ...]] = {}
        for column, words in self.headers.items():
            for word in words:
                columns[word] = (*columns.get(word, ()), column)
        return columns

    def read(self, text: str) -> ParsedStatus | None:
        """The status a text opens with; None for none, or several at once (`⏳/🚀/✅`).

        The first glyph decides; a word right after it is more exact and wins (`❌ 失败`).
        """
        start = _skip_markup(text, 0)
        glyph, status = None, None
        if match := self._glyph.match(text, start):
            if text[match.end() : match.end() + 1] in ("/", "／"):
                return None
            glyph, start = match.span(), _skip_markup(text, match.end())
            status = self.glyphs[same_glyph(match.group())]
        elif other := _EMOJI.match(text, start):
            start = _skip_markup(text, other.end())
        if match := self._verdict.match(text, start):
            verdict = next(s for s, ws in VERDICT_WORDS.items() if match.group().lower() in ws)
            if glyph is None or status in _REFINES[verdict]:
                return ParsedStatus(verdict, glyph, None, True, match.end())
        elif match := self._word.match(text, start):
            if text[match.end() : match.end() + 1] in ("/", "／") and glyph is None:
                return None
            status, word, end = self.words[folded(match.group())], match.span(), match.end()
            if glyph is None and (late := self._glyph.match(text, _skip_markup(text, end))):
                glyph, end = late.span(), late.end()
            return ParsedStatus(status, glyph, word, False, end)
        if glyph is None or status is None:
            return None
        return ParsedStatus(status, glyph, None, False, glyph[1])

    def status(self, cell: str) -> str | None:
        """The status of a cell, one of `STATUSES`; None for none."""
        parsed = self.read(cell)
        return parsed.status if parsed else None

    def columns(self, headers: Sequence[str]) -> dict[str, int]:
        """Column name -> index of the first column with such a header."""
        columns: dict[str, int] = {}
        for index, header in enumerate(headers):
            for key in _header_keys(header):
                names = self._columns.get(key)
                for name in names or ():
                    columns.setdefault(name, index)
                if names:
                    break
        return columns

    def with_legend(self, text: str) -> Vocabulary:
        """This vocabulary with a document's legend taking precedence; itself without a legend."""
        for line in re.split(r"\r\n|\r|\n", text):
            match = _LEGEND.match(line)
            items = re.split(r"[|｜]", match["items"]) if match else []
            legend = dict(filter(None, (self._legend_item(item) for item in items)))
            if len(legend) >= 2:
                glyphs = {same_glyph(glyph): status for status, (glyph, _) in legend.items()}
                words = {folded(word): status for status, (_, word) in legend.items() if word}
                return replace(
                    self,
                    glyphs={**self.glyphs, **glyphs},
                    words={**self.words, **words},
                    legend=legend,
                )
        return self

    def _legend_item(self, item: str) -> tuple[str, tuple[str, str]] | None:
        item = plain(item)
        glyph = _EMOJI.match(item)
        word = item[glyph.end() :].strip() if glyph else item
        if not glyph:
            return None
        status = self.words.get(folded(word)) or self.glyphs.get(same_glyph(glyph.group()))
        return (status, (glyph.group(), word)) if status else None

    def extended(
        self,
        headers: Mapping[str, str | Sequence[str]],
        statuses: Mapping[str, str | Sequence[str]],
    ) -> Vocabulary:
        """This vocabulary with a lab's own words, which take precedence.

        `headers`: column -> header words; `statuses`: status -> glyphs and words.
        """
        columns = dict(self.headers)
        for name, listed in headers.items():
            if name not in columns:
                raise UsageError(f"header {name!r}: one of {', '.join(columns)}")
            columns[name] = (*map(_header_key, _word_list(listed)), *columns[name])
        glyphs, words = dict(self.glyphs), dict(self.words)
        for status, listed in statuses.items():
            status_argument(status)
            for word in _word_list(listed):
                if _EMOJI.fullmatch(word):
                    glyphs[same_glyph(word)] = status
                else:
                    words[folded(word)] = status
        return replace(self, glyphs=glyphs, words=words, headers=columns)


@cache
def default_vocabulary() -> Vocabulary:
    """The words of a document without a legend, in a lab without its own."""
    glyphs = {same_glyph(g): status for status, gs in GLYPHS.items() for g in gs}
    words = {folded(w): status for status, ws in STATUS_WORDS.items() for w in ws}
    headers = {name: tuple(map(_header_key, words)) for name, words in HEADERS.items()}
    return Vocabulary(glyphs, words, headers, {})


def status_argument(word: str) -> str:
    """A status a user typed; UsageError names the allowed ones."""
    if word not in STATUSES:
        raise UsageError(f"status {word!r}: one of {', '.join(STATUSES)}")
    return word


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


def _skip_markup(text: str, at: int) -> int:
    return _MARKUP.match(text, at).end()  # type: ignore[union-attr]  # matches the empty string


def _word_list(words: object) -> tuple[str, ...]:
    """One word or a list of them, as a settings file gives it."""
    listed = (words,) if isinstance(words, str) else words
    if not isinstance(listed, list | tuple) or not all(isinstance(w, str) and w for w in listed):
        raise UsageError(f"words {words!r}: a word or a list of words")
    return tuple(listed)


def _header_key(header: str) -> str:
    return re.sub(r"\s+", "", folded(_EMOJI.sub("", plain(header))))


@lru_cache(4096)
def _header_keys(header: str) -> tuple[str, str]:
    whole = _header_key(header)
    return whole, re.sub(r"\s+", "", folded(_EMOJI.sub("", _BRACKETS.sub("", plain(header)))))
