"""A status that is set is said by every place of its MVP, and going back restores the bytes."""

import random

import pytest

from tests.docs.documents import CORPUS
from tests.docs.plans import glyphs_say, places, plan
from vitlab.contract.job import STATUSES
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.model.status_sites import StatusSites
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.status import not_restored, set_status

DATE = "2026-01-02"
_FREE = ("verdict", "other", "gate", "gate_progress")
"""Kinds of site that may say something else than their MVP."""


def said_and_restored(roadmap: Roadmap, mvp_id: str, status: str) -> None:
    mvp = roadmap.mvp(mvp_id)
    text = roadmap.document.text
    edits = set_status(roadmap, mvp.id, status, date=DATE)
    new = apply(text, edits)
    after = parse_roadmap(Document(new))
    assert after.mvp(mvp.id).status == status
    assert statuses(after, mvp.id) == statuses(roadmap, mvp.id)
    sites = StatusSites(after)
    for site in sites:
        if site.mvp == mvp.id and site.kind not in _FREE:
            assert sites.agrees(site, status), (site.kind, site.text)
    for line, place in places(after, mvp.id):
        assert glyphs_say(after, place) <= {status}, (line + 1, place)
    if mvp.status is None or not edits:
        return
    assert apply(new, set_status(after, mvp.id, mvp.status, roadmap, date=DATE)) == text
    back = apply(new, set_status(after, mvp.id, mvp.status, date=DATE))
    assert (back == text) == (not not_restored(roadmap, mvp.id, edits))
    again = parse_roadmap(Document(back))
    assert again.mvp(mvp.id).status == mvp.status
    assert statuses(again, mvp.id) == statuses(roadmap, mvp.id)


def statuses(roadmap: Roadmap, but: str) -> dict[str, str | None]:
    return {mvp.id: mvp.status for mvp in reversed(roadmap.mvps) if mvp.id != but}


@pytest.mark.parametrize("part", range(4))
def test_every_place_of_a_generated_plan_says_what_was_set(part: int) -> None:
    for number in range(500 * part, 500 * (part + 1)):
        dice = random.Random(number)
        roadmap = parse_roadmap(Document(plan(number)))
        mvp, status = dice.choice(roadmap.mvps), dice.choice(STATUSES)
        if mvp.status != status and (mvp.status or not mvp.status_text):
            said_and_restored(roadmap, mvp.id, status)


@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.glob("*.md")) or [None])
def test_every_place_of_a_real_document_says_what_was_set(name: str | None) -> None:
    if name is None:
        pytest.skip("no real documents in this checkout")
    try:
        roadmap = parse_roadmap(read(CORPUS / name))
    except NoMvpTable:
        pytest.skip(f"{name} has no MVPs")
    for mvp in roadmap.mvps:
        for status in STATUSES:
            if mvp.status != status and (mvp.status or not mvp.status_text):
                said_and_restored(roadmap, mvp.id, status)
