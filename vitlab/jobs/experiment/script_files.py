"""The files a script names: those it writes, those it may write, and those it needs."""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
        self, files: Files, folder: Path, tree: ast.Module, options: Mapping[str, object]
    ) -> None:
        """`folder`: the script's own; `options`: the defaults of its command line."""
        self._files, self._folder, self._tree, self._options = files, folder, tree, options
        self._assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, _ASSIGNED):
                for one in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self._assigned.setdefault(ast.unparse(one), []).append(node.value)

    def run(self) -> None:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._text(node.value)

    def _call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        keywords = {one.arg: one.value for one in node.keywords if one.arg}
        given = [*node.args, *keywords.values()]
        on_path = isinstance(node.func, ast.Attribute) and name in (*_ON_PATH, *_LOOKS)
        paths = [node.func, *given] if on_path else given
        if name in _WRITES or (name in ("open", "File") and _is_writing(node, keywords)):
            self._files.written |= self._texts(paths)
        elif name in _LOOKS:
            self._files.written |= {one for one in self._texts(paths) if _CHECKPOINT.search(one)}
        if name == "CSVLogger":
            self._csv_logger(node, keywords)
        if name in _FOLDERS:
            key, at = _FOLDERS[name]
            place = node.args[at] if at is not None and len(node.args) > at else None
            found = self._texts([one for one in (keywords.get(key, place),) if one is not None])
            self._files.folders |= {one for one in found if one.strip("./")}

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

    def _text(self, text: str) -> None:
        if not text or len(text) > 200 or "\n" in text or "\0" in text:
            return
        is_path = re.fullmatch(r"[\w./-]*\w\.\w+", text) and text[0] not in "/."
        if is_path and kind_of(Path(text)) in (0, 1):
            self._files.metrics.append(text)
        if ("/" in text or "." in text) and not text.startswith(("/", "-", "http")):
            try:
                if (self._folder / text).exists() and text.strip("./"):
                    self._files.existing.append(text)
            except OSError:
                return


def _is_writing(node: ast.Call, keywords: Mapping[str, ast.expr]) -> bool:
    """Of a call of `open`, or of h5py's `File`: in a mode that writes."""
    is_method = isinstance(node.func, ast.Attribute) and node.func.attr == "open"
    at = 0 if is_method else 1
    mode = keywords.get("mode") or (node.args[at] if len(node.args) > at else None)
    return bool(set(str(constant(mode) or "")) & set("wax+"))


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
