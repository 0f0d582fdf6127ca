"""Numbers of documents that no result backs, and what excuses one."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from vitlab.contract.job import Result, Spec, base_name
from vitlab.contract.paths import real
from vitlab.docs.lint.compared import DIFFERENCE
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.numbers import Place
from vitlab.docs.lint.sentences import is_about, is_cited, mark_behind, mvps_named, sentence_of
from vitlab.docs.lint.stated import Stated, words_of
from vitlab.docs.model.gates.conditions import is_model, model_key
from vitlab.docs.text.numbers import Digits, NumberPlace, numbers_of
from vitlab.docs.text.tables import tables_of
from vitlab.lab.results.ceilings import ceilings
from vitlab.lab.results.compared import Scores
from vitlab.lab.results.job_results import latest
from vitlab.lab.results.provenance import Source, best_source
from vitlab.lab.results.sound import faults
from vitlab.lab.writeback.checks.backing import (
    EPOCH,
    LABELS,
    SURE,
    Backing,
    digits_of,
    lacking_of,
    profiles_of,
    said_of,
    same_text,
)

_DECIMAL = re.compile(r"\d*\.\d+")
_OTHERS = re.compile(
    r"^(?:if|when|once|until|unless|needs?|should|must|would)$|若|如果|当|需|应|计划"
    r"|baseline|literature|paper|previous|old|target|goal|expect|reference|ceiling|limit|theor|bound"
    r"|bayes|crlb|fisher|mag|snr|linear|^(?:vs|max|min|median|std|delta|gap|improvement)$"
    r"|基线|文献|论文|之前|此前|旧|目标|预期|上限|理论|星等|提升|差",
)
"""Words that say that a number is no result of the MVP's own runs, or of a part of its stars."""
_MEASURED = ("r2", "mae", "rmse", "bias")
_MOST = 200
"""Numbers of results of which the differences are looked at."""
_LARGEST_GAIN = 0.5
UNBACKED = "number-without-result"
FAULTY = "number-of-faulty-run"
_SAYS_SO = re.compile(
    r"leak|training set|overlap|ceiling|exceed|invalid|no(?:t a)? result|permuted|control|fails|❌"
    r"|泄漏|训练集|重叠|上限|无效|不是结果|对照|错位|未通过",
    re.I,
)
"""In a line that may say why its number is no result."""
_NO_JOB = (
    "it has no job here, and the number was typed in after the first job of the roadmap; `vitlab "
    "set ... --status done --because TEXT` says where it is from"
)


class Unbacked(Backing):
    """Numbers of documents that no result backs, though one has to."""

    def unbacked(self, mvp: str, place: Place) -> Finding | None:
        """That no result has the number of a place; None also where none has to have it."""
        if place.number.relation:
            return self._uncompared(mvp, place)
        number, comparable = place.number, self.comparable(mvp, place)
        digits, sentence = digits_of(place), self._sentence(place)
        if number.is_loose and self._is_of_any(mvp, digits):
            return None
        profiles = profiles_of(place) | self._marked(place, sentence)
        of_profile = [one for one in comparable if one.profile in profiles]
        if any(digits.is_rounded(one.number) for one in of_profile) or is_cited(sentence):
            return None
        if self._is_about(place, sentence, comparable):
            return None
        sure = not number.is_loose
        if sure and not of_profile and (unmarked := self._unmarked(mvp, place, digits, comparable)):
            return unmarked
        named = mvps_named(sentence) - {mvp}
        if self._is_of_known(mvp, place, comparable, named) or self._is_on_record(mvp, place):
            return None
        results = [one.result for one in self.own.finished(mvp)]
        specs = [job.spec for job in self._jobs.get(mvp, ())]
        beside_ours = self._is_beside_written(place)
        if _is_of_another(number, results, specs, None if beside_ours else self.models):
            return None
        given = is_given(self.by_word.get(mvp), self._standing(place))
        if not of_profile and (given or self.is_earlier(mvp, place)):
            return None
        if not comparable and not _is_measured(number):
            return None
        if self.told_by(mvp, number) is not None:
            return None
        lacking = "none of its jobs here has a result" if specs else _NO_JOB
        if self.own.finished(mvp):
            lacking = self.of_other_model(place) or lacking_of(place, of_profile, comparable)
        message = f"{number.text} of MVP {mvp}: {lacking}"
        return Finding(place.line, UNBACKED, message, path=place.path)

    def of_faulty_run(self, mvps: Iterable[str], place: Place) -> Finding | None:
        """That all runs that have a number fail a check, where its line does not say so."""
        digits, profiles = digits_of(place), profiles_of(place)
        stated = (one for mvp in mvps for one in self.comparable(mvp, place))
        known = [x for x in stated if x.profile in profiles and digits.is_rounded(x.number)]
        of = best_source(digits, known, place.number)
        if of is None or digits.decimals < SURE or not all(map(self.fault_of, known)):
            return None
        if _SAYS_SO.search(self._line(place)):
            return None
        message = f"{place.number.text} is {said_of(of)}; {self.fault_of(of)}"
        return Finding(place.line, FAULTY, message, path=place.path)

    def fault_of(self, source: Source) -> str:
        """Why the jobs of a number are no result now, as a check fails; empty where they are."""
        fault = self._faults.get((*source.jobs, "")[0])
        return f"no result: {fault}" if fault else ""

    @cached_property
    def _faults(self) -> Mapping[str, str]:
        """Job -> why its numbers may not be quoted, for those of which they may not."""
        jobs = self.lab_wide.jobs.values()
        found = faults(latest(jobs), ceilings(one.job for one in jobs))
        return {job: fault.text("en") for job, fault in found.items()}

    def _is_of_known(
        self, mvp: str, place: Place, comparable: Sequence[Source], beside: Container[str]
    ) -> bool:
        """Whether it is the number of another MVP, named beside it where this one has such too.

        `beside`: the MVPs of its sentence; one of these where no other model is named with it.
        """
        number, words, digits = place.number, place.own | place.number.words, digits_of(place)
        named = {model_key(word) for word in words}
        models = set(filter(is_model, named))
        return any(
            not comparable
            or model_key(one.model) in named
            or f"mvp-{one.mvp}" in words
            or (one.mvp in beside and models <= {model_key(one.model)})
            for one in self.lab_wide.everywhere()
            if one.mvp != mvp
            and one.profile == number.profile
            and self._is_of_named(one, number)
            and digits.is_rounded(one.number)
            and one.is_stated(number)
        )

    def of_other_model(self, place: Place) -> str:
        """Whose it is, where the number that is told of one model is another's; else empty."""
        digits, number = digits_of(place), place.number
        near = (x for x in self.lab_wide.everywhere().near(digits) if x.is_stated(number))
        others = (x for x in near if not self._is_of_named(x, number))
        alike = (one for one in others if one.profile in profiles_of(place))
        of = best_source(digits, alike, number)
        return f"it is that of {of.model}, {said_of(of)}" if of and digits.decimals >= SURE else ""

    def _is_beside_written(self, place: Place) -> bool:
        """Whether it stands in a table of a report or the hub that has numbers of vitlab's."""
        key = place.path and real(place.path)
        if key not in self._own_lines:
            document, lines = self.documents.get(key), set[int]()
            name = self.name(document) if document else ""
            written = self.written.of_file(name)
            ours = {
                one.line
                for one in (numbers_of(document) if document and written else ())
                if (one.place, one.index) in written
            }
            for table in tables_of(document) if document and ours else ():
                rows = range(table.first + 1, table.last + 1)
                lines |= set() if ours.isdisjoint(rows) else set(rows)
            self._own_lines[key] = lines
        return place.line in self._own_lines[key]

    @cached_property
    def _own_lines(self) -> dict[Path | None, set[int]]:
        """By file the 1-based lines of the tables into which vitlab has written numbers."""
        return {}

    def _sentence(self, place: Place) -> str:
        """The sentence of a number, as a reader sees it; empty where that is not sure."""
        return sentence_of(self._line(place), place.number.text)

    def _marked(self, place: Place, sentence: str) -> set[str]:
        """The profile that is marked further behind in its sentence; none if it has its own."""
        mark = mark_behind(sentence, place.number.text) if place.number.profile == "full" else ""
        return {mark} if mark else set()

    def _is_about(self, place: Place, sentence: str, comparable: Sequence[Source]) -> bool:
        """Whether a number told as about so much is one of these to a unit of its digits."""
        number = place.number
        if not is_about(sentence, number.text):
            return False
        reach = 10.0**-number.decimals * (1 + 1e-9)
        return any(abs((one.number or 0.0) - number.value) <= reach for one in comparable)

    def _uncompared(self, mvp: str, place: Place) -> Finding | None:
        """That no result has a number that is compared with others, or no two that difference."""
        number, scores = place.number, self._scores
        if not number.words <= set(scores.models) or is_cited(self._sentence(place)):
            return None
        stands = self._standing(place)
        if self.is_earlier(mvp, place) or is_given(self.by_word.get(mvp), stands):
            return None
        path = place.path or self.roadmap.document.path
        name = self.lab.paths.relative(path) if path else ""
        was = (same_text(one.number, self.written.at(name, one)) for one in stands)
        if any(
            one and (not one.source.value or self._is_of_named(one.source, number)) for one in was
        ):
            return None
        if number.relation == DIFFERENCE:
            lacking = "no two results differ by so much"
            if scores.has_difference(number):
                return None
        else:
            nearest = scores.nearest(number)
            if nearest is None or (number.decimals < SURE and number.value in self._limits):
                return None
            lacking = f"no result has {number.value:.{number.decimals}f}; the nearest is "
            lacking = self.of_other_model(place) or f"{lacking}{nearest.shown}, {said_of(nearest)}"
        said = number.text + ")" * (number.text.count("(") > number.text.count(")"))
        return Finding(place.line, UNBACKED, f"{said}: {lacking}", path=place.path)

    @cached_property
    def _scores(self) -> Scores:
        return Scores(self.lab_wide.everywhere())

    @cached_property
    def _limits(self) -> frozenset[float]:
        """The numbers of the gates' rules, which a sentence may begin from."""
        rules = " ".join(rule.if_ for gate in self.roadmap.gates for rule in gate.rules)
        return frozenset(map(float, _DECIMAL.findall(rules)))

    def _is_of_any(self, mvp: str, digits: Digits) -> bool:
        """Whether a number is that of any result, or a difference of two of its MVP."""
        if any(digits.is_rounded(one.number) for one in self.lab_wide.everywhere().near(digits)):
            return True
        if digits.value > _LARGEST_GAIN:
            return False
        known = {one.number for one in self.own.sources(mvp)[:_MOST] if one.number is not None}
        return any(digits.is_rounded(a - b) for a in known for b in known)

    def _unmarked(
        self, mvp: str, place: Place, digits: Digits, trials: Sequence[Source]
    ) -> Finding | None:
        """A trial's number that is not marked as one, of an MVP that has no full run."""
        same = best_source(digits, trials, place.number)
        if same is None or place.number.profile != "full" or digits.decimals < SURE:
            return None
        message = f"{place.number.text} of MVP {mvp} is of profile {same.profile}, not marked so: "
        return Finding(place.line, UNBACKED, message + said_of(same), path=place.path)


def _is_of_another(
    number: Stated,
    results: Sequence[Result],
    specs: Sequence[Spec],
    models_of_lab: Container[str] | None,
) -> bool:
    """Whether words beside a number say that no run of an MVP has to have it.

    `results`, and where there are none `specs`: those of its runs. A model of the lab has its own;
    with None any has.
    """
    own = words_of(" ".join(f"{r.model_name} {r.run} {base_name(r.run)}" for r in results))
    for spec in () if results else specs:
        own |= words_of(f"{spec.recipe} {spec.run} {base_name(spec.run)}")
    models = {model_key(word) for word in own}
    # A program of one's own may say nothing of its model: any that is named is its.
    are_known = models_of_lab is not None and any(map(is_model, models))
    own |= {f"ep{r.best['epoch']:g}" for r in results if "epoch" in r.best}
    for word in number.words - own:
        key = model_key(word)
        if are_known and is_model(key) and key not in models and key not in (models_of_lab or ()):
            return True
        if _OTHERS.search(word) or EPOCH.fullmatch(word):
            return True
    return False


def is_given(reason: str | None, stands: Sequence[NumberPlace]) -> bool:
    """Whether a person's reason stands for a number: where it names some, for those alone."""
    named = _DECIMAL.findall(reason or "")
    return reason is not None and (not named or any(one.number.text in named for one in stands))


def _is_measured(stated: Stated) -> bool:
    """Whether a result has such a number: a score on test or validation stars, no difference."""
    metric, _, label = stated.metric.partition("_")
    return metric in _MEASURED and (not label or label in LABELS) and stated.split != "train"
