"""Break real documents at random for some minutes and watch that nothing is lost."""

import itertools
import sys
import time
from pathlib import Path

from tests.docs.documents import CORPUS, HERE
from tests.docs.test_properties import mutated, only_inside
from vitlab.contract.job import Result
from vitlab.docs.judge.conclusion import conclusion
from vitlab.docs.judge.gates import judge
from vitlab.docs.lint import mend
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import NoMvpTable, parse_roadmap
from vitlab.docs.model.vocabulary import STATUSES
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.progress import set_progress
from vitlab.docs.write.results import finish
from vitlab.docs.write.rows import set_key_number
from vitlab.docs.write.status import launch, set_status


def attack(text: str, number: int) -> None:
    """Read a text every way there is, change it, and check what must hold."""
    document = Document(text)
    hub = parse_hub(document)
    assert hub.beliefs is not None
    assert hub.hypotheses is not None
    edits = set_key_number(hub, "R² | x", "0.7\n`", "||y||", "\\", "2026-01-02")
    only_inside(text, apply(text, edits), edits)
    try:
        roadmap = parse_roadmap(document)
    except NoMvpTable:
        return
    mvp = roadmap.mvp(roadmap.mvps[number % len(roadmap.mvps)].id)
    status = STATUSES[number % len(STATUSES)]
    if mvp.status is None:
        return
    edits = set_status(roadmap, mvp.id, status)
    new = apply(text, edits)
    only_inside(text, new, edits)
    assert parse_roadmap(Document(new)).mvp(mvp.id).status == status
    edits = launch(roadmap, mvp.id, f"FZ-{number}", "2026-01-02")
    only_inside(text, apply(text, edits), edits)
    result = Result(mvp.id, "Run 1", "full", "vit", {"test/r2/log_g": 0.7}, wandb="https://w/a|b")
    verdicts = {gate.id: judge(gate, [result], roadmap) for gate in roadmap.gates}
    sentence = conclusion([result], roadmap.language, list(verdicts.values()))
    edits = finish(
        roadmap, mvp.id, [result], status, sentence, "a|b.md", verdicts, "2026-01-02", "full",
        {"training": "./img/mvp_x_training.png"},
    )  # fmt: skip
    new = apply(text, edits)
    only_inside(text, new, edits)
    assert parse_roadmap(Document(new)).mvp(mvp.id).status == status
    edits = set_progress(roadmap, mvp.id, 7, 9, ("val/r2/log_g", 0.5), "Run 1")
    only_inside(text, apply(text, edits), edits)
    if number % 10 == 0:
        mend(roadmap, Path("/nowhere"))


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
