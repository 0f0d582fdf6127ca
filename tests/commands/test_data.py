"""`vitlab data`: its JSON, and mistakes as one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vitlab.cli import main


def test_make_and_inspect_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.h5"
    assert main(["data", "make", "--n", "20", "--out", str(out), "--seed", "3", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["data", "inspect", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == made
    assert {"n", "pixels", "wave", "labels", "snr"} <= set(made)
    assert (made["read"], made["excluded"], made["duplicates"]) == (20, {}, 0)
    assert (made["n"], made["pixels"], made["wave"]) == (20, 4096, [7100.0, 8850.0])
    assert {"T_eff", "log_g", "M_H", "mag"} <= set(made["labels"])
    shards = tmp_path / "shards"
    line = ["data", "make", "--n", "20", "--out", str(shards), "--seed", "3", "--shards", "2"]
    assert main([*line, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["labels"] == made["labels"]
    assert again["snr"] == pytest.approx(made["snr"], rel=1e-5)
    assert main(["data", "inspect", str(shards)]) == 0
    assert "20 spectra of 4096 pixels, 7100.0 to 8850.0 A" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (["data", "inspect", "no.h5"], "no.h5: no such file"),
        (["data", "make", "--n", "0", "--out", "x.h5"], "--n 0: must be from 1 to "),
        (["data", "make", "--n", "9" * 30, "--out", "x.h5"], "must be from 1 to 100,000,000"),
        (["data", "make", "--n", "2", "--out", "x", "--shards", "3"], "--shards 3: must be 0"),
        (["data", "grid", "import", "no", "--out", "x.h5"], "no: no such folder"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert len(captured.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_a_file_are_those_of_the_same_seed(tmp_path: Path) -> None:
    from vitlab.ml.spectra.pfsspec import open_spectra_files

    for name in ("a.h5", "b.h5"):
        assert main(["data", "make", "--n", "5", "--out", str(tmp_path / name)]) == 0
    a, b = (open_spectra_files(tmp_path / name).read(0, 5) for name in ("a.h5", "b.h5"))
    assert all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
