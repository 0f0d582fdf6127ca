"""The house's own limits: small modules, small functions, empty package files."""

import ast
from pathlib import Path

import pytest

import vitlab

PACKAGE = Path(vitlab.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_is_small_and_says_what_it_owns(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py":
        assert text == ""
        return
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with one sentence"
    assert text.count("\n") <= 300, "split by noun"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 50, f"{node.name} has {length} lines"
