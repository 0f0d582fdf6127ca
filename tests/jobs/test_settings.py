"""The lab's settings: whatever stands in their place is read, or one line says why not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vitlab.cli import main
from vitlab.contract.paths import LabPaths, UsageError
from vitlab.jobs.experiment.settings import Settings, load_settings

BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "aliases of aliases": (BOMB, "more than"),
    "an alias of itself": ("keys: &c {argv: *c}\n", ":1: alias c refers to itself"),
    "merged again and again": (
        "a: &a {x: 1}\n" + "".join(f"<<: [{', '.join(['*a'] * 9)}]\n" for _ in range(2)), "twice"
    ),
    "deep": ("keys: " + "[" * 5_000 + "]" * 5_000, "nested more than"),
    "deep blocks": ("".join(f"{' ' * i}a:\n" for i in range(500)), "nested more than"),
    "5,000 digits": ("cpu_slots: " + "9" * 5_000, ":1: a number of more than"),
    "a large number": ("cpu_slots: 10000000000", "expected a number from 1 to"),
    "a key twice": ("grace: 5\nprofile: demo\ngrace: 500\n", ":3: key grace is given twice"),
    "nan": ("grace: .nan", "grace: expected a number from 0 to"),
    "inf": ("grace: .inf", "grace: expected a number from 0 to"),
    "minus": ("grace: -1", "grace: expected a number from 0 to"),
    "true": ("cpu_threads: true", "cpu_threads: expected a number"),
    "no mapping": ("- 1\n- 2\n", "expected a mapping"),
    "a list as a key": ("? [a, b]\n: 1\n", ""),
    "python": ("grace: !!python/object/apply:os.system ['touch ran']\n", "constructor"),
    "half a character": ('theme: "\\uD800"\n', "character"),
    "words of no column": ("headers: {nothing: x}", "vitlab.yaml: header 'nothing': one of"),
    "a column that is a list": ("tables: {a.md: {A: [1]}}", "tables: [1] is no word"),
    "a header that is no word": ("tables: {a.md: {No: id}}", "tables: False is no word: put it in"),
    "no UTF-8": (b"theme: \xff\xfe\xfa", "not YAML"),
    "large": ("# " + "x" * (2 << 20), "larger than"),
}  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabPaths:
    for name in ("experiments", "roadmaps"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return LabPaths(tmp_path)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_setting_is_one_line(
    lab: LabPaths, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, why = TEXTS[name]
    lab.settings.write_bytes(text if isinstance(text, bytes) else text.encode())
    for command, status in ((["sync"], 2), (["jobs", "--json"], 0)):
        assert main(command) == status
        said = capsys.readouterr().err
        assert said.startswith("vitlab: " if status else "vitlab: note: ")
        assert said.count("\n") == 1
        assert why in said
        assert len(said) < 800
    assert not (lab.root / "ran").exists()


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        os.chdir(path.parent)
        one.bind(path.name)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "is a folder"),
    "a pipe": (os.mkfifo, "is a pipe"),
    "a socket": (a_socket, "is a socket"),
    "a loop": (lambda path: path.symlink_to(path.name), "Too many levels|is a link in a circle"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_file_is_not_passed_by(lab: LabPaths, name: str) -> None:
    make, why = PLACES[name]
    make(lab.settings)
    with pytest.raises(UsageError, match=why):
        load_settings(lab)
    assert main(["sync"]) == 2


def test_a_link_to_settings_elsewhere_is_followed(lab: LabPaths) -> None:
    (lab.root / "shared.yaml").write_text("cpu_slots: 3\nkeys: &k {a: b}\n")
    lab.settings.symlink_to("shared.yaml")
    assert load_settings(lab).cpu_slots == 3
    lab.settings.unlink()
    assert load_settings(lab) == Settings()
