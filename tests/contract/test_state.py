"""A job's end as what it means."""

from __future__ import annotations

import pytest

from vitlab.contract.events import NEVER_BEGAN, OUTCOMES, STOPPED
from vitlab.contract.job import (
    Done,
    Failed,
    JobEnd,
    Killed,
    Lost,
    Succeeded,
    Unknown,
    ended_well,
)


@pytest.mark.parametrize(
    ("outcome", "detail", "end"),
    [
        ("ok", "", Succeeded()),
        ("unknown", "started by hand: its exit code is unknown", Unknown()),
        ("killed", STOPPED, Killed(asked=True)),
        ("killed", f"{STOPPED}; a process held the GPU", Killed(asked=True)),
        ("killed", NEVER_BEGAN, Killed(asked=True)),
        ("killed", "SIGTERM from outside", Killed(asked=False)),
        ("oom", "CUDA out of memory", Failed("oom")),
        ("a newer word", "", Failed("a newer word")),
    ],
)
def test_how_a_job_ended(outcome: str, detail: str, end: JobEnd) -> None:
    assert Done(0, 1, outcome, 0, detail).end == end


def test_only_ok_is_well() -> None:
    assert [word for word in OUTCOMES if ended_well(Done(0, 1, word, 0))] == ["ok"]
    assert not ended_well(Lost(0))
