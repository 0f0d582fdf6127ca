"""The one decision of an autopilot: pure, so nights are simulated without a process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vitlab.lab.autopilot.branches import GateFact
from vitlab.lab.autopilot.budget import Estimate, Spent
from vitlab.lab.autopilot.decide import (
    Candidate,
    Complete,
    End,
    Facts,
    JobFact,
    JobWord,
    Release,
    Start,
    Stop,
    Wait,
    decide,
    spent_in,
    waits_for_document,
)
from vitlab.lab.autopilot.record import Autopilot, Launch

PILOT = Autopilot("a", "/lab", ("plan.md",), started=0.0, budget=8.0)
NOW = Facts(now=60.0)


def launched(*mvps: str) -> Autopilot:
    every = (Launch(n, "plan.md", mvp, "full", 1.0, made=True) for n, mvp in enumerate(mvps, 1))
    return replace(PILOT, launches=tuple(every))


def waiting(mvp: str, hours: float | None = None, held: str = "", gpus: float = 0.0) -> Candidate:
    return Candidate("plan.md", mvp, "full", Estimate(hours, hours, hours, gpus, ""), held)


def job(launch: int, word: JobWord, ended: float = 0.0, name: str = "") -> JobFact:
    return JobFact(name or f"j{launch}", launch, word, ended)


def test_the_first_of_the_plan_is_launched_and_then_it_waits() -> None:
    first = waiting("1.0")
    facts = replace(NOW, candidates=(first, waiting("2.0")))
    assert decide(PILOT, facts) == Start(first)
    assert decide(launched("1.0"), replace(facts, jobs=(job(1, "running"),))) == Wait()
    two = replace(launched("1.0"), at_once=2)
    assert decide(two, replace(facts, jobs=(job(1, "running"),))) == Start(first)


def test_a_stopped_branch_lets_others_go_on_and_its_gate_is_named_at_the_end() -> None:
    stopped, free = waiting("2.0", held="Gate-1 needs you"), waiting("3.0")
    assert decide(PILOT, replace(NOW, candidates=(stopped, free))) == Start(free)
    gate = GateFact("plan.md", "1", "manual")
    assert decide(PILOT, replace(NOW, candidates=(stopped,), gates=(gate,))) == End(
        "Gate-1 needs you"
    )
    several = replace(PILOT, roadmaps=("plan.md", "other.md"))
    facts = replace(NOW, candidates=(stopped,), gates=(gate,))
    assert decide(several, facts) == End("plan.md: Gate-1 needs you")
    failed = replace(gate, standing="fail")
    assert decide(PILOT, replace(NOW, candidates=(stopped,), gates=(failed,))) == End(
        "nothing is left"
    )


def test_what_does_not_fit_the_rest_of_the_budget_is_passed_over() -> None:
    long, short, unknown = waiting("1.0", 9.0), waiting("2.0", 1.0), waiting("3.0")
    assert decide(PILOT, replace(NOW, candidates=(long, short))) == Start(short)
    assert decide(PILOT, replace(NOW, candidates=(long, unknown))) == Start(unknown)
    over = decide(PILOT, replace(NOW, candidates=(long,)))
    assert over == End("budget spent: what is left does not fit it")


def test_gpu_hours_count_what_has_run_and_what_runs() -> None:
    pilot = replace(PILOT, gpu_hours=10.0, at_once=9)
    more = waiting("2.0", 1.0, gpus=6.0)
    used = replace(NOW, candidates=(more,), spent=Spent(1.0, 1.0, 3.0))
    assert decide(pilot, used) == Start(more)
    first = replace(launched("1.0").launches[0], gpu_hours=8.0)
    runs = replace(used, jobs=(job(1, "running"),))
    assert decide(replace(pilot, launches=(first,)), runs) == Wait()
    spent = replace(runs, spent=Spent(1.0, 1.0, 10.0))
    assert decide(replace(pilot, launches=(first,)), spent) == Stop(("j1",))


def test_the_moment_at_which_the_budget_may_be_spent() -> None:
    assert spent_in(PILOT, NOW) == 8 * 3600 - 60
    limited = replace(PILOT, gpu_hours=10.0)
    assert spent_in(limited, NOW) == 8 * 3600 - 60  # nothing takes a GPU
    assert spent_in(limited, replace(NOW, gpus=4, spent=Spent(0.0, 0.0, 6.0))) == 3600
    assert spent_in(limited, replace(NOW, gpus=4, spent=Spent(0.0, 0.0, 11.0))) == 0


def test_at_the_end_of_the_budget_its_jobs_are_stopped_once() -> None:
    late = replace(NOW, now=8 * 3600.0, jobs=(job(1, "running"), job(2, "ok", 5.0)))
    pilot = launched("1.0", "2.0")
    assert decide(pilot, late) == Stop(("j1",))
    asked = replace(late.jobs[0], stopping=True)
    assert decide(pilot, replace(late, jobs=(asked,))) == Wait()
    assert decide(pilot, replace(late, jobs=(job(1, "stopped", 9.0),))) == End("budget spent")
    paused = replace(pilot, state="paused")
    assert decide(paused, late) == Stop(("j1",))


def test_a_launch_that_was_decided_and_not_made_is_completed_first() -> None:
    cut = Launch(1, "plan.md", "1.0", "full", 1.0)
    pilot = replace(PILOT, launches=(cut,))
    assert decide(pilot, replace(NOW, candidates=(waiting("2.0"),))) == Complete(cut)
    refused = replace(pilot, launches=(replace(cut, refused="no file"),))
    assert decide(refused, replace(NOW, candidates=(waiting("2.0"),))) == Start(waiting("2.0"))


def test_three_failures_in_a_row_end_it() -> None:
    pilot = launched("1.0", "2.0", "3.0", "4.0")
    facts = replace(NOW, candidates=(waiting("5.0"),))
    bad = tuple(job(n, "failed", float(n)) for n in (1, 2, 3))
    assert decide(pilot, replace(facts, jobs=bad)) == End("three failures in a row")
    assert decide(pilot, replace(facts, jobs=(*bad, job(4, "running")))) == Wait()
    between = (bad[0], replace(bad[1], word="ok"), bad[2])
    assert decide(pilot, replace(facts, jobs=between)) == Start(waiting("5.0"))
    # Of a sweep one is enough, and what a person stopped is no failure.
    sweep = (*bad[:2], bad[2], job(3, "ok", 3.0, "other"))
    assert decide(pilot, replace(facts, jobs=sweep)) == Start(waiting("5.0"))
    stopped = (*bad[:2], replace(bad[2], word="stopped"))
    assert decide(pilot, replace(facts, jobs=stopped)) == Start(waiting("5.0"))


@pytest.mark.parametrize("word", ["held", "lost", "behind"])
def test_what_a_person_must_decide_keeps_no_other_branch(word: JobWord) -> None:
    facts = replace(NOW, jobs=(job(1, word),), candidates=(waiting("2.0"),))
    assert decide(launched("1.0"), facts) == Start(waiting("2.0"))
    assert decide(launched("1.0"), replace(facts, candidates=())) == End("nothing is left")


def test_a_roadmap_that_cannot_be_read_ends_nothing() -> None:
    unread = replace(NOW, unread=(("plan.md", "is empty"),))
    assert decide(PILOT, unread) == Wait()
    assert waits_for_document(PILOT, unread)
    assert not waits_for_document(launched("1.0"), replace(unread, jobs=(job(1, "running"),)))
    assert not waits_for_document(replace(PILOT, state="paused"), unread)
    assert decide(PILOT, replace(unread, now=1e6)) == End("budget spent")
    other = replace(waiting("2.0"), roadmap="other.md")
    assert decide(PILOT, replace(unread, candidates=(other,))) == Start(other)
    begun = Launch(1, "plan.md", "1.0", "full", 1.0)
    assert decide(replace(PILOT, launches=(begun,)), unread) == Wait()
    assert decide(replace(PILOT, launches=(begun,)), NOW) == Complete(begun)


def test_a_pause_launches_nothing_and_a_full_disk_ends_it() -> None:
    facts = replace(NOW, candidates=(waiting("1.0"),))
    assert decide(replace(PILOT, state="paused"), facts) == Wait()
    assert decide(replace(PILOT, state="ended"), facts) == Wait()
    assert decide(PILOT, replace(facts, disk_full=True)) == End("disk")


def test_jobs_that_waited_over_a_restart_are_released() -> None:
    left = replace(job(1, "waiting"), release=True)
    assert decide(launched("1.0"), replace(NOW, jobs=(left,))) == Release(("j1",))


def test_it_runs_until_a_gate_is_decided_or_an_mvp_has_ended() -> None:
    facts = replace(NOW, candidates=(waiting("4.0"),))
    pilot = replace(launched("3.0"), until="mvp 3.0")
    assert decide(pilot, replace(facts, jobs=(job(1, "ok", 2.0),))) == End("MVP-3.0 has ended")
    assert decide(pilot, replace(facts, jobs=(job(1, "running"),))) == Wait()
    until = replace(PILOT, until="gate 2")
    ends = {"pass": "Gate-2 passed", "fail": "Gate-2 failed", "open": "Gate-2 needs you"}
    for standing, why in ends.items():
        gate = GateFact("plan.md", "2", standing)  # type: ignore[arg-type]
        assert decide(until, replace(facts, gates=(gate,))) == End(why)
    undecided = GateFact("plan.md", "2", "waits", mvps=("3.0",))
    assert decide(until, replace(facts, gates=(undecided,))) == Start(waiting("4.0"))


def test_nothing_is_begun_beside_the_last_that_it_runs_until() -> None:
    gate = GateFact("plan.md", "2", "waits", mvps=("2.0", "3.0"))
    busy = replace(NOW, jobs=(job(1, "running"),), gates=(gate,), candidates=(waiting("4.0"),))
    for until in ("mvp 3.0", "gate 2"):
        pilot = replace(launched("3.0"), until=until, at_once=2)
        assert decide(pilot, busy) == Wait()
    both = replace(busy, candidates=(waiting("2.0"), waiting("4.0")))
    assert decide(replace(launched("3.0"), until="gate 2", at_once=2), both) == Start(
        waiting("2.0")
    )
    assert decide(replace(launched("3.0"), at_once=2), busy) == Start(waiting("4.0"))
