"""The short campaign: corruptions, kills and strangers' labs, as `benchmarks/campaign.py` does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parents[2] / "benchmarks" / "campaign.py"

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.skipif(not CAMPAIGN.exists(), reason="the benchmarks are only in the repository")
def test_nothing_fails_in_the_short_campaign() -> None:
    words = [sys.executable, str(CAMPAIGN), "--short", "--seed", "27"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    rows = re.findall(r"^in all +(\w+) +(\d+) +(\d+) +(\d+)$", done.stdout, re.MULTILINE)
    counts = {part: (int(tried), int(survived), int(told)) for part, tried, survived, told in rows}
    assert counts == {
        "corruptions": (60, 60, 60),
        "kills": (5, 5, 5),
        "strangers": (16, 16, 16),
    }


@pytest.mark.skipif(not CAMPAIGN.exists(), reason="the benchmarks are only in the repository")
def test_one_part_is_run_alone_as_often_as_asked() -> None:
    words = [
        sys.executable,
        str(CAMPAIGN),
        "--short",
        "--only",
        "corruptions",
        "--corruptions",
        "1",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.findall(r"^in all +(\w+) +(\d+)", done.stdout, re.MULTILINE) == [("corruptions", "1")]
