"""What a bug report is told: facts of the lab, and neither names nor folders nor keys."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from vitlab.cli import main
from vitlab.lab.lab import open_lab
from vitlab.lab.live.diagnostics import PACKAGES, anonymized, as_text, collect, read_times

PROBE = """
import sys
from vitlab.lab.live.diagnostics import versions
print(dict(versions().facts)["torch"], "torch" in sys.modules)
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "secretive" / "sky"
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    (root / "roadmaps" / "a_roadmap.md").write_text("# A\n\ntext\n")
    (root / "vitlab.yaml").write_text("notify: {webhook: 'https://hooks.org/T0/s3cret'}\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("TERM", "tmux-256color")
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    monkeypatch.setenv("SECRET_TOKEN", "t0ken")
    return root


def test_the_command_tells_versions_terminal_lab_and_gpus(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["debug"]) == 0
    said = capsys.readouterr().out
    for name in PACKAGES:
        assert f"\n{name} " in said
    for words in ("tmux-256color", "inside", "tmux", "jobs", "own settings", "notify", "[GPUs]"):
        assert words in said
    assert "roadmaps          1, 3 lines the longest" in said
    for secret in ("s3cret", "hooks.org", "secretive", "t0ken", "/tmp/tmux-0", str(lab)):
        assert secret not in said


def test_a_document_without_measure_is_counted_as_not_readable(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(lab / "roadmaps" / "a_roadmap.md", 1 << 40)
    assert main(["debug"]) == 0
    assert "roadmaps          1, 1 not readable" in capsys.readouterr().out


def test_the_same_as_json(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["debug", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) == {"versions", "terminal", "lab", "webhook", "GPUs"}
    assert said["terminal"]["inside"] == "tmux"
    assert said["lab"]["jobs"] == "0"
    assert str(lab) not in str(said)


def test_it_works_outside_a_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["debug"]) == 0
    assert "[lab]" not in capsys.readouterr().out


def test_no_package_is_loaded_to_tell_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60
    )
    version, loaded = done.stdout.split()
    assert version[0].isdigit()
    assert loaded == "False"


def test_names_folders_and_keys_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/data/users/jane")
    monkeypatch.setattr(getpass, "getuser", lambda: "jane")
    monkeypatch.setattr(platform, "node", lambda: "gpu-07")
    text = (
        "/data/users/jane/sky/roadmaps/a.md:3: bad cell; /data/users/jane/x; /home/bob/y by jane "
        "on gpu-07 via https://jane:pw@hooks.org/T0/abc?x=1 and ghp_0123456789abcdefABCDEF0123; "
        "VIT-20251226-vit-1m-large-01/20251227-100000-run-1 and janes stay"
    )
    said = anonymized(text, Path("/data/users/jane/sky"))
    assert said == (
        "<lab>/roadmaps/a.md:3: bad cell; ~/x; /home/<user>/y by <user> "
        "on <host> via https://hooks.org/... and <token>; "
        "VIT-20251226-vit-1m-large-01/20251227-100000-run-1 and janes stay"
    )


def test_a_webhook_s_last_answers_are_told_without_its_address(lab: Path) -> None:
    opened = open_lab(lab)
    folder = lab / ".vitlab" / "notices"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"job": "e/a", "host": "hooks.org", "trouble": "HTTP 404"}')
    (folder / "b.json").write_text("")  # taken, not yet told
    said = as_text(collect(opened, os.environ), opened)
    assert "[webhook]\ne/a  HTTP 404\n" in said


def test_how_long_reading_takes() -> None:
    assert read_times([]) == "none yet"
    assert read_times([0.2, 0.01, 0.02]) == "3 reads: median 20 ms, slowest 200 ms"
