"""The words of statuses and table headers; a document's own legend comes first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache

from vitlab.contract.job import STATUSES
from vitlab.contract.paths import UsageError
from vitlab.docs.model.headers import HEADERS, PERCENT_DONE, SHORT_CODES, STATUS_WORDS, less_than
from vitlab.docs.text.inline import OPENED, VS16, folded, plain, same_glyph
from vitlab.docs.text.legends import legends

GLYPHS: dict[str, tuple[str, ...]] = {
    "planned": ("⏳", "⌛", "🔲", "⬜", "☐", "[ ]", "🆕"),
    "ready": ("🔴",),
    "running": ("🚀", "🔄", "▶️", "[/]", "🚧"),
    "analysing": ("🔆", "🔎"),
    "done": ("✅", "☑️", "✔️", "✓", "[x]", "[X]", "🟢"),
    "partial": ("⚠️",),
    "failed": ("❌", "✖️", "✗", "✘"),
    "cancelled": ("🗑️", "🚫", "⛔", "[-]"),
    "paused": ("⏸️", "💤", "❄️", "🧊"),
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

VERDICT_WORDS: dict[str, tuple[str, ...]] = {
    "done": ("pass", "passed", "通过", "已通过", "go", "满足", "已满足", "达标", "已达标"),
    "partial": ("marginal",),
    "failed": (
        "fail",
        "不通过",
        "未通过",
        "no go",
        "no-go",
        "不满足",
        "未满足",
        "不达标",
        "未达标",
    ),
}
"""Words of a verdict: each implies a status, but is never replaced by one."""

_SHORT_VERDICTS = frozenset(("go", "满足", "已满足", "达标", "已达标"))
"""Verdicts only where no word follows: `Go to 1.2` and `满足条件后` are none."""
CLOSING = frozenset(("关闭", "已关闭", "closed"))
"""After a glyph of an end these words only close what it says: `✅ 已关闭` is no cancelling."""
_FREEZING = frozenset(("冻结", "已冻结", "frozen"))
"""What is frozen is done, but not after the glyph of another status, nor while it waits."""
_FILING = CLOSING | {"archived", "已归档"}
"""Behind an arrow these only tell where a finished MVP went: `❌ 失败 → Archived`."""
OWN_WORDS = frozenset((
    "oom", "out of memory", "运行失败", "启动失败", "训练失败", "实验失败", "提交失败", "运行完成",
    "训练完成", "实验完成", "评估完成", "已提交", "submitted", "merged into", "merged with", "并入",
    "已并入", "合并到", "已合并到", "合并入", "已合并入", "not finished", "not yet finished",
    "unfinished", "incomplete", "没做完", "没跑完", "未跑完",
))  # fmt: skip
"""Words of a status that tell more of their own MVP, so that no other one takes them over."""
_REPEATING = frozenset(("重跑", "rerun"))
"""Words that say what a glyph before them is about, not how it stands: `🔄 重跑`."""
OF_SENTENCES = frozenset((
    "open", "next", "plan", "planning", "training", "mixed", "review", "analysis", "active",
    "hold", "partial", "rerun", "testing", "exploring",
))  # fmt: skip
"""Words that open sentences as well, so they count only where no other word follows."""
_LOOSE = frozenset(("🆕", "🟢"))
"""Glyphs that are a status only alone and in a cell for one; elsewhere they decorate."""
COLOURS = ("🔴", "🟠", "🟡", "🟢", "🔵", "⚪")
"""In a column of priorities, and beside a status, these are priorities."""
_PRIORITY = re.compile(
    r"[🔴🟠🟡🟢🔵⚪\s*_~`]+(?:P\d(?![A-Za-z_])|(?:最?[高中低]|紧急|重要|必做|可选)(?:优先级?)?(?!\w)"
    r"|(?:high|medium|mid|low|urgent|critical|must|optional)(?:[ -]prio(?:rity)?)?(?!\w))",
    re.I,
)
_BLOCKED = re.compile(
    r"(?<!未)(?<!不再)(?<!解除)(?<!无)(?:阻塞|受阻|卡住)|(?<!not )(?<!no longer )\bblocked\b", re.I
)
_WAITS = re.compile(
    rf"{_BLOCKED.pattern}|等待|(?<!\w)等(?=[\s*`]*(?:MVP|\d+\.\d|[A-Za-z]|数据|结果|资源|卡|机|训练"
    r"|上游|前置|审|算|排队|老师|确认|完成|依赖|跑))"
    r"|(?<!\w)待(?=[\s*`]*(?:MVP|Gate|\d+\.\d|数据|结果|资源|上游|前置)|\s+[A-Z])"
    r"|(?<!not )(?<!no longer )\b(?:wait(?:s|ing)? (?:for|on)|waiting(?=[)）]|$)|awaiting)\b",
    re.I,
)
STRUCK = re.compile(r"~~(?=\S)(?:(?!~~).)+~~")
_STRUCK_FIRST = re.compile(rf"[\s*_`]*(?:{STRUCK.pattern}[\s*_`]*)+")
_ARROW = re.compile(
    r"(?:\s*[(（][^()（）]*[)）])?(?:\s*(?:ep(?:och)?\s*)?\d[\d/.]*%?)?[\s*_`]*"
    r"(?:→|⇒|➜|➔|⟶|[-=]+>)\s*",
    re.I,
)
"""From a status, with its brackets or how far it came, to the one that it became."""
_ENDS = re.compile(r"\s*(?:$|[^\w\s]|(?:at|on|in|with)\b)", re.I)
_OTHER_MVP = re.compile(r"[\s*_`]*(?:MVP|\d+\.\d)", re.I)
_LONGEST = 500
"""Characters of a text in which its status is looked for: it opens with one."""
_REMEMBERED = 4096
_EMOJI = re.compile(
    r"[\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff][\ufe0f\u200d\U0001f3fb-\U0001f3ff]*"
)
_BRACKETED = re.compile(r"^[(（](.*)[)）]$")
_LEGEND_PARTS = re.compile(rf"\s*(?:[,，、;；·/／→]|\s(?=\s|[`*_]*{_EMOJI.pattern}))\s*")
_UNSEEN = r"\ufeff\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069"
_MARKUP = re.compile(rf"(?:[\s*_~`{_UNSEEN}]|{OPENED}|\[(?!\[|[ xX/-]\])(?=[^\[\]]*\]\())*")
_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|（[^）]*）")
_TWICE = re.compile(r"([\u4e00-\u9fff]+)[/·]?([a-z_.]+)|([a-z_.]+)[/·]?([\u4e00-\u9fff]+)")
"""A header in both languages."""
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
    loose: bool = False
    """Whether it is one only in a cell for a status: `🆕` decorates anything else."""
    since: int | None = None
    """Where the status begins that became this one, in `⏳ → ✅`; None for any other."""

    def moved(self, by: int) -> ParsedStatus:
        """The same status further on in a text."""
        glyph, word, since = self.glyph, self.word, self.since
        return replace(
            self,
            glyph=(glyph[0] + by, glyph[1] + by) if glyph else None,
            word=(word[0] + by, word[1] + by) if word else None,
            end=self.end + by,
            since=None if since is None else since + by,
        )


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
    own_glyphs: frozenset[str] = frozenset()
    """All glyphs of that legend, also the second of a status, without variation selector."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Folded header -> the column a person says it is, in this document alone."""

    @cached_property
    def _glyph(self) -> re.Pattern[str]:
        glyphs = sorted(self.glyphs, key=len, reverse=True)
        return re.compile(  # `[x](exp.md)` is a link
            "(?:" + "|".join(map(re.escape, glyphs)) + rf"){VS16}?(?<!\[.\](?=\())"
        )

    @cached_property
    def _word(self) -> re.Pattern[str]:
        return _word_pattern(tuple(self.words))

    @cached_property
    def _verdict(self) -> re.Pattern[str]:
        words = sorted((w for ws in VERDICT_WORDS.values() for w in ws), key=len, reverse=True)
        whole = (w + r"(?!\s*[^\W\d_])" if w in _SHORT_VERDICTS else w for w in words)
        one = r"(?![A-Za-z\d])(?!\s?[/／]\s?[^\W\d_])"  # `PASS/FAIL` is none
        return re.compile("(?:" + "|".join(whole) + ")" + one, re.I)

    @cached_property
    def _columns(self) -> dict[str, tuple[str, ...]]:
        columns: dict[str, tuple[str, ...]] = {}
        for column, words in self.headers.items():
            for word in words:
                columns[word] = (*columns.get(word, ()), column)
        return columns

    @cached_property
    def _known(self) -> dict[str, ParsedStatus | None]:
        """What texts were read as; documents repeat few of them often."""
        return {}

    def read(self, text: str) -> ParsedStatus | None:
        """The status a text opens with; None for none, or several at once (`⏳/🚀/✅`).

        The first glyph decides; a word right after it is more exact and wins (`❌ 失败`).
        """
        known, text = self._known, text[:_LONGEST]
        if text not in known:
            if len(known) > _REMEMBERED:
                known.clear()
            known[text] = self._read(text)
        return known[text]

    def _read(self, text: str) -> ParsedStatus | None:
        """What is struck out before a status does not count; after an arrow the last side does."""
        struck = _STRUCK_FIRST.match(text) if "~~" in text else None
        if struck and (later := self.read(text[struck.end() :])):
            return later.moved(struck.end())
        if not_all := PERCENT_DONE.match(text, _skip_markup(text, 0)):
            return ParsedStatus("running", None, None, True, not_all.end())
        parsed = self._read_first(text)
        if struck and parsed and parsed.status == "done":
            return None
        if parsed and (less := less_than(parsed.status, text, parsed.end)):
            return ParsedStatus(less[0], None, None, True, less[1])
        arrow = _ARROW.match(text, parsed.end) if parsed else None
        if parsed is None or arrow is None:
            return parsed
        rest = text[arrow.end() :]
        then = self.read(rest)
        if then is None or then.loose or (parsed.verdict and not then.verdict):
            return parsed  # `PASS → 进入 Gate-2`
        word = _word_key(rest[slice(*then.word)]) if then.word else ""
        in_prose = (
            word and not then.glyph and (word in OF_SENTENCES or not _ENDS.match(rest, then.end))
        )
        if word in _FILING or in_prose or _OTHER_MVP.match(rest, then.end):
            return parsed
        starts = [part[0] for part in (parsed.glyph, parsed.word) if part]
        return replace(then.moved(arrow.end()), since=min(starts, default=0))

    def _read_first(self, text: str) -> ParsedStatus | None:
        start = _skip_markup(text, 0)
        glyph, status, loose = None, None, False
        if _PRIORITY.match(text, start):
            return None
        if match := self._glyph.match(text, start):
            if text[match.end() : match.end() + 1] in ("/", "／"):
                return None
            glyph, start = match.span(), _skip_markup(text, match.end())
            status = self.glyphs[same_glyph(match.group())]
            loose = same_glyph(match.group()) in _LOOSE and match.group() not in self.own_glyphs
            if loose and (other := self._glyph.match(text, start)):
                glyph, start = other.span(), _skip_markup(text, other.end())
                status = self.glyphs[same_glyph(other.group())]
                loose = same_glyph(other.group()) in _LOOSE
        elif other := _EMOJI.match(text, start):
            start = _skip_markup(text, other.end())
        if match := self._verdict.match(text, start):
            word = folded(match.group())
            verdict = next(s for s, words in VERDICT_WORDS.items() if word in words)
            if glyph is None or loose or status in _REFINES[verdict]:
                return ParsedStatus(verdict, glyph, None, True, match.end())
        elif match := self._word.match(text, start):
            return self._with_word(text, match, None if loose else status, glyph)
        if glyph is None or status is None:
            return None
        if loose and text[start : start + 1] not in ("", "(", "（"):
            return None
        return ParsedStatus(status, glyph, None, False, glyph[1], loose)

    def _with_word(
        self, text: str, match: re.Match[str], status: str | None, glyph: tuple[int, int] | None
    ) -> ParsedStatus | None:
        """The status of a word and of the glyph before it, or else right behind it."""
        word, end = _word_key(match.group()), match.end()
        if text[end : end + 1] in ("/", "／") and glyph is None:
            return None
        if glyph is None and (late := self._glyph.match(text, _skip_markup(text, end))):
            glyph, end = late.span(), late.end()
            behind = self.glyphs[same_glyph(late.group())]
            status = behind if word in CLOSING | _FREEZING else None
            if self.words.get(word) == "done" and behind in ("planned", "failed", "cancelled"):
                return None  # `done ❌`
        if word in _FREEZING and (status not in (None, "done") or self.waits(text[end:])):
            return ParsedStatus("paused", glyph, match.span(), False, end)
        closed = word in CLOSING and status in ("done", "partial")
        kept = status if closed or word in _REPEATING else None
        status = kept or self.words.get(word)  # None for letters that only compare equal: `ı`
        return ParsedStatus(status, glyph, match.span(), False, end) if status else None

    def glyph_starts(self, text: str) -> list[int]:
        """Where a text has glyphs of a status; boxes (`[x]`) and decorations are none."""
        if text.isascii():
            return []
        starts = []
        seen = STRUCK.sub(lambda struck: " " * len(struck[0]), text) if "~~" in text else text
        for match in self._glyph.finditer(seen if self._glyph.search(seen) else text):
            loose = same_glyph(match[0]) in _LOOSE - self.own_glyphs
            parsed = self.read(text[match.start() :]) if loose else None
            if match[0][0] != "[" and (not loose or (parsed and parsed.word)):
                starts.append(match.start())
        return starts

    def is_blocked(self, cell: str) -> bool:
        """Whether a cell says that something else must come first."""
        return bool(_BLOCKED.search(plain(STRUCK.sub("", cell))))

    def waits(self, text: str) -> bool:
        """Whether a text says that something else must come first, or that it waits for it."""
        return bool(_WAITS.search(plain(STRUCK.sub("", text))))

    def status(self, cell: str) -> str | None:
        """The status of a cell, one of `STATUSES`; None for none."""
        parsed = self.read(cell)
        return parsed.status if parsed else None

    def columns(self, headers: Sequence[str]) -> dict[str, int]:
        """Column name -> index of the first column with such a header."""
        columns: dict[str, int] = {}
        for index, header in enumerate(headers if self.given else ()):
            if column := self._given_column(header):
                columns.setdefault(column, index)
        for index, header in enumerate(headers):
            if index in columns.values():
                continue
            for name in _meanings(self._columns, header):
                columns.setdefault(name, index)
        return columns

    def _given_column(self, header: str) -> str | None:
        return next((self.given[k] for k in _header_keys(header) if k in self.given), None)

    def names_ids(self, headers: Sequence[str]) -> bool:
        """Whether a person says that one of these headers holds the ids of MVPs."""
        return bool(self.given) and "mvp" in map(self._given_column, headers)

    def with_given(self, columns: Mapping[str, str]) -> Vocabulary:
        """This vocabulary for a document whose headers a person explains: `Milestone` -> `id`."""
        given = {}
        for header, meaning in columns.items():
            column = "mvp" if meaning == "id" else meaning
            if column not in self.headers:
                raise UsageError(f"column {meaning!r}: one of id, {', '.join(self.headers)}")
            given[_header_key(header)] = column
        return replace(self, given=given) if given else self

    @cached_property
    def _with_legends(self) -> dict[str, Vocabulary]:
        """Items of a legend -> this vocabulary with it: documents are read again and again."""
        return {}

    def with_legend(self, text: str) -> Vocabulary:
        """This vocabulary with the legend of a text (`Document.prose`) taking precedence."""
        for line, of_anything in legends(text):
            if line in self._with_legends:
                return self._with_legends[line]
            items = _legend_items(line, self)
            if of_anything and not all(_word_key(word) in self.words for _, _, word in items):
                continue  # of something else: `🟢 public`
            if len({status for status, _, _ in items}) >= 2:
                glyphs = {same_glyph(glyph): status for status, glyph, _ in items}
                words = {_word_key(word): status for status, _, word in items if word}
                unusual = {g for s, g, _ in items if self.glyphs.get(same_glyph(g)) != s}
                legend: dict[str, tuple[str, str]] = {}
                for status, glyph, word in items:
                    known = legend.get(status, ("",))[0]
                    if not known or (known in unusual and glyph not in unusual):
                        legend[status] = (glyph, word)  # of `💡 待立项 / ⏳ 计划` the second
                self._with_legends[line] = replace(
                    self,
                    glyphs={**self.glyphs, **glyphs},
                    words={**self.words, **words},
                    legend=legend,
                    own_glyphs=frozenset(glyphs),
                )
                return self._with_legends[line]
        return self

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
                    words[_word_key(word)] = status
        return replace(self, glyphs=glyphs, words=words, headers=columns)


@cache
def default_vocabulary() -> Vocabulary:
    """The words of a document without a legend, in a lab without its own."""
    known = (*GLYPHS.items(), *SHORT_CODES.items())
    glyphs = {same_glyph(g): status for status, gs in known for g in gs}
    words = {_word_key(w): status for status, ws in STATUS_WORDS.items() for w in ws}
    headers = {name: tuple(map(_header_key, words)) for name, words in HEADERS.items()}
    return Vocabulary(glyphs, words, headers, {})


def _legend_items(text: str, known: Vocabulary) -> list[tuple[str, str, str]]:
    """(status, glyph, word) of each item between bars, or else between commas."""
    text = text.rstrip(" *_")
    items = [_legend_item(item, known) for item in re.split(r"[|｜]", text)]
    if len(items) > 1:
        return [item for item in items if item]
    listed = [_legend_item(item, known) for item in _LEGEND_PARTS.split(text)]
    # A sentence with commas is no legend: every item must be a glyph with a known word.
    sure = len(listed) > 2 and all(i and _word_key(i[2]) in known.words for i in listed)
    return [i for i in listed if i] if sure else []


def _legend_item(item: str, known: Vocabulary) -> tuple[str, str, str] | None:
    item = plain(item).strip("*_ ")
    glyph = _EMOJI.match(item)
    if not glyph:
        return None
    word = _BRACKETED.sub(r"\1", item[glyph.end() :].strip(" =:：-"))
    if word and _word_key(word) in CLOSING:
        word_status = known.glyphs.get(same_glyph(glyph.group()))
    else:
        word_status = known.words.get(_word_key(word))
    glyph_status = known.glyphs.get(same_glyph(glyph.group()))
    if _word_key(word) in _FREEZING and glyph_status:
        return glyph_status, glyph.group(), word
    status = word_status or glyph_status
    return (status, glyph.group(), word) if status else None


def status_argument(word: str) -> str:
    """A status a user typed; UsageError names the allowed ones."""
    if word not in STATUSES:
        raise UsageError(f"status {word!r}: one of {', '.join(STATUSES)}")
    return word


def _skip_markup(text: str, at: int) -> int:
    return _MARKUP.match(text, at).end()  # type: ignore[union-attr]  # matches the empty string


@lru_cache(32)
def _word_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    # Whole words only: `完成度` and `plans` are no statuses. `in_progress` is two.
    known = "|".join(
        re.escape(word).replace(r"\ ", "[ _-]")
        + (r"(?![\s_-]*[^\W\d_])" if word in OF_SENTENCES else "")
        for word in sorted(words, key=len, reverse=True)
    )
    return re.compile(f"(?:{known})(?![^\\W_])", re.I)


def _word_key(word: str) -> str:
    return re.sub(r"[\s_-]+", " ", folded(word))


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


def _meanings(columns: Mapping[str, tuple[str, ...]], header: str) -> Sequence[str]:
    """The columns that a header names: whole, without brackets, or twice: `Name 名称`."""
    for key in _header_keys(header):
        if names := columns.get(key):
            return names
    both = _TWICE.fullmatch(key)
    parts = [columns.get(part, ()) for part in both.groups() if part] if both else []
    return [name for name in parts[0] if name in parts[1]] if len(parts) == 2 else ()
