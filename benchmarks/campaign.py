"""A campaign against labs: `python benchmarks/campaign.py [--short] [--seed N]`.

Corruptions of every file, kills at random times, strangers' labs and odd surroundings. It is
written from the documents alone, apart from the code that it attacks. Everything is drawn from the
seed, and each single thing can be done again by `--seed N --only 'corruptions/123'`. Labs are made
in a temporary folder, with a home of their own.

It ends with a table: how many of each kind were tried, survived (no crash, hang, memory, nothing
started, nothing written outside) and told rightly (the other jobs' rows as before, the bad one
named, every number one that was printed). Exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from campaign_corruptions import corruptions
from campaign_kills import kills
from campaign_lab import Commands
from campaign_strangers import strangers
from campaign_surroundings import surroundings


@dataclass
class Row:
    """One kind of the table."""

    tried: int = 0
    survived: int = 0
    told: int = 0


@dataclass
class Table:
    """What was tried, and what failed of it."""

    seed: int
    rows: dict[tuple[str, str], Row] = field(default_factory=lambda: defaultdict(Row))
    failures: int = 0
    runs: list[Commands] = field(default_factory=list)

    def commands(self, folder: Path) -> Commands:
        self.runs.append(Commands(folder / "me"))
        return self.runs[-1]

    def enter(
        self, part: str, kind: str, which: str, area: str, crashes: list[str], lies: list[str]
    ) -> None:
        """Count one, and print what failed of it with how to do it again."""
        row = self.rows[part, kind]
        row.tried += 1
        row.survived += not crashes
        row.told += not crashes and not lies
        self.failures += bool(crashes or lies)
        for one in dict.fromkeys([*crashes, *lies]):
            line = f"[{area}] --seed {self.seed} --only '{part}/{which}' ({kind}): {one}"
            print(f"FAILED {printable(line)}", flush=True)

    def print(self) -> None:
        print(f"\n{'':14}{'kind':45}{'tried':>7}{'survived':>10}{'told rightly':>14}")
        total: dict[str, Row] = defaultdict(Row)
        for (part, kind), row in sorted(self.rows.items()):
            print(f"{part:14}{kind:45}{row.tried:7}{row.survived:10}{row.told:14}")
            whole = total[part]
            whole.tried += row.tried
            whole.survived += row.survived
            whole.told += row.told
        for part, row in total.items():
            print(f"{'in all':14}{part:45}{row.tried:7}{row.survived:10}{row.told:14}")


def printable(text: str) -> str:
    """One line that a terminal can show."""
    return text.encode("ascii", "backslashreplace").decode().replace("\n", " ")[:400]


def _numbers(only: str, part: str, count: int) -> list[int]:
    if only == "all":
        return list(range(count))
    name, _, number = only.partition("/")
    if name != part:
        return []
    first, _, last = number.partition("-")
    if not number:
        return list(range(count))
    return list(range(int(first), int(last or first) + 1))


def _corruptions(arguments: argparse.Namespace, table: Table, folder: Path) -> None:
    numbers = _numbers(arguments.only, "corruptions", arguments.corruptions)
    run, looks = table.commands(folder), 1 if arguments.short else 2
    for report in corruptions(run, folder, str(arguments.seed), numbers, looks):
        if arguments.verbose:
            print(report.number, report.kind, report.target, printable(report.what), flush=True)
        where = f"{report.target}: {report.what}: "
        crashes, lies = ([where + one for one in found] for found in (report.crashes, report.lies))
        table.enter("corruptions", report.kind, str(report.number), report.area, crashes, lies)


def _kills(arguments: argparse.Namespace, table: Table, folder: Path) -> None:
    numbers = _numbers(arguments.only, "kills", arguments.kills)
    for fault in kills(table.commands(folder), folder, str(arguments.seed), numbers):
        lies = [one for one in fault.found if "told as" in one or "result" in one]
        crashes = [one for one in fault.found if one not in lies]
        table.enter("kills", fault.kind, str(fault.number), "job's process", crashes, lies)


def _labs(arguments: argparse.Namespace, table: Table, folder: Path) -> None:
    part, _, name = arguments.only.partition("/")
    seed, run = str(arguments.seed), table.commands(folder)
    if part in ("all", "strangers") and arguments.labs != "none":
        chosen = name or arguments.labs
        for case, area, tried, found in strangers(run, folder, seed, not arguments.short, chosen):
            table.enter("strangers", case, case, f"{area}, {tried} commands", found, [])
    if part in ("all", "surroundings") and not arguments.short:
        for case, tried, found in surroundings(run, folder / "own", seed, name or "all"):
            if tried:
                table.enter("surroundings", case, case, "surroundings", found, [])
            else:
                print(f"surroundings: {case} cannot be had here")


def campaign(arguments: argparse.Namespace, table: Table, folder: Path) -> None:
    """All parts; the short one runs three at once, as they mostly wait for processes."""
    parts = (_corruptions, _kills, _labs)
    for part in parts:
        (folder / part.__name__).mkdir()
    with ThreadPoolExecutor(3 if arguments.short else 1) as pool:
        running = [pool.submit(part, arguments, table, folder / part.__name__) for part in parts]
        for one in running:
            one.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--corruptions",
        type=int,
        help="how many (1500; short: 60, without an autopilot and proposals)",
    )
    parser.add_argument("--kills", type=int, help="how many (200; short: 5)")
    parser.add_argument("--labs", default="all", help="a stranger's lab by its name, or none")
    parser.add_argument(
        "--only",
        default="all",
        help="one part, or what to do again: kills, corruptions/3, kills/7-9",
    )
    parser.add_argument("--verbose", action="store_true", help="name each corruption")
    parser.add_argument("--short", action="store_true", help="a few of each, below 20 s")
    arguments = parser.parse_args()
    if arguments.corruptions is None:
        arguments.corruptions = 60 if arguments.short else 1500
    if arguments.kills is None:
        arguments.kills = 5 if arguments.short else 200
    print(f"seed {arguments.seed}", flush=True)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    table = Table(arguments.seed)
    try:
        campaign(arguments, table, folder)
    finally:
        for run in table.runs:
            run.close()
        shutil.rmtree(folder, ignore_errors=True)
    table.print()
    forks, own = (sum(run.counts[way] for run in table.runs) for way in ("fork", "process"))
    print(
        f"{table.failures} failed; {forks} commands in forks of a process, {own} in processes of "
        f"their own; {time.monotonic() - began:.0f} s"
    )
    return 1 if table.failures else 0


if __name__ == "__main__":
    sys.exit(main())
