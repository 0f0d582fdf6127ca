"""Break documents at random for some minutes and watch that what holds for every text holds."""

from __future__ import annotations

import itertools
import random
import sys
import time
from typing import Any

from tests.docs import test_properties as properties
from tests.docs.documents import CORPUS, HERE
from tests.docs.test_properties import PIECES, mutated, only_inside
from vitlab.contract.job import STATUSES, Result
from vitlab.docs.judge.conclusion import conclusion
from vitlab.docs.judge.gates import judge
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.results import record_results
from vitlab.docs.write.rows import set_key_number
from vitlab.docs.write.status import set_progress

DATE = "2026-01-02"


def attack(text: str, number: int) -> None:
    """Read a text every way there is, change it, and check what must hold."""
    dice = random.Random(number)
    status, row = dice.choice(STATUSES), dice.randrange(21)
    words = "".join(dice.choices(PIECES, k=dice.randrange(6)))
    check(properties.test_reading_never_raises, text)
    check(properties.test_a_status_change_touches_its_spans_and_is_read_back, text, status, row)
    check(properties.test_a_launch_breaks_no_row_whatever_the_id, text, f"FZ-{number}", row)
    check(properties.test_a_result_breaks_no_row_whatever_it_says, text, words, "ViT", "full", row)
    if number % 10 == 0:
        check(properties.test_what_lint_mends_stays_mended, text)
    hub = parse_hub(Document(text))
    edits = set_key_number(hub, "R² | x", "0.7\n`", "||y||", "\\", DATE)
    only_inside(text, apply(text, edits), edits)
    roadmap = properties.parsed(text)
    if roadmap is None:
        return
    mvp = roadmap.mvp(roadmap.mvps[row % len(roadmap.mvps)].id)
    if mvp.status is None:
        return
    result = Result(mvp.id, "Run 1", "full", "vit", {"test/r2/log_g": 0.7}, wandb="https://w/a|b")
    verdicts = {gate.id: judge(gate, [result], roadmap) for gate in roadmap.gates}
    sentence = conclusion([result], roadmap.language, list(verdicts.values()))
    edits = record_results(
        roadmap, mvp.id, [result], status, sentence, "a|b.md", verdicts, DATE, "full"
    )
    new = apply(text, edits)
    only_inside(text, new, edits)
    again = properties.parsed(new)
    assert again is not None
    assert again.mvp(mvp.id).status == status
    edits = set_progress(roadmap, mvp.id, 7, 9, ("val/r2/log_g", 0.5), "Run 1")
    only_inside(text, apply(text, edits), edits)


def check(test: Any, *drawn: object) -> None:
    """Run a property with what was drawn here."""
    test.hypothesis.inner_test(*drawn)


def main(minutes: float) -> int:
    """Run until the time is over; what breaks is named so that it can be seen again."""
    paths = sorted([*(HERE / "roadmaps").glob("*.md"), *CORPUS.glob("*.md")])
    seeds = [(path.name, path.read_bytes().decode()) for path in paths]
    end = time.monotonic() + 60 * minutes
    start = int(time.time())
    for number in itertools.count(start):
        if time.monotonic() > end:
            break
        name, seed = seeds[number % len(seeds)]
        whole = False
        try:
            attack(mutated(seed, number), number)
            whole = True
        finally:
            if not whole:
                print(f"broke on {name}, mutation {number}")
    print(f"{number - start} mutations of {len(seeds)} documents in {minutes:g} min: clean")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))
