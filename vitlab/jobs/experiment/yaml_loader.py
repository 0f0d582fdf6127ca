"""YAML from anybody, read within bounds: what is too much or unclear is refused before it is built.

Aliases of aliases make a small file a huge tree, and an anchor may hold itself.
"""

from __future__ import annotations

from typing import Any

import yaml

from vitlab.contract.reading import MAX_DEPTH

MAX_BYTES = 1 << 20
MAX_NODES = 20_000
"""Parts of a document, each counted where it is used."""
MAX_DIGITS = 300
"""Of an integer: a float holds no more."""
_INTEGER = "tag:yaml.org,2002:int"


class BadYaml(Exception):  # noqa: N818 - the name says what happened
    """A document that is not read: the line, 0 where it is not known, and why."""

    def __init__(self, line: int, why: str) -> None:
        self.line, self.why = line, why if len(why) <= 300 else f"{why[:300]}..."
        super().__init__(self.why)

    def at(self, shown: str) -> str:
        """`experiments/x.yaml:12: key mvp is given twice`."""
        return f"{shown}:{self.line}: {self.why}" if self.line else f"{shown}: {self.why}"


def load(raw: bytes) -> tuple[yaml.Node | None, Any]:
    """The root node of the document and what is made of it; `BadYaml`."""
    loader = None
    try:
        loader = _Loader(raw)
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context)
        hint = "; text with braces needs quotes here" if problem.endswith("'{'") else ""
        raise BadYaml(mark.line + 1 if mark else 1, problem + hint) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadYaml(0, f"not YAML: {' '.join(str(error).split())}") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which builds only what JSON can hold."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self._depth = 0
        self._trees: dict[int, tuple[int, int]] = {}
        """Id of a node -> its parts and its depth, aliases as what they stand for."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(event, f"nested more than {MAX_DEPTH} deep")
        if len(self._trees) > MAX_NODES:
            raise _refused(event, f"more than {MAX_NODES:,} parts")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._trees:
                raise _refused(event, f"alias {event.anchor} refers to itself")
            return node
        if isinstance(node, yaml.MappingNode):
            _check_twice(node)
            parts = [part for pair in node.value for part in pair]
        else:
            parts = node.value if isinstance(node, yaml.SequenceNode) else []
        trees = [self._trees[id(part)] for part in parts]
        count = 1 + sum(count for count, _ in trees)
        depth = 1 + max((depth for _, depth in trees), default=0)
        if count > MAX_NODES:
            raise _refused(event, f"more than {MAX_NODES:,} parts (aliases of aliases?)")
        if depth > MAX_DEPTH:
            raise _refused(event, f"nested more than {MAX_DEPTH} deep")
        self._trees[id(node)] = count, depth
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node.tag == _INTEGER and len(node.value) > MAX_DIGITS:
            raise _refused(node, f"a number of more than {MAX_DIGITS} digits")
        try:
            value = super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, OverflowError) as error:  # of `!!int x`
            raise _refused(node, f"not readable as YAML: {error}") from error
        if isinstance(value, str) and not _is_text(value):
            raise _refused(node, "text with a character that no file or terminal accepts")
        return value


_makers: dict[str, Any] = dict.fromkeys(
    ("binary", "omap", "pairs", "set"), yaml.SafeLoader.construct_undefined
)
for _tag, _maker in {**_makers, "timestamp": yaml.SafeLoader.construct_yaml_str}.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _maker)


def _refused(at: Any, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=at.start_mark)


def _is_text(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _check_twice(node: yaml.MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        name, line = (key.tag, str(key.value)), key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and name in lines:
            before = lines[name]
            raise _refused(
                key, f"key {key.value[:40]} is given twice, in lines {before} and {line}"
            )
        lines[name] = line
