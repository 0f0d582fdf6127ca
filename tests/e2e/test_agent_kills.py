"""`benchmarks/agent_kills.py` in short: the server killed at two random moments and a fixed one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parents[2] / "benchmarks" / "agent_kills.py"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.mark.skipif(not CAMPAIGN.exists(), reason="the benchmarks are only in the repository")
def test_a_killed_server_loses_nothing_and_does_nothing_twice() -> None:
    words = [sys.executable, str(CAMPAIGN), "--short", "--seed", "27"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "server              2      2" in done.stdout
