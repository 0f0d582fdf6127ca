"""A night simulated: 200 short jobs of three roadmaps, with failures; its page counts right."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from vitlab.lab.autopilot.branches import GateFact
from vitlab.lab.autopilot.budget import Estimate, Spent
from vitlab.lab.autopilot.decide import Candidate, End, Facts, JobFact, JobWord, Start, Wait, decide
from vitlab.lab.autopilot.page import page_text
from vitlab.lab.autopilot.record import Autopilot, Launch
from vitlab.lab.autopilot.report import Report, Tried
from vitlab.lab.autopilot.words import in_language

EACH = 4
"""Jobs of a launch."""


def test_a_night_of_200_jobs_over_three_roadmaps_is_told_right_by_count() -> None:
    draw = random.Random(7)
    names = ("a.md", "b.md", "c.md")
    plan = [
        Candidate(name, f"{n}.0", "full", Estimate(0.05, 0.04, 0.06, 0.0, "runs"))
        for name in names
        for n in range(1, 18)
    ][:50]
    pilot = Autopilot("n", "/lab", names, started=0.0, budget=8.0, at_once=8)
    jobs: list[JobFact] = []
    now, truth = 0.0, Counter[JobWord]()
    while True:
        launched = {(one.roadmap, one.mvp) for one in pilot.launches}
        left = tuple(one for one in plan if (one.roadmap, one.mvp) not in launched)
        spent = Spent(0.05 * len(jobs), 0.1 * len(jobs), 0.0)
        facts = Facts(now, tuple(jobs), left, spent=spent)
        action = decide(pilot, facts)
        if isinstance(action, End):
            break
        if isinstance(action, Start):
            number = len(pilot.launches) + 1
            one = action.candidate
            made = Launch(number, one.roadmap, one.mvp, "full", now, made=True)
            pilot = replace(pilot, launches=(*pilot.launches, made))
            jobs += [JobFact(f"{number}-{k}", number, "running") for k in range(EACH)]
            continue
        assert isinstance(action, Wait)
        now += 60.0
        for k, job in enumerate(jobs):
            if job.is_active and draw.random() < 0.5:
                word: JobWord = draw.choices(("ok", "failed", "lost"), (8, 2, 1))[0]
                jobs[k] = replace(job, word=word, ended=now)
                truth[word] += 1
    assert action == End("nothing is left")
    assert (len(jobs), len(pilot.launches), sum(truth.values())) == (200, 50, 200)
    assert truth["failed"] > 10
    assert len({(one.roadmap, one.mvp) for one in pilot.launches}) == 50
    done = replace(pilot, state="ended", why=action.why, ended=now)
    tried = [
        Tried(one, tuple(j for j in jobs if j.launch == one.number), Spent(), "")
        for one in pilot.launches
    ]
    text = page_text(Report(done, facts, tuple(tried), (), ()), "en")
    counts = ", ".join(f"{number} {word}" for word, number in sorted(truth.items()))
    assert f"| **All** | 50 launches | {counts} | 10.0 h | 20.0 h | 0 | - |" in text
    assert text.count(": MVP-") == 50
    for word, number in truth.items():
        rows = [row for row in text.split("\n") if ": MVP-" in row]
        shown = [int(part.split()[0]) for row in rows for part in row.split("|")[3].split(", ")
                 if part.split()[-1] == word]  # fmt: skip
        assert sum(shown) == number


def test_its_reasons_are_in_the_language_of_the_plan() -> None:
    reasons = {
        "nothing is left": "计划中没有可启动的任务了",
        "a.md: Gate-2 needs you": "a.md: Gate-2 需要你判定",
        "budget spent": "预算已用完",
        "Gate-1 failed": "Gate-1 未通过",
        "needs 9.0 h, 30 min are left": "预计需要 9.0 h，只剩 30 min",
        "lost": "丢失",
        "it waits for the weather": "it waits for the weather",
    }
    for said, chinese in reasons.items():
        assert in_language(said, "zh") == chinese
        assert in_language(said, "en") == said
    gate = GateFact("a.md", "1", "fail", "R² = 0.4: too few seeds", "R² = 0.4：随机种子太少")
    ended = Autopilot("n", "/lab", ("a.md",), 0.0, 0.5, state="ended", why="disk", ended=60.0)
    facts, waits = Facts(60.0, gates=(gate,)), (("MVP-2.0", "Gate-1 failed"),)
    report = Report(ended, facts, (), (("waits", gate),), waits,
                    ("MVP-3.0", "MVP-4.0"))  # fmt: skip
    text = page_text(report, "zh")
    assert "> **结束原因:** 磁盘空间不足" in text
    assert "> **预算:** 30 min" in text
    assert "| Gate-1 | 尚无结果 | 未通过 | R² = 0.4：随机种子太少 |" in text
    assert "- MVP-2.0: Gate-1 未通过" in text
    assert "- 未启动：MVP-3.0, MVP-4.0" in text
