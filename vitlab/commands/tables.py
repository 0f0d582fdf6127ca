"""Tables of results as text: for terminals, papers, documents and other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

Row = Mapping[str, object]

_FIXED = ("mvp", "run", "profile", "model", "n_train", "params")
_HEADS = {
    "mvp": "MVP",
    "run": "Run",
    "profile": "Profile",
    "model": "Model",
    "n_train": "Train",
    "params": "Params",
    "score": "Score",
    "share": "Of ceiling",
    "delta": "Difference",
    "seeds": "Seeds",
}
_LATEX = str.maketrans(
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
    }
)


def short(rows: Sequence[Row], config: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The header and the cells people read: what differs, the score, its share, the difference."""
    columns = [name for name in _FIXED if name in ("mvp", "run", "model") or _differs(rows, name)]
    columns += [name for name in config if name.removeprefix("data.train_size")]
    columns += ["seeds"] if any(row.get("seeds") != 1 for row in rows) else []
    columns += ["score"]
    columns += ["share"] if any(row.get("share") is not None for row in rows) else []
    columns += ["delta"] if any("delta" in row for row in rows) else []
    headlines = {str(row["headline"]) for row in rows}
    heads = [_HEADS.get(name, name) for name in columns]
    if len(headlines) == 1:
        heads[columns.index("score")] = next(iter(headlines))
    return heads, [[_cell(row, name) for name in columns] for row in rows]


def as_csv(rows: Sequence[Row]) -> str:
    """Every column of every row, numbers unrounded."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_markdown(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table for a document; pipes inside a cell are escaped."""
    lines = [header, ["---"] * len(header), *cells]
    return "".join(
        "| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |\n" for line in lines
    )


def as_latex(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A `tabular` with the rules of booktabs."""
    kinds = ["r" if all(_number(row[i]) for row in cells) else "l" for i in range(len(header))]
    body = [" & ".join(_tex(cell) for cell in line) + r" \\" for line in cells]
    head = " & ".join(_tex(cell) for cell in header) + r" \\"
    lines = [
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    if " ± " in text:
        number, _, rest = text.partition(" ± ")
        error, _, remark = rest.partition(" ")
        return rf"${number} \pm {error}$" + (f" {_tex(remark)}" if remark else "")
    return text.translate(_LATEX).replace("²", "$^2$").replace("Δ", r"$\Delta$")


def _number(text: str) -> bool:
    return not text or text == "-" or text[0].isdigit() or text[0] in "+-"


def _differs(rows: Sequence[Row], name: str) -> bool:
    return len({str(row.get(name)) for row in rows}) > 1


def _cell(row: Row, name: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    if name == "score":
        warn = " LEAK" if row.get("leak") else ""
        return _measured(value, row.get("error")) + warn
    if name == "delta":
        remark = {"reference": "(reference)", "independent": "(independent)"}.get(
            str(row.get("how")), ""
        )
        if row.get("how") == "reference":
            return remark
        noise = "noise" if row.get("noise") else ""
        sign = "+" if isinstance(value, float) and value > 0 else ""
        shown = sign + _measured(value, row.get("delta error"))
        return " ".join(part for part in (shown, noise, remark) if part)
    if name == "share":
        return f"{value:.0%}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measured(value: object, error: object) -> str:
    """With as many decimals as two figures of the error need."""
    if not isinstance(value, float):
        return str(value)
    if not isinstance(error, float) or not error > 0:
        return f"{value:.4g}"
    digits = next((d for d in range(9) if error >= 10 ** (1 - d) * 0.95), 8)
    return f"{value:.{digits}f} ± {error:.{digits}f}"
