"""Ids of MVPs, gates and experiments as people write them, and references to them in prose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from vitlab.contract.job import ASCII_FORMS, bare_id
from vitlab.contract.reading import MOST_DIGITS, whole_number
from vitlab.docs.text.inline import link_target, plain

_RAW = r"[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*"
_GATES = re.compile(
    r"(?<![A-Za-z])Gates?[-–_ ]?G?(\d[\w.]*(?:\s*[/,，、&+]\s*(?:Gate[-–_ ]?)?G?\d[\w.]*)*)"
    r"|(?<![A-Za-z])Gate[-–_]([A-Za-z][\w.]*)",
    re.I,
)
_PART = re.compile(r"(\d+)|(\D+)")
_GATE_PART = re.compile(r"\d[\w.]*")
_EXP_ID = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)+")
_CODE = re.compile(r"`([^`]+)`")
_MORE = re.compile(
    r"(?:[/,，、&+和~～至到]|vs\.?\b|与|and\b)\s*(?:MVP)?[-–_ ]?\d|[-–—](?=\d+\.\d)"
    r"|(?:[-–—]|to\b)\s*MVP[-–_ ]?\d",
    re.I,
)
_JOINER = re.compile(r"\s*[/,，、&+]")
_RANGE = re.compile(
    r"(?<![\w.])(?P<stem>[A-Za-z]*\d+(?:\.\d+)*\.|[A-Z]{1,3})(?P<low>\d{1,3})"
    r"\s*(?:[~～–—至到-]|to\b)\s*(?:MVP[-–_ ]?)?(?P=stem)(?P<high>\d{1,3})(?![\w.]\w|\w)",
    re.I,
)
"""`1.1~1.3`, `2.0-2.2`, `MVP-1.1 至 MVP-1.3`: the ends and all between."""
_JOINED_NUMBERS = re.compile(r"(\d+\.\d\w*(?:\s*[/,，、&+]\s*\d+\.\d\w*)+)")
_PATH = re.compile(r"[\w./~-]+\.(?:md|markdown|pdf|html|ipynb)")
_NOTE = re.compile(r"<sup>.*?</sup>|\[\^[^\]\s]+\]|(?:(?<=[\d*_~`])|(?<=\d[a-z]))[¹²³⁰⁴-⁹]+", re.I)
_NEW = re.compile(
    r"[^\w\[(<]*MVP(?:[-–—_: ]\s*|(?=\d))"
    rf"(?P<id>{_RAW})(?!\w|[-–—.]\w)(?P<colon>\s*[:：])?",
    re.I,
)
_PLACEHOLDER = re.compile(r"[XYNxyn?](?:[.-][XYNxyn?\d])*|\d+\.[XYNxyn]|ID|TBD|TODO|xxx+", re.I)
_BARE = re.compile(r"\d+(?:\.\d+)+[A-Za-z]?|\d+[A-Za-z]?")
_NAMED = re.compile(
    r"(?P<id>[^\s:：(（]+(?:\s\d+)?)(?:\s*[:：]\s*|\s+[-–—]\s+|\s*(?=[(（]))(?P<name>\S.*)"
)
_NUMBER_AND_NAME = re.compile(
    r"(?P<id>[A-Z]{1,3}\d{1,3}(?:[.-]\d+)*|\d+(?:\.\d+)+[a-z]?)\s+(?P<name>[^\W\d].*)"
)
HEADING_NUMBER = (
    r"(?:第?[（(]?(?:[一二三四五六七八九十]{1,3}|\d{1,4}(?:\.\d{1,4})*)"
    r"[章节]?(?:[.．、)）:：]{1,2}\s*|\s+)|[①-⑳]\s*|[IVX]{1,4}[.、]\s+)"
)
"""The number that headings of Chinese documents begin with: `一、`, `（二）`, `3．`, `④`."""
_NUMBERED = re.compile(
    r"(?:[^\w]*(?:(?:phase|stage|step|part|experiment|exp|阶段|步骤|实验|§|P)?\s*\d+(?:\.\d+)*"
    r"|实验|experiment|最?[高中低](?:优先级?)?|high|medium|low)"
    r"[.)、．\]]?\s*(?:[:：|·–—-]\s*|(?<=\s)|(?<=实验))){1,2}(?=[^\w]*MVP)"
    rf"|[^\w]*{HEADING_NUMBER}(?=[^\w]*MVP)",
    re.I,
)
_IN_BRACKETS = re.compile(r"^[^\w]*?[\[(（](MVP[-\w.]*)[\])）](?!\()", re.I)
_JOINED = re.compile(
    rf"[^\w\[(<]*MVP[-–_ ]?((?=(?P<letters>[A-Za-z]*)){_RAW}"
    rf"(?:\s*[/,，、&+]\s*(?:MVP[-–_ ]?{_RAW}|\d+\.[\w.]*\w)"
    r"|/(?P=letters)\d+[A-Za-z]?(?:-\w+)*)+)(?![\w-])",
    re.I,
)


@lru_cache(16384)
def _id_text(text: str) -> str:
    """A text as a reader sees it, without the footnotes an id may carry."""
    return plain(_NOTE.sub("", text))


def read_id(text: str) -> str:
    """The bare id in a cell or heading: `**MVP-16A-0** 🆕` -> `16A-0`."""
    return bare_id(_id_text(text))


def new_id(text: str) -> tuple[str, str] | None:
    """The id that a text with the prefix MVP opens with, and the rest; None for none.

    A word counts only where it can be nothing else: `MVP-T:`, `MVP-NN`, but not `MVP-based`.
    Neither do placeholders (`MVP-X.X`), nor an id that is only the first of several named.
    """
    seen = _id_text(text)
    match = _NEW.match(seen.translate(ASCII_FORMS))
    if match is None or _PLACEHOLDER.fullmatch(match["id"]):
        return None
    found, rest = match["id"], seen[match.end() :].strip()
    if not any(c.isdigit() for c in found) and not match["colon"] and not found.isupper():
        return None
    return None if names_several(rest) or several_ids(text) else (found, rest)


@lru_cache(4096)
def several_ids(text: str) -> tuple[str, ...]:
    """The ids that a text opens with where they are several: `MVP-4.0/4.1: name`."""
    seen = _ranges_listed(_id_text(text).translate(ASCII_FORMS))
    match = _JOINED.match(seen) or _JOINED_NUMBERS.fullmatch(seen)
    ids = re.findall(rf"(?:MVP[-_ ]?)?({_RAW})", match[1], re.I) if match else []
    if ids and "." in ids[0]:  # `4.1/2` is 4.1 and 4.2
        stem = ids[0].rpartition(".")[0]
        ids = [i if "." in i or not i.isdigit() else f"{stem}.{i}" for i in ids]
    return tuple(i for i in ids if any(c.isdigit() for c in i) and not _PLACEHOLDER.fullmatch(i))


def _ranges_listed(text: str) -> str:
    """A text with `1.1~1.3` as `1.1/1.2/1.3`."""

    def listed(match: re.Match[str]) -> str:
        low, high = whole_number(match["low"]), whole_number(match["high"])
        if low is None or high is None or not low < high <= low + 20:
            return match.group()
        return "/".join(f"{match['stem']}{number}" for number in range(low, high + 1))

    return _RANGE.sub(listed, text)


def names_several(rest: str) -> bool:
    """Whether what follows an id names another one: `/4.2`, `vs MVP-2.0`."""
    return _MORE.match(rest.strip()) is not None


def own_id(text: str) -> str | None:
    """The bare id that a whole cell is: prefixed, or a number such as `1.2b`; None for neither."""
    found = new_id(text)
    if found:
        return found[0]
    bare = read_id(text)
    return bare if _BARE.fullmatch(bare) and not several_ids(text) else None


def id_and_name(text: str) -> tuple[str, str]:
    """The id and the name in one cell: `MVP-001 Skeleton` -> `001`, `Skeleton`."""
    if found := new_id(text):
        return found[0], found[1].lstrip(":：-–— ")
    match = _NAMED.fullmatch(_id_text(text)) or _NUMBER_AND_NAME.fullmatch(_id_text(text))
    if match and (match["id"].isascii() or match["name"][0] not in "(（"):
        return bare_id(match["id"]), without_brackets(match["name"])
    return read_id(text), ""


def without_brackets(text: str) -> str:
    """A text that is all in brackets without them."""
    match = re.fullmatch(r"[(（]([^()（）]*)[)）]", text.strip())
    return match[1].strip() if match else text.strip()


def without_number(title: str) -> str:
    """A heading's title without the number before an MVP, and brackets around one.

    `3.4 MVP-1.2` and `[MVP-1.2]` -> `MVP-1.2`.
    """
    match = _NUMBERED.match(title)
    return _IN_BRACKETS.sub(r"\1", title[match.end() :] if match else title)


def gate_refs(text: str) -> tuple[str, ...]:
    """The bare ids of the gates a text names: `Gate-1/2/3` -> 1, 2, 3."""
    if "gate" not in text.casefold():
        return ()
    ids: list[str] = []
    for match in _GATES.finditer(plain(text)):
        ids += [match[2]] if match[2] else [p.rstrip(".") for p in _GATE_PART.findall(match[1])]
    return tuple(dict.fromkeys(ids))


def exp_id(text: str) -> str | None:
    """The experiment id a cell holds; None for `-` and for prose like `Run1 vs Run2`."""
    ticked = _CODE.findall(text)
    for candidate in (*ticked, *([] if ticked else [plain(text)])):
        if _EXP_ID.fullmatch(candidate.strip()):
            return str(candidate.strip())
    return None


def exp_ids(text: str) -> list[str]:
    """Every text in it that may be an experiment's id, whole."""
    return [match.group() for match in _EXP_ID.finditer(text)]


def report_target(text: str) -> str | None:
    """The target of a report cell: its link, or a path to a document; None for neither."""
    if target := link_target(text):
        return target
    candidate = plain(text)
    return candidate if _PATH.fullmatch(candidate) else None


_Tree = dict[str, "_Tree"]
"""Names by their characters; an empty one ends a name."""
_LONG = 200
"""Characters of a name beyond which it is no part of such a tree: each takes a call."""


@lru_cache(16)  # of a document before and after a change, and of those beside it
def _one_of(names: tuple[str, ...]) -> str:
    """A pattern of whole names, the longest first; by characters, as there may be thousands."""
    tree: _Tree = {}
    long: list[str] = []
    for name in sorted({name.casefold() for name in names}):
        if len(name) > _LONG:
            long.insert(0, re.escape(name))
            continue
        node = tree
        for character in name:
            node = node.setdefault(character, {})
        node[""] = {}
    known = "|".join([*long, _branches(tree) if tree else r"(?!)"])
    return rf"(?:{known})(?![A-Za-z0-9_])(?![.-][A-Za-z0-9])"


def _branches(tree: _Tree) -> str:
    last = "".join(re.escape(c) for c, rest in tree.items() if rest.keys() == {""})
    parts = [re.escape(c) + _branches(rest) for c, rest in tree.items() if rest.keys() > {""}]
    parts += [re.escape(c) + _branches(rest) for c, rest in tree.items() if c and "" not in rest]
    parts += [f"[{last}]"] if last else []
    every = "|".join(parts)
    return f"(?:{every})?" if "" in tree and parts else f"(?:{every})" if len(parts) > 1 else every


@dataclass(frozen=True)
class IdIndex:
    """The ids of a roadmap's MVPs, to recognise them in cells and headings."""

    ids: tuple[str, ...]
    experiments: tuple[tuple[str, str], ...] = ()
    """(exp_id, MVP) of experiments that stand for one MVP alone."""
    unsure: frozenset[str] = frozenset()
    """Ids that several roadmaps of one file have: they are read as MVPs of nobody, `1.0?`."""

    @cached_property
    def _known(self) -> dict[str, str]:
        known = {i.casefold(): f"{i}?" if i in self.unsure else i for i in reversed(self.ids)}
        return {**{one.casefold(): mvp for one, mvp in self.experiments}, **known}

    @cached_property
    def _alternatives(self) -> str:
        return _one_of(self.ids)

    @cached_property
    def _prefixed(self) -> re.Pattern[str]:
        more = rf"(?:\s*[/,，、&+和]\s*(?:{self._alternatives}))*"
        known = rf"(?<![A-Za-z0-9])MVP[-–_ ]?((?:{self._alternatives}){more})"
        return re.compile(rf"{known}|(?<![A-Za-z0-9])MVP-({_RAW})", re.I)

    @cached_property
    def _id(self) -> re.Pattern[str]:
        return re.compile(self._alternatives, re.I)

    @cached_property
    def _opening(self) -> re.Pattern[str]:
        names = (*self.ids, *(name for name, _ in self.experiments))
        return re.compile(rf"[^\w\[(<]*(?:MVP[-–_: ]?)?({_one_of(names)})", re.I)

    @cached_property
    def _more(self) -> re.Pattern[str]:
        return re.compile(rf"(?:\s*[/,，、&+]\s*(?:{self._alternatives}))+", re.I)

    @cached_property
    def _experiment(self) -> re.Pattern[str]:
        names = tuple(name for name, _ in self.experiments)
        return re.compile(rf"(?<![A-Za-z0-9])(?<![A-Za-z0-9][.-]){_one_of(names)}", re.I)

    def experiment_in(self, text: str) -> tuple[str, tuple[int, int]] | None:
        """The MVP of the first experiment that a text names, and where; None for none."""
        match = self._experiment.search(text) if self.experiments else None
        return (self._known[match.group().casefold()], match.span()) if match else None

    def of_experiment(self, name: str) -> str | None:
        """The MVP of an exp_id; None where the roadmap has no such experiment."""
        found = self.experiment_in(name)
        return found[0] if found and found[1] == (0, len(name)) else None

    def known(self, text: str) -> str | None:
        """The id that a whole text is, with or without prefix; None when the roadmap has none."""
        return self._known.get(read_id(text).casefold())

    def opening(self, text: str) -> tuple[str, str] | None:
        """The known id a text opens with, and the rest: `1.0 Run1` -> ("1.0", "Run1")."""
        text = _id_text(text)
        if match := self._opening.match(text.translate(ASCII_FORMS)):
            return self._known[match[1].casefold()], text[match.end() :].strip()
        return None

    def refs(self, text: str) -> tuple[str, ...]:
        """Every MVP a text names by its prefix, known or not, and the known ids it opens with."""
        text = _ranges_listed(_id_text(text).translate(ASCII_FORMS))
        ids: list[str] = []
        if opening := self._opening.match(text):
            ids.append(self._known[opening[1].casefold()])
            if _JOINER.match(text, opening.end()) and (
                rest := self._more.match(text, opening.end())
            ):
                ids += self._ids_in(rest.group())
        for match in self._prefixed.finditer(text):
            ids += self._ids_in(match[1]) if match[1] else [match[2]]
        return tuple(dict.fromkeys(ids))

    def with_more(self, more: Iterable[str]) -> IdIndex:
        """This index with ids it lacks."""
        lacking = [each for each in more if each.casefold() not in self._known]
        return replace(self, ids=(*self.ids, *dict.fromkeys(lacking))) if lacking else self

    def _ids_in(self, text: str) -> Iterable[str]:
        return [self._known[m.group().casefold()] for m in self._id.finditer(text)]


def id_stem(mvp_id: str) -> str:
    """What the ids of one phase share: `2.1` -> `2`, `F-V3A` -> `F`."""
    return re.split(r"\.|-(?=[^-]*$)", mvp_id)[0]


def by_numbers(mvp: str) -> list[tuple[int, str]]:
    """What ids sort by: `1.2` before `1.10`."""
    return [
        (-1, word) if word else _counted(whole_number(number), number)
        for number, word in _PART.findall(mvp)
    ]


def _counted(number: int | None, digits: str) -> tuple[int, str]:
    """A number too long to count comes last, by its digits."""
    return (10**MOST_DIGITS, digits) if number is None else (number, "")
