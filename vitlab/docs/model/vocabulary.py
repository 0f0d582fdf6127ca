"""The words a roadmap is read by: statuses and table headers, its own legend first."""

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

_LEGEND = re.compile(
    r"^[\s>*_\ufeff-]*(?:状态|图例|status|legend)[*_\s]*[:：][*_\s]*(?P<items>.*)$", re.I
)
_EMOJI = re.compile(
    r"[\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff][\ufe0f\u200d\U0001f3fb-\U0001f3ff]*"
)
_MARKS = re.compile(r"[\s*_~`\ufeff]*")
_METRIC = re.compile(r"(Δ?)(R\W{0,2}[²2]|MAE|RMSE|bias|ρ|σ|loss)", re.I)
_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|（[^）]*）")


_AGREES = {"done": ("done",), "partial": ("partial",), "failed": ("failed", "cancelled")}
"""Verdict -> statuses of a glyph before it that it makes more exact; another glyph outweighs it."""


@dataclass(frozen=True)
class StatusText:
    """A status found in a text, and where its glyph and its word stand (offsets in that text)."""

    status: str
    glyph: tuple[int, int] | None
    word: tuple[int, int] | None
    """None too where the word is a verdict (`PASS`), which is nobody's to rewrite."""
    verdict: bool
    end: int
    """Where the status ends and a remark may begin."""


@dataclass(frozen=True)
class Vocabulary:
    """The glyphs, words and headers a document is read by."""

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
        known = sorted(self.glyphs, key=len, reverse=True)
        return re.compile("(?:" + "|".join(map(re.escape, known)) + f"){VS16}?")

    @cached_property
    def _word(self) -> re.Pattern[str]:
        known = sorted(self.words, key=len, reverse=True)
        # A word must end: `完成度` says nothing of a status, nor does `plans`.
        return re.compile("(?:" + "|".join(map(re.escape, known)) + r")(?!\w)", re.I)

    @cached_property
    def _verdict(self) -> re.Pattern[str]:
        known = sorted((w for ws in VERDICT_WORDS.values() for w in ws), key=len, reverse=True)
        return re.compile("(?:" + "|".join(known) + r")(?![A-Za-z\d])", re.I)

    @cached_property
    def _columns(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for column, words in self.headers.items():
            for word in words:
                found[word] = (*found.get(word, ()), column)
        return found

    def read(self, text: str) -> StatusText | None:
        """The status a text opens with; None when it says none, or several at once (`⏳/🚀/✅`).

        The first glyph decides; a word right after it is more exact and wins (`❌ 失败`).
        """
        start = _skip(text, 0)
        at, glyph, status = start, None, None
        if found := self._glyph.match(text, at):
            if text[found.end() : found.end() + 1] in ("/", "／"):
                return None
            glyph, at = found.span(), _skip(text, found.end())
            status = self.glyphs[same_glyph(found.group())]
        elif other := _EMOJI.match(text, at):
            at = _skip(text, other.end())
        if found := self._verdict.match(text, at):
            said = next(s for s, ws in VERDICT_WORDS.items() if found.group().lower() in ws)
            if glyph is None or status in _AGREES[said]:
                return StatusText(said, glyph, None, True, found.end())
        elif found := self._word.match(text, at):
            if text[found.end() : found.end() + 1] in ("/", "／") and glyph is None:
                return None
            said, word, end = self.words[folded(found.group())], found.span(), found.end()
            if glyph is None and (late := self._glyph.match(text, _skip(text, end))):
                glyph, end = late.span(), late.end()
            return StatusText(said, glyph, word, False, end)
        if glyph is None or status is None:
            return None
        return StatusText(status, glyph, None, False, glyph[1])

    def status(self, cell: str) -> str | None:
        """The status word of a cell, one of `STATUSES`; None when it says none."""
        found = self.read(cell)
        return found.status if found else None

    def columns(self, headers: Sequence[str]) -> dict[str, int]:
        """Which column is which: canonical name -> the first column whose header says it."""
        found: dict[str, int] = {}
        for index, header in enumerate(headers):
            for key in _header_keys(header):
                names = self._columns.get(key)
                for name in names or ():
                    found.setdefault(name, index)
                if names:
                    break
        return found

    def with_legend(self, text: str) -> Vocabulary:
        """This vocabulary with a document's legend line before it; itself where there is none."""
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
        """This vocabulary with a lab's own words added, which win over the defaults.

        `headers`: column -> header words; `statuses`: status -> glyphs and words.
        """
        more = {}
        for name, words in headers.items():
            old = self.headers[_known(name, self.headers, "header")]
            more[name] = (*map(_header_key, _words(words)), *old)
        glyphs, spoken = dict(self.glyphs), dict(self.words)
        for status, words in statuses.items():
            status_argument(status)
            for word in _words(words):
                if _EMOJI.fullmatch(word):
                    glyphs[same_glyph(word)] = status
                else:
                    spoken[folded(word)] = status
        return replace(self, glyphs=glyphs, words=spoken, headers={**self.headers, **more})


@cache
def default_vocabulary() -> Vocabulary:
    """The vocabulary of a document without a legend."""
    glyphs = {same_glyph(g): status for status, gs in GLYPHS.items() for g in gs}
    words = {folded(w): status for status, ws in STATUS_WORDS.items() for w in ws}
    headers = {name: tuple(map(_header_key, words)) for name, words in HEADERS.items()}
    return Vocabulary(glyphs, words, headers, {})


def status_argument(word: str) -> str:
    """A status as a user gives it; UsageError naming the allowed ones."""
    if word not in STATUSES:
        raise UsageError(f"status {word!r}: one of {', '.join(STATUSES)}")
    return word


@lru_cache(4096)
def metric_header(header: str) -> tuple[str, str | None] | None:
    """The metric a number column holds and its split: `R² (val)` -> ("r2", "val")."""
    text = plain(header)
    match = _METRIC.search(text)
    if not match:
        return None
    said = folded(match[2])
    is_r2 = said.startswith("r") and said.endswith("2")
    name = "r2" if is_r2 else {"ρ": "rho", "σ": "sigma"}.get(said, said)
    split = re.search(r"(?<![a-z])(val|test|train)", text, re.I)
    rest = text[match.end() : match.end() + 1]
    if rest == "_" and not split:  # R²_max is no score of a model
        return None
    return ("delta_" if match[1] else "") + name, split[1].lower() if split else None


@lru_cache(4096)
def is_measured(header: str) -> bool:
    """Whether a column holds numbers of some metric, a model's score or not (`R²_max`)."""
    return bool(_METRIC.search(plain(header)))


def _skip(text: str, at: int) -> int:
    return _MARKS.match(text, at).end()  # type: ignore[union-attr]  # matches the empty string


def _words(words: object) -> tuple[str, ...]:
    """One word or a list of them, as a settings file gives it."""
    found = (words,) if isinstance(words, str) else words
    if not isinstance(found, list | tuple) or not all(isinstance(w, str) and w for w in found):
        raise UsageError(f"words {words!r}: a word or a list of words")
    return tuple(found)


def _known(name: str, allowed: Mapping[str, object], what: str) -> str:
    if name not in allowed:
        raise UsageError(f"{what} {name!r}: one of {', '.join(allowed)}")
    return name


def _header_key(header: str) -> str:
    return re.sub(r"\s+", "", folded(_EMOJI.sub("", plain(header))))


@lru_cache(4096)
def _header_keys(header: str) -> tuple[str, str]:
    whole = _header_key(header)
    return whole, re.sub(r"\s+", "", folded(_EMOJI.sub("", _BRACKETS.sub("", plain(header)))))
