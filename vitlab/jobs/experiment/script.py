"""A training script, looked at without running it: its options, what it logs and where.

By the syntax tree alone, of the script and of the modules beside it that it imports. What cannot
be seen that way is left out; nothing is guessed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vitlab.contract.paths import UsageError
from vitlab.jobs.experiment.label_scale import LabelScale, Scale, look_for_scale
from vitlab.jobs.experiment.printed import (
    PERCENT,
    Line,
    lines_of,
    parts_of,
    parts_of_several,
    split_text,
)
from vitlab.jobs.experiment.script_files import (
    UNREADABLE,
    Files,
    FilesLook,
    add_library_files,
    constant,
    tree_of,
)
from vitlab.jobs.experiment.value_names import labels_in

MAX_MODULES = 40
"""Modules beside a script that are read with it."""

_LIBRARIES = ("lightning", "pytorch_lightning", "transformers", "wandb", "lightgbm", "torch",
              "vitlab", "hydra")  # fmt: skip
_PRINTS = ("print", "info", "echo", "write", "log_message")
_HEADS = ("writerow", "DictWriter", "dumps", "write")
"""Calls that write the names of values: the header of a table, the keys of a JSON line."""
_LOGS = ("log", "log_dict", "log_metrics")
_OPEN = ("parse_known_args", "HfArgumentParser", "LightningCLI", "add_arguments", "add_subparsers")
"""Calls after which a command line may have more options than are seen."""
_NAME = re.compile(r"[\w./ @-]{1,80}")


@dataclass(frozen=True)
class Option:
    """One option of the script's command line."""

    flag: str
    """As it is written: `--lr`."""
    default: Any = None
    """None where it has none, or none that is a constant."""
    is_switch: bool = False
    """Whether it takes no value."""
    flags: tuple[str, ...] = ()
    """All ways to write it; empty where they are not all known."""

    @property
    def name(self) -> str:
        return self.flag.lstrip("-").replace("-", "_")


@dataclass
class Script(LabelScale):
    """What was seen in a script."""

    path: Path
    changed: float = 0.0
    """When it, or a module of it, was written last, in Unix seconds."""
    options: list[Option] = field(default_factory=list)
    libraries: set[str] = field(default_factory=set)
    logged: list[str] = field(default_factory=list)
    """Names it logs by Lightning, W&B or a dictionary, in order."""
    takes_more: bool = False
    """Whether it may take options that are not among `options`."""
    needs: list[str] = field(default_factory=list)
    """What its command line must have: `--data`, `sys.argv[1]`."""
    patterns: list[str] = field(default_factory=list)
    """A regular expression for each printed line with numbers, its groups named by their words."""
    unsure: list[str] = field(default_factory=list)
    """Texts before printed scores of which it is not sure what they are of."""
    files: Files = field(default_factory=Files)
    epochs: int | None = None
    """A constant number of epochs that is no option."""
    labels: set[str] = field(default_factory=set)
    """Labels of stars it names: `log_g`, `T_eff`, ..."""
    checkpoint_word: str = ""
    """The value of its checkpoint option that means the newest one, where that is known."""

    def option(self, *names: str) -> Option | None:
        """The first option of one of these names."""
        by_name = {option.name.lower(): option for option in self.options}
        return next((by_name[name] for name in names if name in by_name), None)

    @cached_property
    def is_lightning(self) -> bool:
        return bool(self.libraries & {"lightning", "pytorch_lightning"})


def look_at(path: Path) -> Script:
    """Look at the script `path`; `UsageError` where it is no Python."""
    script = Script(path)
    trees, printed = list(_modules(path)), list[Line]()
    script.changed = max((module.stat().st_mtime for module, _ in trees), default=0.0)
    for module, tree in trees:
        _Look(script, module, tree, printed).run()
    _patterns(script, printed)
    _hugging_face(script, [tree for _, tree in trees])
    script.logged = list(dict.fromkeys(script.logged))
    script.needs = list(dict.fromkeys(script.needs))
    _files(script, trees)
    if script.is_lightning and script.option(*CHECKPOINT_OPTIONS):
        script.checkpoint_word = "last"
    return script


EPOCH_OPTIONS = ("epochs", "max_epochs", "num_epochs", "n_epochs", "num_train_epochs", "nepochs")
OUTPUT_OPTIONS = ("out", "output", "output_dir", "outdir", "out_dir", "save_dir", "log_dir",
                  "logdir", "run_dir", "default_root_dir", "workdir", "work_dir")  # fmt: skip
CHECKPOINT_OPTIONS = ("ckpt", "ckpt_path", "checkpoint", "resume", "resume_from",
                      "resume_from_checkpoint")  # fmt: skip


def _modules(path: Path) -> Iterator[tuple[Path, ast.Module]]:
    """The script, and what it imports from its own folder, each once."""
    todo, seen = [path], set[Path]()
    while todo and len(seen) < MAX_MODULES:
        module = todo.pop(0)
        if module in seen:
            continue
        seen.add(module)
        try:
            tree = tree_of(module)
        except UNREADABLE as error:
            if module == path:
                why = getattr(error, "strerror", None) or getattr(error, "msg", None) or str(error)
                why = why or "nested too deeply"
                line = getattr(error, "lineno", None)
                where = f"{path}:{line}" if line else str(path)
                raise UsageError(f"{where}: not readable as Python: {why}") from error
            continue
        yield module, tree
        todo += [one for one in _imported(tree, module, path.parent) if one not in seen]


def _imported(tree: ast.Module, module: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(tree):
        names: list[tuple[Path, str]] = []
        if isinstance(node, ast.Import):
            names = [(root, one.name) for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.parents[node.level - 1] if 0 < node.level <= 8 else root
            name = node.module or ""
            names = [(base, name)] if name else []
            names += [(base, f"{name}.{one.name}".strip(".")) for one in node.names]
        for base, name in names:
            place = base.joinpath(*name.split("."))
            for one in (place.with_suffix(".py"), place / "__init__.py"):
                if one.is_file() and one.is_relative_to(root):
                    yield one


class _Look:
    """Fills a `Script` from one module's tree."""

    def __init__(self, script: Script, module: Path, tree: ast.Module, printed: list[Line]) -> None:
        """`printed`: where the lines it prints are added."""
        self._script = script
        self._lines = printed
        self._module = module
        self._tree = tree
        self._calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        # Whether a line is what one call prints.
        keys = (key.arg for one in self._calls for key in one.keywords)
        is_cut = any(key in ("end", "nl") for key in keys)
        self._whole = not is_cut and not any(map(_leaves_line_open, self._calls))
        self._loops: dict[ast.AST, int] = {}
        for loop in ast.walk(tree):
            if isinstance(loop, ast.For | ast.While | ast.AsyncFor):
                for node in ast.walk(loop):
                    self._loops.setdefault(node, loop.lineno)

    def run(self) -> None:
        for node in ast.walk(self._tree):
            match node:
                case ast.Import(names=names):
                    self._libraries(one.name for one in names)
                case ast.ImportFrom(module=str(name)):
                    self._libraries([name])
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._function(node)
                case ast.Call():
                    self._call(node)
                case ast.Subscript(value=value, slice=ast.Constant(value=key)):
                    self._item(ast.unparse(value), key)
            self._labels(node)
        look_for_scale(self._script, self._tree, self._module.name)

    def _item(self, value: str, key: object) -> None:
        if value in ("sys.argv", "argv") and isinstance(key, int) and key > 0:
            self._script.needs.append(f"sys.argv[{key}]")
        elif value.endswith(".summary") and isinstance(key, str):  # W&B's
            self._script.logged.append(key)

    def _libraries(self, names: Any) -> None:
        for name in names:
            head = name.split(".")[0]
            if head in _LIBRARIES:
                self._script.libraries.add(head)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """The parameters of a typer command are its options."""
        decorators = [ast.unparse(one) for one in node.decorator_list]
        is_command = any(re.search(r"(?<!click)\.command\b", one) for one in decorators)
        by_run = any(
            _name(call.func) == "run" and [ast.unparse(a) for a in call.args] == [node.name]
            for call in self._calls
            if "typer" in ast.unparse(call.func)
        )
        if not by_run and not (is_command and "typer" in self._text_of_imports):
            return
        arguments = node.args.args
        defaults = [None] * (len(arguments) - len(node.args.defaults)) + list(node.args.defaults)
        for argument, default in zip(arguments, defaults, strict=True):
            if default is None:
                continue  # an argument, not an option
            inner = default.args[0] if isinstance(default, ast.Call) and default.args else default
            flags = [
                str(one.value)
                for one in (default.args[1:] if isinstance(default, ast.Call) else [])
                if isinstance(one, ast.Constant) and str(one.value).startswith("--")
            ]
            flag = flags[0].partition("/")[0] if flags else f"--{argument.arg.replace('_', '-')}"
            value = constant(inner)
            self._script.options.append(Option(flag, value, isinstance(value, bool)))

    @cached_property
    def _text_of_imports(self) -> str:
        nodes = (n for n in ast.walk(self._tree) if isinstance(n, ast.Import | ast.ImportFrom))
        return " ".join(map(ast.unparse, nodes))

    def _call(self, node: ast.Call) -> None:
        name = _name(node.func)
        keywords = {one.arg: one.value for one in node.keywords if one.arg}
        open_flag = name == "add_argument" and not all(map(constant, node.args))
        self._script.takes_more |= open_flag or name in _OPEN or "parents" in keywords
        if name == "add_argument" or ast.unparse(node.func).endswith("click.option"):
            self._option(node, keywords)
        elif name == "Trainer" or name == "TrainingArguments":
            self._trainer(keywords)
        elif name in _LOGS:
            self._logged(node, keywords)
        elif name in _HEADS:
            self._script.logged += _written_names([*node.args, *keywords.values()])
        elif name == "append":  # a row of a table, `history.append({"epoch": e, "val_r2": r2})`
            rows = [one for one in node.args if isinstance(one, ast.Dict)]
            self._script.logged += _written_names(rows)
        if name in _PRINTS and node.args:
            self._printed(node)

    def _option(self, node: ast.Call, keywords: Mapping[str, ast.expr]) -> None:
        words = [str(constant(one)) for one in node.args]
        flags = [word for word in words if word.startswith("--")]
        if not flags:
            optional = {"default", "action"} & {*keywords} or constant(keywords.get("nargs")) in (
                "?",
                "*",
            )
            if words and words[0][:1].isalpha() and not optional:
                self._script.needs.append(words[0])
            return
        flag = next((word for word in flags if len(word) > 2), flags[0])
        flag = flag.partition("/--")[0]
        action = str(constant(keywords.get("action")) or "")
        switch = action.startswith("store_") or constant(keywords.get("is_flag")) is True
        default = constant(keywords.get("default"))
        self._script.options.append(Option(flag, default, switch, tuple(flags)))
        if constant(keywords.get("required")) is True:
            self._script.needs.append(flag)

    def _trainer(self, keywords: Mapping[str, ast.expr]) -> None:
        for key in ("max_epochs", "num_train_epochs"):
            count = constant(keywords.get(key))
            if isinstance(count, int) and count > 0 and not isinstance(count, bool):
                self._script.epochs = self._script.epochs or count

    def _logged(self, node: ast.Call, keywords: Mapping[str, ast.expr]) -> None:
        both = all(constant(keywords.get(key)) is True for key in ("on_step", "on_epoch"))
        first = node.args[0] if node.args else keywords.get("dictionary", keywords.get("name"))
        names = first.keys if isinstance(first, ast.Dict) else [first]
        for one in names:
            for name in self._texts(one):
                if _NAME.fullmatch(name):
                    self._script.logged.append(name + ("_epoch" if both else ""))

    def _texts(self, node: ast.expr | None) -> list[str]:
        """The texts an expression can be: a constant, or `f"{stage}_r2"` for each stage given."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        if not isinstance(node, ast.JoinedStr):
            return []
        texts = [""]
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                words = self._values_of(part.value)
            else:
                words = [str(constant(part))]
            texts = [text + word for text in texts for word in words]
        return texts

    def _values_of(self, node: ast.expr) -> list[str]:
        """The constants a parameter is given by the calls of its function in this module."""
        if not isinstance(node, ast.Name):
            return []
        words = []
        for function in ast.walk(self._tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            names = [one.arg for one in function.args.args]
            inside = function.lineno <= node.lineno <= (function.end_lineno or 0)
            if node.id not in names or not inside:
                continue
            at = names.index(node.id) - (names[0] == "self")
            for call in self._calls:
                if _name(call.func) == function.name:
                    given = {k.arg: k.value for k in call.keywords}.get(node.id)
                    if given is None and at < len(call.args):
                        given = call.args[at]
                    if isinstance(value := constant(given), str):
                        words.append(value)
        return list(dict.fromkeys(words))

    def _printed(self, node: ast.Call) -> None:
        first, *more = node.args
        parts, is_print = parts_of(first), _name(node.func) == "print"
        if isinstance(first, ast.Constant) and more:  # info("r2 %.3f", r2)
            parts = split_text(PERCENT, str(first.value))
        if is_print and more:
            parts = parts_of_several(node.args)
            # What is between them, and how many they are, may not be known.
            if any(key.arg == "sep" for key in node.keywords) or _has_stars(node.args):
                texts = (part if isinstance(part, str) else "0.5" for part in parts)
                self._lines.append(Line(samples=("".join(texts),)))
                return
        loop = self._loops.get(node, 0)
        for line in lines_of(parts, whole=is_print and self._whole):
            self._lines.append(replace(line, module=str(self._module), at=node.lineno, loop=loop))
            if line.label_std:
                self._script.scale = Scale(pattern=line.label_std)

    def _labels(self, node: ast.AST) -> None:
        script, word = self._script, ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 80:
            script.labels |= labels_in(node.value)
        if isinstance(node, ast.Name | ast.Attribute):
            word = node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.keyword | ast.arg):
            word = node.arg or ""
        script.labels |= labels_in(word)


def _patterns(script: Script, printed: Sequence[Line]) -> None:
    """The patterns of its lines, but of those that find numbers of other lines too.

    Nor of a line before the loop that prints the same score, as that of the untrained model; of
    lines in several loops, as two trainings have, it is not sure which is meant.
    """
    looped = [line for line in printed if line.loop]
    alike = {
        line: [one for one in looped if one.pattern != line.pattern and one.scores & line.scores]
        for line in printed
    }
    counted = [x for x in printed if x.loop or not any(x.is_before(one) for one in alike[x])]
    for line in counted:
        script.unsure += line.unsure
        others = (text for one in counted if one is not line for text in one.samples)
        in_others = line.loop and any(one.loop != line.loop for one in alike[line])
        if line.pattern and (in_others or any(re.search(line.pattern, text) for text in others)):
            script.unsure.append(line.samples[0][:100])
        elif line.pattern:
            script.patterns.append(line.pattern)


def _has_stars(arguments: Sequence[ast.expr]) -> bool:
    return any(isinstance(one, ast.Starred) for one in arguments)


def _leaves_line_open(node: ast.Call) -> bool:
    """Whether it is `sys.stdout.write` of a text that does not end its line, as of a bar."""
    if ast.unparse(node.func) not in ("sys.stdout.write", "sys.stderr.write") or not node.args:
        return False
    text = node.args[0]
    last = text.values[-1] if isinstance(text, ast.JoinedStr) and text.values else text
    known = isinstance(last, ast.Constant | ast.FormattedValue)
    return known and not str(constant(last) or "").endswith("\n")


def _written_names(arguments: Sequence[ast.expr]) -> list[str]:
    """The names in a table's header or a JSON line: `["epoch", "val_r2"]`, `{"val_r2": x}`."""
    names: list[object] = []
    for one in arguments:
        if isinstance(one, ast.Dict):
            names += [constant(key) for key in one.keys]
            continue
        value = constant(one)
        if isinstance(value, str) and "," in value:
            value = value.strip().split(",")
        names += value if isinstance(value, list) else []
    return [one.strip() for one in names if isinstance(one, str) and _NAME.fullmatch(one.strip())]


def _files(script: Script, trees: Sequence[tuple[Path, ast.Module]]) -> None:
    defaults = {option.name: option.default for option in script.options}
    called: dict[str, list[ast.Call]] = {}
    for module, tree in trees:
        FilesLook(script.files, script.path.parent, (module, tree), defaults).run()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called.setdefault(_name(node.func), []).append(node)
    add_library_files(script.files, script.libraries, called)
    script.files.metrics = list(dict.fromkeys(script.files.metrics))


def _hugging_face(script: Script, trees: Sequence[ast.Module]) -> None:
    """What Hugging Face's Trainer adds: options of its arguments, names of its metrics."""
    if "transformers" not in script.libraries:
        return
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    called = {_name(call.func) for call in calls}
    if any(
        _name(call.func) == "HfArgumentParser" and "TrainingArguments" in ast.unparse(call)
        for call in calls
    ):
        script.options += [
            Option("--output_dir"),
            Option("--num_train_epochs", 3),
            Option("--resume_from_checkpoint"),
        ]
    given = {
        ast.unparse(keyword.value)
        for call in calls
        for keyword in call.keywords
        if keyword.arg == "compute_metrics"
    }
    keys = [
        str(constant(key))
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name in given
        for inner in ast.walk(node)
        if isinstance(inner, ast.Return) and isinstance(inner.value, ast.Dict)
        for key in inner.value.keys
    ]
    if called & {"TrainingArguments", "Seq2SeqTrainingArguments", "HfArgumentParser"}:
        script.logged += ["loss", "eval_loss", *(f"eval_{key}" for key in keys)]


def _name(node: ast.expr) -> str:
    """The last part of what is called: `log` of `self.log`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
