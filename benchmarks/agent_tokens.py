"""What a decision costs an assistant: the tokens of the answers of `vitlab mcp`.

Usage: python benchmarks/agent_tokens.py [LAB]

Without LAB the example plan, as `vitlab init` makes it, whose first experiment is a program that
ends at once. A decision is what a loop asks for each MVP: wait, results, gates, propose, next,
preview, launch. Tokens are counted from above, by no one model's table: each begun four letters or
three digits are one, and each other character is one, a space none.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import anyio
from mcp import ClientSession, StdioServerParameters, stdio_client

from vitlab.lab.example import make_example

LIMIT = 2000
_PIECES = re.compile(r"[A-Za-z]{1,4}|\d{1,3}|[^\sA-Za-z\d]")
EXPERIMENT = """\
mvp: "1.0"
roadmap: roadmaps/vit_roadmap.md
recipe: command
headline: val/r2/log_g
config: {argv: [%s, -c, "from vitlab.events import log; log({'val/r2/log_g': 0.614}, 1)"]}
"""


def tokens(text: str) -> int:
    """An upper estimate of the tokens of an answer, or of anything else an assistant reads."""
    return len(_PIECES.findall(text))


def make_lab(folder: Path) -> None:
    """The example plan with a short first experiment."""
    make_example(folder)
    (folder / "experiments/vit_1m.yaml").write_text(EXPERIMENT % json.dumps(sys.executable))
    (folder / "vitlab.yaml").write_text("profile: full\n")


async def measure(folder: Path, mvp: str | None) -> int:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "vitlab", "mcp", "--role", "act", "--budget", "1h"],
        cwd=folder,
        env=dict(os.environ),
    )
    async with stdio_client(server) as (reads, writes), ClientSession(reads, writes) as session:
        begun = await session.initialize()
        listed = [
            tool.model_dump_json(exclude_none=True) for tool in (await session.list_tools()).tools
        ]
        once = tokens(begun.instructions or "") + sum(map(tokens, listed))
        print(f"once: instructions and {len(listed)} tools: {once} tokens")

        async def cost(name: str, arguments: Mapping[str, object]) -> int:
            result = await session.call_tool(name, dict(arguments))
            text = "".join(getattr(one, "text", "") for one in result.content)
            asked = tokens(json.dumps({"name": name, "arguments": dict(arguments)}))
            refused = " (refused)" if result.is_error else ""
            print(f"{name:16} {asked + tokens(text):5} tokens, {len(text):5} characters{refused}")
            return asked + tokens(text)

        for name in ("status", "gates", "hub", "results", "jobs", "lint", "next"):
            await cost(name, {})
        if mvp is None:
            return 0
        await cost("launch", {"mvp": mvp, "reason": "it is next"})
        print(f"a decision on MVP-{mvp}:")
        total = await cost("wait", {"names": [mvp], "timeout": 60})
        total += await cost(
            "results", {"sql": f"SELECT run, score, error FROM results WHERE mvp = '{mvp}'"}
        )
        total += await cost("gates", {})
        total += await cost("propose_results", {"mvp": mvp, "reason": "it has run as planned"})
        total += await cost("next", {})
        total += await cost("preview", {"mvp": "2.0", "profile": "smoke"})
        total += await cost("propose_launch", {"mvp": "2.0", "profile": "smoke", "reason": "next"})
    print(f"in all {total} tokens, at most {LIMIT}")
    return int(total > LIMIT)


def main() -> int:
    if len(sys.argv) > 1:
        return anyio.run(measure, Path(sys.argv[1]), None)
    with tempfile.TemporaryDirectory() as folder:
        make_lab(Path(folder))
        return anyio.run(measure, Path(folder), "1.0")


if __name__ == "__main__":
    sys.exit(main())
