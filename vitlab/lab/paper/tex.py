"""The text of a LaTeX draft as a reader sees it, with every line where it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

TABLE, END = "\x01", "\x02"
"""Stand for the beginning and the end of a table's rows."""
CAPTION, CITED = "\x03", "\x04"
"""Stand for the beginning of a caption, and for a citation."""
BREAK = "\x05"
"""Stands where a section begins: what was said before goes on no further."""
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*")
_VERBATIM = re.compile(
    r"\\(begin|end)\{(?:verbatim|lstlisting|comment|thebibliography)\*?\}|\\(iffalse|else|fi)(?![A-Za-z])"
)
_IN_LINE = re.compile(
    r"\\verb\*?([^\w\s{*])[^\n]{0,200}?\1|\\(?:url|href|nolinkurl|path)\s?\{[^{}\n]*\}"
)
"""What is printed as it is, and addresses: a `%` in them begins no comment."""
_SENTENCE = re.compile(r"[.;!?](?=\s)|\n\s*\n|\\\\")
"""Where a sentence ends, or a row."""
_ERRORS = re.compile(
    r"\^\s?\{?\s?\+\s?(?P<up>\d*\.?\d+)\s?\}?\s?_\s?\{?\s?-\s?(?P<down>\d*\.?\d+)\s?\}?"
    r"|_\s?\{?\s?-\s?(?P<low>\d*\.?\d+)\s?\}?\s?\^\s?\{?\s?\+\s?(?P<high>\d*\.?\d+)\s?\}?"
)
"""The errors of the two sides; the larger one is held against the result's."""
_BODY = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]{0,200}\}){0,200}\}){0,500})\}"
_OWN = re.compile(
    r"\\(?:(?:re)?newcommand\*?|providecommand|def)\s{0,9}\{?\\([A-Za-z]{1,200})\}?\s{0,9}" + _BODY
)
"""A command without arguments that the draft defines."""
_WITH_ARGUMENTS = re.compile(
    r"\\(?:(?:re)?newcommand\*?|providecommand)\s{0,9}\{?\\([A-Za-z]{1,40})\}?\s{0,9}"
    r"\[(\d)\](?:\[([^\]]{0,80})\])?\s{0,9}" + _BODY
)
"""One with arguments, the first perhaps with what it is where it is not given."""
_AHEAD = 2000
"""Characters behind a footnote in which its sentence's end is looked for; a table's in 10 times."""
_FOOTNOTE = re.compile(r"\\footnote(?:\[[^\]]{0,9}\])?\s?" + _BODY)
_ARGUMENT = re.compile(r"\s{0,9}" + _BODY)
_GIVEN = re.compile(r"\[([^\]]{0,80})\]")
_USED = re.compile(r"\\([A-Za-z]{1,200})(?![A-Za-z])(?:\{\})?")
_INPUT = re.compile(r"\\(?:input|include)\s{0,9}\{([^{}\n]{1,200})\}")
_NESTED = 5
"""How often commands of the draft's own are replaced within each other."""
_MOST = 4
"""Times its length that they may make the draft."""
_WIDEST, _HEAD = 20, 80
"""Columns that a head may span, and its characters."""
_MARKS = str.maketrans("", "", TABLE + END + CAPTION + CITED + BREAK)
_QUANTITY = re.compile(
    r"\\(?:SI|qty)(?:\[[^\]]{0,80}\])?\{([^{}]{0,80})\}(?:\[[^\]]{0,80}\])?\{([^{}]{0,80})\}"
)
_NUM = re.compile(r"\\num(?:\[[^\]]{0,80}\])?\{([^{}]{0,80})\}")
_DROPPED = re.compile(
    r"\\(?:ref|eqref|autoref|[cC]ref|label|url|href|includegraphics|plotone|bibliography\w*|usepackage"
    r"|documentclass|input|include|vspace|hspace|setlength|phantom|footnotemark|cmidrule|tablenum"
    r"|email|orcid|affil\w*|author|date|(?:cell|row)?color|index|textsuperscript|tnote|tablenotemark"
    r"|tablefootmark)\*?(?:\([^)]{0,80}\))?(?:\[[^\]]{0,80}\])*(?:\{[^{}]*\})?"
)
_BEGIN = re.compile(
    r"\\begin\{(?:tabular[xy]?\*?|longtable|deluxetable\*?|array)\}"
    r"(?:\[[^\]]{0,80}\]|\{(?:[^{}]|\{[^{}]*\})*\})*|\\startdata"
)
_FINISH = re.compile(r"\\end\{(?:tabular[xy]?\*?|longtable|deluxetable\*?|array)\}|\\enddata")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[A-Za-z]+\*?\}(?:\[[^\]]{0,80}\])?")
_CITED = re.compile(r"\\cite\w*\*?(?:\[[^\]]{0,80}\])*(?:\{[^{}]*\})?")
_SECTION = re.compile(r"\\(?:sub){0,2}section\*?(?=[\[{])|\\paragraph\*?(?=\{)")
_CAPTION = re.compile(r"\\(?:table)?caption\*?(?:\[[^\]]{0,80}\])?(?=\{)")
_ROWS = re.compile(r"\\multirow(?:\[[^\]]{0,9}\])?\{[^{}]*\}(?:\[[^\]]{0,9}\])?\{[^{}]*\}")
_COLUMNS = re.compile(r"\\multicolumn\{(\d{1,2})\}\{(?:[^{}]|\{[^{}]*\})*\}\s{0,9}" + _BODY)
_DIGITS = re.compile(r"(?<=\d)(?:\\,|\{,\}|\\ )(?=\d{3}(?!\d))")
_SYMBOLS = {
    "pm": "±", "times": "×", "cdot": "×", "sim": "~", "simeq": "≈", "approx": "≈", "Delta": "Δ",
    "sigma": "σ", "rho": "ρ", "lambda": "λ", "mu": "μ", "alpha": "α", "chi": "χ", "log": "log",
    "ln": "ln", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "lesssim": "≤", "gtrsim": "≥",
    "lt": "<", "gt": ">", "ll": "≪", "gg": "≫", "rightarrow": "→", "to": "→", "equiv": "=",
    "propto": "∝", "infty": "∞", "langle": "<", "rangle": ">", "dex": "dex", "kelvin": "K",
    "percent": "%", "AA": "Å", "angstrom": "Å", "ldots": "...", "dots": "...", "nodata": "-",
    "logg": "log g", "Teff": "T_eff", "teff": "T_eff", "feh": "[Fe/H]", "mh": "[M/H]",
    "max": "max", "min": "min", "textendash": "–", "textemdash": "—", "textpm": "±", "degree": "°",
}  # fmt: skip
_SILENT = frozenset((
    "text", "mathrm", "rm", "textbf", "bf", "emph", "em", "textit", "it", "mathbf", "boldsymbol",
    "bm", "textsc", "sc", "texttt", "tt", "textrm", "mathit", "mathsf", "mathcal", "mbox", "hbox",
    "operatorname", "ensuremath", "tablehead", "colhead", "title",
    "section", "subsection", "subsubsection", "paragraph", "abstract", "item", "footnote",
    "tablefoot", "tablecomments", "underline", "left", "right", "bigl", "bigr", "big", "Big",
    "displaystyle", "nonumber", "hline", "toprule", "midrule", "bottomrule", "hfill", "centering",
    "raggedright", "small", "footnotesize", "scriptsize", "tiny", "large", "normalsize", "noindent",
    "newpage", "clearpage", "maketitle", "appendix", "par", "quad", "qquad", "and", "unit", "si",
    "mathchar", "limits", "tableline", "endhead", "endfirsthead", "acknowledgments", "keywords",
    "newline", "linebreak", "smallskip", "medskip", "bigskip", "frac", "sqrt", "sum", "tilde",
    "hat", "bar", "overline", "vec", "dot", "prime", "mid", "in", "cdots", "sout", "protect",
    "vitlabtrial", "vitlabtext", "nano", "metre", "meter", "micro", "kilo", "parsec", "second",
))  # fmt: skip
"""Commands that say nothing of a number; what is in their braces is text."""
_FONTS = frozenset(("rm", "bf", "it", "sc", "tt", "em"))
"""Those of them that a space ends: `_{\\rm test}`."""
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?[ \t]?")


@dataclass(frozen=True)
class Command:
    """What a draft's own command stands for: its body, with `#1` where an argument goes."""

    body: str
    arguments: int = 0
    default: str | None = None
    """The first argument where it is not given; None where it must be."""


_PACKAGES = {
    "added": Command("#2", 2, ""), "deleted": Command("", 2, ""), "replaced": Command("#2", 3, ""),
    "highlight": Command("#2", 2, ""), "textcolor": Command("#2", 2), "xspace": Command(""),
    "SIrange": Command("#1–#2 #3", 3), "qtyrange": Command("#1–#2 #3", 3),
    "numrange": Command("#1–#2", 2), "numlist": Command("#1", 1),
}  # fmt: skip
"""Commands of `changes`, `siunitx` and the like: of a revised text the new one counts."""


@dataclass(frozen=True)
class Unknown:
    """A command that nobody here knows: what is in its braces is read as text."""

    name: str
    line: int
    """1-based, where it is first used."""


def inputs(source: str) -> list[str]:
    """The files that a draft takes in, as it names them."""
    return [name.strip() for name in _INPUT.findall(_COMMENT.sub(r"\1", source))]


def definitions(source: str) -> dict[str, str]:
    """The commands without arguments that a text defines, each with what it stands for."""
    return dict(_OWN.findall(_COMMENT.sub(r"\1", source)))


def plain_tex(source: str, given: Mapping[str, str] | None = None) -> tuple[str, list[Unknown]]:
    """The draft's text and the commands in it that are not known, each once.

    `given`: commands defined in another file, with what they stand for.

    Line ends stay; `TABLE` and `END` enclose rows, with `&` between cells and a vertical tab after
    each row.
    """
    text = _COMMENT.sub(r"\1", _IN_LINE.sub("", source.translate(_MARKS)))
    text = _with_notes_behind(_without_verbatim(text))
    head, begin, body = text.partition(r"\begin{document}")
    defined = [*(given or {}).items(), *_OWN.findall(text)]
    own = _PACKAGES | {name: Command(to) for name, to in defined}
    for one in _WITH_ARGUMENTS.finditer(text):
        own[one[1]] = Command(one[4], int(one[2]), one[3])
    text = (re.sub(r"[^\n]", "", head) + body.partition(r"\end{document}")[0]) if begin else text
    text = _WITH_ARGUMENTS.sub(_lines, _OWN.sub(_lines, text))
    text = _replaced(text, own)
    text = _ERRORS.sub(lambda found: "±" + max(filter(None, found.groups()), key=float), text)
    text = _QUANTITY.sub(r"\1 \2", _NUM.sub(r"\1", text))
    text = _CITED.sub(lambda found: CITED + _lines(found), text)
    text = _SECTION.sub(BREAK, text)
    text = _CAPTION.sub(CAPTION, _DROPPED.sub(_lines, text))
    text = _COLUMNS.sub(_repeated, _ROWS.sub("", text))
    text = _ENVIRONMENT.sub("", _FINISH.sub(END, _BEGIN.sub(_opened, text)))
    text = _DIGITS.sub(",", text)
    text = re.sub(r"\\\\(?:\[[^\]]{0,80}\])?", "\v", text)
    text = re.sub(r"\\[,;:!> ]|(?<!\\)~", " ", text)
    unknown: dict[str, Unknown] = {}
    at, line = 0, 1

    def spoken(found: re.Match[str]) -> str:
        nonlocal at, line
        name = found[1]
        if name not in _SILENT and name not in _SYMBOLS and name not in unknown:
            at, line = found.start(), line + text.count("\n", at, found.start())
            unknown[name] = Unknown(name, line)
        if name in _FONTS:
            return ""
        if name in unknown and text[found.start() - 1 : found.start()].isalnum():
            return " "  # its argument is no part of the word before it
        return _SYMBOLS.get(name, "") + (" " if found[0].endswith((" ", "\t")) else "")

    text = _COMMAND.sub(spoken, text)
    text = re.sub(r"\\([%&$#_{}])", lambda one: {"&": "and", "$": ""}.get(one[1], one[1]), text)
    text = re.sub(r"[{}$]", "", text).replace("---", "—").replace("--", "–")
    text = re.sub(r"[^\S\n]{20,}", " ", text)  # patterns take a power of a gap's length
    return text, list(unknown.values())


def _without_verbatim(text: str) -> str:
    """The text with what is printed as it is left out, but for its lines."""
    parts, start, inside = list[str](), 0, False
    for edge in _VERBATIM.finditer(text):
        part = text[start : edge.start()]
        parts.append("\n" * part.count("\n") if inside else part)
        start, inside = edge.end(), edge[1] == "begin" or edge[2] == "iffalse"
    return "".join(parts) + text[start:]


def _with_notes_behind(text: str) -> str:
    """The text with each footnote behind the sentence, or the table, that it is in."""
    notes: list[tuple[int, int, int, str]] = []
    for found in _FOOTNOTE.finditer(text):
        end = found.end()
        stop = _SENTENCE.search(text, end, end + _AHEAD)
        if stop is not None and stop[0].startswith("\\"):
            stop = _FINISH.search(text, stop.end(), end + 10 * _AHEAD) or stop
        at = stop.end() if stop else min(end + _AHEAD, len(text))
        notes.append((*found.span(), at, found[1]))
    parts, start, waiting = list[str](), 0, list[tuple[int, str]]()

    def go_to(place: int) -> None:
        nonlocal start
        while waiting and waiting[0][0] <= place:
            at, note = waiting.pop(0)
            parts.append(f"{text[start:at]} {' '.join(note.split()).rstrip('.')}. ")
            start = max(start, at)
        parts.append(text[start:place])
        start = place

    for begin, end, at, note in notes:
        go_to(begin)
        parts.append("\n" * text.count("\n", begin, end))
        start = end
        waiting.append((at, note))
    go_to(len(text))
    return "".join(parts)


def _replaced(text: str, own: Mapping[str, Command]) -> str:
    """The text with the draft's own commands replaced by what they stand for."""
    longest = _MOST * len(text) + 10_000
    for _ in range(_NESTED if own else 0):
        more = _once(text, own)
        if more == text or len(more) > longest:
            break
        text = more
    return text


def _once(text: str, own: Mapping[str, Command]) -> str:
    parts, start = list[str](), 0
    for found in _USED.finditer(text):
        if found[1] not in own or found.start() < start:
            continue
        command, end, given = own[found[1]], found.end(), list[str]()
        if command.arguments:
            end = found.end(1)
            if command.default is not None:
                optional = _GIVEN.match(text, end)
                given = [optional[1] if optional else command.default]
                end = optional.end() if optional else end
            while len(given) < command.arguments and (next_one := _ARGUMENT.match(text, end)):
                given.append(next_one[1])
                end = next_one.end()
        whole = command.body.replace("\n", " ")
        for i, argument in enumerate(given, 1):
            whole = whole.replace(f"#{i}", argument)
        parts += [text[start : found.start()], whole, "\n" * text.count("\n", found.start(), end)]
        start = end
    return "".join(parts) + text[start:]


def _repeated(found: re.Match[str]) -> str:
    """A cell of several columns stands in each of them, where it is a head and no text."""
    text, lines = found[2].replace("\n", " "), _lines(found)
    times = min(int(found[1]), _WIDEST) if len(text) <= _HEAD else 1
    return " & ".join([text] * max(1, times)) + lines


def _opened(found: re.Match[str]) -> str:
    return TABLE + _lines(found)


_lines: Callable[[re.Match[str]], str] = lambda found: "\n" * found[0].count("\n")  # noqa: E731
