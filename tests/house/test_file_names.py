"""Names of the files of a lab and its jobs stand in one module: `vitlab.contract.paths`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vitlab

PACKAGE = Path(vitlab.__file__).parent
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "contract" / "paths.py"})
FILE = re.compile(r"[\w.-]*\w\.(json|jsonl|log|diff|parquet)|vitlab\.yaml|\.vitlab|exports|img")


def file_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines with a file name as a text of its own; docstrings and patterns are none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and FILE.fullmatch(str(node.value)):
            yield node.lineno, str(node.value)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_one_module_names_files(path: Path) -> None:
    names = list(file_names(ast.parse(path.read_text(encoding="utf-8"))))
    assert not names, "\n".join(f"{path}:{line}: {name}" for line, name in names)


@pytest.mark.parametrize("code", ["folder / 'told.json'", "root / '.vitlab'", "x = 'out.1.log'"])
def test_a_file_name_is_found(code: str) -> None:
    assert list(file_names(ast.parse(code)))
