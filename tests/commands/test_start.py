"""`vitlab init`: what it makes, and what it leaves alone."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from vitlab.cli import COMMANDS, main


def test_git_is_told_what_it_need_not_keep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert f"made {tmp_path / '.gitignore'}\n" in capsys.readouterr().out
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    job = tmp_path / "experiments" / "VIT-20260101-a-01" / "job"
    job.mkdir(parents=True)
    (job / "log.txt").write_text("")
    listed = ["git", "status", "--short", "--untracked-files=all"]
    seen = subprocess.run(listed, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "experiments/vit_1m.yaml" in seen
    assert "VIT-20260101" not in seen
    assert ".vitlab/" not in seen


def test_a_checkout_that_is_used_gives_a_fresh_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = tmp_path / "checkout"
    assert main(["init", str(used)]) == 0
    monkeypatch.setattr("vitlab.lab.example.example_lab", lambda: used)
    plan = used / "roadmaps/vit_roadmap.md"
    fresh = plan.read_text(encoding="utf-8")
    plan.write_text(fresh + "\nused, not committed\n", encoding="utf-8")
    assert main(["init", str(tmp_path / "outside-git")]) == 0
    copy = "roadmaps/vit_roadmap.md"
    assert "used" in (tmp_path / "outside-git" / copy).read_text(encoding="utf-8")
    plan.write_text(fresh, encoding="utf-8")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *author, *words], cwd=used, check=True)
    for name in (copy, "roadmaps/exp_vit_1m_20261129.md", "experiments/mine.yaml"):
        with (used / name).open("a", encoding="utf-8") as file:
            file.write("\nused\n")
    made = tmp_path / "made"
    assert main(["init", str(made)]) == 0
    assert (made / copy).read_text(encoding="utf-8") == fresh
    assert sorted(one.name for one in (made / "roadmaps").iterdir()) == [
        "vit_hub.md",
        "vit_roadmap.md",
    ]
    assert not (made / "experiments/mine.yaml").exists()


def test_a_gitignore_of_ones_own_stays(tmp_path: Path) -> None:
    mine = tmp_path / ".gitignore"
    mine.write_text("*.pt\n")
    assert main(["init", str(tmp_path)]) == 0
    assert mine.read_text() == "*.pt\n"


@pytest.mark.parametrize("words", [["init"], ["init", "--agents"]])
def test_nothing_is_made_where_a_file_is_in_the_way_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/skills").write_text("mine")
    assert main([*words, str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"vitlab: {tmp_path}/.claude/skills: is no folder\n"
    assert [one.name for one in tmp_path.iterdir()] == [".claude"]


@pytest.mark.parametrize("name", [".vitlab", "roadmaps", "experiments"])
def test_nothing_is_made_through_a_link_that_lies_in_the_folder(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    (tmp_path / "outside").mkdir()
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / name).symlink_to(tmp_path / "outside")
    monkeypatch.chdir(lab)
    commands = [["init", str(lab)]]
    if name != "experiments":  # of which a plan has none
        commands += [["new", "plan", "topic"]]
    for words in commands:
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert "link out of" in error or "outside the lab" in error, error
    assert {one.name for one in lab.iterdir()} <= {name, ".vitlab"}
    assert not [*(tmp_path / "outside").iterdir()]


def test_assistants_are_told_what_they_may_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    page, skill = tmp_path / "AGENTS.md", tmp_path / ".claude/skills/vitlab/SKILL.md"
    assert f"made {page}\n" in out
    assert f"made {skill}\n" in out
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60  # a page
    assert skill.read_text(encoding="utf-8").startswith("---\nname: vitlab\ndescription: ")
    assert skill.read_text(encoding="utf-8").endswith(text)
    for line in re.findall(r"`vitlab ([^`]+)`", text):
        for word, meant in (("WORD", "done"), ("TEXT", "x"), (" N", " 2"), ("MVP", "1.0")):
            line = line.replace(word, meant)
        name, *words = shlex.split(line)
        options = import_module(f"vitlab.commands.{COMMANDS[name][0]}").OPTIONS
        if not words or f"{name} {words[0]}" in options:
            continue  # one of several verbs, with what it needs told by `--help`
        parser = argparse.ArgumentParser(exit_on_error=False)
        options[name](parser)
        parser.parse_args(words)
    named = set(re.findall(r"`vitlab (\w+)", text))
    assert named <= set(COMMANDS)
    assert {"status", "run", "wait", "sync", "set", "gates", "why", "lint"} <= named


def test_the_page_for_assistants_goes_into_a_lab_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vitlab.yaml").touch()
    mine = tmp_path / "AGENTS.md"
    mine.write_text("mine\n")
    assert main(["init", str(tmp_path)]) == 2  # the example goes nowhere near it
    assert not (tmp_path / ".claude").exists()
    assert main(["init", "--agents", str(tmp_path)]) == 0
    assert mine.read_text() == "mine\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == [".claude", "AGENTS.md", "vitlab.yaml"]
    assert main(["init", "--agents", str(tmp_path)]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert main(["init", "--agents", str(tmp_path / "gone")]) == 2


def test_the_page_for_assistants_goes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / ".claude").symlink_to(tmp_path / "outside")
    assert main(["init", str(lab)]) == 2
    assert [one.name for one in lab.iterdir()] == [".claude"]
    assert not any((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("number", ["0", "-1", "101", "9" * 30])
def test_seeds_of_a_launch_have_bounds(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["run", "1.0", "--profile", "smoke", "--seeds", number]) == 2
    assert f"--seeds {number}: must be from 1 to 100\n" in capsys.readouterr().err
    assert not [*tmp_path.glob("experiments/*/*/spec.json")]
