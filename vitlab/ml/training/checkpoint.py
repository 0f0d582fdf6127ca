"""Checkpoints: everything needed to resume exactly, and no code."""

from __future__ import annotations

import errno
import io
import math
import os
import pickletools
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch
from torch import Tensor

from vitlab.contract.networks import BATCH
from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.reading import open_regular
from vitlab.ml.spectra.inputs import Inputs, saved_inputs
from vitlab.ml.spectra.labels import LabelScaling
from vitlab.ml.training.throughput import DTYPES

FORMAT = 2
LAST, BEST, TRUNK = "last.pt", "best.pt", "trunk.pt"
"""The newest state, the best one's weights, and the state before a `wsd` schedule's decay."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk."""


_HOW = {"precision": "fp32", "compile": False, "graphs": False}
"""How a training was run by default before there was a choice."""


@dataclass(frozen=True)
class Saved:
    """The state of a training after `step` steps; for the best one only the weights.

    The learning rate, the order of the spectra, their noise and dropout are functions of the seed,
    the step and the numbers here, so they need no state.
    """

    step: int
    model: dict[str, Tensor]
    labels: tuple[str, ...]
    scaling: LabelScaling
    inputs: Inputs
    config: Mapping[str, Any]
    """What the model was built from."""
    loss: str = "mse"
    """The training loss, which determines how the outputs are interpreted."""
    best_step: int = 0
    """Step of the best validation so far; 0 when there was none."""
    best: float = float("inf")
    """Distance of its monitored value from perfect (`vitlab.contract.value.distance`)."""
    stale: int = 0
    """Validations since then."""
    plateau: tuple[float, int] = (1.0, 0)
    """Factor and validations waited of a `plateau` schedule."""
    accumulate: int = 1
    """Micro-batches per step and process; more than configured after running out of memory."""
    rewinds: int = 0
    average: dict[str, Tensor] = field(default_factory=dict)
    """The moving average of the weights; empty without one."""
    optimizers: tuple[dict[str, Any], ...] = ()
    scaler: dict[str, Any] = field(default_factory=dict)
    """State of the gradient scaler for fp16; else empty."""
    how: dict[str, Any] = field(default_factory=lambda: dict(_HOW))
    """What was chosen where the configuration says `auto` (`vitlab.ml.training.task.Task.how`)."""
    data: str = ""
    """`learned_hash` of its data set; empty: not kept by the vitlab that saved it."""
    job: str = ""
    """As `Task.job`; empty: not known."""


def save(path: Path, saved: Saved) -> None:
    """Write `path` atomically; on an `OSError` (full disk) the old file stays."""
    document = {
        "format": FORMAT,
        **{name: getattr(saved, name) for name in Saved.__dataclass_fields__},
        "labels": list(saved.labels),
        "plateau": list(saved.plateau),
        "optimizers": list(saved.optimizers),
        "scaling": asdict(saved.scaling),
        "inputs": _of_inputs(saved.inputs),
        "config": dict(saved.config),
    }
    buffer = io.BytesIO()
    torch.save(document, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


def _of_inputs(inputs: Inputs) -> dict[str, object]:
    wave = None if inputs.wave is None else torch.from_numpy(inputs.wave)
    return {"kind": inputs.kind, "sigma": inputs.sigma, "wave": wave}


def _inputs(saved: Mapping[str, Any]) -> Inputs:
    """Saved before wavelengths were kept, it has none."""
    wave = saved.get("wave")
    return saved_inputs(saved["kind"], saved["sigma"], None if wave is None else wave.cpu().numpy())


def _scaling(saved: Mapping[str, Any], labels: int) -> LabelScaling:
    """Saved before labels had ranges, it has none."""
    ranges = tuple((float(low), float(high)) for low, high in saved.get("ranges", ()))
    offset, scale = (tuple(map(float, saved[name])) for name in ("offset", "scale"))
    numbers = [*offset, *scale, *chain(*ranges)]
    rise = all(low < high for low, high in ranges) and all(one > 0 for one in scale)
    counts = {len(offset), len(scale), len(ranges) or labels}
    if not rise or counts != {labels} or not all(map(math.isfinite, numbers)):
        raise ValueError("it does not say how its labels are scaled")
    return LabelScaling(offset, scale, ranges)


_GLOBALS = ("collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage",
            "torch DoubleStorage", "torch HalfStorage", "torch BFloat16Storage",
            "torch LongStorage", "torch IntStorage", "torch BoolStorage")  # fmt: skip
"""What our own checkpoints name. PyTorch allows more, as an array of any number of zeros."""
_PICKLED = 1 << 26
"""Bytes of what a checkpoint holds besides tensors."""
_UNREADABLE = (
    OSError, UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError,
    AttributeError, MemoryError, zipfile.BadZipFile,
)  # fmt: skip


def _checked(file: BinaryIO) -> BinaryIO:
    """The same, packed anew: of an archive with two lists PyTorch may read the other one.

    Refuses one that would take more memory than it has bytes, or that names what ours do not.
    """
    packed_anew = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(packed_anew, "w") as ours:
        members = archive.infolist()
        packed = any(one.compress_type != zipfile.ZIP_STORED for one in members)
        if packed or sum(one.file_size for one in members) > os.fstat(file.fileno()).st_size:
            raise ValueError("it is larger than its file")
        for one in members:
            content = archive.read(one)
            ours.writestr(one.filename, content)
            if not one.filename.lower().endswith(".pkl"):  # PyTorch finds `data.PKL` too
                continue
            if one.file_size > _PICKLED:
                raise ValueError(f"{one.filename} has {one.file_size >> 20} MiB")
            _check_pickle(content)
    packed_anew.seek(0)
    return packed_anew


_NAMES = ("GLOBAL", "STACK_GLOBAL", "INST")
_NUMBERS = ("BINFLOAT", "BININT", "BININT1", "BININT2")


def _check_pickle(content: bytes) -> None:
    """`ValueError` for a name that ours do not have, and an object that stands in two places.

    Tuples of one tuple twice, and so on, take for ever to hash. Names, texts and pairs of numbers
    are no such objects.
    """
    repeatable, before = dict[object, bool](), ["", "", ""]
    for opcode, value, _ in pickletools.genops(content):
        name = opcode.name
        if name in _NAMES and value not in _GLOBALS:
            raise ValueError(f"it names {value}")
        if name in ("BINPUT", "LONG_BINPUT"):
            *parts, last = before
            pair = last == "TUPLE2" and all(part in _NUMBERS for part in parts)
            repeatable[value] = pair or last in ("BINUNICODE", *_NAMES)
        elif name in ("BINGET", "LONG_BINGET") and not repeatable.get(value):
            raise ValueError("it contains an object twice")
        if name not in ("BINPUT", "LONG_BINPUT", "PROTO"):
            before = [*before[1:], name]


def load(path: Path, device: torch.device) -> Saved:
    """The state in `path`. `UsageError` when it is missing, broken or not from vitlab."""
    try:
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            document = torch.load(_checked(file), map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such checkpoint") from None
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: not a readable checkpoint ({reason})") from None
    names = {"format", *Saved.__dataclass_fields__}
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path}: not a checkpoint of format {FORMAT}")
    document.setdefault("how", dict(_HOW))
    document.setdefault("data", "")
    document.setdefault("job", "")
    if set(document) != names:
        raise UsageError(f"{path}: not a checkpoint of format {FORMAT}")
    try:
        return _saved(document)
    except _UNREADABLE as error:
        raise UsageError(f"{path}: not a readable checkpoint ({error})") from None


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("step", "best_step", "stale", "accumulate", "rewinds"), int),
    **dict.fromkeys(("loss", "data", "job"), str),
    **dict.fromkeys(("model", "average", "config", "scaler", "how"), dict),
    "best": (int, float),
}  # fmt: skip


def _saved(document: dict[str, Any]) -> Saved:
    del document["format"]
    scaling, inputs = document.pop("scaling"), document.pop("inputs")
    factor, waited = document.pop("plateau")
    how, labels = document["how"], tuple(map(str, document["labels"]))
    for name, kind in _TYPES.items():
        if not isinstance(document[name], kind):
            raise ValueError(f"its {name} is of another type")
    weights = chain(document["model"].items(), document["average"].items())
    if not all(isinstance(name, str) and isinstance(one, Tensor) for name, one in weights):
        raise ValueError("its weights are none")
    if how["precision"] not in DTYPES or not isinstance(how.get("batch", BATCH), int):
        raise ValueError("it does not say how it was trained")
    return Saved(
        **{
            **document,
            "labels": labels,
            "plateau": (float(factor), int(waited)),
            "optimizers": tuple(map(dict, document["optimizers"])),
            "scaling": _scaling(scaling, len(labels)),
            "inputs": _inputs(inputs),
        }
    )
