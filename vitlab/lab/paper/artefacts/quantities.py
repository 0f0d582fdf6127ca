"""The numbers of a paper: each with its error, what it is of, and the jobs it comes from."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vitlab.contract.job import Result, base_name
from vitlab.contract.terminal import harmless
from vitlab.contract.value import Value, rounded
from vitlab.jobs.files import read_json
from vitlab.lab.paper.artefacts.latex import Cell
from vitlab.lab.paper.artefacts.macros import Subject, short_run
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.repeats import Group
from vitlab.lab.results.run_settings import seed_of, settings_of

TRIAL = "vitlabtrial"
"""The macro that marks each number of a draft."""


@dataclass(frozen=True)
class Quantity:
    """One number that a paper may quote."""

    subject: Subject
    value: str
    """The value's name, `test/r2/log_g`."""
    number: float
    error: float | None
    """Standard error."""
    stars: int | None
    """That it was measured on."""
    seeds: int
    jobs: tuple[Finished, ...]
    detail: str = ""
    """What its name does not say: the edges of a bin."""
    decimals: int | None = None
    """Of a difference that is none, which is printed as 0: those of the values themselves."""

    @property
    def digits(self) -> tuple[str, str]:
        """Number and error as printed."""
        if self.decimals is not None:
            return f"{0:.{self.decimals}f}", ""
        return rounded(self.number, self.error)

    def cell(self, **style: str | bool) -> Cell:
        """In a table."""
        return replace(Cell(*self.digits), **style)  # type: ignore[arg-type]

    @property
    def about(self) -> str:
        """One line on it: value, model, size, seeds, stars."""
        size = f" at N = {self.subject.size:,}" if self.subject.size else ""
        less = f" less {self.subject.other}" if self.subject.other else ""
        run = f" {self.subject.run}" if self.subject.run else ""
        at = "".join(f", {x}" for x in (self.subject.slice, self.detail) if x)
        n = f", n = {self.stars:,} stars" if self.stars else ""
        unit = Value.parse(self.value).unit
        text = (
            f"{self.value}{f' [{unit}]' if unit else ''} of {self.subject.model}{less}{size}{at}: "
            f"MVP-{self.subject.mvp}{run}, {self.seeds} seed{'s' * (self.seeds > 1)}{n}"
        )
        return harmless(text.replace("\n", " "))


def of_group(group: Group, name: str) -> Quantity | None:
    """A value of a configuration, over its seeds; None where it has no finite one."""
    number = group.value(name)
    if number is None or not math.isfinite(number):
        return None
    return Quantity(
        subject_of(group, Value.parse(name)),
        name,
        number,
        group.error(name),
        group.first.n.get("test"),
        len(group.members),
        group.members,
    )


def subject_of(group: Group, value: Value, other: str = "", slice_: str = "") -> Subject:
    """What a value of a configuration is of."""
    first, size = group.first, group.first.n.get("train") or None
    run = short_run(base_name(group.name), first.model_name, size)
    _, _, mag = value.split.partition("@")
    at = slice_ or (f"Mag {mag}" if mag else "")
    return Subject(value.metric, value.label, first.model_name, size, first.mvp, run, other, at)


def named(quantities: Iterable[Quantity]) -> dict[str, Quantity]:
    """The numbers by their macros' names, sorted; those that share a name are told apart.

    The same number in two artefacts is one.
    """
    unique = {(one.subject, one.value, one.jobs[0].job.name): one for one in quantities}
    shared = Counter(one.subject.macro for one in unique.values())
    found = {}
    for (_, value, job), one in unique.items():
        name = one.subject.macro
        if shared[name] > 1:
            run = f"{one.jobs[0].result.run}/{value}/{job}"
            name = replace(one.subject, run=run).macro
        found[name] = one
    return dict(sorted(found.items()))


def numbers_tex(numbers: Mapping[str, Quantity], draft: str = "") -> str:
    """The macros: `\\NAME` is number ± error, `\\NAMEValue`, `\\NAMEError` and `\\NAMECount` parts.

    `draft`: the line that marks a draft, whose numbers are marked too; empty for none.
    """
    lines = ["% Made by `vitlab paper` from the results; do not edit."]
    if draft:
        mark = r"#1\ensuremath{^{\mathrm{draft}}}"
        lines += [f"% {draft}", rf"\providecommand{{\{TRIAL}}}[1]{{{mark}}}"]
    for name, one in numbers.items():
        number, error = one.digits
        both = rf"{number} \pm {error}" if error else number
        wrapped = [
            rf"\{TRIAL}{{{text}}}" if draft else text
            for text in (rf"\ensuremath{{{both}}}", number, error)
        ]
        lines += [f"% {one.about}", rf"\newcommand{{\{name}}}{{{wrapped[0]}}}"]
        lines.append(rf"\newcommand{{\{name}Value}}{{{wrapped[1]}}}")
        if error:
            lines.append(rf"\newcommand{{\{name}Error}}{{{wrapped[2]}}}")
        if one.stars:
            lines.append(rf"\newcommand{{\{name}Count}}{{{_spaced(one.stars)}}}")
    return "\n".join(lines) + "\n"


def _spaced(number: int) -> str:
    """`10\\,000`, as journals write it."""
    return f"{number:,}".replace(",", r"\,")


def record(one: Quantity, artefacts: Sequence[str]) -> dict[str, object]:
    """What a number comes from; its jobs are told of by `job_record`."""
    return {
        "value": one.value,
        "number": one.number,
        "error": one.error,
        "n": one.stars,
        "seeds": one.seeds,
        "model": one.subject.model,
        "size": one.subject.size,
        "mvp": one.subject.mvp,
        "of": one.about,
        "jobs": [member.job.name for member in one.jobs],
        "artefacts": sorted(artefacts),
    }


def job_record(one: Finished) -> dict[str, object]:
    """What a job was: specification, code, data and the command that runs it again."""
    started, spec, result = read_json(one.job.paths.started), one.job.spec, one.result
    return {
        "mvp": result.mvp,
        "run": result.run,
        "profile": result.profile,
        "seed": seed_of(settings_of(spec)),
        "spec": spec.hash,
        "commit": str(started.get("commit") or "") or None,
        "dirty": bool(started.get("dirty")),
        "data": _data(result),
        "command": _command(one),
    }


def _data(result: Result) -> str | None:
    found = result.data.get("hash")
    return found if isinstance(found, str) else None


def _command(one: Finished) -> str:
    spec = one.job.spec
    words = ["vitlab", "--roadmap", spec.roadmap, "run", spec.mvp, "--profile", spec.profile]
    if spec.run != "main":
        words += ["--run", base_name(spec.run)]
    return shlex.join(words)
