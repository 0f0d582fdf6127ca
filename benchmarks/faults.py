"""Injects faults into a lab of real jobs: `python benchmarks/faults.py [--faults 200] [--seed 1]`.

After each fault no job may be lost, none may run twice, no state may be untrue for 2 s, and no
process may be left. Prints the seed, a count for each kind, and how long a state was untrue.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.jobs.campaign import Campaign
from tests.jobs.faults import FAULTS, fake_clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        disk = 64 * 2**20 if os.getuid() == 0 else 0
        campaign = Campaign(Path(folder) / "lab", arguments.seed, disk=disk)
        kinds = [
            kind
            for kind in FAULTS
            if not (kind == "disk full" and not disk)
            and not (kind == "clock jumps" and fake_clock() is None)
        ]
        while (done := campaign.counts.total()) < arguments.faults:
            missing = [kind for kind in kinds if not campaign.counts[kind]]
            fault = campaign.random.choice(missing or kinds)
            print(f"{done + 1:4d} {fault}", flush=True)
            campaign.run(fault, FAULTS[fault])
        runs = len((campaign.ledger / "begun").read_text().split())
        campaign.close()
    for kind, count in sorted(campaign.counts.items()):
        print(f"{count:4d} x {kind}")
    print(
        f"{campaign.counts.total()} faults, {len(campaign.submitted)} jobs, {runs} runs: "
        f"none lost, none twice, no process left; a state was untrue for at most "
        f"{campaign.lag:.2f} s; {time.monotonic() - began:.0f} s in all"
    )


if __name__ == "__main__":
    main()
