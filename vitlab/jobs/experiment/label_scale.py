"""Whether a script normalises its labels, by what, and whether it surely logs errors so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vitlab.jobs.experiment.script_files import constant

_LABEL = r"(label|target|y|log_?g|teff|t_eff)s?"
_STD = re.compile(rf"(?i)_*({_LABEL}_?(std|sigma|scale)|std_?(y|labels?))")
_ANY_STD = re.compile(r"(?i)std|sigma|scale")
_NORMALISED = re.compile(
    r"(?i)^_?((label|target|y|log_?g)s?_?(std|sigma|scale|norm|mean|scaler)"
    r"|normali[sz]e_?(labels?|targets?|y)|(std|mean)_?(y|labels?)|y_?n|standard_?scaler)$"
)
_LABELS = re.compile(r"(?i)(y|labels?|targets?|log_?g)s?(_(train|val|test|n|norm|scaled))?")
_DIVISOR = re.compile(r"(?i)_?((label|target|y|log_?g)s?_?)?(std|sigma|scale)")
_RESTORED = re.compile(
    r"(?i)denorm|un_?norm|inverse|unscale|rescale|physical|(in|to|as|into)_(dex|k$|kelvin|logg|log_g)"
    r"|back_to|restore_?(labels?|targets?|y)|undo"
)
_SAVES = ("dump", "dumps", "save", "savez", "print", "info", "write", "log", "echo", "append")
"""Calls that write a standard deviation down."""


@dataclass(frozen=True)
class Scale:
    """Where the label's standard deviation stands: a number, a log line, or a JSON file."""

    number: float | None = None
    pattern: str = ""
    file: str = ""
    key: str = ""

    @property
    def meaning(self) -> float | dict[str, str]:
        """As `scale` of an experiment file has it."""
        if self.number is not None:
            return self.number
        return {"pattern": self.pattern} if self.pattern else {"file": self.file, "key": self.key}


@dataclass(kw_only=True)
class LabelScale:
    """What a script shows of the normalisation of its labels."""

    normalised: str = ""
    """Where labels are normalised: `train.py:31 label_std`; empty where nothing shows it."""
    restored: bool = False
    """Whether something may take it back, so that a scale might be applied twice: any use of the
    standard deviation but to divide by it and to write it down."""
    scale: Scale | None = None


def look_for_scale(found: LabelScale, tree: ast.Module, module: str) -> None:
    """Fill `found` by the tree of the module of that name."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        word = _word(node)
        if word and _NORMALISED.match(word) and not found.normalised:
            found.normalised = f"{module}:{getattr(node, 'lineno', 1)} {word}"
        found.restored |= bool(word and _RESTORED.search(word)) or _multiplies(node)
        is_read = isinstance(getattr(node, "ctx", None), ast.Load)
        if is_read and _STD.fullmatch(word) and not _only_divides(node, word, parents):
            found.restored = True
        if isinstance(node, ast.Assign):
            _assigned(found, node, module, tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "json.dump":
            _dumped(found, node)


def _word(node: ast.AST) -> str:
    """The name that a node is, or gives."""
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word) | ast.FunctionDef(name=word):
            return word
        case ast.keyword(arg=word) | ast.arg(arg=word):
            return word or ""
    return ""


def _multiplies(node: ast.AST) -> bool:
    """Whether something is multiplied by a standard deviation, of whatever."""
    match node:
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return any(_ANY_STD.search(ast.unparse(side)) for side in (left, right))
        case ast.AugAssign(op=ast.Mult(), value=value):
            return bool(_ANY_STD.search(ast.unparse(value)))
        case ast.Call(func=ast.Attribute(attr=name), args=given):
            return name.strip("_") in ("mul", "multiply", "addcmul") and any(
                _ANY_STD.search(ast.unparse(one)) for one in given
            )
    return False


def _only_divides(node: ast.AST, word: str, parents: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether a standard deviation is divided by, written down, or kept under its own name."""
    above = parents.get(node)
    while isinstance(above, ast.Attribute | ast.Subscript) or (
        isinstance(above, ast.Call) and above.func is node
    ):  # `label_std.item()`, `label_std[0]`
        node, above = above, parents.get(above)
    match above:
        case ast.BinOp(op=ast.Add(), left=left, right=right) if constant(left) or constant(right):
            node, above = above, parents.get(above)  # `(label_std + 1e-8)`
    match above:
        case ast.BinOp(op=ast.Div(), right=right):
            return right is node
        case ast.AugAssign(op=ast.Div(), value=value):
            return value is node
        case ast.Assign(targets=targets):
            return all(_word(target) == word for target in targets)
    while above is not None and not isinstance(above, ast.stmt):
        if isinstance(above, ast.Call) and _word(above.func) in _SAVES:
            return True
        above = parents.get(above)
    return False


def _assigned(found: LabelScale, node: ast.Assign, module: str, tree: ast.Module) -> None:
    value = node.value
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
        by = ast.unparse(value.right)
        is_label = all(_LABELS.fullmatch(ast.unparse(one)) for one in node.targets)
        if is_label and _DIVISOR.fullmatch(by) and not found.normalised:
            found.normalised = f"{module}:{node.lineno} {by}"
            found.scale = found.scale or _used_once(tree, by)
    number = constant(value)
    is_std = len(node.targets) == 1 and _STD.fullmatch(_word(node.targets[0]))
    if is_std and isinstance(number, int | float) and number > 0:
        other = found.scale is not None and found.scale.number not in (None, number)
        found.restored |= other  # which of them it is when is not known
        found.scale = found.scale or Scale(number=float(number))


def _used_once(tree: ast.Module, name: str) -> Scale | None:
    """The number of a name that is given it once, and read nowhere but to divide labels by it."""
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    given = [node.value for node in assigned if name in map(_word, node.targets)]
    number = constant(given[0]) if len(given) == 1 and len(named) == 2 else None
    is_positive = isinstance(number, int | float) and number > 0
    return Scale(number=float(number)) if is_positive and number is not None else None


def _dumped(found: LabelScale, node: ast.Call) -> None:
    """`json.dump({"label": {"std": s}}, open("stats.json", "w"))`."""
    if len(node.args) < 2 or not isinstance(node.args[0], ast.Dict):
        return
    named = [n.value for n in ast.walk(node.args[1]) if isinstance(n, ast.Constant)]
    files = [one for one in named if isinstance(one, str) and one.endswith(".json")]
    for key in _keys(node.args[0]):
        if files and re.search(r"(?i)(label|target|y|log_?g)s?[._]?(std|sigma|scale)$", key):
            found.scale = Scale(file=files[0], key=key)


def _keys(node: ast.Dict, head: str = "") -> Iterator[str]:
    for key, value in zip(node.keys, node.values, strict=True):
        name = f"{head}{constant(key)}"
        if isinstance(value, ast.Dict):
            yield from _keys(value, f"{name}.")
        else:
            yield name
