"""One fault of each kind; `benchmarks/faults.py` injects hundreds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.campaign import Campaign
from tests.jobs.faults import FAULTS


@pytest.mark.parametrize("fault", FAULTS)
def test_after_each_fault_nothing_is_lost_or_run_twice(tmp_path: Path, fault: str) -> None:
    campaign = Campaign(tmp_path / "lab", seed=4, seconds=(0.7,))
    for _ in range(10):
        campaign.run(fault, FAULTS[fault], count=2)
        if campaign.counts[fault]:
            return
    raise AssertionError(f"{fault}: found nothing to harm")
