"""The example plan for real, unattended: `python benchmarks/example_plan.py [--auto] [--mvps 8]`.

Every experiment of `vitlab init` at profile `smoke` (38 jobs, about 20 minutes on two cores), by an
assistant: the official client drives `vitlab mcp --role act`, a person's side accepts at the end.
`--auto`: by `vitlab auto` alone. Then the account is held against what the jobs themselves left,
the documents against the results, and undo against the plan as it was. Exit status 1 if anything
was wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import ClientSession, StdioServerParameters, stdio_client

from vitlab.contract.paths import LabPaths
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot.budget import spent
from vitlab.lab.example import make_example

BUDGET = 2.0
"""Hours of run time."""
WAIT = 3600
"""Seconds at most for the jobs of one MVP."""
wrong: list[str] = []
Ask = Callable[..., Awaitable[Any]]


def tell(is_right: bool, what: str) -> None:
    if not is_right:
        wrong.append(what)
        print(f"FAILED {what}", flush=True)


def command(root: Path, *words: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command in the lab."""
    argv = [sys.executable, "-m", "vitlab", *words]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@asynccontextmanager
async def server(root: Path, hours: float) -> AsyncIterator[Ask]:
    """What calls a tool: its answer, or the text of a refusal."""
    words = ["-m", "vitlab", "mcp", "--role", "act", "--budget", f"{hours:.6f}"]
    parameters = StdioServerParameters(
        command=sys.executable, args=words, cwd=root, env=dict(os.environ)
    )
    async with stdio_client(parameters) as pipes, ClientSession(*pipes) as session:
        await session.initialize()

        async def ask(name: str, **arguments: object) -> Any:
            result = await session.call_tool(name, arguments)
            text = "".join(getattr(one, "text", "") for one in result.content)
            if result.is_error:
                tell(text.isprintable() and len(text) <= 400, f"{name}: refused as {text!r}")
                return text
            return json.loads(text)

        yield ask


async def one_mvp(ask: Ask) -> str:
    """Launch what is next, wait for it and propose its results; its id, empty for none."""
    following = (await ask("next"))["data"]["plans"][0]["next"]
    if following is None:
        return ""
    mvp, began = str(following["id"]), time.monotonic()
    launched = await ask("launch", mvp=mvp, reason="it is next")
    if isinstance(launched, str):
        tell(False, f"MVP-{mvp}: {launched}")
        return ""
    answer = await ask("wait", names=[mvp], since=launched["cursor"], timeout=WAIT)
    ends = [one["kind"] for one in answer["data"]["changes"] if one.get("job")]
    put = await ask("propose_results", mvp=mvp, reason="it has run as planned")
    tell("proposal" in put, f"MVP-{mvp}: {put}")
    seconds = time.monotonic() - began
    print(f"MVP-{mvp}: {len(launched['data']['jobs'])} jobs, {ends}, {seconds:.0f} s", flush=True)
    return mvp


async def by_an_assistant(root: Path, mvps: int) -> None:
    async with server(root, BUDGET) as ask:
        for _ in range(mvps - 1):
            await one_mvp(ask)
    now = spent(all_jobs(LabPaths(root))).wall_hours
    async with server(root, now + 5 / 3600) as ask:
        following = (await ask("next"))["data"]["plans"][0]["next"]
        line = await ask("launch", mvp=following["id"], reason="it is next")
        tell(str(line).startswith("over budget: about "), f"a launch over budget: {line}")
        print(f"a launch over the budget: {line}", flush=True)
    async with server(root, BUDGET) as ask:
        await one_mvp(ask)
        account = (await ask("next"))["budget"]
        numbers = [one["number"] for one in (await ask("tray"))["data"]]
    check_account(root, account["spent_hours"])
    for number in sorted(numbers):
        status, _, said = command(root, "tray", "accept", str(number), "--yes")
        tell(status == 0, f"proposal {number}: {said}")


def by_the_autopilot(root: Path) -> None:
    budget = ["--budget", f"{BUDGET:g}h", "--profile", "smoke"]
    status, said, noted = command(root, "auto", *budget, "--json")
    tell(status == 0, noted)
    report = json.loads(said)
    print(noted, report["why"], report["spent"], sep="\n")
    check_account(root, report["spent"]["job_hours"])
    jobs = all_jobs(LabPaths(root))
    ends = sum(sum(one["ends"].values()) for one in report["done"])
    tell(ends == len(jobs), f"{ends} jobs in the report, {len(jobs)} there")
    page = (root / report["page"]).read_text()
    tell(page.count("\n| MVP-") == len(report["done"]), "the page has other MVPs")
    print(page)


def check_account(root: Path, hours: float) -> None:
    """The account is the sum of what the jobs' own files say, and within the budget."""
    ends = [json.loads(path.read_bytes()) for path in root.glob("experiments/*/*/exit.json")]
    own = math.fsum(one["ended"] - one["started"] for one in ends) / 3600
    tell(abs(hours - own) <= 1e-4, f"the account has {hours:.5f} h, the jobs {own:.5f} h")
    tell(0 < hours <= BUDGET, f"{hours} h of {BUDGET} h")
    print(f"{len(ends)} jobs: the account has {hours:.5f} h, the jobs' own files {own:.5f} h")


def check_documents(root: Path, before: dict[str, bytes]) -> None:
    """No number without a result, and nothing outside the journal."""
    _, said, noted = command(root, "lint", "--json")
    findings = json.loads(said)
    tell(not findings, f"lint: {findings} {noted}")
    undone = 0
    while command(root, "undo")[0] == 0:
        undone += 1
    tell(documents(root) == before, "undo does not bring the documents back")
    print(f"lint: {len(findings)} findings; {undone} writes undone")


def documents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "roadmaps").glob("*.md")}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--auto", action="store_true", help="by `vitlab auto` alone")
    parser.add_argument("--mvps", type=int, default=8, help="of an assistant")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="example-") as folder:
        root = Path(folder)
        make_example(root)
        settings = f"profile: smoke\nwrite_results: {'auto' if args.auto else 'ask'}\n"
        (root / "vitlab.yaml").write_text(settings)
        before, began = documents(root), time.monotonic()
        if args.auto:
            by_the_autopilot(root)
        else:
            anyio.run(by_an_assistant, root, args.mvps)
        check_documents(root, before)
        print(f"{time.monotonic() - began:.0f} s in all")
    print("\n".join(["", *wrong]) if wrong else "nothing wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
