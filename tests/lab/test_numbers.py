"""Where the numbers of documents come from: recorded when written, else held against results."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.documents import CORPUS
from tests.lab.conftest import Ended
from vitlab.cli import main
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.user_key import is_sealed
from vitlab.docs.lint.finding import Finding
from vitlab.docs.text.numbers import asked_number, numbers_of
from vitlab.docs.text.source import Document
from vitlab.lab.example import make_example
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.results.provenance import Source, Sources, best_source
from vitlab.lab.writeback import written_numbers
from vitlab.lab.writeback.contradictions import lint_file
from vitlab.lab.writeback.edits import accept, plan_update, redo, undo, write
from vitlab.lab.writeback.number_origins import (
    COMPUTED,
    FOUND,
    NONE,
    NOT_CHECKED,
    RESULT,
    Origin,
    origins,
)
from vitlab.lab.writeback.sync_ledger import record_written
from vitlab.lab.writeback.writeback import pending
from vitlab.lab.writeback.written_numbers import record_numbers

KINDS = ("number-changed", "number-without-result", "number-of-faulty-run", "picked-seed")


def hand_edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def found(lab: Lab, roadmap: Path) -> list[Finding]:
    return [one for one in lint_file(lab, roadmap) if one.kind in KINDS]


def told(lab: Lab, text: str) -> list[Origin]:
    asked = asked_number(text)
    assert asked is not None
    return origins(lab, lambda _, one: one.number.is_asked(asked))


def with_seeds(lab: Lab, ended: Ended, *numbers: float) -> list[JobPaths]:
    """Jobs of one spec that differ in their seed, with these R2."""
    jobs = []
    for seed, number in enumerate(numbers):
        job = ended(f"seed={seed}", number)
        spec = json.loads(job.spec.read_bytes())
        spec["config"] = {"train": {"seed": seed}}
        job.spec.write_text(json.dumps(spec), encoding="utf-8")
        jobs.append(job)
    return jobs


@pytest.mark.parametrize("text", ["0.711", ".711", "0.711 ± 0.005", "71.1%", "0.711 +- 0.005"])
def test_a_number_is_asked_for_in_any_spelling(text: str) -> None:
    asked = asked_number(text)
    assert asked is not None
    line = "R² = 0.7113 ± 0.0049, 71.12 ± 0.49% and 0.71, 1.711, 0.7118, v0.711.2, MVP-0.711"
    hits = [n.number.text for n in numbers_of(Document(line)) if n.number.is_asked(asked)]
    assert hits == ["0.7113 ± 0.0049", "71.12 ± 0.49%"]


@pytest.mark.parametrize(
    ("text", "hits"),
    [("8.19k", ["8.19k", "8,190"]), ("790,657", ["790,657"]), ("1M", ["1M", "1,000,000"])],
)
def test_a_size_is_asked_for(text: str, hits: list[str]) -> None:
    asked = asked_number(text)
    assert asked is not None
    line = "8.19k of 1M stars, 8,190, 82k, 790,657 and 791k parameters, 1,000,000, seeds 42,43"
    numbers = list(numbers_of(Document(line), whole=True))
    assert [n.number.text for n in numbers if n.number.is_asked(asked)] == hits
    assert numbers[-1].number.text == "43"


def test_why_says_of_a_number_what_lint_does(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.751)
    ended("one", 0.577, profile="smoke")
    write(lab, roadmap, "1.0")
    section = "\n### MVP-1.0: The run\n\n{}\n"
    before = roadmap.read_text(encoding="utf-8")
    for line, number, verdict in (
        ("Test R2 improved to 0.68 with more data.", "0.68", NONE),
        ("R² 降到 0.42。", "0.42", NONE),
        ("R² = 0.577.", "0.577", FOUND),
        ("Trained on 1M stars, R² = 0.751.", "1M", NONE),
        ("After 200 epochs it has R² = 0.751, as hoped.", "0.751", RESULT),
    ):
        roadmap.write_text(before + section.format(line), encoding="utf-8")
        at = len((before + section).splitlines())
        (mine,) = [one for one in told(lab, number) if one.line == at]
        lint = [one.message for one in found(lab, roadmap) if one.line == at]
        assert mine.verdict == verdict, (line, mine)
        assert mine.is_wrong == any(number in message for message in lint), (line, lint)
        assert not mine.is_wrong or mine.why in lint


def test_a_number_of_parameters_is_known_by_all_its_digits(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    job = ended("one", 0.751)
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, model={"name": "ViT", "params": 2_360_833}))
    write(lab, roadmap, "1.0")
    (report,) = roadmap.parent.glob("exp_*.md")
    assert found(lab, roadmap) == []
    hand_edit(report, "2,360,833", "1,360,833")
    (one,) = found(lab, roadmap)
    assert one.message.startswith("1,360,833 here, and 2,360,833 was written from ")
    assert [x.verdict for x in told(lab, "1,360,833")] == ["differs: result says 2,360,833"]


def test_a_place_is_known_by_what_stands_around_it() -> None:
    head = "| MVP | R² | MAE |\n|---|---|---|\n"
    first, second = numbers_of(Document(f"{head}| A | 0.7 | 0.5 |\n"))
    moved = list(numbers_of(Document(f"# T\n\n{head}| B | 0.1 | 0.2 |\n| A | **0.9** | 0.5 |\n")))
    assert [one.place for one in moved[2:]] == [first.place, second.place]
    assert moved[0].place != first.place


def test_every_written_number_has_its_job_and_value(lab: Lab, roadmap: Path, ended: Ended) -> None:
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    places = told(lab, "0.751")
    assert {one.path.name for one in places} >= {"plan_roadmap.md", "plan_hub.md"}
    assert len({one.path.name for one in places}) == 3  # and the report
    for one in places:
        assert (one.verdict, one.source and one.source.jobs) == (RESULT, (job.name,))
        assert one.source is not None
        assert (one.source.value, one.source.number, one.source.error, one.source.profile) == (
            "test/r2/log_g", 0.7512, 0.004, "full",
        )  # fmt: skip
        assert one.source.n == {"train": 1000, "test": 100}
    assert found(lab, roadmap) == []


def test_a_mean_over_seeds_has_all_its_jobs(lab: Lab, roadmap: Path, ended: Ended) -> None:
    jobs = with_seeds(lab, ended, 0.701, 0.721, 0.739)
    write(lab, roadmap, "1.0")
    means = [one for one in told(lab, "0.720") if one.path == roadmap]
    assert means
    assert all(one.source and one.source.jobs == tuple(j.name for j in jobs) for one in means)
    assert found(lab, roadmap) == []


def test_a_number_typed_over_a_written_one_is_found_with_both(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    hand_edit(roadmap.with_name("plan_hub.md"), "0.751 ± 0.004", "0.851 ± 0.004")
    hits = found(lab, roadmap)
    assert {(one.kind, one.path and one.path.name) for one in hits} == {
        ("number-changed", "plan_hub.md")
    }
    assert "0.851 ± 0.004 here, and 0.751 ± 0.004 was written" in hits[0].message
    assert job.name in hits[0].message
    assert {one.verdict for one in told(lab, "0.851")} == {"differs: result says 0.751 ± 0.004"}
    assert found(lab, roadmap.with_name("plan_hub.md"))  # also of that file alone


def test_another_row_of_the_mvp_is_not_the_written_one(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    hub = roadmap.with_name("plan_hub.md")
    (line,) = [x for x in hub.read_text("utf-8").splitlines() if "| 0.751 ± 0.004 |" in x]
    other = line.replace("0.751 ± 0.004", "0.601 ± 0.004")
    hand_edit(hub, line, f"{other}\n{line}")
    assert "number-changed" not in {one.kind for one in found(lab, roadmap)}
    hand_edit(hub, line, line.replace("0.751", "0.851"))  # then neither is as it was written
    assert [one.kind for one in found(lab, roadmap)].count("number-changed") == 2


@pytest.mark.parametrize("mark", ["", " (full)"])
def test_a_trial_s_number_typed_over_without_its_mark_is_found(
    lab: Lab, roadmap: Path, ended: Ended, mark: str
) -> None:
    job = ended("one", 0.7512, profile="smoke")
    write(lab, roadmap, "1.0")
    assert found(lab, roadmap) == []
    hand_edit(roadmap, "0.751 ± 0.004 (smoke)", f"0.851 ± 0.004{mark}")
    hits = found(lab, roadmap)
    assert {one.kind for one in hits} == {"number-changed"}
    assert all(job.name in one.message for one in hits)


def test_a_result_that_was_changed_afterwards_is_found(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, values={"test/r2/log_g": 0.9, "val/r2/log_g": 0.9}))
    assert any("0.9000 ± 0.0040 is the result now" in one.message for one in found(lab, roadmap))


def test_an_undone_write_vouches_for_nothing(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    hub = roadmap.with_name("plan_hub.md")
    undo(lab)
    assert told(lab, "0.751") == []
    redo(lab)
    hand_edit(hub, "0.751 ± 0.004", "0.9")
    assert "number-changed" in {one.kind for one in found(lab, roadmap)}
    hand_edit(hub, "0.9", "0.751 ± 0.004")
    undo(lab)
    write(lab, roadmap, "1.0")  # the same texts as the write that was undone
    assert {one.verdict for one in told(lab, "0.751")} == {RESULT}
    hand_edit(hub, "0.751 ± 0.004", "0.9")
    assert "number-changed" in {one.kind for one in found(lab, roadmap)}


def test_what_writers_record_at_once_is_all_there(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four processes, each of which also prunes what the others add."""
    ended("one", 0.7512)
    update = plan_update(lab, roadmap, "1.0")
    record_written(lab, [], ["the first"])  # the key of this user is made
    monkeypatch.setattr(written_numbers, "PRUNED", 1)
    children = []
    for who in range(4):
        if not (pid := os.fork()):
            try:
                for number in range(10):
                    record_written(lab, update.jobs, [f"{who} {number}"])
                    record_numbers(lab, update.jobs, update.changes)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    recorded = json.loads(lab.paths.private.sync_ledger.read_bytes())
    assert len(recorded) == 41
    assert lab.paths.private.numbers.read_bytes().count(b'{"v":1') == 40
    assert not lab.notes


def test_a_record_goes_once_neither_job_nor_number_is_there(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    monkeypatch.setattr(written_numbers, "PRUNED", 1)

    def recorded() -> int:
        """How many lines name the job, after another write, which leaves no number either."""
        another = ended("two", 0.6, mvp="2.0")
        update = plan_update(lab, roadmap, "2.0")
        record_numbers(lab, update.jobs, update.changes)
        shutil.rmtree(another.folder)
        return lab.paths.private.numbers.read_text().count(f'"jobs":["{job.name}"]')

    before = recorded()
    assert before
    shutil.rmtree(job.folder)
    assert recorded() == before  # its numbers still stand
    undo(lab)
    assert recorded() == 0
    assert lab.paths.private.numbers.read_bytes().count(b"\n") == 2  # of the other


def test_without_a_record_numbers_go_by_their_values(lab: Lab, roadmap: Path, ended: Ended) -> None:
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    lab.paths.private.numbers.unlink()
    assert found(lab, roadmap) == []
    places = told(lab, "0.751")
    assert {(one.verdict, one.source and one.source.jobs) for one in places} == {
        (RESULT, (job.name,))
    }
    hand_edit(roadmap.with_name("plan_hub.md"), "0.751", "0.851")
    (hit,) = [one for one in found(lab, roadmap) if one.kind == "number-without-result"][:1]
    assert "no result has it; the nearest is 0.7512 ± 0.0040" in hit.message


def test_a_record_of_somebody_else_counts_for_nothing(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    path = lab.paths.private.numbers
    path.write_bytes(path.read_bytes().replace(b"0.751", b"0.851") + b"\nnonsense {}\n\x00\n")
    hand_edit(roadmap.with_name("plan_hub.md"), "0.751", "0.851")
    assert "number-without-result" in {one.kind for one in found(lab, roadmap)}


def test_a_record_holds_in_its_own_lab(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """Also after a move; in a copy of it, which anybody may give back, it vouches for nothing."""
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    copy = shutil.copytree(lab.paths.root, lab.paths.root.with_name("copy"))
    shutil.rmtree(job.folder)
    shutil.rmtree(copy / job.folder.relative_to(lab.paths.root))
    moved = lab.paths.root.rename(lab.paths.root.with_name("moved"))
    for root, verdict in ((moved, RESULT), (copy, NOT_CHECKED)):
        assert {one.verdict for one in told(open_lab(root), "0.751")} == {verdict}


def test_many_lines_of_somebody_else_cost_little(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    looked = []

    def counted(text: object, *parts: bytes) -> bool:
        looked.append(text)
        return is_sealed(text, *parts)

    monkeypatch.setattr(written_numbers, "is_sealed", counted)
    monkeypatch.setattr(written_numbers, "MOST_STRANGE", 10)
    with lab.paths.private.numbers.open("ab") as file:
        file.write(b"a b\n" * 1000 + (b"a" * 64 + b" b\n") * 1000)
    assert {one.verdict for one in told(lab, "0.751")} == {RESULT}
    assert len(looked) < 20


def test_a_disk_that_takes_half_a_line_is_told(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended("one", 0.7512)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    append = written_numbers._append

    def with_little_room(lab: Lab, body: bytes) -> None:
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
        try:
            append(lab, body)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, before)

    monkeypatch.setattr(written_numbers, "_append", with_little_room)
    write(lab, roadmap, "1.0")
    assert lab.paths.private.numbers.stat().st_size == 100
    [note] = [one for one in lab.notes if "numbers.jsonl" in one]
    assert note.endswith("No space left on device)")
    assert "where the numbers come from is not recorded" in note


def test_a_line_of_thousands_of_numbers_takes_linear_time(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.7512)
    text = roadmap.read_text() + "\n" + "0.751 ± 0.004 vs. " * 5000 + "\n"
    roadmap.write_text(text, encoding="utf-8")
    began = time.process_time()
    assert len(told(lab, "0.751")) >= 5000
    assert time.process_time() - began < 4


def test_a_number_is_found_among_thousands_in_little_time() -> None:
    """12,000 values, 0.7 MB of a result, kept a write busy for minutes."""
    known = Sources(
        Source(f"test/r2/x{at}", (f"job{at}",), "1.0", "main", "full", 0.3 + at * 1e-5)
        for at in range(12_000)
    )
    same = Sources(replace(one, number=0.5) for one in known)
    began = time.process_time()
    for at in range(0, 12_000, 12):
        asked = asked_number(f"{0.3 + at * 1e-5:.5f}")
        assert asked is not None
        found = best_source(asked, known, None)
        assert found is not None
        assert found.jobs == (f"job{at}",)
        assert best_source(replace(asked, value=0.5), same, None) == same[0]
    assert time.process_time() - began < 4


def test_numbers_from_before_vitlab_are_not_checked(lab: Lab, roadmap: Path, ended: Ended) -> None:
    text = roadmap.read_text(encoding="utf-8")
    row = "| MVP-2.0 | it is good: R² = 0.913 | R²=0.913 |\n"
    old = "|-----|------------|------------|\n"
    roadmap.write_text(text.replace(old, old + row), encoding="utf-8")
    assert found(lab, roadmap) == []
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    assert found(lab, roadmap) == []  # MVP-2.0 has no job
    assert {one.verdict for one in told(lab, "0.913")} == {NOT_CHECKED}
    assert {one.why for one in told(lab, "0.913")} == {"no job of MVP 2.0 has a result"}
    ended("one", 0.4, mvp="2.0", profile="smoke")
    assert found(lab, roadmap) == []  # a trial says nothing of a full run
    ended("one", 0.8, mvp="2.0")
    assert [one.kind for one in found(lab, roadmap)] == ["number-without-result"] * 2


@pytest.mark.parametrize(
    "sentence",
    [
        "LightGBM R² = 0.536",
        "baseline R² = 0.536",
        "R² = 0.536 (ep112)",
        "文献中 R²=0.536",
        "R² > 0.536",
    ],
)
def test_numbers_of_something_else_are_no_false_alarm(
    lab: Lab, roadmap: Path, ended: Ended, sentence: str
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    text = roadmap.read_text(encoding="utf-8")
    assert "| MVP-1.0 | ViT" in text
    roadmap.write_text(
        text.replace("| MVP-1.0 | ViT", f"| MVP-1.0 | {sentence}, ViT"), encoding="utf-8"
    )
    assert found(lab, roadmap) == []
    assert NONE not in {one.verdict for one in told(lab, "0.536")}


def test_the_best_seed_alone_is_found(lab: Lab, roadmap: Path, ended: Ended) -> None:
    with_seeds(lab, ended, 0.701, 0.721, 0.739)
    hub = roadmap.with_name("plan_hub.md")
    row = "| ViT R² (test) | {} | 1k/100, MVP-1.0 | - |\n"
    head = "|-----------|-------|-----------|--------|\n"
    hand_edit(hub, head, head + row.format("0.739"))
    (hit,) = found(lab, roadmap)
    assert (hit.kind, hit.path) == ("picked-seed", hub)
    assert "the best of 3 runs of one spec" in hit.message
    assert "their mean, 0.7203" in hit.message
    assert {(one.verdict, one.why) for one in told(lab, "0.739")} == {(FOUND, hit.message)}
    hand_edit(hub, row.format("0.739"), row.format("0.720") + row.format("0.739"))
    assert "picked-seed" not in {one.kind for one in found(lab, roadmap)}


def test_a_number_whose_run_fails_a_check_is_found_once(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    assert found(lab, roadmap) == []
    result = json.loads(job.result.read_bytes())
    result["data"] = {**result.get("data", {}), "hash": "h", "overlap": 7}
    job.result.write_text(json.dumps(result), encoding="utf-8")
    hits = found(lab, roadmap)
    assert {one.kind for one in hits} == {"number-of-faulty-run"}
    assert len({(one.path, one.line) for one in hits}) == len(hits)
    assert all(job.name in one.message and "in the training set" in one.message for one in hits)
    origins = {(one.verdict, one.why.split(",")[0]) for one in told(lab, "0.751")}
    assert origins == {(FOUND, "no result: Test spectra in the training set")}
    for name in dict.fromkeys(one.path or roadmap for one in hits):
        text = name.read_text(encoding="utf-8").split("\n")
        for line in (one.line for one in hits if (one.path or roadmap) == name):
            text[line - 1] = text[line - 1].replace("0.751", "0.751 (a leak)")
        name.write_text("\n".join(text), encoding="utf-8")
    assert "number-of-faulty-run" not in {one.kind for one in found(lab, roadmap)}


def test_the_best_of_one_run_launched_again_is_found(lab: Lab, roadmap: Path, ended: Ended) -> None:
    for number in (0.69, 0.731, 0.70):
        ended("one", number)
    hub = roadmap.with_name("plan_hub.md")
    head = "|-----------|-------|-----------|--------|\n"
    hand_edit(hub, head, f"{head}| ViT R² (test) | 0.731 | 1k/100, MVP-1.0 | - |\n")
    assert [one.kind for one in found(lab, roadmap)] == ["picked-seed"]


def test_a_trial_without_its_mark_is_found(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512, profile="demo")
    write(lab, roadmap, "1.0")
    assert found(lab, roadmap) == []
    hand_edit(roadmap.with_name("plan_hub.md"), " (demo)", "")
    hits = [one.message for one in found(lab, roadmap)]
    assert any("is of profile demo, not marked so" in one for one in hits)


def test_a_persons_conclusion_is_vouched_for_by_results_alone(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0", "R² = 0.751 with ViT, and even R² = 0.912")
    assert {one.verdict for one in told(lab, "0.751")} == {RESULT}
    assert NONE in {one.verdict for one in told(lab, "0.912")}
    assert COMPUTED not in {one.verdict for one in told(lab, "0.912")}
    assert "number-without-result" in {one.kind for one in found(lab, roadmap)}


@pytest.mark.parametrize("profile", ["smoke", "full"])
def test_an_example_lab_whose_results_were_written_has_no_finding(
    tmp_path: Path, lab: Lab, ended: Ended, profile: str
) -> None:
    make_example(tmp_path, keep=True)
    example = lab.roadmap_path("vit_roadmap.md")
    for mvp, run, number in (
        ("1.0", "Run 1", 0.6012),
        ("1.0", "Run 2", 0.5834),
        ("3.0", "ViT train_size=256", 0.0191),
        ("3.0", "Ridge", 0.3958),
    ):
        ended(run, number, mvp=mvp, profile=profile, roadmap="roadmaps/vit_roadmap.md",
              exp_id=f"VIT-20260102-{mvp[0]}-01")  # fmt: skip
    accept(lab, pending(lab, example))
    assert found(lab, example) == []
    assert told(lab, "0.601")
    lab.paths.private.numbers.unlink()
    assert found(lab, example) == []


def test_a_trial_s_ceilings_by_magnitude_are_marked_as_one(
    tmp_path: Path, lab: Lab, ended: Ended
) -> None:
    make_example(tmp_path, keep=True)
    example = lab.roadmap_path("vit_roadmap.md")
    headline = "ceiling/r2_bayes/log_g"
    job = ended("main", 0.0, mvp="8.0", profile="smoke", roadmap="roadmaps/vit_roadmap.md",
                exp_id="VIT-20260102-8-01", headline=headline)  # fmt: skip
    result = read_result(job.result)
    assert result is not None
    values = {headline: 0.8301, "ceiling@20/r2_bayes/log_g": 0.9926, "ceiling@20/snr/median": 24.0}
    write_result(job.result, replace(result, recipe="ceiling", values=values, headline=headline))
    accept(lab, pending(lab, example))
    assert told(lab, "0.9926")
    assert found(lab, example) == []


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the real documents are not in this checkout")
def test_real_documents_without_jobs_have_no_finding(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    for document in CORPUS.glob("*.md"):
        shutil.copy(document, lab.paths.roadmaps)
    roadmaps = lab.roadmaps(anew=True)
    assert len(roadmaps) > 3
    assert [one for path in roadmaps for one in found(lab, path)] == []


def test_why_for_people_and_programs(
    lab: Lab,
    roadmap: Path,
    ended: Ended,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = ended("one", 0.7512)
    write(lab, roadmap, "1.0")
    monkeypatch.chdir(lab.paths.root)
    assert main(["why", "75.1%", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"line", "text", "verdict", "value", "job"} <= set(rows[0])
    assert {(one["value"], one["job"]) for one in rows} == {("test/r2/log_g", job.name)}
    line = next(one["line"] for one in rows if one["file"] == "roadmaps/plan_hub.md")
    assert main(["why", f"roadmaps/plan_hub.md:{line}"]) == 0
    out = capsys.readouterr().out
    assert f"plan_hub.md:{line}: 0.751 ± 0.004: result: test/r2/log_g" in out
    assert main(["why", "0.12345"]) == 1
    assert "no such number" in capsys.readouterr().err
    for wrong in ("seven", "gone.md:3", "../../etc/passwd:1", "MVP-1.0", "0.711 ± x", "nan"):
        assert main(["why", wrong]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["why", "0,751"]) == 2
    assert "as its point is a comma" in capsys.readouterr().err
    for asked in ("0.751", ".751", "0.751 +- 0.004", "0.751±.004", " 75.1 % ", "75.1%"):
        assert main(["why", asked]) == 0
        places = capsys.readouterr().out.splitlines()
        assert len({one.partition(":")[0] for one in places}) == 3  # roadmap, hub and report
        assert all("result: test/r2/log_g" in one for one in places), places
    for asked in ("0.751 +- 0.009", "1.751", "0.761"):
        assert main(["why", asked]) == 1
        assert "no such number" in capsys.readouterr().err
    hand_edit(roadmap.with_name("plan_hub.md"), "0.751", "0.\x1b[31m751")
    assert main(["why", "0.751"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_why_knows_the_numbers_of_an_autopilot_s_report(
    lab: Lab,
    roadmap: Path,
    ended: Ended,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = ended("one", 0.7512)
    roadmap.with_name("auto_20260102.md").write_text("| MVP-1.0 | The run | R² 0.751 |\n")
    roadmap.with_name("auto_20260103.md").mkdir()
    monkeypatch.chdir(lab.paths.root)
    assert main(["why", "0.751"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("roadmaps/auto_20260102.md:1: 0.751: result: test/r2/log_g")
    assert job.name in line


def test_without_a_place_for_the_user_s_state_numbers_go_by_their_values(
    lab: Lab,
    roadmap: Path,
    ended: Ended,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended("one", 0.7512)
    write(lab, roadmap, "1.0")

    def nowhere() -> Path:
        raise UsageError("cannot keep this user's state (/x: closed)")

    monkeypatch.setattr("vitlab.contract.user_key.state_folder", nowhere)
    monkeypatch.chdir(lab.paths.root)
    assert main(["lint"]) == 0
    told = "numbers.jsonl: cannot keep this user's state (/x: closed); numbers go by their values"
    assert told in capsys.readouterr().err
    assert main(["why", "0.751"]) == 0
    assert "test/r2/log_g = 0.7512" in capsys.readouterr().out


def test_why_of_a_number_that_stands_nowhere(
    lab: Lab,
    roadmap: Path,
    ended: Ended,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A result may have it all the same, or a document with fewer digits."""
    job = ended("one", 0.71)
    write(lab, roadmap, "1.0", "R² = 0.71 on the test stars")
    monkeypatch.chdir(lab.paths.root)
    text = roadmap.read_text().replace("0.710 ± 0.004", "-").replace("0.710", "-")
    roadmap.write_text(text)
    for path in roadmap.parent.glob("*.md"):
        path.write_text(path.read_text().replace("0.710", "0.71").replace("0.7100", "0.71"))
    assert main(["why", "0.7100"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "stands in no document; test/r2/log_g = 0.7100 ± 0.0040 of " + job.name in line
    assert main(["why", "0.7104", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert "stands in no document with so many digits; 0.71 does (roadmaps/" in err
