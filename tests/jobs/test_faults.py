"""One fault of each kind; `benchmarks/faults.py` injects hundreds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.jobs.campaign import Campaign
from tests.jobs.faults import FAULTS, fake_clock
from tests.waiting import DEADLINE


@pytest.mark.parametrize("fault", FAULTS)
def test_after_each_fault_nothing_is_lost_or_run_twice(tmp_path: Path, fault: str) -> None:
    if fault == "clock jumps" and fake_clock() is None:
        pytest.skip("no faketime here (Debian: faketime)")
    if fault == "disk full" and os.getuid() != 0:
        pytest.skip("a small disk needs the right to mount")
    disk = 8 * 2**20 if fault == "disk full" else 0
    campaign = Campaign(tmp_path / "lab", seed=4, disk=disk, allowed=DEADLINE)
    try:
        for tried in range(10):
            campaign.seconds = (0.7 + tried,)
            campaign.run(fault, FAULTS[fault], count=2, begun=tried > 0)
            if campaign.counts[fault]:
                return
        raise AssertionError(f"{fault}: found nothing to harm")
    finally:
        campaign.close()
