"""Kills of `vitlab mcp` and of an open screen: `python benchmarks/agent_kills.py [--kills 30]`.

The server, driven by the official client, is killed with SIGKILL at a drawn moment while it
launches and proposes; the screen, in a real terminal, while it accepts. After each kill a new
server, the command line and the documents are asked what became of it: what was answered is there,
nothing is there twice, no job has run twice, the tray is whole, and the account is right by what
the jobs themselves left. Each kill is drawn from the seed: `--seed N --only server/7` does
it again.

Exit status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import shutil
import signal
import struct
import sys
import tempfile
import termios
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from typing import Any

import anyio
import pyte
from campaign_lab import Commands, faults, wait_for
from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client

from vitlab.lab.lab import open_lab
from vitlab.lab.writeback.edits import undo

PLAN = "roadmaps/plan_roadmap.md"
ROADMAP = """\
# Plan
> **Project:** `VIT`

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | Theirs | 1 | Gate-1 | ⏳ | `VIT-20261101-theirs-01` | - |
| 2.0 | Mine | 1 | - | ⏳ | `VIT-20261101-mine-01` | - |
| 3.0 | Paper | 2 | - | ⏳ | - | - |

## Gate-1: Is it good

| If | Then |
|----|------|
| R² > 0.70 | ✅ go on |

## Conclusions

| MVP | Conclusion | Key metric |
|-----|------------|------------|
"""
SCRIPT = """\
import json, os, sys, time
folder = os.environ["VITLAB_JOB"]
with open(sys.argv[1], "a") as ledger:
    ledger.write(f"begin {folder}\\n")
values = {"val/r2/log_g": 0.5 + int(sys.argv[2]) / 1000}
event = {"v": 1, "t": time.time(), "kind": "eval", "step": 1, "of": 1, "values": values}
with open(f"{folder}/events.jsonl", "a") as file:
    file.write(json.dumps(event) + "\\n")
"""
RUNS = 160
"""Runs of each experiment: every launch has new ones."""
HOURS = 5.0
WORDS = ("paused", "cancelled", "failed", "partial", "ready")
KEYS = ("\r", "\r", "\r", "j", "d")
"""Enter accepts, d dismisses."""
FULL = 20
"""Proposals at which a person decides them all."""
SPECS = "experiments/*/[!.]*/spec.json"
PATIENCE = 60.0
"""Seconds for a server to answer."""


@dataclass
class Acknowledged:
    """What was answered, which no kill may take back."""

    runs: set[str] = field(default_factory=set)
    """Of MVP 1.0, launched by the assistant."""
    proposals: dict[int, tuple[str, ...]] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    """Runs whose launch was asked for and not answered."""
    accepted: int = 0
    """Proposals that were accepted on a screen before it was killed."""


@dataclass
class Lab:
    """A lab of two sweeps: of one the assistant launches runs, of the other a person does."""

    root: Path
    run: Commands
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    used: dict[str, int] = field(default_factory=lambda: {"1.0": 0, "2.0": 0})
    last: str = "the beginning"
    """The last kill, as `--only` has it."""
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """What is wrong after which kill."""

    def fresh(self, mvp: str, count: int = 1) -> list[str]:
        """Names of runs that nobody has launched."""
        first = self.used[mvp]
        self.used[mvp] += count
        return [f"r{number}" for number in range(first, first + count)]

    def command(self, *words: str, statuses: tuple[int, ...] = (0,)) -> str:
        answer = self.run(self.root, *words)
        self.tell(*faults(answer, statuses))
        return answer.text

    def waiting(self) -> list[dict[str, Any]]:
        """The proposals that nobody has decided."""
        found: list[dict[str, Any]] = self.run(self.root, "tray", "--json").json() or []
        return found

    def text(self) -> str:
        return (self.root / PLAN).read_text()

    def tell(self, *words: str) -> None:
        """Note what is wrong, each once."""
        told = self.wrong.setdefault(self.last, [])
        for one in words:
            if one not in told:
                told.append(one)
                print(f"FAILED after {self.last}: {one[:600]}", flush=True)


def make_lab(run: Commands, root: Path) -> Lab:
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    (root / PLAN).write_text(ROADMAP)
    script = root / "job.py"
    script.write_text(SCRIPT)
    for mvp in ("1.0", "2.0"):
        config = {"argv": [sys.executable, "-I", "-S", str(script), str(run.ledger), "{k}"]}
        runs = [{"name": f"r{k}", "set": {"k": k}} for k in range(RUNS)]
        experiment: dict[str, Any] = {
            "mvp": mvp,
            "roadmap": PLAN,
            "recipe": "command",
            "config": config,
        }
        experiment |= {"headline": "val/r2/log_g", "runs": runs, "profiles": {"full": {}}}
        (root / f"experiments/mvp_{mvp[0]}.yaml").write_text(json.dumps(experiment))
    os.environ["XDG_STATE_HOME"] = run.env["XDG_STATE_HOME"] = str(run.home / "state")
    settings = {"profile": "full", "cpu_slots": 4, "grace": 1, "write_results": "ask"}
    (root / "vitlab.yaml").write_text(json.dumps(settings))
    return Lab(root, run)


# The assistant.

Ask = Callable[..., Any]


@asynccontextmanager
async def server(lab: Lab, *words: str) -> AsyncIterator[tuple[Ask, int]]:
    """A server, as (what calls a tool, its pid); a refusal is None, and has to be one line."""
    pid = lab.run.folder / "pid"
    command = 'echo $$ > "$1"; shift; exec "$@"'
    argv = ["-c", command, "sh", str(pid), sys.executable, "-m", "vitlab", "mcp", *words]
    parameters = StdioServerParameters(command="/bin/sh", args=argv, cwd=lab.root, env=lab.run.env)
    with (lab.run.folder / "server-stderr").open("a") as said:
        async with stdio_client(parameters, said) as pipes, ClientSession(*pipes) as session:
            with anyio.fail_after(PATIENCE):
                await session.initialize()

            async def ask(name: str, **arguments: object) -> Any:
                with anyio.fail_after(PATIENCE):
                    result = await session.call_tool(name, arguments)
                text = "".join(getattr(one, "text", "") for one in result.content)
                if not result.is_error:
                    return json.loads(text)
                if len(text) > 400 or not text.isprintable() or "bug in vitlab" in text:
                    lab.tell(f"{name}: refused in these words: {text[:300]!r}")
                return None

            yield ask, int(pid.read_text())


async def work(lab: Lab, ask: Ask, draw: random.Random) -> None:
    """What an assistant does: two lanes at once, in drawn order."""

    async def launch() -> None:
        runs = lab.fresh("1.0", draw.randint(1, 3))
        lab.acknowledged.asked.append(runs)
        if await ask("launch", mvp="1.0", runs=runs, reason="these are next") is not None:
            lab.acknowledged.runs |= {*runs}
        lab.acknowledged.asked.remove(runs)

    async def propose(tool: str, *named: str, **more: object) -> None:
        answer = await ask(tool, reason="it is time", **more)
        if answer is not None:
            lab.acknowledged.proposals[answer["proposal"]] = (tool.removeprefix("propose_"), *named)

    async def propose_launch() -> None:
        (run,) = lab.fresh("2.0")
        await propose("propose_launch", run, mvp="2.0", runs=[run])

    async def propose_others() -> None:
        await propose("propose_status", mvp="3.0", status=draw.choice(WORDS))
        await propose("propose_results", mvp="1.0")

    async def launch_and_wait() -> None:
        await launch()
        await ask("wait", names=["1.0"], timeout=1)
        await launch()

    lanes = [[launch_and_wait], [propose_launch, propose_others, propose_launch]]
    for lane in lanes:
        draw.shuffle(lane)
    async with anyio.create_task_group() as tasks:
        for lane in lanes:
            tasks.start_soon(_one_after_the_other, lane)


async def _one_after_the_other(lane: list[Callable[[], Any]]) -> None:
    for one in lane:
        await one()


async def killed_server(lab: Lab, draw: random.Random, longest: float) -> None:
    """Look with a new server at what the last kill left, and kill this one as it works."""
    async with server(lab, "--role", "act", "--budget", f"{HOURS}h") as (ask, pid):
        await check(lab, ask)
        moment = draw.random() * longest
        with suppress(MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await _until_killed(lab, ask, draw, pid, moment)


async def _until_killed(lab: Lab, ask: Ask, draw: random.Random, pid: int, moment: float) -> None:
    """Work until the server is killed."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_kill, pid, moment)
            await work(lab, ask, draw)
    except* (MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        os.kill(pid, signal.SIGKILL)


async def _kill(pid: int, moment: float) -> None:
    await anyio.sleep(moment)
    os.kill(pid, signal.SIGKILL)


# What is right after a kill.


async def check(lab: Lab, ask: Ask, hours: float = HOURS) -> None:
    """Hold what a new server says against what was answered, and what the jobs left."""
    listed = [one async for one in pages(ask, "tray")]
    numbers = sorted(one["number"] for one in listed)
    if numbers != [*range(1, len(numbers) + 1)]:
        lab.tell(f"the tray has the numbers {numbers}")
    known = {one["number"]: one for one in listed}
    for number, (kind, *runs) in lab.acknowledged.proposals.items():
        one = known.get(number, {})
        if (one.get("kind"), one.get("runs", [])) != (kind, runs):
            lab.tell(f"proposal {number} was answered as {kind} {runs}, and is {one}")
    meanings = Counter(
        json.dumps({k: v for k, v in one.items() if k not in ("number", "at", "reason")})
        for one in listed
        if one["state"] == "open" and one["kind"] != "results"
    )
    if twice := [one for one, count in meanings.items() if count > 1]:
        lab.tell(f"proposed twice: {twice}")
    if sum(one["state"] == "open" for one in listed) > FULL:
        await anyio.to_thread.run_sync(accept_the_rest, lab)
    await ask_again(lab, ask)
    rows = await settled(lab, ask)
    following = await ask("next")
    check_jobs(lab, rows, following["budget"], hours)


async def ask_again(lab: Lab, ask: Ask) -> None:
    """Launch once more what was not answered: it is there, or is now, whole after two calls."""
    while lab.acknowledged.asked:
        runs = lab.acknowledged.asked.pop()
        there = {row["run"] for row in await settled(lab, ask) if row["mvp"] == "1.0"}
        missing = [run for run in runs if run not in there]
        done = await ask("launch", mvp="1.0", runs=runs, reason="again") is not None
        if done != (missing == runs):
            lab.tell(f"of {runs} {missing} were missing, and a launch of all did {done}")
        if (
            not done
            and missing
            and await ask("launch", mvp="1.0", runs=missing, reason="x") is None
        ):
            lab.tell(f"{missing} cannot be launched any more")
        lab.acknowledged.runs |= {*runs}


async def pages(ask: Ask, name: str) -> AsyncIterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        answer = await ask(name, **cursor)
        for one in answer["data"]:
            yield one
        if "cursor" not in answer:
            return
        cursor = {"cursor": answer["cursor"]}


async def settled(lab: Lab, ask: Ask) -> list[dict[str, Any]]:
    """Every job once all have ended; the first look starts what waits, as every look does."""

    def ended() -> bool:
        return all((spec.parent / "exit.json").exists() for spec in lab.root.glob(SPECS))

    await ask("jobs")
    if not await anyio.to_thread.run_sync(wait_for, ended, 30):
        lab.tell("jobs have not ended")
    return [one async for one in pages(ask, "jobs")]


def check_jobs(
    lab: Lab, rows: list[dict[str, Any]], budget: dict[str, float], hours: float
) -> None:
    """No run lost or twice, each begun once, and the account as the jobs' own times."""
    runs = Counter((row["mvp"], row["run"]) for row in rows)
    if twice := [one for one, count in runs.items() if count > 1]:
        lab.tell(f"launched twice: {twice}")
    if lost := lab.acknowledged.runs - {run for mvp, run in runs if mvp == "1.0"}:
        lab.tell(f"answered as launched, and not there: {sorted(lost)}")
    folders = {row["job"]: lab.root / "experiments" / row["job"] for row in rows}
    begun = Counter(words[1] for words in lab.run.told())
    if odd := {
        job: begun[str(folder)] for job, folder in folders.items() if begun[str(folder)] != 1
    }:
        lab.tell(f"jobs that began not once: {odd}")
    if bad := [row["job"] for row in rows if row["outcome"] != "ok"]:
        lab.tell(f"jobs that did not end well: {bad}")
    spent = sum(_hours(folders[row["job"]]) for row in rows if row["mvp"] == "1.0")
    told, left = budget["spent_hours"], budget["left_hours"]
    if abs(told - spent) > 1e-4 or abs(left - max(0.0, hours - spent)) > 1e-4:
        lab.tell(f"the account says {told} h spent and {left} h left; the jobs took {spent:.5f} h")


def _hours(job: Path) -> float:
    record = json.loads((job / "exit.json").read_text())
    return float(record["ended"] - record["started"]) / 3600


# The person.


class Terminal:
    """`vitlab` in a terminal of its own."""

    def __init__(self, lab: Lab, width: int = 160, height: int = 45) -> None:
        self.pid, self._end = pty.fork()
        if not self.pid:
            os.chdir(lab.root)
            env = {**lab.run.env, "TERM": "xterm-256color"}
            os.execve(sys.executable, [sys.executable, "-m", "vitlab"], env)
        ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):
            while block := os.read(self._end, 1 << 16):
                self._stream.feed(block)

    def shows(self, words: str) -> bool:
        return words in "\n".join(self._screen.display)

    def press(self, keys: str) -> None:
        with suppress(OSError):
            os.write(self._end, keys.encode())

    def kill(self) -> None:
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._end)


async def killed_screen(lab: Lab, draw: random.Random) -> None:
    """Accept proposals on a screen, which is killed at a drawn moment; then the rest, in words."""
    async with server(lab, "--role", "act", "--budget", f"{HOURS}h") as (ask, _):
        await check(lab, ask)
        await anyio.to_thread.run_sync(accept_the_rest, lab)
        (run,) = lab.fresh("1.0")  # something new to conclude
        await ask("launch", mvp="1.0", runs=[run], reason="next")
        lab.acknowledged.runs.add(run)
        await ask("wait", names=["1.0"], timeout=30)
        for _ in range(2):
            (run,) = lab.fresh("2.0")
            await ask("propose_launch", mvp="2.0", runs=[run], reason="next")
        await ask("propose_status", mvp="3.0", status=draw.choice(WORDS), reason="so it is")
        await ask("propose_results", mvp="1.0", reason="it has run")
        before = len(lab.waiting())
        terminal = Terminal(lab)
        try:
            await anyio.to_thread.run_sync(_accept, lab, terminal, draw)
        finally:
            terminal.kill()
        lab.acknowledged.accepted += before - len(lab.waiting())
        await anyio.to_thread.run_sync(accept_the_rest, lab)
        listed = [one async for one in pages(ask, "tray")]
        check_documents(lab, listed, await settled(lab, ask))


def _accept(lab: Lab, terminal: Terminal, draw: random.Random) -> None:
    if not wait_for(lambda: terminal.shows("Theirs"), 30):
        lab.tell("the screen shows no plan")
    terminal.press("8")
    if not wait_for(lambda: terminal.shows("proposed, "), 30):
        lab.tell("the screen shows no proposals")
    end = time.monotonic() + draw.random() * 2.0
    while (left := end - time.monotonic()) > 0:
        terminal.press(draw.choice(KEYS))
        time.sleep(min(left, 0.25))


def accept_the_rest(lab: Lab) -> None:
    """By the command line; what is void by now is refused in a line and dismissed."""
    for one in lab.waiting():
        number = str(one["number"])
        answer = lab.run(lab.root, "tray", "accept", number, "--yes", "--because", "I say so")
        lab.tell(*faults(answer, (0, 2)))
        if answer.status:
            lab.command("tray", "dismiss", number)


def check_documents(lab: Lab, listed: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """Every accepted proposal is done, once."""
    runs = Counter(row["run"] for row in rows if row["mvp"] == "2.0")
    for one in listed:
        if one["kind"] == "launch" and one["state"] == "accepted":
            (run,) = one["runs"]
            if runs[run] != 1:
                lab.tell(f"proposal {one['number']} launched {run} {runs[run]} times")
    if (count := lab.text().count("| MVP-1.0 |")) > 1:
        lab.tell(f"{count} rows of conclusions of one MVP")


# The campaign.


def kills(lab: Lab, seed: int, which: list[str], longest: float = 0.0) -> None:
    """Do these, each drawn for itself; what is wrong is told and kept in `lab.wrong`.

    `longest`: seconds within which a server is killed; 0: as long as its work takes.
    """
    longest = anyio.run(begin, lab, random.Random(seed), longest)
    for one in which:
        draw = random.Random(f"{seed}/{one}")
        if one.startswith("server"):
            anyio.run(killed_server, lab, draw, longest)
        else:
            anyio.run(killed_screen, lab, draw)
        lab.last = one
    anyio.run(end, lab)


async def begin(lab: Lab, draw: random.Random, longest: float) -> float:
    """Launch the run by which others are estimated, and time an assistant's work."""
    async with server(lab, "--role", "act", "--budget", f"{HOURS}h") as (ask, pid):
        runs = lab.fresh("1.0")
        await ask("launch", mvp="1.0", runs=runs, reason="the first")
        lab.acknowledged.runs |= {*runs}
        await ask("wait", names=["1.0"], timeout=30)
        if longest:
            os.kill(pid, signal.SIGKILL)
            return longest
        began = time.monotonic()
        await work(lab, ask, draw)
    longest = time.monotonic() - began
    print(f"an assistant's work takes {longest:.1f} s", flush=True)
    return longest


async def end(lab: Lab) -> None:
    """A last look, a spent budget, and all that was written taken out again."""
    spent = 1e-5  # hours
    async with server(lab, "--role", "act", "--budget", f"{HOURS}h") as (ask, _):
        await ask_again(lab, ask)  # what the last kill cut off, while there is a budget
    async with server(lab, "--role", "act", "--budget", str(spent)) as (ask, _):
        await check(lab, ask, spent)
        refused = await ask("launch", mvp="1.0", runs=lab.fresh("1.0"), reason="more")
        if refused is not None:
            lab.tell("launched beyond the budget")
    mine = open_lab(lab.root)
    while undo(mine).changes:
        pass
    if lab.text() != ROADMAP:
        lab.tell("after undoing all, the roadmap is not what it was")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=30, help="of the server")
    parser.add_argument("--screens", type=int, default=30, help="kills of the screen")
    parser.add_argument("--only", help="one of them: server/7")
    parser.add_argument("--short", action="store_true", help="three of the server, below 8 s")
    arguments = parser.parse_args()
    if arguments.short:  # and that of the first server
        arguments.kills, arguments.screens = 2, 0
    print(f"seed {arguments.seed}", flush=True)
    which = [f"server/{number}" for number in range(arguments.kills)]
    which += [f"screen/{number}" for number in range(arguments.screens)]
    folder = Path(tempfile.mkdtemp(prefix="agent-kills-"))
    run = Commands(folder / "me")
    lab = make_lab(run, folder / "lab")
    began = time.monotonic()
    try:
        chosen = [arguments.only] if arguments.only else which
        kills(lab, arguments.seed, chosen, 2.0 if arguments.short else 0.0)
        jobs, answered = len([*lab.root.glob(SPECS)]), lab.acknowledged
    finally:
        run.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'kill -9 of':14}{'tried':>7}{'whole':>7}")
    for part in ("server", "screen"):
        tried = [one for one in which if one.startswith(part)]
        print(f"{part:14}{len(tried):7}{sum(not lab.wrong.get(one) for one in tried):7}")
    seconds = time.monotonic() - began
    proposals = f"{len(answered.proposals)} proposals answered, {answered.accepted} accepted"
    print(f"{jobs} jobs, {proposals} on screens; {seconds:.0f} s")
    return int(any(lab.wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
