"""Names of LaTeX macros, which hold letters only: from what a number is, the same for ever.

`\\vitlab` METRIC [`Of` LABEL] `By` MODEL [`Minus` MODEL] [`At` N] `From` MVP [`Run` RUN] [SLICE].
Digits and points are spelt (`8.0`: `EightDotZero`), thousands are `K`, `M`, `G`. A part that these
letters would not give back has its hash as letters behind it, so no two numbers share a name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

HEAD = "vitlab"
_DIGITS = "Zero One Two Three Four Five Six Seven Eight Nine"
_SPELT = {
    **{str(number): word for number, word in enumerate(_DIGITS.split())},
    ".": "Dot", "-": "Dash", "_": "Sub", " ": "Space", "=": "Is", "+": "Plus", ",": "And",
}  # fmt: skip
_BACK = {word: sign for sign, word in _SPELT.items()}
_WORDS = re.compile("|".join(_BACK))
_KNOWN = {
    "r2": "Rtwo", "r2_bayes": "RtwoBayes", "r2_crlb_mean": "RtwoCrlb", "r2_linear": "RtwoLinear",
    "mae": "Mae", "rmse": "Rmse", "bias": "Bias", "scatter": "Scatter", "share": "Share",
    "mae_sigma": "MaeSigma", "rmse_sigma": "RmseSigma", "label_std": "LabelStd",
    "log_g": "LogG", "T_eff": "Teff", "M_H": "MH", "a_M": "AlphaM", "C_M": "CM",
}  # fmt: skip
"""Parts that have names of their own."""
_JOINS = re.compile("Of|By|At|From|Run|Minus|Mag|SnrBin|Value|Error|Count")
"""What joins the parts of a name; a part that holds one is not told from two."""
_LETTERS, _HASH = 24, 7


@dataclass(frozen=True)
class Subject:
    """What a number is of: all that is in its macro's name."""

    metric: str
    label: str
    model: str
    size: int | None
    """Training stars."""
    mvp: str
    run: str = ""
    """Without its seed; empty where model and size say it all."""
    other: str = ""
    """Of a difference the model, or run, that it is less than."""
    slice: str = ""
    """`Mag 21.5`, `SnrBin 2`; empty: all test stars."""

    @property
    def macro(self) -> str:
        """Its macro's name without the backslash."""
        kind, _, of = self.slice.partition(" ")
        parts = [
            HEAD,
            _word(self.metric),
            f"Of{_word(self.label)}" if self.label else "",
            f"By{_word(self.model)}",
            f"Minus{_word(self.other)}" if self.other else "",
            f"At{_size(self.size)}" if self.size else "",
            f"From{_word(self.mvp)}",
            f"Run{_word(self.run)}" if self.run else "",
            f"{kind}{_word(of)}" if kind else "",
        ]
        return "".join(parts)


def _word(part: str) -> str:
    """A part in letters, with its hash where they would not give it back."""
    if part in _KNOWN:
        return _KNOWN[part]
    text = "".join(_SPELT.get(c, c if c.isascii() and c.isalpha() else "") for c in part)
    back = _WORDS.sub(lambda found: _BACK[found[0]], text)
    if back == part and text not in _KNOWN.values() and not _JOINS.search(text):
        return text
    return f"{text[:_LETTERS]}x{_hash(part)}"


def _hash(text: str) -> str:
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8])
    letters = []
    for _ in range(_HASH):
        number, letter = divmod(number, 26)
        letters.append(chr(ord("a") + letter))
    return "".join(letters)


def _size(number: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "K")):
        if number % unit == 0:
            return _digits(number // unit) + name
    return _digits(number)


def _digits(number: int) -> str:
    return "".join(_SPELT[c] for c in str(number))


def short_run(run: str, model: str, size: int | None) -> str:
    """A run's name without what its macro says: `ViT train_size=1024` is empty, `Run 1` is `1`."""
    text = re.sub(rf"[ ,]?\b(?:data\.)?train_size={size}\b", "", run).strip(" ,")
    text = text.removeprefix(model).removeprefix("Run ").strip(" ,")
    return "" if text == "main" else text
