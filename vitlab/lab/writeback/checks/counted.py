"""Counts told with results that no run of their MVPs has: seeds, training spectra, epochs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from vitlab.contract.job import SEEDLESS, Spec
from vitlab.docs.lint.counts import EPOCHS, SEEDS, UNTIL
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.numbers import Place
from vitlab.docs.lint.sentences import is_cited, mvps_named
from vitlab.docs.lint.stated import Stated
from vitlab.docs.model.gates.conditions import MODEL, is_model, model_key
from vitlab.docs.text.numbers import Digits, NumberPlace
from vitlab.jobs.experiment.placeholders import SEED
from vitlab.jobs.store import Job
from vitlab.lab.earlier import ENDED
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.run_settings import SEEDS as SEED_NAMES
from vitlab.lab.results.run_settings import seed_of, seedless_hash, settings_of
from vitlab.lab.writeback.checks.backing import SURE, same_text
from vitlab.lab.writeback.checks.unbacked import UNBACKED, Unbacked, is_given

_OF_OTHERS = ("ensemble", "evaluate", "ceiling")
"""Recipes whose runs count what other jobs have."""
_SIZES = re.compile(r"size|stars|spectra|sample|subset|limit|(?:^|[._])n(?:[._]|$)|train$", re.I)
_NO_SIZES = re.compile(r"batch|patch|test", re.I)
_EPOCHS = re.compile(r"epoch|rounds|iterations|n_estimators", re.I)
_NO_EPOCHS = re.compile(r"warm|patience|every", re.I)
_COPIES = re.compile(r"copies|realis|realiz|draws|repeat|augment|views", re.I)
_TOTAL = re.compile(
    r"\b(?:saw|seen|sees|draws?|reali[sz]ations?|views?|total|altogether|in all|epochs?)\b"
    r"|[总共次轮见]|噪声",
    re.I,
)
"""In a sentence whose number of spectra may be that of all epochs, copies or seeds."""
_ANEW = "grid-infinite"
"""The source of data of which each epoch has new spectra."""
_MODEL = re.compile(rf"(?<![A-Za-z])(?:{MODEL})(?![A-Za-z])", re.I)
_MOST = 3
"""Counts that a finding names."""


@dataclass(frozen=True)
class Counts:
    """What can be counted of the runs of an MVP; empty where that is not known."""

    seeds: frozenset[float]
    """Of one configuration up to all it has, and of all together."""
    spectra: frozenset[float]
    copies: frozenset[float]
    """By which a number of spectra may be multiplied: copies, epochs that each have new ones."""
    epochs: frozenset[float]
    trained: frozenset[float]
    """Training spectra of its results, or of its settings where it has none."""
    repeats: int = 0
    """Seeds of the configuration that has most."""

    def has(self, number: Stated, sentence: str) -> bool:
        """Whether a count is one of these as it is rounded, or a total that its sentence means."""
        if number.metric == EPOCHS:
            longest = max(self.epochs, default=0) if UNTIL in number.words else 0
            return number.value <= longest or any(_is(number, one) for one in self.epochs)
        if number.metric == SEEDS:
            return number.value in self.seeds
        more = self.copies | self.seeds | self.epochs if _TOTAL.search(sentence) else self.copies
        return any(_is(number, a * b) for a, b in product(self.spectra, more | {1.0}))

    def known(self, metric: str) -> frozenset[float]:
        """Those of one kind."""
        return {SEEDS: self.seeds, EPOCHS: self.epochs}.get(metric, self.spectra)

    def lacking(self, number: Stated) -> str:
        """What the runs have instead of a count, in a few words."""
        if number.metric == SEEDS:
            return f"its runs have {self.repeats} seed{'s' * (self.repeats > 1)}"
        if number.metric == EPOCHS and number.value > max(self.epochs):
            return f"its longest run has {max(self.epochs):,.0f} epochs"
        values = sorted(self.epochs if number.metric == EPOCHS else self.trained)[::-1]
        said = ", ".join(f"{one:,.0f}" for one in values[:_MOST]) + ", ..." * (len(values) > _MOST)
        return f"its runs have {said} {'epochs' if number.metric == EPOCHS else 'training spectra'}"


class Counted(Unbacked):
    """Counts that no run has, of which a result is told."""

    def uncounted(self, mvps: Sequence[str], place: Place) -> Finding | None:
        """That no run of any MVP has the count of a place; None also where that is not sure.

        `mvps`: those of its line; of none it is that of the jobs that have the line's numbers.
        """
        number, sentence = place.number, self._sentence(place) or place.number.text
        own = self._standing(place)
        beside = [x for x in self._on_line(place) if number.text in x.text]
        beside = [x for x in beside if not x.is_whole or x in own]
        if is_cited(sentence) or self._is_of_before(mvps, place, beside):
            return None
        decimals = [x.number for x in beside if not x.is_whole]
        if mvps:  # other numbers of its line may be of others
            decimals = [one for one in decimals if one.text in sentence]
        runs = {mvp: self._counts(mvp) for mvp in self._counted_of(mvps, sentence, decimals)}
        counts = [one for one in runs.values() if one is not None]
        if not counts or len(counts) < len(runs):
            return None
        if number.metric == EPOCHS and not any(one.has(number, sentence) for one in counts):
            counts = [self._as_it_ran(mvp, one) for mvp, one in runs.items() if one]
        if not all(one.known(number.metric) for one in counts):
            return None
        together = sum(max(one.seeds) for one in counts) if number.metric == SEEDS else 0
        if number.value == together or any(one.has(number, sentence) for one in counts):
            return None
        of = f" of MVP {mvps[0]}" if mvps else ""
        message = f"{number.text}{of}: {counts[0].lacking(number)}"
        return Finding(place.line, UNBACKED, message, path=place.path)

    def _is_of_before(
        self, mvps: Sequence[str], place: Place, beside: Sequence[NumberPlace]
    ) -> bool:
        """Whether the count, or a number beside it, is older than the jobs, written, or vouched."""
        if self._earlier is None:
            full = {one.result.mvp for of in mvps for one in self.own.finished(of)}
            ended = {mvp.id for mvp in self.roadmap.mvps if mvp.status in ENDED}
            if not ended.isdisjoint(set(mvps) - full):
                return True
        elif any(map(self._earlier.has, beside)):
            return True
        if any(is_given(self.by_word.get(mvp), beside) for mvp in mvps):
            return True
        path = place.path or self.roadmap.document.path
        name = self.lab.paths.relative(path) if path else ""
        return any(same_text(one.number, self.written.at(name, one)) for one in beside)

    def _counted_of(
        self, mvps: Sequence[str], sentence: str, decimals: Iterable[Digits]
    ) -> list[str]:
        """The MVPs of which a count may be; none where one of them is not known.

        Those of its line and sentence, those of the models it names, and those that have its
        numbers.
        """
        everywhere, own = self.lab_wide.everywhere(), self.own.jobs
        found = [*mvps, *(mvps_named(sentence) & set(self.roadmap.ids.ids))]
        for digits in decimals:
            for one in everywhere.near(digits) if digits.decimals >= SURE else ():
                if digits.is_rounded(one.number) and one.jobs:
                    if not set(one.jobs) <= own.keys():
                        return []
                    found.append(one.mvp)
        for model in {model_key(one) for one in _MODEL.findall(sentence)}:
            if not any(self._may_be(model, mvp) for mvp in found):
                theirs = [mvp for mvp in self._jobs if self._may_be(model, mvp)]
                if not theirs:
                    return []
                found += theirs
        return list(dict.fromkeys(found))

    def _may_be(self, model: str, mvp: str) -> bool:
        """Whether an MVP has runs of a model; programs that name none may be of any."""
        own = {model_key(one.result.model_name) for one in self.own.finished(mvp)}
        own = own or {model_key(job.spec.recipe) for job in self._jobs.get(mvp, ())}
        return model in own or not any(map(is_model, own))

    def _counts(self, mvp: str) -> Counts | None:
        """What can be counted of an MVP's runs; None where it has none here."""
        if mvp not in self._counted:
            jobs = self._jobs.get(mvp, ())
            self._counted[mvp] = self._count(jobs, self.own.finished(mvp)) if jobs else None
        return self._counted[mvp]

    @cached_property
    def _counted(self) -> dict[str, Counts | None]:
        return {}

    def _count(self, jobs: Sequence[Job], finished: Sequence[Finished]) -> Counts:
        nothing = frozenset[float]()
        settings = [settings_of(job.spec) for job in jobs]
        repeats, seeds = 0, nothing
        if not any(_is_open(job.spec) for job in jobs):
            repeats, seeds = _seeds(jobs)
        if any(one.get("init") for one in settings):  # it has learned before
            return Counts(seeds, nothing, nothing, nothing, nothing, repeats)
        counted = [one.result.n for one in finished]
        spectra: set[float] = {x for n in counted for x in (*n.values(), sum(n.values()))}
        spectra |= {n["train"] + n.get("val", 0) for n in counted if "train" in n}
        spectra.add(sum(n.get("train", 0) for n in counted))
        best = [one.result.best["epoch"] for one in finished if "epoch" in one.result.best]
        epochs = {one + more for one in best for more in (0, 1)}
        copies: set[float] = set()
        for one in settings:
            own = set(_numbers(one, _EPOCHS, _NO_EPOCHS))
            spectra |= set(_numbers(one, _SIZES, _NO_SIZES))
            copies |= set(_numbers(one, _COPIES))
            copies |= own if one.get("data.source") == _ANEW else set()
            epochs |= own
        trained = _positive(n["train"] for n in counted if "train" in n) or _positive(spectra)
        return Counts(
            seeds, _positive(spectra), _positive(copies), _positive(epochs), trained, repeats
        )

    def _as_it_ran(self, mvp: str, counts: Counts) -> Counts:
        """Also with the last epoch of each job by its events, and the next."""
        curves = [self.lab.progress(job.paths).curves for job in self._jobs.get(mvp, ())]
        last = {
            max((x.epoch or 0.0 for curve in one.values() for x in curve.newest(1)), default=0.0)
            for one in curves
        }
        told = _positive(float(round(x) + more) for x in last if x for more in (0, 1))
        return replace(counts, epochs=counts.epochs | told)


def _is(number: Stated, count: float) -> bool:
    return abs(number.value - count) <= 0.5 * 10.0**-number.decimals * (1 + 1e-9)


def _positive(numbers: Iterable[float]) -> frozenset[float]:
    return frozenset(one for one in numbers if one > 0)


def _is_open(spec: Spec) -> bool:
    """Whether a run may have seeds of its own inside, or of other jobs."""
    if spec.recipe != "command":
        return spec.recipe in _OF_OTHERS
    named = {key for key, value in settings_of(spec).items() if "seed" in key and value is not None}
    return not named or not named <= set(SEED_NAMES)


def _seeds(jobs: Sequence[Job]) -> tuple[int, frozenset[float]]:
    """The most of one configuration; all up to that, and totals where it has some."""
    groups: dict[str, set[int]] = defaultdict(set)
    others: dict[str, set[int]] = defaultdict(set)
    for job in jobs:
        settings = settings_of(job.spec)
        seed = None if job.spec.recipe in SEEDLESS else seed_of(settings)
        groups[seedless_hash(job.spec)].add(SEED if seed is None else seed)
        for key, value in settings.items():
            if key.endswith("seed") and isinstance(value, int):
                others[key].add(value)
    most = max(len(one) for one in (*groups.values(), *others.values()))
    totals = {sum(map(len, groups.values())), len(jobs)} if most > 1 else set()
    return most, frozenset(map(float, {*range(1, most + 1), *totals}))


def _numbers(
    settings: Mapping[str, object], named: re.Pattern[str], but: re.Pattern[str] | None = None
) -> Iterator[float]:
    """The numbers of the settings of such names, those of lists too."""
    for key, value in settings.items():
        if named.search(key) and not (but and but.search(key)):
            for one in value if isinstance(value, list) else (value,):
                if isinstance(one, int | float) and not isinstance(one, bool):
                    yield float(one)
