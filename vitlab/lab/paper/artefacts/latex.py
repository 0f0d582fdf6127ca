"""LaTeX that holds whatever a lab's names hold: escaped text, value(error), tables of booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.contract.terminal import harmless

_ESCAPED = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "²": "$^2$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "−": "$-$",
        "–": "--",
        "Δ": r"$\Delta$",
        "σ": r"$\sigma$",
        "ρ": r"$\rho$",
        "χ": r"$\chi$",
        "α": r"$\alpha$",
    }
)
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_OTHER_SCRIPT = (
    r"\providecommand{\vitlabtext}[2]{\ifdefined\Umathcode #1\else [#2]\fi}"
    "  % text, its code points for an engine without Unicode"
)
_LONGEST = 200
"""Characters of a name."""


def escaped(text: str) -> str:
    """A text as LaTeX prints it: nothing in it is a command; of one line, and cut.

    What is not ASCII is in `\\vitlabtext`, whose second argument stands for it in engines that have
    no letters for it.
    """
    line = " ".join(harmless(text[:_LONGEST]).split())
    parts, start = list[str](), 0
    for found in _FOREIGN.finditer(line):
        parts += [line[start : found.start()].translate(_ESCAPED), _foreign(found[0])]
        start = found.end()
    whole = "".join([*parts, line[start:].translate(_ESCAPED)])
    # After the end of a row these would be its argument.
    return f"{{{whole[0]}}}{whole[1:]}" if whole.startswith(("[", "*")) else whole


def _foreign(text: str) -> str:
    known = [text[i].translate(_ESCAPED) for i in range(len(text))]
    if all(part.isascii() for part in known):
        return "".join(known)
    return rf"\vitlabtext{{{text}}}{{{' '.join(f'U+{ord(c):04X}' for c in text)}}}"


def with_scripts(tex: str) -> str:
    """With the definition of the command for letters beyond ASCII before it, where it is used."""
    return f"{_OTHER_SCRIPT}\n{tex}" if r"\vitlabtext" in tex else tex


def in_brackets(number: str, error: str) -> str:
    """`0.711(5)`, `152.3(12)`: the error in units of the number's last digit."""
    digits = error.replace(".", "").lstrip("0")
    return f"{number}({digits})" if digits else number


@dataclass(frozen=True)
class Cell:
    """One cell of a column of numbers."""

    number: str = ""
    """In digits; empty: there is none."""
    error: str = ""
    bold: bool = False
    mark: str = ""
    """A letter that points to a footnote."""

    @property
    def tex(self) -> str:
        """For a column `S`."""
        if not self.number:
            return "{--}"
        bold = r"\bfseries " if self.bold else ""
        mark = rf"\,\textsuperscript{{{self.mark}}}" if self.mark else ""
        return bold + in_brackets(self.number, self.error) + mark


@dataclass(frozen=True)
class Column:
    """A column of a table; its head is LaTeX already."""

    head: str
    cells: tuple[str | Cell, ...]
    """Texts are escaped already."""

    @property
    def kind(self) -> str:
        """`l` for texts, `S[...]` for numbers, as wide as the widest."""
        numbers = [cell for cell in self.cells if isinstance(cell, Cell) and cell.number]
        if not all(isinstance(cell, Cell) for cell in self.cells):
            return "l"
        whole = max((len(n.number.partition(".")[0].lstrip("+-")) for n in numbers), default=1)
        part = max((len(n.number.partition(".")[2]) for n in numbers), default=0)
        digits = max((len(n.error.replace(".", "").lstrip("0")) for n in numbers), default=0)
        signs = [sign for sign in "+-" if any(n.number[0] == sign for n in numbers)]
        sign = signs[0] if signs else ""
        format_ = f"{sign}{whole}" + (f".{part}" if part else "") + (f"({digits})" * bool(digits))
        space = ",table-space-text-post={\\,\\textsuperscript{a}}"
        return f"S[table-format={format_}{space * any(n.mark for n in numbers)}]"


def table(columns: Sequence[Column], notes: Sequence[str], top: str = "") -> str:
    """A `tabular` with rules of booktabs and its notes below; needs `booktabs` and `siunitx`.

    `notes` are escaped already; `top`: a line above the heads.
    """
    heads = [one.head if one.kind == "l" else f"{{{one.head}}}" for one in columns]
    lines = [
        *([rf"\multicolumn{{{len(columns)}}}{{c}}{{\textbf{{{top}}}}} \\"] * bool(top)),
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
    ]
    for row in zip(*(one.cells for one in columns), strict=True):
        texts = [cell.tex if isinstance(cell, Cell) else cell for cell in row]
        lines.append(" & ".join(texts) + r" \\")
    body = "\n".join(
        [
            r"\begingroup",
            r"\sisetup{detect-weight=true}",
            rf"\begin{{tabular}}{{{' '.join(one.kind for one in columns)}}}",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *([r"\par\smallskip", r"\footnotesize\raggedright", "Notes."] if notes else []),
            *(f"{note}." for note in notes),
            *([r"\par"] if notes else []),
            r"\endgroup",
        ]
    )
    return with_scripts(f"{body}\n")
