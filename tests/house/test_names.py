"""Names of values are read and made in one module: `vitlab.contract.value`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vitlab

PACKAGE = Path(vitlab.__file__).parent
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "contract" / "value.py"})
CUTS = ("split", "rsplit", "partition", "rpartition", "startswith", "endswith", "replace")
OF_A_NAME = re.compile(r"(^|\.)(headline|metric|value)$|^name$")
SPLIT = re.compile(r"(train|val|test|perf|ceiling)(@[^/]*)?/")


def _is_slash(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "/"


def name_handling(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines that take a value's name apart or put one together, and what they do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method, receiver = node.func.attr, ast.unparse(node.func.value)
            first = node.args[0] if node.args else ast.Constant(None)
            text = first.value if isinstance(first, ast.Constant) else None
            if method in ("split", "rsplit") and _is_slash(first):
                yield node.lineno, f"{method}s at a slash: a name is `Value`, a path is `Path`"
            elif method in CUTS and isinstance(text, str) and SPLIT.match(text):
                yield node.lineno, f"{method} of {text!r}: compare `Value.split`"
            elif method in CUTS and _is_slash(first) and OF_A_NAME.search(receiver):
                yield node.lineno, f"{method} of `{receiver}` at a slash"
        elif isinstance(node, ast.JoinedStr):
            head = node.values[0]
            if isinstance(head, ast.Constant) and SPLIT.match(str(head.value)):
                yield node.lineno, f"{ast.unparse(node)} is a name made by hand"
        elif isinstance(node, ast.BinOp) and SPLIT.match(str(getattr(node.left, "value", ""))):
            yield node.lineno, f"{ast.unparse(node)} is a name made by hand"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_one_module_knows_what_a_name_is_made_of(path: Path) -> None:
    found = list(name_handling(ast.parse(path.read_text(encoding="utf-8"))))
    assert not found, "\n".join(f"{path}:{line}: {what}" for line, what in found)


@pytest.mark.parametrize(
    "code",
    [
        "x.split('/')[0]",
        "x.rsplit('/', 1)",
        "job.headline.partition('/')[2]",
        "x.startswith('test/')",
        "x.replace('test/', 'val/', 1)",
        "f'val/r2/{label}'",
        "f'ceiling@21/{kind}'",
        "'val/' + rest",
    ],
)
def test_a_name_handled_by_hand_is_found(code: str) -> None:
    assert list(name_handling(ast.parse(code)))


@pytest.mark.parametrize("code", ["path.rpartition('/')[2]", "f'{a}/{b}'", "x.split(',')"])
def test_a_path_is_no_name(code: str) -> None:
    assert not list(name_handling(ast.parse(code)))
