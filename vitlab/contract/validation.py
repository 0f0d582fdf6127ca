"""Turns untrusted mappings into dataclasses: every key, value, limit and version is checked."""

from __future__ import annotations

import difflib
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import (
    LATEST,
    MAX_BYTES,
    MAX_KEPT,
    Unreadable,
    is_finite,
    read_document,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    R = TypeVar("R", bound=DataclassInstance)

T = TypeVar("T")


class ConfigError(UsageError):
    """A key or value that is not allowed; the text starts with its dotted name, `key`."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key


@dataclass(frozen=True)
class Range:
    """The numbers a value may take, for use in an `Annotated` type."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    """True: `low` itself is not allowed."""

    def __contains__(self, number: float) -> bool:
        return (self.low < number if self.above else self.low <= number) and number <= self.high

    def __str__(self) -> str:
        low = f"{'>' if self.above else '>='} {self.low:g}" if math.isfinite(self.low) else ""
        high = f"<= {self.high:g}" if math.isfinite(self.high) else ""
        return " and ".join(part for part in (low, high) if part)


def read_strict(kind: type[T], value: object, where: str) -> T:
    """The dataclass `kind` from a mapping; `where` is the dotted key used in errors.

    Field types may be bool, int, float, str, `Literal`, `Annotated` with a `Range`, tuples,
    `Mapping` of texts or of `Any`, any of these `| None` or `| Literal`, and further dataclasses.
    Raises `ConfigError`.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(where, f"must be a mapping, not {_shown(value)}")
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable
    for key in value:
        if key not in hints:
            raise ConfigError(f"{where}.{key}", unknown("key", str(key), hints))
    known: dict[str, Any] = {}
    for entry in fields(kind):  # type: ignore[arg-type]
        if entry.name in value:
            known[entry.name] = _convert(
                hints[entry.name], value[entry.name], f"{where}.{entry.name}"
            )
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise ConfigError(f"{where}.{entry.name}", "missing")
    return kind(**known)


def unknown(what: str, word: str, allowed: Iterable[str]) -> str:
    """An error text: `unknown key; did you mean patch? (allowed: ...)`."""
    words = list(allowed)
    close = difflib.get_close_matches(word, words, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {what}{hint} (allowed: {', '.join(words)})"


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of its fields: to find them takes longer than to check all values."""
    return get_type_hints(kind, include_extras=True)


def _convert(hint: Any, value: object, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _in_range(_convert(arguments[0], value, where), arguments[1], where)
    if origin is Literal:
        if value in arguments and not isinstance(value, bool):
            return value
        raise ConfigError(where, unknown(f"value {_shown(value)}", str(value), map(str, arguments)))
    if origin in (Union, types.UnionType):
        words = [word for one in arguments if get_origin(one) is Literal for word in get_args(one)]
        if isinstance(value, str) and value in words:
            return value
        if value is None and type(None) in arguments:
            return None
        return _convert(arguments[0], value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is Mapping:
        return _mapping(arguments[1], value, where)
    if is_dataclass(hint):
        return read_strict(hint, value, where)  # type: ignore[arg-type]
    return _scalar(hint, value, where)


def _tuple(arguments: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(where, f"must be a list, not {_shown(value)}")
    if arguments[-1] is Ellipsis:
        hints = [arguments[0]] * len(value)
        if not value:
            raise ConfigError(where, "must not be empty")
    else:
        hints = list(arguments)
        if len(value) != len(hints):
            raise ConfigError(where, f"must be a list of {len(hints)}, not of {len(value)}")
    return tuple(
        _convert(hint, part, f"{where}[{i}]")
        for i, (hint, part) in enumerate(zip(hints, value, strict=True))
    )


def _mapping(hint: Any, value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(where, f"must be a mapping, not {_shown(value)}")
    free = hint is Any
    return {
        str(key): inner if free or inner == "" else _convert(hint, inner, f"{where}.{key}")
        for key, inner in value.items()
    }


def _scalar(hint: type, value: object, where: str) -> Any:
    if hint is str and isinstance(value, str) and value:
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if hint in (int, float):
        number = _number(value)
        if number is not None and abs(number) > LARGEST:
            raise ConfigError(where, f"must be at most {LARGEST:g} in size, not {_shown(value)}")
        if number is not None and math.isfinite(number) and (hint is float or number % 1 == 0):
            return hint(number)
    if isinstance(value, Mapping) and len(value) == 1 and None in value.values():
        [word] = value
        raise ConfigError(where, f"needs quotes to be text: '{{{word}}}'")
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    raise ConfigError(where, f"must be {names[hint]}, not {_shown(value)}")


def _number(value: object) -> float | None:
    """A number as people write it: YAML 1.1 reads `3e-4` and `1e6` as strings."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _in_range(value: Any, bounds: Range, where: str) -> Any:
    if value is not None and value not in bounds:
        raise ConfigError(where, f"must be {bounds}, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def memory_bytes(key: str, text: str, also: str = "") -> int:
    """`8GiB`, `500 MB`, `1e9` -> bytes; `ConfigError` at `key` for anything else.

    `also`: what else is allowed there: `auto or `.
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([KMGT]?)(i?)B?\s*", text)
    try:
        number = float(found[1]) if found else 0.0
    except ValueError:
        number = 0.0
    if not found or not 0 < number < MOST_MEMORY:
        raise ConfigError(key, f"must be {also}a size like 8GiB or 500MB, not {_shown(text)}")
    return int(number * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " "))


MOST_MEMORY = 1e18
"""Of what unit it may be: no machine has so much, and no float is exceeded."""


LARGEST = 1e15
"""Of an option: what is computed of it, its square too, stays a number."""
PIXELS = 4096
"""Pixels of a spectrum from the embedded grid."""
RESOLUTION = 5000.0
"""Wavelength over the FWHM of a line of the embedded grid."""
LOWEST_R, HIGHEST_R = 100.0, 1e6
"""Those that an observed spectrum may have."""
FASTEST = 3000.0
"""km/s: no star of the Galaxy moves so fast."""

Count = Annotated[int, Range(1)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Time = Annotated[float, Range(0)]
"""Unix seconds."""
Fraction = Annotated[float, Range(0, 1)]
Dropout = Annotated[float, Range(0, 0.95)]
Threads = Annotated[int, Range(0, 1024)]
"""CPU threads; 0 means all available."""
Magnitude = Annotated[float, Range(10, 30)]
Input = Literal["flux", "flux/error", "whitened"]
"""What a model sees: flux over its median; over its 1-sigma error; (flux - 1) / sky sigma."""


_FITS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "str": (lambda value: isinstance(value, str), "text"),
    "Mode": (lambda value: isinstance(value, str), "text"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (lambda value: isinstance(value, int) and _is_number(value), "a whole number"),
    "float": (lambda value: _is_number(value), "a number"),
    "NotNegative": (lambda value: _is_number(value) and value >= 0, "a number of 0 or more"),
    "Time": (lambda value: _is_number(value) and 0 <= value < LATEST, "a time"),
    "Any": (lambda _: True, ""),
    "object": (lambda _: True, ""),
}
"""What a value of each declared type must be, and how that is called."""
_NESTED = re.compile(r"(Mapping\[str|tuple\[)(?:, )?(.*?)(?:, \.\.\.)?\]")


def _is_number(value: object) -> bool:
    return type(value) in (float, int) and is_finite(value)


_KINDS = (
    (bool, "true or false"), (str, "text"), (list | tuple, "a list"), (dict, "an object"),
)  # fmt: skip


def _kind(value: object) -> str:
    """What a value of a document is, in a message: short, and no text of its writer."""
    if value is None:
        return "null"
    found = next((name for kind, name in _KINDS if isinstance(value, kind)), "")
    return found or (f"{value:.6g}" if is_finite(value) else "a number")


def misfit(value: object, declared: str) -> str:
    """What `value` should be by its declared type (`Mapping[str, float | None]`); empty if it is.

    Of a mapping and a tuple every value is asked.
    """
    return _misfit_of(declared)(value)


@cache
def _misfit_of(declared: str) -> Callable[[object], str]:
    """`misfit` of one type, which is read once."""
    if declared.endswith(" | None"):
        given = _misfit_of(declared.removesuffix(" | None"))
        return lambda value: "" if value is None else given(value)
    if nested := _NESTED.fullmatch(declared):
        inner = _misfit_of(nested[2])
        kind, name = (dict, "a mapping") if nested[1] == "Mapping[str" else (list | tuple, "a list")

        def each(value: object) -> str:
            if not isinstance(value, kind):
                return name
            for one in value.values() if isinstance(value, dict) else value:
                if wrong := inner(one):
                    return f"{name} where each is {wrong}"
            return ""

        return each
    fits, word = _FITS[declared]
    return lambda value: "" if fits(value) else word


def load_record(path: Path, kind: type[R], version: int, limit: int = MAX_BYTES) -> R | None:
    """The record in `path`; None when there is none, `Unreadable` when it is no such record.

    Unknown keys are ignored, so that a newer program may add some within a version.
    """
    try:
        return checked(read_document(path, limit), kind, version)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise Unreadable(path, str(error)) from None


def read_record(path: Path, kind: type[R], version: int) -> R | None:
    """As `load_record`; None also for what cannot be read."""
    try:
        return load_record(path, kind, version)
    except Unreadable:
        return None


def load_fields(path: Path, declared: Mapping[str, str], limit: int = MAX_KEPT) -> dict[str, Any]:
    """The JSON object in `path` with these keys of these types, as far as it has them.

    Empty when there is none; `Unreadable` for anything else.
    """
    try:
        document = read_document(path, limit)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if not isinstance(document, dict):
        raise Unreadable(path, f"holds {_kind(document)} in place of an object")
    for name, kind in declared.items():
        if name in document and (wrong := misfit(document[name], kind)):
            raise Unreadable(path, f"has {name}: {_kind(document[name])}, not {wrong}")
    return document


def from_document(document: object, kind: type[R], version: int) -> R | None:
    """As `read_record`, for a document already read."""
    try:
        return checked(document, kind, version)
    except ValueError:
        return None


def checked(document: object, kind: type[R], version: int) -> R:
    """As `load_record`, for a document already read; `ValueError` says what is wrong with it."""
    if not isinstance(document, dict):
        raise ValueError(f"holds {_kind(document)} in place of an object")
    if document.get("v") != version or isinstance(document["v"], bool):
        raise ValueError(f"is of version {_kind(document.get('v'))}, not {version}")
    known = {}
    for name, declared, needed in _fields(kind):
        if name in document:
            value = document[name]
            if declared.startswith("tuple"):
                value = tuple(value) if isinstance(value, list | tuple) else value or ()
            if wrong := misfit(value, declared):
                raise ValueError(f"has {name}: {_kind(value)}, not {wrong}")
            known[name] = value
        elif needed:
            raise ValueError(f"has no {name}")
    return kind(**known)


def known_fields(kind: type[DataclassInstance], record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record of our own `kind` has: a newer version's has more."""
    return {name: record[name] for name, *_ in _fields(kind) if name in record}


@cache
def _fields(kind: type[DataclassInstance]) -> tuple[tuple[str, str, bool], ...]:
    """Name and type of each, and whether it has no default."""
    return tuple(
        (one.name, str(one.type), one.default is MISSING and one.default_factory is MISSING)
        for one in fields(kind)
    )
