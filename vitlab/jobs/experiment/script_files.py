"""The files a script names: those it writes, those it may write, and those it needs."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vitlab.contract.reading import read_regular
from vitlab.contract.tracking import FILES

LIGHTNING_CSV = "lightning_logs/version_*/metrics.csv"
LIGHTNING_BOARD = "lightning_logs/version_*/events.out.tfevents.*"
"""Where Lightning's own logger writes, when TensorBoard is not installed, and when it is."""
TRAINER_STATE = "**/trainer_state.json"

_WRITES = ("to_csv", "to_parquet", "to_json", "to_hdf", "to_pickle", "save", "savez", "savetxt",
           "savefig", "dump", "mkdir", "makedirs", "write_text", "write_bytes", "touch",
           "FileHandler", "basicConfig", "save_model", "save_pretrained", "save_checkpoint",
           "log_artifact")  # fmt: skip
_ON_PATH = ("mkdir", "write_text", "write_bytes", "touch", "open")
"""Methods of the path itself that write it."""
_FOLDERS = {
    "ModelCheckpoint": ("dirpath", 0),
    "CSVLogger": ("save_dir", 0),
    "TensorBoardLogger": ("save_dir", 0),
    "SummaryWriter": ("log_dir", 0),
    "TrainingArguments": ("output_dir", 0),
    "Seq2SeqTrainingArguments": ("output_dir", 0),
    "save_pretrained": ("save_directory", 0),
    "Trainer": ("default_root_dir", None),
    "WandbLogger": ("save_dir", None),
    "init": ("dir", None),  # wandb's
}
"""Calls that write into a folder: its keyword, and its place in the arguments."""
_LOOKS = ("exists", "is_file", "isfile", "is_dir", "isdir")
_CHECKPOINT = re.compile(r"(?i)ckpt|check_?point|(^|[/_-])(last|latest|resume)([._-]|$)")
_READS = ("open", "File", "read_csv", "read_json", "read_table", "loadtxt", "genfromtxt", "load")
_UNKNOWN = "\0"
"""Stands in a path for what is only known when the script runs."""
_BESIDE = "\1"
"""Stands in a path for the script's own folder."""
_SAME_PATH = ("str", "fspath", "abspath", "resolve", "expanduser", "absolute", "as_posix")
MAX_LOOKS = 20_000
"""Into parts of expressions that paths are put together of."""
_ASSIGNED = ast.Constant | ast.Call | ast.BinOp | ast.JoinedStr


_KINDS = (r".*\.(csv|tsv)", r".*\.(jsonl|ndjson)", r"trainer_state\.json", r".*\.wandb",
          r"events\.out\.tfevents\..*")  # fmt: skip
"""Metrics files by name, the best to read first."""
_NUMBERS = re.compile(r"(?i)metric|log|history|result|curve|train|loss")
"""A word in the name of a CSV or JSON lines file that may hold metrics, not data."""


def kind_of(path: Path) -> int | None:
    """The rank of a metrics file's kind, 0 is the best to read; None for any other file."""
    for rank, pattern in enumerate(_KINDS):
        if re.fullmatch(pattern, path.name, re.IGNORECASE):
            return rank if rank > 1 or _NUMBERS.search(path.name) else None
    return None


MAX_BYTES = 1 << 20
MAX_BRACES = 20_000
"""Of a script: Python takes their square to read them within one formatted text."""
UNREADABLE = (OSError, ValueError, SyntaxError, RecursionError, MemoryError)
"""What `tree_of` raises."""


def tree_of(module: Path) -> ast.Module:
    """What Python reads in a file, in bounded time; one of `UNREADABLE` for what it does not."""
    text = read_regular(module, MAX_BYTES, follow=True)
    if text.count(b"{") > MAX_BRACES:
        raise ValueError(f"more than {MAX_BRACES:,} braces")
    with warnings.catch_warnings():  # of its escape sequences, none of our business
        warnings.simplefilter("ignore")
        tree = ast.parse(text, str(module))
    if any(_is_endless(node) for node in ast.walk(tree)):
        raise ValueError("a number of more than 3,000 digits")
    return tree


def _is_endless(node: ast.AST) -> bool:
    """Whether it is a number that Python refuses to write out (4,300 digits)."""
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, int) and value.bit_length() > 10_000


@dataclass
class Files:
    """Paths below the folder a script runs in, as it names them."""

    metrics: list[str] = field(default_factory=list)
    """Metrics files, as globs; the best to read first."""
    existing: list[str] = field(default_factory=list)
    """Files and folders that are there, relative to the script's own folder."""
    written: set[str] = field(default_factory=set)
    """Where it writes: `open(..., "w")`, `to_csv`; and checkpoints it goes on from if any."""
    beside: set[str] = field(default_factory=set)
    """Metrics files in its own folder, wherever it runs: `Path(__file__).parent / "log.csv"`."""
    folders: set[str] = field(default_factory=set)
    """All below them is written by it: checkpoints, logs."""

    def is_input(self, text: str) -> bool:
        """Whether the script needs it to be there."""
        path = Path(os.path.normpath(text))
        written = {os.path.normpath(one) for one in self.written}
        below = any(path.is_relative_to(os.path.normpath(one)) for one in self.folders)
        return str(path) not in written and text not in self.metrics and not below


class FilesLook:
    """Fills `Files` from one module's tree."""

    def __init__(
        self,
        files: Files,
        folder: Path,
        module: tuple[Path, ast.Module],
        options: Mapping[str, object],
    ) -> None:
        """`folder`: the script's own; `options`: the defaults of its command line."""
        self._files, self._folder, self._options = files, folder, options
        path, tree = module
        self._file = f"{_BESIDE}/{path.relative_to(folder).as_posix()}"
        self._tree = tree
        self._parts = set[ast.AST]()
        self._looks = 0
        self._metrics: list[str] = []
        self._written, self._read, self._given = set[str](), set[str](), set[str]()
        """Metrics files that calls write, that they read, and that others are given."""
        self._values: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for one in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self._values.setdefault(ast.unparse(one), []).append(node.value)
        self._assigned = {
            name: [one for one in values if isinstance(one, _ASSIGNED)]
            for name, values in self._values.items()
        }

    def run(self) -> None:
        nodes = list(ast.walk(self._tree))
        for node in nodes:
            if node not in self._parts and _is_joined(node):
                self._metrics += self._metrics_of(self._path(node))
                self._parts.update(ast.walk(node))
        for node in nodes:
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._text(node)
        only_read = self._read - self._written - self._given
        self._metrics.sort(key=lambda one: one not in self._written)
        self._files.metrics += [one for one in self._metrics if one not in only_read]

    def _call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        keywords = {one.arg: one.value for one in node.keywords if one.arg}
        given = [*node.args, *keywords.values()]
        on_path = isinstance(node.func, ast.Attribute) and name in (*_ON_PATH, *_LOOKS)
        paths = [node.func, *given] if on_path else given
        writes = name in _WRITES or (name in ("open", "File") and _is_writing(node, keywords))
        if writes:
            self._files.written |= self._texts(paths)
        elif name in _LOOKS:
            self._files.written |= {one for one in self._texts(paths) if _CHECKPOINT.search(one)}
        if not _is_joined(node):
            opened = [node.func.value] if isinstance(node.func, ast.Attribute) else []
            reads = name in (*_READS, *_LOOKS) and _mode(node, keywords) is not None
            of_use = self._read if reads else self._given
            for one in _members((*opened, *given)):
                named = self._metrics_of(self._path(one))
                (self._written if writes else of_use).update(named)
        if name == "CSVLogger" and self._is_keras:
            path = self._path(keywords.get("filename") or [*node.args, node][0])
            self._metrics[:0] = self._metrics_of(path, any_name=True)
        elif name == "CSVLogger":
            self._csv_logger(node, keywords)
        if name in _FOLDERS:
            key, at = _FOLDERS[name]
            place = node.args[at] if at is not None and len(node.args) > at else None
            found = self._texts([one for one in (keywords.get(key, place),) if one is not None])
            self._files.folders |= {one for one in found if one.strip("./")}

    def _path(self, node: ast.AST, depth: int = 12) -> str:
        """The path that an expression is, as far as it is known."""
        self._looks += 1
        if not depth or self._looks > MAX_LOOKS:
            return _UNKNOWN
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id="__file__"):
                return self._file
            case ast.Attribute(value=inner, attr="parent"):
                return _above(self._path(inner, depth - 1))
            case ast.Subscript(value=ast.Attribute(value=inner, attr="parents")):
                is_first = constant(node.slice) == 0
                return _above(self._path(inner, depth - 1)) if is_first else _UNKNOWN
            case ast.Name() | ast.Attribute():
                return self._path_named(node, depth)
            case ast.JoinedStr(values=parts):
                return "".join(self._path(part, depth - 1) for part in parts)
            case ast.FormattedValue(value=value, format_spec=None):
                return self._path(value, depth - 1)
            case ast.BinOp(left=left, op=ast.Div() | ast.Add(), right=right):
                gap = "/" if isinstance(node.op, ast.Div) else ""
                return self._path(left, depth - 1) + gap + self._path(right, depth - 1)
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
                return re.sub(r"%[-+ #0]*[\d.]*\w", _UNKNOWN, text)
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
                return re.sub(r"\{[^{}]*\}", _UNKNOWN, text)
            case ast.Call(func=func, args=args):
                return self._path_called(func, args, depth)
        return _UNKNOWN

    def _path_named(self, node: ast.Name | ast.Attribute, depth: int) -> str:
        """What a name is given, or the default of an option that is a file."""
        given = self._values.get(ast.unparse(node), [])
        if len(given) == 1:
            self._parts.add(given[0])
            return self._path(given[0], min(depth - 1, 4))
        default = self._options.get(getattr(node, "attr", ""))
        return default if isinstance(default, str) and Path(default).suffix else _UNKNOWN

    def _path_called(self, func: ast.expr, args: Sequence[ast.expr], depth: int) -> str:
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        own = [func.value] if isinstance(func, ast.Attribute) else []
        if name in ("getcwd", "cwd") and not args:
            return "."
        if name == "dirname" and args:
            return _above(self._path(args[0], depth - 1))
        if name in _SAME_PATH and (args or own):
            return self._path((args or own)[0], depth - 1)
        if not _is_join(func):
            return _UNKNOWN
        parts = [*own, *args] if name == "joinpath" else args
        return "/".join(self._path(one, depth - 1) for one in parts)

    def _metrics_of(self, path: str, *, any_name: bool = False) -> list[str]:
        """A path as the pattern of a metrics file below the folder it runs in, if it is one."""
        *folders, name = Path(path).parts or ("",)
        if is_beside := folders[:1] == [_BESIDE]:
            del folders[0]
        folders += [_UNKNOWN] * name.startswith(_UNKNOWN)  # may be a folder too
        folders = ["**" if one.startswith(_UNKNOWN) else one for one in folders]
        *folders, name = (re.sub(f"{_UNKNOWN}+", "*", one) for one in (*folders, name))
        is_inside = not path.startswith(("/", "~")) and ".." not in folders
        if not is_inside or not re.fullmatch(r"[\w.*-]*\w\.\w+", name):
            return []
        known = all(re.fullmatch(r"[\w.*-]+", one) for one in folders)
        is_metrics = any_name or kind_of(Path(name)) in (0, 1)
        if not (known and is_metrics):
            return []
        found = _glob(*folders, name)
        self._files.beside.update([found] * is_beside)
        return [found]

    @cached_property
    def _is_keras(self) -> bool:
        """Whether its `CSVLogger` is that of Keras, which is given a file."""
        roots = set[str]()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Import):
                roots.update(one.name.partition(".")[0] for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                roots.add((node.module or "").partition(".")[0])
        lightning = roots & {"lightning", "pytorch_lightning"}
        return not lightning and bool(roots & {"keras", "tf_keras", "tensorflow"})

    def _texts(self, nodes: Iterable[ast.AST], depth: int = 4) -> set[str]:
        """The texts in these expressions, and in what their names and options are given."""
        found = set[str]()
        for node in (inner for one in nodes for inner in ast.walk(one)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.Name | ast.Attribute) and depth:
                found |= self._texts(self._assigned.get(ast.unparse(node), ()), depth - 1)
                default = self._options.get(getattr(node, "attr", ""))
                found |= {default} if isinstance(default, str) else set()
        return found

    def _csv_logger(self, node: ast.Call, keywords: Mapping[str, ast.expr]) -> None:
        """Its file; `**` stands for a folder or a name that is only known when it runs."""
        by_place = zip(("save_dir", "name", "version"), node.args, strict=False)
        places = {**dict(by_place), **keywords}
        parts = []
        for key, default in (("save_dir", "."), ("name", "lightning_logs"), ("version", None)):
            if key not in places:
                parts.append(default or "version_*")
            elif isinstance(text := constant(places[key]), str):
                parts.append(text)
            else:
                number = f"version_{text}" if isinstance(text, int) else "*"
                parts.append("**" if key != "version" else "version_*" if text is None else number)
        if not Path(parts[0]).is_absolute():
            self._files.metrics.append(_glob(*parts, "metrics.csv"))

    def _text(self, node: ast.Constant) -> None:
        text = str(node.value)
        if not text or len(text) > 200 or "\n" in text or "\0" in text:
            return
        if node not in self._parts and text[0] not in "/":
            self._metrics += self._metrics_of(text)
        if ("/" in text or "." in text) and not text.startswith(("/", "-", "http")):
            try:
                if (self._folder / text).exists() and text.strip("./"):
                    self._files.existing.append(text)
            except OSError:
                return


def _is_join(func: ast.expr) -> bool:
    """Whether it is what puts a path together: `os.path.join`, `Path`, `joinpath`."""
    if isinstance(func, ast.Attribute) and func.attr == "join":
        return not isinstance(func.value, ast.Constant)  # `", ".join`
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name in ("join", "Path", "PurePath", "joinpath")


def _is_joined(node: ast.AST) -> bool:
    """Whether it may be a path that is put together."""
    match node:
        case ast.JoinedStr() | ast.BinOp(op=ast.Div() | ast.Add()):
            return True
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()):
            return True
        case ast.Call(func=func):
            is_format = isinstance(func, ast.Attribute) and func.attr == "format"
            return is_format or _is_join(func)
    return False


def _above(path: str) -> str:
    """The folder of a path; not known of a part alone."""
    folder, _, name = path.rpartition("/")
    return folder if folder and _UNKNOWN not in name else _UNKNOWN


def _members(nodes: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """These expressions, and those in lists and dictionaries among them."""
    for node in nodes:
        yield node
        if isinstance(node, ast.List | ast.Tuple):
            yield from node.elts
        elif isinstance(node, ast.Dict):
            yield from node.values


def _is_writing(node: ast.Call, keywords: Mapping[str, ast.expr]) -> bool:
    """Of a call of `open`, or of h5py's `File`: in a mode that writes."""
    return bool(set(_mode(node, keywords) or "") & set("wax+"))


def _mode(node: ast.Call, keywords: Mapping[str, ast.expr]) -> str | None:
    """Empty where none is given; None where it is no constant."""
    is_method = isinstance(node.func, ast.Attribute) and node.func.attr == "open"
    at = 0 if is_method else 1
    mode = keywords.get("mode") or (node.args[at] if len(node.args) > at else None)
    if mode is None or getattr(node.func, "attr", getattr(node.func, "id", "")) not in (
        "open",
        "File",
    ):
        return ""
    return None if constant(mode) is None else str(constant(mode))


def _glob(*parts: str) -> str:
    """A pattern of these parts, without `**` twice in a row."""
    words = [word for part in parts for word in Path(part).parts]
    kept = [word for i, word in enumerate(words) if word != "**" or words[i - 1 : i] != ["**"]]
    return "/".join(kept)


def add_library_files(
    files: Files, libraries: set[str], called: Mapping[str, Sequence[ast.Call]]
) -> None:
    """Add the metrics files that libraries write by themselves; `called`: its calls by name."""
    arguments = [*called.get("TrainingArguments", ()), *called.get("Seq2SeqTrainingArguments", ())]
    if "transformers" in libraries and (arguments or "HfArgumentParser" in called):
        folders = []
        for call in arguments:
            named = {one.arg: one.value for one in call.keywords}.get("output_dir")
            folders.append(constant(named or next(iter(call.args), None)))
        known = [os.path.normpath(one) for one in folders if isinstance(one, str) and one]
        place = [] if not known or Path(known[0]).is_absolute() else known[:1]
        files.metrics.append("/".join([*place, TRAINER_STATE]))
    elif libraries & {"lightning", "pytorch_lightning"}:
        loggers = [name for name in called if name.endswith("Logger") and name != "getLogger"]
        for call in called.get("Trainer") or [ast.Call(ast.Name("Trainer"), [], [])]:
            keywords = {one.arg: one.value for one in call.keywords}
            own = constant(keywords.get("logger", ast.Constant(True)))
            if own is True or (own is None and not loggers):
                root = constant(keywords.get("default_root_dir", ast.Constant("")))
                folder = "**" if not isinstance(root, str) or Path(root).is_absolute() else root
                files.metrics += [_glob(folder, one) for one in (LIGHTNING_CSV, LIGHTNING_BOARD)]
    if "TensorBoardLogger" in called or "SummaryWriter" in called:
        files.metrics.append("**/events.out.tfevents.*")
    if "wandb" in libraries or "WandbLogger" in called:
        files.metrics.append(FILES)


def constant(node: ast.expr | None) -> Any:
    """The constant's value, or that of `-1` or a list of constants; None for all else."""
    if node is None:
        return None
    try:
        value = ast.literal_eval(node)
        json.dumps(value, ensure_ascii=False).encode()  # no surrogates, no endless numbers
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return value
