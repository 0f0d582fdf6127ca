"""A lab whose every text would drive a terminal: no command prints what a terminal obeys."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import EXPERIMENT, HUB, ROADMAP, Ended
from tests.lab.test_figures import enriched
from vitlab.cli import COMMANDS
from vitlab.cli import main as vitlab
from vitlab.contract.events import EventWriter
from vitlab.contract.job import read_result, write_result
from vitlab.contract.terminal import harmless, harmless_output, print_drawn, print_exact
from vitlab.lab.lab import Lab

EVIL = "\x1b]0;x\x07\x1b[2J\x9b31m\u202e\r\x08"
CONTROLS = set("\x1b\x07\x08\x9b\u202e\r")
ROADMAP_NAME = f"roadmaps/plan{EVIL}_roadmap.md"
SET = ("set", ROADMAP_NAME, "--mvp", "2.0", "--status", "running")
COMMANDS_TRIED: tuple[tuple[str, ...], ...] = (
    ("status",), ("status", "--json"), ("jobs",), ("jobs", "--json"), ("gates",), ("lint",),
    ("lint", "--json"), ("compare",), ("compare", "--csv"), ("compare", "--markdown"),
    ("compare", "--latex"), ("compare", "--json"), ("plot",), ("plot", "--ascii"),
    ("logs", "VIT-20260102-the-run-01"), ("logs", EVIL), ("debug",), ("debug", "--json"),
    ("hub", f"roadmaps/plan{EVIL}_hub.md"), ("adopt",), ("sync", "--dry-run"),
    (*SET, "--dry-run"), ("set", ROADMAP_NAME, "--mvp", EVIL, "--status", "done"),
    ("set", ROADMAP_NAME, "--mvp", "2.0", "--status", EVIL), ("status", f"no{EVIL}.md"),
    ("status", ROADMAP_NAME, "--as", EVIL), ("run", EVIL), ("run", "1.0", "--profile", EVIL),
    ("run", "1.0", "--run", EVIL), ("resume", "VIT"), ("stop", EVIL), ("hold", EVIL),
    ("release", "VIT"), ("move", "VIT", "--first"), ("figure", "ablation"), ("figure", EVIL),
    ("spectrum",), ("scaling", "1.0"), ("evaluate", "VIT"), ("predict", "VIT", EVIL),
    ("evaluate", "VIT", "--data", EVIL), ("demo", "--mvp", EVIL), ("data", "inspect", "shards"),
    ("data", "inspect", f"a{EVIL}.csv"), ("compare", "--sql", f"select '{EVIL}' as a"),
    ("compare", "--sql", "select * from results"), ("compare", "--sql", EVIL),
    ("compare", "--sort", EVIL), ("compare", "--to", EVIL), ("new", EVIL), (EVIL,),
    ("new", "mvp", EVIL, "--dry-run"), ("serve", "--host", EVIL), ("jobs", EVIL),
    ("ceiling", "--mag", EVIL), ("init", "sub/none"), SET, ("undo",), ("redo",),
    ("sync", "--yes"), ("gates", "--open", EVIL), ("completion", EVIL), ("wait", EVIL),
    ("why", "0.5"), ("why", EVIL), ("tray",), ("tray", "accept", EVIL), ("auto",),
    ("auto", "--budget", "1h", "--dry-run"), ("auto", EVIL, "--budget", "1h"),
    ("paper", "check", ROADMAP_NAME), ("paper", "check", EVIL), ("mcp", "--role", EVIL),
    ("paper", "--out", "p", "--draft"),
)  # fmt: skip

DRAWN = ("plot", "figure")
"""Commands that print colours of their own."""
PAINTED = re.compile(r"\x1b\[(?:[12]|3[1236])m([^\x1b]*)\x1b\[0m")
"""A text in a colour of ours, in tables and diffs."""
PROGRESS = re.compile(r"\r(?:\d+ of \d+ [\w,: ]+)?\x1b\[K")
"""The line of a command that takes long, as on a busy machine, and what removes it."""
SLOW = ("spectrum", "evaluate", "predict", "data", "ceiling", "scaling")
"""Commands that load much, and print no other than the rest on a terminal."""
DIFFS = ("set", "sync")
"""Commands that print diffs, in which marks of text stay where a program reads them."""


class Screen(io.StringIO):
    """What a terminal is given."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(newline="")
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def strange_lab(lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = lab.paths.root
    named = ROADMAP.replace("The run", f"The run {EVIL[:-2]}").replace("write the paper", EVIL[:-2])
    named = named.replace("# Plan", f"# Plan {EVIL[:-2]}").replace("plan_hub", f"plan{EVIL}_hub")
    named = named.replace("| 2.0 | Another |", f"| 2.0 | Another {EVIL[:5]} |")
    (root / "roadmaps/plan_roadmap.md").rename(root / ROADMAP_NAME)
    (root / ROADMAP_NAME).write_text(named, encoding="utf-8", newline="")
    (root / "roadmaps/plan_hub.md").unlink()
    hub = HUB.replace("Made", f"Made {EVIL[:-2]}")
    (root / f"roadmaps/plan{EVIL}_hub.md").write_text(hub, encoding="utf-8", newline="")
    experiment = EXPERIMENT.replace("plan_roadmap", "planX_roadmap")
    (root / f"experiments/the{EVIL}run.yaml").write_text(experiment + f"{EVIL!r}: 1\n")
    (root / "shards").mkdir()
    (root / "shards/shard_index.txt").write_text(f"{EVIL[:-2]}.h5\n")
    (root / f"a{EVIL}.csv").write_text(f"wave{EVIL[:-2]},flux\n1,2\n")
    for run, outcome in ((f"one {EVIL}", "ok"), ("two", "ok"), ("bad", "failed")):
        job = ended(run, 0.6, outcome=outcome, model=f"ViT {EVIL}", roadmap=ROADMAP_NAME)
        job.log.write_text(f"{EVIL}\nlast {EVIL}")
        job.health.write_text(
            json.dumps({"v": 1, "t": 1, "status": "warn", "what": EVIL, "evidence": EVIL}) + "\n"
        )
        about = json.loads(job.exit.read_bytes())
        job.exit.write_text(json.dumps({**about, "detail": f"it failed {EVIL}"}))
        if outcome == "ok":
            enriched(job, 1000, 0.3)
            result = read_result(job.result)
            assert result is not None
            values = {**result.values, f"test/r2/{EVIL}": 0.5}
            write_result(job.result, replace(result, values=values, data={"source": EVIL}))
        with EventWriter(job.events) as events:
            events.write("note", text=EVIL)
            events.write("end", ok=False, error=EVIL)
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("terminal", [False, True])
def test_no_command_prints_what_a_terminal_obeys(
    strange_lab: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    for words in COMMANDS_TRIED:
        if terminal and words[0] in SLOW:
            continue
        out, err = Screen(terminal), Screen(terminal)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        try:
            status = vitlab([*words])
        except SystemExit as end:
            status = int(str(end.code))
        text = out.getvalue() + err.getvalue()
        if terminal:
            text = PROGRESS.sub("", PAINTED.sub(r"\1", text))
        if terminal and words[0] in DRAWN:
            text = re.sub(r"\x1b\[(0|1|38;2;[0-9;]+)m", "", text)
        obeyed = CONTROLS - (set("\u202e\r") if words[0] in DIFFS and not terminal else set())
        assert not obeyed & set(text), (words, text)
        assert status in (0, 1, 2), (words, text)
        assert "Traceback" not in text, (words, text)
        if status == 2:
            lines = [line for line in err.getvalue().splitlines() if line.startswith("vitlab")]
            assert lines, (words, text)
    monkeypatch.undo()


def test_every_command_is_tried() -> None:
    assert {words[0] for words in COMMANDS_TRIED} >= set(COMMANDS)


def test_a_diff_is_exact_for_a_program_and_harmless_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Marks of text such as \\ufeff and \\u200b stay for `patch`; no control character does."""
    monkeypatch.setenv("TERM", "xterm")
    text = "-a\ufeff\u200b\u202e\r\n+b\x1b[31m\x9b\r\n"
    for terminal, no_color, marks in (
        (False, "", "\ufeff\u200b\u202e"),
        (True, "1", r"\ufeff\u200b\u202e"),
        (True, "", r"\ufeff\u200b\u202e"),
    ):
        monkeypatch.setenv("NO_COLOR", no_color)
        out = Screen(terminal)
        monkeypatch.setattr(sys, "stdout", out)
        with harmless_output(), harmless_output():
            print_exact(text)
        red, green, end = (
            ("\x1b[31m", "\x1b[32m", "\x1b[0m") if terminal and not no_color else [""] * 3
        )
        shown = f"{red}-a{marks}{end}\r\n{green}+b\\u001b[31m\\u009b{end}\r\n"
        assert out.getvalue() == shown
    monkeypatch.undo()


def test_only_colours_and_the_start_of_the_line_pass_in_a_drawing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with harmless_output():
        print_drawn("\r\x1b[38;2;1;2;3mx\x1b[0m\x1b[K\x1b[2J\x07", "")
        print("\x1b[0m\r")
    assert capsys.readouterr().out == (
        "\r\x1b[38;2;1;2;3mx\x1b[0m\x1b[K\\u001b[2J\\u0007\\u001b[0m\\u000d\n"
    )


def test_what_is_written_out_is_what_json_reads() -> None:
    text = "".join(map(chr, (*range(0x500), *range(0x2000, 0x2100), 0xFEFF, 0xE0041, 0xD800)))
    for character in text:
        shown = harmless(character)
        assert shown == character or json.loads(f'"{shown}"') == character
    assert harmless("é\t\n\r\n👨‍👩‍👧 状态 می‌خواهم") == "é\t\n\r\n👨‍👩‍👧 状态 می‌خواهم"


def test_the_patch_of_a_dry_run_applies(lab: Lab, tmp_path: Path) -> None:
    """Of a document with Windows' ends of lines and zero-width marks."""
    path = lab.paths.root / "roadmaps/plan_roadmap.md"
    path.write_bytes(
        path.read_bytes().replace(b"\n", b"\r\n").replace(b"Another", "A\u200b".encode())
    )
    argv = [sys.executable, "-m", "vitlab", "set", "roadmaps/plan_roadmap.md", "--mvp", "2.0",
            "--status", "running"]  # fmt: skip
    root = lab.paths.root
    diff = subprocess.run([*argv, "--dry-run"], cwd=root, capture_output=True, check=True).stdout
    before = path.read_bytes()
    subprocess.run(argv, cwd=root, capture_output=True, check=True)
    wanted = path.read_bytes()
    path.write_bytes(before)
    subprocess.run(["patch", "-p1", "--binary"], cwd=root, input=diff, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    assert path.read_bytes() == wanted
