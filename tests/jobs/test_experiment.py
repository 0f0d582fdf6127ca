"""Experiment files: strict reading with file and line, and expansion into specs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.contract.paths import LabPaths, UsageError
from vitlab.jobs.experiment.experiment import (
    find_experiment,
    known_mvps,
    load_experiment,
    unreadable,
)
from vitlab.jobs.experiment.yaml_file import Setting, merge, nested, read_yaml

HEAD = 'mvp: "1.0"\nroadmap: roadmaps/vit.md\nrecipe: vit\n'

COMPARISON = """\
mvp: MVP-1.0
roadmap: roadmaps/vit.md
recipe: vit
config:
  data: {train_size: 1000000, test_size: 10000}
  model.patch: 32
  labels: [log_g]
runs:
  - name: ViT
  - name: LightGBM
    recipe: lightgbm
    config: {train: {rounds: 500}}
    set: {train.lr: 0.1}
    profiles: {smoke: {train.rounds: 5}}
profiles:
  smoke: {data.train_size: 500, train.epochs: 1}
  demo: {data: {train_size: 5000}}
"""


def write(folder: Path, text: str, name: str = "x.yaml") -> Path:
    path = folder / "experiments" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_models_compared_on_the_same_data(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path, COMPARISON))
    assert experiment.mvp == "1.0"
    assert experiment.profiles == ("smoke", "demo", "full")
    vit, boost = experiment.specs("smoke", "VIT-20251226-x-01")
    assert (vit.run, vit.recipe, boost.run, boost.recipe) == ("ViT", "vit", "LightGBM", "lightgbm")
    assert vit.config == {
        "data": {"train_size": 500, "test_size": 10000},
        "model": {"patch": 32},
        "labels": ["log_g"],
        "train": {"epochs": 1},
    }
    # The other recipe shares data and labels, and knows neither `model.patch` nor `train.epochs`.
    assert boost.config == {
        "data": {"train_size": 500, "test_size": 10000},
        "labels": ["log_g"],
        "train": {"rounds": 5, "lr": 0.1},
    }
    assert vit.experiment == "experiments/x.yaml"
    full = experiment.specs("full", "E")
    assert full[0].config["data"]["train_size"] == 1000000
    assert full[1].config["train"] == {"rounds": 500, "lr": 0.1}


def test_a_sweep_has_stable_names_and_a_smaller_one_for_a_profile(tmp_path: Path) -> None:
    text = HEAD + (
        "matrix: {data.train_size: [10000, 50000], model.patch: [16, 32]}\n"
        "profiles: {smoke: {matrix: {data.train_size: [100]}, train.epochs: 1}}\n"
    )
    experiment = load_experiment(write(tmp_path, text))
    assert [s.run for s in experiment.specs("full", "E")] == [
        "train_size=10000,patch=16",
        "train_size=10000,patch=32",
        "train_size=50000,patch=16",
        "train_size=50000,patch=32",
    ]
    [smoke] = experiment.specs("smoke", "E")
    assert smoke.run == "train_size=100"
    assert smoke.config == {"data": {"train_size": 100}, "train": {"epochs": 1}}


def test_runs_without_names_are_numbered_and_a_single_one_is_main(tmp_path: Path) -> None:
    text = HEAD + "runs: [{set: {loss: mse}}, {set: {loss: huber}}]\n"
    experiment = load_experiment(write(tmp_path, text))
    assert [s.run for s in experiment.specs("full", "E")] == ["run-1", "run-2"]
    assert [s.run for s in load_experiment(write(tmp_path, HEAD)).specs("full", "E")] == ["main"]


def test_an_id_keeps_its_digits(tmp_path: Path) -> None:
    assert load_experiment(write(tmp_path, HEAD.replace('"1.0"', "1.10"))).mvp == "1.10"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            HEAD + "config:\n  model:\n    pach: 16\n",
            "experiments/x.yaml:6: config.model.pach: unknown key; did you mean patch? (allowed: ",
        ),
        (HEAD + "config: {model.patch: many}\n", ":4: config.model.patch: must be a whole number"),
        (HEAD + "runs:\n- set:\n    loss: rmse\n", ":6: config.loss: unknown value 'rmse'"),
        (HEAD + "profiles:\n  smoke:\n    train.epochs: 0\n", ":6: config.train.epochs: must be"),
        (HEAD + "profiles: {quick: {}}\n", ":4: profiles.quick: unknown key (allowed: smoke, "),
        (HEAD + "heatline: x\n", ":4: heatline: unknown key; did you mean headline?"),
        (HEAD + "headline: r2\n", ":4: headline: 'r2' is not a value name"),
        (HEAD + "recipe: vit\n", ":4: key recipe is given twice"),
        (HEAD.replace("vit\n", "vti\n"), ":3: recipe: unknown value 'vti'; did you mean vit?"),
        (HEAD.replace("roadmaps/", "../"), ":2: roadmap: ../vit.md: must be a path inside the lab"),
        (HEAD.replace("recipe: vit\n", ""), ":1: recipe: missing"),
        (HEAD + "config: [1]\n", ":4: config: must be a mapping"),
        (HEAD + "runs: {a: 1}\n", ":4: runs: must be a list"),
        (HEAD + "runs: [{name: a}, {name: a}]\n", ":4: runs: 'a' is the name of two runs"),
        (HEAD + "matrix: {model.patch: 16}\n", ":4: matrix.model.patch: must be a list"),
        (HEAD + "config: {data: {1: {a: 2}}}\n", ":4: key 1 must be text"),
        (HEAD + "config: {\n", "experiments/x.yaml:5: "),
        (HEAD + "config: !!python/object:os.system {}\n", "experiments/x.yaml:4: "),
        pytest.param("[" * 5000, "experiments/x.yaml", id="deep"),
        ("a: 2025-13-45\n", "experiments/x.yaml"),
        ("", "experiments/x.yaml:1: must be a mapping"),
        pytest.param("\x00", "experiments/x.yaml", id="zero"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_experiment(write(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def of_aliases(first: str, each: str) -> str:
    """A small text that stands for 10^8 parts."""
    lines = [f"a: &a {first}"]
    for last, name in zip("abcdefg", "bcdefgh", strict=True):
        lines.append(f"{name}: &{name} {each.format(', '.join([f'*{last}'] * 10))}")
    return "\n".join(lines) + "\n"


ARGS = HEAD.replace("vit\n", "command\n") + "config:\n  argv: [a]\n  args:\n    x: "
NINE = list(range(1, 10))
HARMFUL = {
    "aliases of aliases": (of_aliases("[1, 1, 1, 1, 1]", "[{}]"), ":5: more than 20,000 parts"),
    "merged aliases": (of_aliases("{k: 1}", "{{<<: [{}]}}"), ":5: more than 20,000 parts"),
    "chained aliases": (
        "x0: &x0 [1]\n" + "".join(f"x{i}: &x{i} [*x{i - 1}]\n" for i in range(1, 90)),
        ":64: nested more than 64 deep",
    ),
    "an alias in itself": (HEAD + "config: &c {argv: *c}\n", ":4: alias c refers to itself"),
    "lists in lists": (HEAD + "config: " + "[" * 10_000, ":4: nested more than 64 deep"),
    "mappings": (HEAD + "config: " + "{a: " * 10_000, ":4: nested more than 64 deep"),
    "5,000 digits": (ARGS + "9" * 5_000 + "\n", ":7: a number of more than 300 digits"),
    "9,000 hex digits": (ARGS + "0x" + "f" * 9_000 + "\n", ":7: a number of more than 300 digits"),
    "an infinity": (ARGS + "1.0e+400\n", ":7: config.args.x: must be a finite number"),
    "half a character": (ARGS + '"\\ud800"\n', ":7: text with a character that no file"),
    "bytes": (ARGS + "!!binary aGk=\n", ":7: could not determine a constructor for the tag"),
    "a key twice": (ARGS + "1\n    y: 2\n    x: 3\n", ":9: key x is given twice, in lines 7 and 9"),
    "a sweep of 9^12": (
        ARGS + "1\nmatrix:\n" + "".join(f"  x{i}: {NINE}\n" for i in range(12)),
        ":8: matrix: 282429536481 runs (at most 1000)",
    ),
    "a list of 1 MB": (ARGS + "[" + "1," * 500_000 + "]\n", ":7: more than 20,000 parts"),
    "a key of 900 kB": (ARGS + "1\n  ? " + "k" * 900_000 + "\n  : 1\n", "more than 200 letters"),
    "more than 1 MB": ("#" * 2_000_000, "x.yaml: is larger than 1 MiB"),
    "a repeat too large": (
        ARGS + "1\nmetrics: {pattern: 'a{99999999999}(?P<x>.)', names: {x: val/r2/log_g}}\n",
        ":8: metrics.pattern: not a regular expression: ",
    ),
    "patterns that take minutes": (
        ARGS
        + "1\nruns:\n"
        + "".join(
            f"- metrics: {{pattern: '(?i){n}" + "[!-\ud7ff]" * 200 + "', names: {x: val/r2/a}}\n"
            for n in range(500)
        ),
        ": patterns of more than 4,000 letters in all",
    ),
    "runs with many settings": (
        ARGS
        + "1\n  a: {"
        + ", ".join(f"k{n}: 1" for n in range(300))
        + "}\nmatrix: {args.x: ["
        + ", ".join(map(str, range(1000)))
        + "]}\n",
        ": matrix: 1000 runs with 30",
    ),
    "ranges that take seconds": (
        ARGS
        + "1\nmetrics: {pattern: '(?i)"
        + "[a-\ud7ff][a-\\ud7ff]" * 6
        + "(?P<x>.)', names: {x: val/r2/log_g}}\n",
        ":8: patterns of more than 4,000 letters in all, a range such as 一-龥 counted as 400",
    ),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_file_that_would_harm_is_one_short_line(tmp_path: Path, name: str) -> None:
    text, expected = HARMFUL[name]
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_experiment(path)
    line = str(caught.value)
    assert expected in line
    assert line.startswith("experiments/x.yaml")
    assert len(line) < 600


def test_dates_are_texts_and_merged_keys_yield_to_own_ones(tmp_path: Path) -> None:
    text = ARGS + "2025-01-01\nruns:\n- config: {args: &a {p: 1, q: 2}}\n"
    text += "- config: {args: {<<: *a, p: 3}}\n"
    specs = load_experiment(write(tmp_path, text)).specs("full", "E")
    assert [spec.config["args"] for spec in specs] == [
        {"x": "2025-01-01", "p": 1, "q": 2},
        {"x": "2025-01-01", "p": 3, "q": 2},
    ]


def test_files_of_another_kind_are_named_and_cost_nothing_else(tmp_path: Path) -> None:
    good = write(tmp_path, HEAD)
    folder = good.parent
    os.mkfifo(folder / "fifo.yaml")
    (folder / "folder.yaml").mkdir()
    targets = {"loop": "loop.yaml", "gone": "nowhere", "zero": "/dev/zero", "passwd": "/etc/passwd"}
    for name, target in targets.items():
        (folder / f"{name}.yaml").symlink_to(target)
    (folder / ".#x.yaml").symlink_to("somebody@host")  # an editor's lock
    lab = LabPaths(tmp_path)
    assert known_mvps(lab) == {"1.0": good}
    assert unreadable(lab) == [
        "experiments/fifo.yaml: is a pipe (FIFO)",
        "experiments/folder.yaml: is a folder",
        "experiments/gone.yaml: No such file or directory",
        "experiments/loop.yaml: is a link in a circle",
        "experiments/passwd.yaml: is a link out of the lab",
        "experiments/zero.yaml: is a link out of the lab",
    ]
    for name in (*targets, "fifo", "folder"):
        path = folder / f"{name}.yaml"
        path.rmdir() if name == "folder" else path.unlink()
    # One that says whose it is, and cannot be launched all the same.
    wrong = write(tmp_path, HEAD.replace("vit.md", "moe.md") + "heatline: x\n", "wrong.yaml")
    [line] = unreadable(lab)
    assert line.startswith("experiments/wrong.yaml:4: heatline: unknown key; did you mean head")
    assert unreadable(lab, "roadmaps/vit.md") == []
    assert unreadable(lab, "roadmaps/moe.md") == [line]
    wrong.write_text(HEAD)
    assert unreadable(lab) == []
    wrong.unlink()
    other = write(tmp_path, HEAD.replace("1.0", "1.1"), "other.yaml")
    (folder / "linked.yaml").symlink_to(other.name)
    assert known_mvps(lab)["1.1"] in (other, folder / "linked.yaml")


def test_found_by_mvp_and_roadmap(tmp_path: Path) -> None:
    lab = LabPaths(tmp_path)
    one = write(tmp_path, HEAD, "one.yaml")
    two = write(tmp_path, HEAD.replace("vit.md", "moe.md"), "two.yaml")
    write(tmp_path, "mvp: [\n", "broken.yaml")
    assert find_experiment(lab, "MVP-1.0", "roadmaps/vit.md") == one
    assert known_mvps(lab, "roadmaps/moe.md") == {"1.0": two}
    with pytest.raises(UsageError, match="name the roadmap"):
        find_experiment(lab, "1.0")
    with pytest.raises(UsageError, match=r"allowed: 1.0\); unreadable: experiments/broken.yaml:2"):
        find_experiment(lab, "1.7")
    with pytest.raises(UsageError, match=r"no profile 'demo' \(there are: full\)"):
        load_experiment(one).specs("demo", "E")
    # A copy with a typo may be the one that is meant.
    copy = write(tmp_path, HEAD + "runs: [\n", "copy.yaml")
    with pytest.raises(UsageError, match=r"a file of it cannot be read: experiments/copy"):
        find_experiment(lab, "1.0", "roadmaps/vit.md")
    assert find_experiment(lab, "1.0", "roadmaps/moe.md") == two
    copy.unlink()


keys = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
layers = st.dictionaries(keys, st.integers().map(lambda i: Setting(i, 1)), max_size=4)


@given(st.lists(layers, max_size=4))
def test_the_last_layer_always_holds(stack: list[dict[tuple[str, ...], Setting]]) -> None:
    merged = merge(stack)
    tree = nested(merged)  # would fail on a key that is both leaf and branch
    for key, setting in merged.items():
        value: object = tree
        for part in key:
            assert isinstance(value, dict)
            value = value[part]
        assert value == setting.value


def test_a_file_that_another_program_writes_is_not_read_half(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with path.open("w") as editor:
        editor.write("runs: [1]\n")
        editor.flush()
        with pytest.raises(UsageError, match=r"x\.yaml: is being written by another program"):
            read_yaml(path)
        os.utime(path, (1.7e9, 1.7e9))  # it is only kept open
        assert read_yaml(path).data == {"runs": [1]}
    os.utime(path)
    assert read_yaml(path).data == {"runs": [1]}
