"""Commands for a newcomer: a lab to start from, the whole loop once, completion in a shell."""

from __future__ import annotations

import argparse
from pathlib import Path

from argcomplete.shell_integration import shellcode

from vitlab.commands.charts import draw_jobs
from vitlab.commands.common import Options, judge_gates, number, print_table, this_lab
from vitlab.commands.jobs import follow
from vitlab.contract.job import PROFILES, Result, bare_id, read_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.terminal import print_drawn, print_exact
from vitlab.contract.value import Value
from vitlab.docs.model.roadmap import launch_order, passed_over
from vitlab.docs.text.edit import unified
from vitlab.lab.example import agent_files, make_agent_files, make_example, make_gitignore
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Request, default_profile, launch, plan_launch
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.writeback import pending

_COMPLETION = """\
Print the script with which a shell completes commands, options, MVPs and jobs.
bash, zsh: eval "$(vitlab completion bash)" in ~/.bashrc or ~/.zshrc
fish: vitlab completion fish > ~/.config/fish/completions/vitlab.fish
"""


def _init_options(init: argparse.ArgumentParser) -> None:
    init.add_argument("folder", nargs="?", default=".", metavar="FOLDER")
    init.add_argument(
        "--agents", action="store_true", help="only what assistants read, in a lab of your own"
    )
    init.set_defaults(handler=make_lab)


def _demo_options(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--profile", choices=PROFILES, help="default: demo, or the nearest below")
    demo.add_argument("--mvp", action="append", metavar="ID", help="default: the next two")
    demo.add_argument("--roadmap", metavar="FILE", help="default: the lab's first")
    demo.add_argument("--dry-run", action="store_true", help="do not write the results")
    demo.set_defaults(handler=run_demo)


def _completion_options(completion: argparse.ArgumentParser) -> None:
    completion.formatter_class = argparse.RawDescriptionHelpFormatter
    completion.description = _COMPLETION
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    completion.set_defaults(handler=print_completion)


def print_completion(args: argparse.Namespace) -> int:
    """`vitlab completion`: what makes a shell ask `vitlab.completion` at a press of Tab."""
    print(shellcode(["vitlab"], shell=args.shell), end="")
    return 0


def make_lab(args: argparse.Namespace) -> int:
    """`vitlab init`: copy the example lab; nothing that exists is overwritten."""
    folder = Path(args.folder)
    for_agents = agent_files(folder)
    if args.agents:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder")
        for made in make_agent_files(for_agents):
            print(f"made {made}")
        if not for_agents:
            print("AGENTS.md and the skill are there already; nothing was written")
        return 0
    for copy in [*make_example(folder), *make_gitignore(folder), *make_agent_files(for_agents)]:
        print(f"made {copy}")
    print("open it with `vitlab`, or run its first experiments with `vitlab demo --profile smoke`")
    return 0


def run_demo(args: argparse.Namespace) -> int:
    """`vitlab demo`: launch, follow, chart, verdicts, diff, write-back; 1 if a job fails."""
    lab = this_lab()
    mvps = [bare_id(mvp) or mvp for mvp in args.mvp or ()]
    named = lab.roadmap_with(mvps[0], args.roadmap) if mvps else args.roadmap
    roadmap = lab.roadmap_path(named)
    mvps = mvps or _next_two(lab, roadmap)
    profiles = [args.profile or default_profile(lab, roadmap, mvp, "demo") for mvp in mvps]
    jobs: list[JobPaths] = []
    for mvp, profile in zip(mvps, profiles, strict=True):
        jobs += launch(lab, plan_launch(lab, Request(roadmap, mvp, profile))).jobs
    at = ", ".join(dict.fromkeys(profiles))
    print(f"{lab.paths.relative(roadmap)}: MVP {', '.join(mvps)} at profile {at}")
    failed = follow(lab, jobs)

    picture = draw_jobs(lab, [job.folder for job in jobs])
    if picture:
        print_drawn(f"\n{picture}")
    _print_scores(jobs)
    _print_verdicts(lab, roadmap)
    for mvp in mvps:
        plan = pending(lab, roadmap, mvp)
        for change in plan.changes:
            print()
            name = lab.paths.relative(change.path)
            print_exact(unified(change.old_text, change.new_text, name))
        if plan.changes and not args.dry_run:
            accept(lab, plan)
    if not args.dry_run:
        print("\nwritten; `vitlab undo` reverses the last write, `vitlab status` shows the plan")
    return 1 if failed else 0


def _next_two(lab: Lab, roadmap: Path) -> list[str]:
    """The two MVPs to launch next: by the week's priorities, then in order."""
    plan = lab.read_roadmap(roadmap)
    ready = launch_order(plan)
    if not ready:
        held = "".join(f"; {one.id} is skipped ({one.why})" for one in passed_over(plan))
        raise UsageError(f"{roadmap}: no MVP is ready to run{held}; name one with --mvp")
    return [one.id for one in ready[:2]]


def _print_scores(jobs: list[JobPaths]) -> None:
    results = [result for job in jobs if (result := read_result(job.result))]
    results.sort(key=lambda r: Value.parse(r.headline).rank(r.values.get(r.headline)))
    rows = [
        (
            result.model_name,
            _score(result),
            number(result.errors.get(result.headline)),
            result.n.get("train"),
            result.n.get("test"),
            f"{result.seconds:.0f}",
        )
        for result in results
    ]
    if rows:
        print()
        print_table(("MODEL", "SCORE", "ERROR", "N_TRAIN", "N_TEST", "SECONDS"), rows)


def _score(result: Result) -> str:
    """`0.713`, `0.370 σ`, of another split than the test `0.713 (val)`."""
    value = Value.parse(result.headline)
    split = f" ({value.split})" if value.split not in ("", "test") else ""
    return number(result.values.get(result.headline)) + value.mark + split


def _print_verdicts(lab: Lab, roadmap: Path) -> None:
    _, verdicts = judge_gates(lab, roadmap)
    if verdicts:
        print()
        print_table(("GATE", "VERDICT", "BECAUSE"), [(v.id, v.shown, v.because) for v in verdicts])


OPTIONS: Options = {
    "init": _init_options,
    "demo": _demo_options,
    "completion": _completion_options,
}
