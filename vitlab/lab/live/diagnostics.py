"""What a bug report needs: versions, terminal, lab, GPUs, and nothing that tells who or where."""

from __future__ import annotations

import getpass
import os
import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vitlab.contract.job import Done, state_word
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab

PACKAGES = ("vitlab", "textual", "rich", "plotext", "polars", "markdown-it-py", "torch",
            "lightgbm", "numpy", "h5py", "matplotlib", "wandb", "nvidia-ml-py")  # fmt: skip
_VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LANG", "LC_ALL",
              "NO_COLOR", "VITLAB_ASCII", "TEXTUAL_COLOR_SYSTEM")  # fmt: skip
"""All of the environment that is told."""


@dataclass(frozen=True)
class Section:
    """Some facts of one kind."""

    title: str
    facts: tuple[tuple[str, str], ...]


def versions() -> Section:
    """Of Python and the packages, by their metadata: none is loaded."""
    facts = [("python", platform.python_version()), ("system", platform.platform(terse=True))]
    for name in PACKAGES:
        try:
            facts.append((name, version(name)))
        except PackageNotFoundError:
            facts.append((name, "not installed"))
    return Section("versions", tuple(facts))


def terminal(environment: Mapping[str, str]) -> Section:
    """What the environment says of the terminal."""
    size = shutil.get_terminal_size((0, 0))
    inside = [word for word, sign in (("tmux", "TMUX"), ("screen", "STY")) if environment.get(sign)]
    facts = [(name, environment[name]) for name in _VARIABLES if name in environment]
    return Section(
        "terminal",
        (
            *facts,
            ("size", f"{size.columns}x{size.lines}" if size.columns else "unknown"),
            # Of the stream itself: a screen has put another in its place.
            ("encoding", getattr(sys.__stdout__, "encoding", None) or "unknown"),
            ("inside", ", ".join(inside) or "neither tmux nor screen"),
            ("over ssh", "yes" if environment.get("SSH_CONNECTION") else "no"),
        ),
    )


def lab_section(lab: Lab) -> Section:
    """How big the lab is and what its jobs do; blocking."""
    jobs = all_jobs(lab.paths)
    words = Counter(
        job.state.outcome if isinstance(job.state, Done) else state_word(job.state) for job in jobs
    )
    states = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
    sizes = [_size(job.paths.folder / name) for job in jobs for name in ("out.log", "events.jsonl")]
    roadmaps = lab.roadmaps()
    lines = [path.read_bytes().count(b"\n") for path in roadmaps]
    experiments = sum(1 for _ in lab.paths.experiments.glob("*.yaml"))
    facts = [
        ("jobs", f"{len(jobs)}" + (f": {states}" if states else "")),
        ("roadmaps", f"{len(roadmaps)}" + (f", {max(lines)} lines the longest" if lines else "")),
        ("experiment files", str(experiments)),
        ("largest log", f"{max(sizes[::2], default=0) / 1e6:.1f} MB"),
        ("largest events", f"{max(sizes[1::2], default=0) / 1e6:.1f} MB"),
        ("own settings", ", ".join(_set(lab)) or "none"),
        ("git", "yes" if (lab.paths.root / ".git").exists() else "no"),
    ]
    return Section("lab", tuple(facts))


def gpu_section() -> Section:
    """The GPUs, as NVML names them; blocking."""
    from vitlab.jobs.gpus import devices

    facts = tuple(
        (one.label, f"{one.name}, {one.memory_free / 1e9:.1f} of {one.memory_total / 1e9:.1f} GB")
        for one in devices()
    )
    return Section("GPUs", facts or (("none", "no NVIDIA library, driver or GPU"),))


def notice_section(lab: Lab) -> Section | None:
    """What became of the last notices to a webhook; None without one."""
    if lab.settings.notify.webhook is None:
        return None
    from vitlab.jobs.queue.notice import last_troubles

    records = last_troubles(lab.paths)
    facts = [(str(one.get("job")), str(one.get("trouble") or "arrived")) for one in records]
    return Section("webhook", tuple(facts) or (("none", "sent yet"),))


def looks_said(seconds: Iterable[float]) -> str:
    """How long the last looks at the lab took."""
    looks = sorted(seconds)
    if not looks:
        return "none yet"
    median, slowest = 1e3 * looks[len(looks) // 2], 1e3 * looks[-1]
    return f"{len(looks)} looks: median {median:.0f} ms, slowest {slowest:.0f} ms"


def gather(lab: Lab | None, environment: Mapping[str, str]) -> list[Section]:
    """All that is known without a screen; blocking."""
    sections = [versions(), terminal(environment)]
    if lab is not None:
        sections.append(lab_section(lab))
        if (told := notice_section(lab)) is not None:
            sections.append(told)
    return [*sections, gpu_section()]


def written(sections: Iterable[Section], lab: Lab | None) -> str:
    """The sections as plain text, without names of people, folders and machines, or tokens."""
    lines = []
    for section in sections:
        width = max((len(name) for name, _ in section.facts), default=0)
        lines.append(f"[{section.title}]")
        lines += [f"{name:<{width}}  {said}".rstrip() for name, said in section.facts]
        lines.append("")
    return scrubbed("\n".join(lines), lab.paths.root if lab else None)


def as_json(sections: Iterable[Section], lab: Lab | None) -> dict[str, dict[str, str]]:
    """{section: {name: what is said}}, with the same taken out as in `written`."""
    root = lab.paths.root if lab else None
    return {
        section.title: {name: scrubbed(said, root) for name, said in section.facts}
        for section in sections
    }


def scrubbed(text: str, root: Path | None) -> str:
    """`text` with what could tell who or where taken out."""
    if root is not None:
        for path in dict.fromkeys((str(root), str(root.resolve()))):
            text = _folder(text, path, "<lab>")
    for home in dict.fromkeys((str(Path.home()), os.environ.get("HOME", ""))):
        text = _folder(text, home, "~")
    text = re.sub(r"(https?://)[^\s/@]*@", r"\1", text)
    text = re.sub(r"(https?://[^\s/?#]+)[/?#]\S*", r"\1/...", text)
    text = re.sub(r"/(home|Users)/[^/\s:'\"]+", r"/\1/<user>", text)
    for name, shown in ((_user(), "<user>"), (platform.node(), "<host>")):
        if len(name) > 1:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", shown, text)
    # What looks like a key: long, with letters and digits, not a job's or file's name of words.
    return re.sub(r"(?<![\w/.-])(?=\w*\d)(?=\w*[A-Za-z])\w{24,}(?![\w/.-])", "<token>", text)


def _folder(text: str, path: str, shown: str) -> str:
    if path in ("", "/"):
        return text
    return re.sub(rf"{re.escape(path)}(?![\w.-])", shown, text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""  # a container's user without a name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _set(lab: Lab) -> list[str]:
    """The names of the settings that are not the default; no value, as those may be secret."""
    default = type(lab.settings)()
    return [name for name, said in vars(lab.settings).items() if said != getattr(default, name)]
