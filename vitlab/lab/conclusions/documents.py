"""Orders of models and verdicts that documents tell in words, held as an assistant's text is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vitlab.contract.paths import UsageError, real
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.named import result_sentences
from vitlab.docs.lint.told import NOT_YET
from vitlab.docs.lint.told_verdicts import GATE, OPEN, SUPPOSED
from vitlab.docs.model.roadmap import Roadmap
from vitlab.lab.conclusions.held import held
from vitlab.lab.conclusions.statements import against_verdicts
from vitlab.lab.lab import Lab
from vitlab.lab.paper.facts import Facts, facts_of
from vitlab.lab.paper.names import models_in
from vitlab.lab.results.job_results import Finished, all_results, newest_results
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.writeback.contradictions import lint_file, neighbours

KIND = "claim-conflict"
_ASIDE = re.compile(r"[(（][^()（）]*[)）]")
"""What may tell the limit of a gate that a sentence calls decided."""


def lint_all(lab: Lab | None, path: Path) -> list[Finding]:
    """What `lint_file` finds in a document and those around it, and what is claimed in words."""
    found = lint_file(lab, path)
    is_plan = lab is not None and real(path) in {real(one) for one in lab.roadmaps()}
    for one in lab.roadmaps() if lab else ():
        if is_plan and real(one) != real(path):
            continue
        with contextlib.suppress(UsageError, OSError):  # another roadmap is told by its own lint
            claims = claim_findings(lab, lab.cached_roadmap(one)) if lab else ()
            mine = (x for x in claims if is_plan or (x.path and real(x.path) == real(path)))
            found += mine if is_plan else [replace(x, path=None) for x in mine]
    return found


def claim_findings(lab: Lab, roadmap: Roadmap) -> Iterator[Finding]:
    """Each sentence on results, of a roadmap and the files around it, that results contradict.

    Those of MVPs without a result are left alone, and in a hub those that name none without any.
    """
    path = roadmap.document.path
    results = newest_results(lab, path) if path else []
    if not results:
        return
    around, claims = neighbours(lab, roadmap), _Claims(lab, roadmap, results)
    seen = set[tuple[Path | None, int, str]]()
    for mvp, file, index, sentence in result_sentences(roadmap, around.hub, around.reports):
        if (file, index, sentence) not in seen:
            seen.add((file, index, sentence))
            for said in claims.against(mvp, sentence):
                yield Finding(index + 1, KIND, said, path=file)


class _Claims:
    """What results say to sentences."""

    def __init__(self, lab: Lab, roadmap: Roadmap, results: Sequence[Finished]) -> None:
        self._results = results
        judged = verdicts_of(lab, roadmap, results) if roadmap.gates else []
        by_results = [one for one in judged if one.verdict != "manual"]
        self._gates = [roadmap.gate(one.id) for one in by_results]
        self._verdicts = by_results
        self._everywhere = facts_of(all_results(lab))
        self._mine: dict[str, Facts] = {"": self._everywhere}

    def against(self, mvp: str, sentence: str) -> Iterator[str]:
        """Each thing of it that is not so; `mvp`: whose it is, empty for none."""
        if mvp not in self._mine:
            self._mine[mvp] = facts_of([one for one in self._results if one.result.mvp == mvp])
        mine = self._mine[mvp]
        if mine.numbers:
            if any(models_in(sentence)) and not NOT_YET.search(sentence):
                yield from held(sentence, mine, self._everywhere).wrong
            alone = _ASIDE.sub("", sentence)
            if not (GATE.search(alone) and (OPEN.search(alone) or SUPPOSED.search(alone))):
                yield from against_verdicts(sentence, mvp, self._gates, self._verdicts)
