"""One job: its specification, its state and its result."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from vitlab.contract.events import DROPPED, NEVER_BEGAN, STOPPED, job_mark, may_be_of
from vitlab.contract.paths import write_atomic
from vitlab.contract.reading import MAX_KEPT, with_sum
from vitlab.contract.reading import Unreadable as UnreadableFile
from vitlab.contract.validation import NotNegative, Time, load_record, misfit
from vitlab.contract.value import HEADLINE

SPEC_VERSION = 1
_MAPPING, _LIST = "Mapping[str, Any] | None", "tuple[Any, ...] | None"
SHAPES = {
    **dict.fromkeys(("config.data", "config.train", "config.noise", "config.env", "config.args",
                     "extra.metrics", "extra.metrics.names", "extra.slurm", "extra.wandb",
                     "extra.adopt"), _MAPPING),
    **dict.fromkeys(("config.argv", "config.resume_argv", "config.outputs",
                     "extra.elsewhere"), _LIST),
    **dict.fromkeys(("config.cwd", "extra.metrics.file", "extra.backend"), "str | None"),
    **dict.fromkeys(("extra.adopt.pid", "extra.adopt.ticks"), "int"),
}  # fmt: skip
"""What readers of a spec look into: its type where it is set."""
ELSEWHERE = "elsewhere"
"""Key of `Spec.extra`: experiments that were of its roadmap's path, of a plan put away since. An
MVP's id never means them."""

Recipe = Literal[
    "vit", "lightgbm", "ridge", "mlp", "template", "ceiling", "evaluate", "ensemble", "command"
]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
SEEDLESS: tuple[Recipe, ...] = ("ridge", "template", "ceiling")
"""Recipes whose result does not depend on `train.seed`: they are run once."""
Profile = Literal["smoke", "demo", "hour", "full"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
"""In order of cost; all but the last are trials."""
GRID_LABELS = ("T_eff", "log_g", "M_H")
"""The labels a spectrum drawn from the embedded grid has."""
_SEED = re.compile(r"[ ,]?\bseed=\d+\b")
_ID_HEAD = re.compile(r"[^\w\[(<]*")
_ID_TAIL = re.compile(r"[^\w\])>.+]*")
_ID_PREFIX = re.compile(r"^(?:MVP|Gate)(?:[-–—_:]\s*|\s+|(?=\d))", re.IGNORECASE)
ASCII_FORMS = str.maketrans(
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2212, 0xFE63), "-")
    | {0x00A0: " ", 0x3000: " "}
)
"""One for one: the full-width forms, hyphens and minus signs that an id may be typed with."""


def bare_id(text: str) -> str:
    """An MVP's or gate's id without emphasis, emoji and the prefix `MVP-` or `Gate-`: `16A-0`."""
    bare = text.translate(ASCII_FORMS)
    while True:
        text, bare = bare, _ID_PREFIX.sub("", _without_edges(bare).strip(), count=1).strip()
        if bare == text:
            return bare


def _without_edges(text: str) -> str:
    text = text[_match_length(_ID_HEAD, text) :]
    return text[: len(text) - _match_length(_ID_TAIL, text[::-1])]


def _match_length(pattern: re.Pattern[str], text: str) -> int:
    """Of what it matches at the start, in linear time: a search would try from every place."""
    match = pattern.match(text)
    return match.end() if match else 0


@dataclass(frozen=True)
class Spec:
    """One job, fully resolved: running it needs no other file."""

    mvp: str
    """Bare id, as in the roadmap's overview table."""
    run: str
    """Name of the run; `main` when the MVP has only one."""
    profile: str
    recipe: str
    """One of `RECIPES`."""
    config: Mapping[str, Any]
    """The recipe's configuration, profile and run applied; see `vitlab.contract.config`."""
    exp_id: str
    roadmap: str
    """The roadmap's path from the lab's root."""
    headline: str = HEADLINE
    device: str = "auto"
    """`auto`, `cpu`, or the index or UUID of a GPU."""
    priority: int = 0
    after: tuple[str, ...] = ()
    """Jobs (`<exp_id>/<job>`) that must succeed first."""
    submitted: Time = 0.0
    """Unix seconds."""
    experiment: str = ""
    """The experiment file's path from the lab's root."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Hash of recipe, configuration and headline: equal for jobs that compute the same."""
        import hashlib  # it loads 4 MB, which a supervisor can do without

        meaning = json.dumps([self.recipe, self.config, self.headline], sort_keys=True)
        return hashlib.sha256(meaning.encode()).hexdigest()[:16]

    @property
    def mark(self) -> str:
        """Of this one job among those of its name."""
        return job_mark(self.submitted)

    def is_named(self, mark: object) -> bool:
        """Whether a file with this mark may be its own: it names no other job."""
        return may_be_of(self.submitted, mark)

    def to_json(self) -> bytes:
        document = {"v": SPEC_VERSION, **asdict(self)}
        return with_sum(json.dumps(document, ensure_ascii=False, indent=1).encode())


def load_spec(path: Path, limit: int = MAX_KEPT) -> Spec | None:
    """The spec in `path`; None when there is none, `UnreadableFile` where it is none of version 1.

    A file has at most `limit` bytes. What readers look into has the type it was submitted with.
    """
    spec = load_record(path, Spec, SPEC_VERSION, limit)
    if spec is None:
        return None
    _check_words(path, spec.profile, spec.recipe)
    for where, declared in SHAPES.items():
        first, *keys, last = where.split(".")
        section: Any = spec.config if first == "config" else spec.extra
        for key in keys:
            section = section.get(key) or {}
        if last in section and (wrong := misfit(section[last], declared)):
            raise UnreadableFile(path, f"has {where} that is not {wrong}")
    return spec


def read_spec(path: Path) -> Spec | None:
    """As `load_spec`; None also for what cannot be read."""
    with contextlib.suppress(UnreadableFile):
        return load_spec(path)
    return None


def _check_words(path: Path, profile: str, recipe: str) -> None:
    for word, allowed in ((profile, PROFILES), (recipe, RECIPES)):
        if word not in allowed:
            raise UnreadableFile(path, f"names {word[:40]!r}, none of {', '.join(allowed)}")


RESULT_VERSION = 1
UNNAMED = "(without its job it is taken as it is)"
"""Said of a file that names another job, to who has put it there on purpose."""
COST = DRAWS, CORE_HOURS, GPU_HOURS = "draws", "core_hours", "gpu_hours"
"""Keys of a result's `data`: noisy spectra seen in training, CPU time and time on GPUs. A missing
one is unknown."""


SIZES = 4
"""Distinct training sizes, or numbers of parameters, from which a scaling law is fitted."""


@dataclass(frozen=True)
class Result:
    """The numbers of one job, each in the unit its name says."""

    mvp: str
    """Bare id, as in the roadmap's overview: `1.0`, `16A-0`."""
    run: str
    """Name of the run in the experiment file; `main` when the MVP has only one."""
    profile: str
    """One of `PROFILES`; only `full` closes gates and replaces numbers."""
    recipe: str
    values: Mapping[str, float | None]
    """`split/metric/label` -> number: `test/r2/log_g`. None for a non-finite one."""
    errors: Mapping[str, NotNegative] = field(default_factory=dict)
    """Standard errors, under the same names; of what kind says `error_kind`."""
    n: Mapping[str, int] = field(default_factory=dict)
    """Spectra per split: train, val, test."""
    model: Mapping[str, object] = field(default_factory=dict)
    """`name` (`ViT`, `LightGBM`, `Ridge`, ...) and `params`, the number of parameters."""
    data: Mapping[str, object] = field(default_factory=dict)
    """`source` and `hash`: results with the same hash have the same test set."""
    best: Mapping[str, float] = field(default_factory=dict)
    """`step` and `epoch` of the reported state."""
    seconds: float = 0.0
    figures: tuple[str, ...] = ()
    wandb: str | None = None
    headline: str = HEADLINE
    """The value the run is judged by."""
    checks: Mapping[str, object] = field(default_factory=dict)
    """Name -> outcome, number and limit (`vitlab.contract.checks`); a missing one is unknown."""
    world: Mapping[str, object] = field(default_factory=dict)
    """What its spectra were drawn from (`vitlab.contract.world`); empty: not known, so it has no
    ceiling and is compared with nothing."""
    job: str = ""
    """`Spec.mark` of its job; empty: not known, of a program or older than the key."""

    @property
    def model_name(self) -> str:
        """Of a program its run's name, without the seed, which is none of the model's."""
        name = str(self.model.get("name", self.recipe))
        return base_name(name) if self.recipe == "command" and name else name

    @property
    def is_of_last_step(self) -> bool:
        """Whether its scores while it trained are its last ones, as a program's: not its best."""
        return self.recipe == "command" and self.best.get("step", 0) > 1

    @property
    def error_kind(self) -> Literal["stars", "draws"]:
        """stars: a bootstrap over the test stars; draws: Monte Carlo over simulated ones."""
        return "draws" if self.recipe == "ceiling" else "stars"


def base_name(run: str) -> str:
    """`Run 1 seed=43` -> `Run 1`; `main` where nothing is left."""
    return _SEED.sub("", run).strip(" ,") or "main"


def write_result(path: Path, result: Result) -> None:
    """Write `result.json` atomically."""
    document = {"v": RESULT_VERSION, **asdict(result)}
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomic(path, with_sum(text.encode()))


def load_result(path: Path, limit: int = MAX_KEPT) -> Result | None:
    """The result in `path`; None when there is none, `UnreadableFile` where it is none."""
    result = load_record(path, Result, RESULT_VERSION, limit)
    if result is not None:
        _check_words(path, result.profile, result.recipe)
    return result


def other_job(result: Result, spec: Spec) -> str:
    """What a result is of, where that is not the spec's job; else empty, as of one made by hand."""
    if not spec.submitted:
        return ""
    of = _named_as(result)
    if of != _named_as(spec):
        return of
    return "" if spec.is_named(result.job) else f"another job of {of} {UNNAMED}"


def _named_as(one: Spec | Result) -> str:
    return f"MVP {bare_id(one.mvp)}, run {one.run}, profile {one.profile}"


def read_result(path: Path) -> Result | None:
    """As `load_result`; None also for what cannot be read."""
    with contextlib.suppress(UnreadableFile):
        return load_result(path)
    return None


Status = Literal[
    "planned",
    "ready",
    "running",
    "analysing",
    "done",
    "partial",
    "failed",
    "cancelled",
    "paused",
]
"""Of an MVP or a gate, as in commands and JSON."""
STATUSES: tuple[Status, ...] = get_args(Status)

VerdictWord = Literal["pass", "fail", "open", "manual"]
"""Of a gate: `open` is undecided, `manual` is left to a person."""
VERDICTS: tuple[VerdictWord, ...] = get_args(VerdictWord)


@dataclass(frozen=True)
class Succeeded:
    """It ended by itself, without an error."""


@dataclass(frozen=True)
class Killed:
    """It was killed."""

    asked: bool
    """Whether a person asked for it, through `vitlab stop`."""


@dataclass(frozen=True)
class Failed:
    """It ended by itself, with an error."""

    cause: str
    """One of `OUTCOMES`; words of newer versions are kept as they are."""


@dataclass(frozen=True)
class Unknown:
    """It was started by hand and has ended; nothing it left says how."""


JobEnd = Succeeded | Killed | Failed | Unknown
"""How a job ended."""


@dataclass(frozen=True)
class Queued:
    """Submitted, not started."""

    submitted: float
    """Unix seconds."""


@dataclass(frozen=True)
class Running:
    """A supervisor holds the job's lock."""

    started: float
    """Unix seconds."""
    pid: int
    device: str


@dataclass(frozen=True)
class Done:
    """The supervisor wrote `exit.json`."""

    started: float
    ended: float
    outcome: str
    """One of `OUTCOMES`; words of newer versions are kept as they are."""
    code: int | None
    """The child's exit code; None when a signal killed it."""
    detail: str = ""
    """One line to show: the signal, the last line of an import error, ..."""

    @property
    def end(self) -> JobEnd:
        """Success, kill or failure, where it is known."""
        match self.outcome:
            case "ok":
                return Succeeded()
            case "killed":
                return Killed(asked=self.detail.startswith((STOPPED, NEVER_BEGAN, DROPPED)))
            case "unknown":
                return Unknown()
            case cause:
                return Failed(cause)

    @property
    def word(self) -> str:
        """The outcome for people: one that a person asked for is `stopped`, not `killed`."""
        return "stopped" if self.end == Killed(asked=True) else self.outcome.replace("_", " ")


@dataclass(frozen=True)
class Lost:
    """Started, not alive, and no `exit.json`: the supervisor itself was killed."""

    started: float


@dataclass(frozen=True)
class Unreadable:
    """A file that decides its state is not what it must be: nothing is done to such a job."""

    why: str
    """`exit.json is a pipe (FIFO)`."""


JobState = Queued | Running | Done | Lost | Unreadable


def state_word(state: JobState) -> str:
    """The state as in commands and JSON."""
    return type(state).__name__.lower()


def ended_well(state: JobState) -> bool:
    """Whether the job succeeded."""
    return isinstance(state, Done) and isinstance(state.end, Succeeded)
