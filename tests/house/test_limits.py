"""The limits of the code itself: they follow nouns, so none is met by cutting one thing in two."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import vitlab

PACKAGE = Path(vitlab.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
FOLDERS = sorted({path.parent for path in MODULES})

HEAVY = {
    "aiohttp", "astropy", "h5py", "lightgbm", "markdown_it", "matplotlib", "numpy", "plotext",
    "polars", "pynvml", "rich", "scipy", "textual", "textual_serve", "torch", "wandb", "wcwidth",
    "yaml",
}  # fmt: skip
"""Third-party packages that take long to load."""
SLOW_STANDARD = {
    "asyncio",
    "ctypes",
    "hashlib",
    "hmac",
    "importlib",
    "sqlite3",
    "ssl",
    "urllib",
    "zoneinfo",
}
"""Standard modules whose loading a supervisor, or the first paint, can do without."""

SMALL = {
    PACKAGE / "jobs" / "process" / name
    for name in ("child.py", "monitor.py", "program.py", "supervisor.py")
}
"""Each running job has one such process of at most 16 MB: it loads what its own job needs."""

INTERFACES = {PACKAGE / "ml" / "survey": ["Spectrum", "read_spectra"]}
"""Packages that are imported from by their own name, and what for: documented, for scripts too."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def every(kind: type, path: Path) -> list[ast.AST]:
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, kind)]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines_of(node: ast.AST) -> int:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_and_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "a module opens with one sentence"
    assert path.read_text(encoding="utf-8").count("\n") <= 500
    for node in every(ast.FunctionDef | ast.AsyncFunctionDef, path):  # type: ignore[arg-type]
        assert lines_of(node) <= 50, f"{getattr(node, 'name', '')} is too long"
    for node in every(ast.ClassDef, path):
        assert lines_of(node) <= 250, f"{getattr(node, 'name', '')} is too long"


@pytest.mark.parametrize("path", sorted(set(MODULES) - SMALL), ids=name_of)
def test_an_import_inside_a_function_keeps_something_heavy_from_loading(path: Path) -> None:
    functions = every(ast.FunctionDef | ast.AsyncFunctionDef, path)  # type: ignore[arg-type]
    for function in functions:
        for node in ast.walk(function):
            for module in imported(node):
                assert is_heavy(module), f"{path.name}:{getattr(node, 'lineno', 0)}: {module}"


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_holds_few_modules(folder: Path) -> None:
    assert sum(path.parent == folder for path in MODULES) <= 15


def test_no_name_is_given_to_four_modules() -> None:
    assert [name for name, n in Counter(p.name for p in MODULES).items() if n > 3] == []


def test_package_files_are_empty_but_those_of_interfaces() -> None:
    filled = [p.parent for p in PACKAGE.rglob("__init__.py") if p.read_text(encoding="utf-8")]
    assert filled == [*INTERFACES]
    for folder, names in INTERFACES.items():
        tree = tree_of(folder / "__init__.py")
        assert [type(node) for node in tree.body[1:-1]] == [ast.ImportFrom] * (len(tree.body) - 2)
        assert ast.unparse(tree.body[-1]) == f"__all__ = {names!r}"


def imported(node: ast.AST) -> list[str]:
    """Dotted names an import statement loads; [] for any other node."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if file_of(name) else node.module for name in inside]
    return []


def file_of(module: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    files = path.with_suffix(".py"), path / "__init__.py"
    return next((file for file in files if file.is_file()), None)


@cache
def is_heavy(module: str) -> bool:
    """Whether loading a module loads a heavy package, by the imports at the top of its file."""
    if not module.startswith("vitlab"):
        return module.split(".")[0] in HEAVY | SLOW_STANDARD
    path = file_of(module)
    return path is not None and any(
        is_heavy(name) for node in tree_of(path).body for name in imported(node)
    )
