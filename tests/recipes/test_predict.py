"""`vitlab predict`: observed spectra through a network that was trained for them, and one not."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ml.survey.layouts import bintable, sdss
from tests.ml.survey.stars import observed
from tests.ml.test_single_files import EMPTY
from tests.recipes.test_evaluate import EXP_ID, ran
from tests.recipes.test_run import DATA, VIT
from vitlab.cli import main as vitlab
from vitlab.commands import spectrum
from vitlab.commands.survey import predict
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.terminal import Progress
from vitlab.lab.inspector.client import Client
from vitlab.lab.inspector.labelled_stars import read_stars, spectra_of
from vitlab.lab.inspector.observed_stars import ObservedStars, open_observed
from vitlab.lab.inspector.star import Sources
from vitlab.ml.spectra.grid import Grid, load_grid
from vitlab.ml.survey import Spectrum, comparison
from vitlab.ml.survey.spectrum import LIGHT

SUN = (5750.0, 4.4, 0.0)
TRAIN = {"epochs": 1, "batch": 32, "threads": 1}
SURVEY = {
    "labels": ["log_g", "T_eff"],
    "loss": "mixture",
    "components": 2,
    "exact": 0,
    "model": {**VIT, "input": "flux+error"},
    "train": TRAIN,
    "data": {
        **DATA,
        "running_continuum": 200,
        "disturb": {"masked": {"window": 0.5}, "resolution": {"lowest": 1800}},
    },
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a network for surveys, and with ridge that knows ideal spectra alone."""
    root = tmp_path_factory.mktemp("lab")
    (root / "vitlab.yaml").write_text("{}\n")
    (root / "roadmaps").mkdir()
    ridge = {"data": DATA, "model": {"alphas": [100]}}
    assert ran(root, "survey", "vit", SURVEY, "1.0").returncode == 0
    assert ran(root, "plain", "ridge", ridge, "2.0").returncode == 0
    return root


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid's nodes alone, and fewer simulated spectra: seven times as fast."""
    monkeypatch.setattr(comparison, "REFINE", 1)
    monkeypatch.setattr(comparison, "SIMULATED", 100)
    monkeypatch.setattr("vitlab.lab.inspector.unfamiliar.COMPARED", 100)
    monkeypatch.setattr("vitlab.lab.inspector.unfamiliar.CALIBRATED", 100)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid()


def write(path: Path, star: Spectrum, **cards: object) -> Path:
    assert star.sigma is not None
    columns = {"wave": star.wave, "flux": star.flux, "err": star.sigma}
    path.write_bytes(EMPTY + bintable(columns, AIRORVAC="air", **cards))
    return path


def refusal(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends with exit status 2: one line."""
    assert vitlab(command) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return error


def asked(command: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON that a command prints."""
    assert vitlab([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_labels_errors_and_the_alarm(
    lab: Path,
    grid: Grid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(lab)
    star = observed(grid, SUN, 40, velocity=120)
    sun = write(tmp_path / "sun.fits", star, OBJECT="Sun")
    turned = observed(grid, SUN, 40)
    wrong = write(tmp_path / "wrong.fits", Spectrum(**{**vars(turned), "flux": star.flux[::-1]}))
    galaxy = tmp_path / "galaxy.fits"
    galaxy.write_bytes(sdss("GALAXY", ""))
    out = tmp_path / "table.csv"
    files = [str(sun), str(wrong), str(galaxy)]
    command = ["predict", f"{EXP_ID}/survey", *files, "--resolution", "5000"]
    first, second, third = asked([*command, "--out", str(out)], capsys)
    assert list(first["labels"]) == ["log_g", "T_eff"]
    assert first["labels"]["log_g"]["error"] > 0
    assert (first["object"], first["unlike"], first["why"]) == ("Sun", False, "")
    assert first["velocity"] == pytest.approx(120, abs=5)
    assert first["share"] == pytest.approx(0.694, abs=0.01)
    assert first["resolution"] == 5000
    assert first["nearest"]["labels"]["T_eff"] == pytest.approx(5750, abs=400)
    assert second["unlike"] is True
    assert (third["labels"], third["unlike"]) == ({}, True)
    assert third["why"].startswith("not scored: the file says that this is a galaxy")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["unlike"] for row in rows] == ["no", "yes", "yes"]
    page = (Path(__file__).parents[2] / "docs" / "survey.md").read_text(encoding="utf-8")
    names = {re.sub("log_g|T_eff", "LABEL", name) for name in (*first, *rows[0])}
    assert [name for name in names if f"| `{name}` |" not in page] == []  # each is told
    assert float(rows[0]["T_eff_error"]) == first["labels"]["T_eff"]["error"]
    told: list[int] = []
    monkeypatch.setattr(Progress, "report", lambda _, done: told.append(done))
    (corrected,) = asked([*command[:3], "--resolution", "5000", "--corrected"], capsys)
    assert told == [1]  # real files hold thousands, of half a second each
    assert corrected["share"] > 0.99
    table = tmp_path / "table.fits"
    assert vitlab([*command, "--out", str(table)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["FILE", "OBJECT", "log_g", "T_eff", "S/N", "KM/S", "BAND", "UNLIKE"]
    assert [f"{galaxy}: HDU 1" in line for line in shown if "not scored" in line] == [True]
    notes = {note for one in (first, second) for note in one["notes"]}
    assert notes
    for note in notes:  # what was left out or assumed, not in JSON alone
        assert any(line.partition(": ")[2].endswith(note) for line in shown), note
    assert vitlab(["data", "inspect", str(table)]) == 2  # a table of predictions, no spectrum


def test_a_model_says_what_it_was_not_trained_for(
    lab: Path,
    grid: Grid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(lab)
    star = observed(grid, SUN, 40)
    slope = np.linspace(0.6, 1.4, len(star.wave))
    assert star.sigma is not None
    fields = {"flux": star.flux * slope, "sigma": star.sigma * slope}
    red = write(tmp_path / "red.fits", Spectrum(**{**vars(star), **fields}))
    command = ["predict", f"{EXP_ID}/plain", str(red)]
    (found,) = asked([*command, "--resolution", "5000"], capsys)
    assert found["unlike"] is True
    assert "31% of the band has no data, and the model was trained without gaps" in found["why"]
    assert "its continuum differs by" in found["why"]
    assert found["labels"]["log_g"]["error"] is None  # ridge has none
    (found,) = asked([*command, "--resolution", "1800"], capsys)
    assert found["labels"] == {}
    assert (
        "R = 1800 in the model's band is below the R = 5000 that the model was trained for"
        in found["why"]
    )
    (found,) = asked(command, capsys)
    assert "its resolution is not known: give it with --resolution" in found["why"]


def test_bad_input_is_one_line(
    lab: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(lab)
    bad = tmp_path / "bad.fits"
    bad.write_bytes(EMPTY)
    there = tmp_path / "a spectrum.csv"  # `--out *.csv` names one
    there.write_text("wavelength,flux\n")
    monkeypatch.setattr(predict, "find_spec", lambda _: None)
    for arguments, why in (
        ([str(bad)], f"{bad}: no wavelengths with a flux in any HDU"),
        ([str(bad), "--out", "x.fits"], "pip install 'vitlab[survey]'"),
        ([str(bad), "--out", "x.txt"], "must end in .csv or .fits"),
        ([str(bad), "--out", str(there)], f"--out {there}: exists already"),
        ([str(bad), "--out", "none/x.csv"], "--out none/x.csv: no such folder"),
        ([str(bad), "--velocity", "1e9"], "must be -3000 to 3000"),
        ([str(bad), "--resolution", "5"], "must be 100 to 1000000"),
    ):
        assert why in refusal(["predict", f"{EXP_ID}/plain", *arguments], capsys)


def test_a_list_of_stars_gives_bias_and_scatter_beside_the_errors(
    lab: Path,
    grid: Grid,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(lab)
    (tmp_path / "spectra").mkdir()
    rows = ["file,object,T_eff,log_g,M_H,rv_km_s,air_or_vacuum,R"]
    for k, velocity in enumerate((-60.0, 10.0)):
        star = observed(grid, SUN, 40, velocity, seed=k)
        write(tmp_path / "spectra" / f"{k}.fits", star)
        rows.append(f"spectra/{k}.fits,Sun,5750,4.4,0,{velocity},air,5000 or so")
    (tmp_path / "spectra" / "galaxy.fits").write_bytes(sdss("GALAXY", ""))
    (tmp_path / "spectra" / "none.fits").write_bytes(EMPTY)
    rows += ["spectra/galaxy.fits,,,,,,,", "spectra/none.fits,,5000,4,0,,,"]
    table = tmp_path / "stars.csv"
    table.write_text("\n".join(rows))
    command = ["evaluate", f"{EXP_ID}/survey", "--stars", str(table)]
    (report,) = asked(command, capsys)
    first, second, galaxy, none = report["stars"]
    values = [one["predicted"]["log_g"]["value"] for one in (first, second)]
    away = np.array(values) - 4.4
    assert first["away"]["log_g"] == pytest.approx(away[0])
    assert report["labels"]["log_g"]["n"] == 2
    assert report["labels"]["log_g"]["bias"] == pytest.approx(np.median(away))
    assert report["labels"]["log_g"]["scatter"] == pytest.approx(0.34 * np.ptp(away))
    errors = [one["predicted"]["log_g"]["error"] for one in (first, second)]
    assert report["labels"]["log_g"]["error"] == pytest.approx(np.median(errors))
    assert (report["velocity"]["n"], abs(report["velocity"]["bias"]) < 5) == (2, True)
    assert (galaxy["unlike"], galaxy["predicted"], galaxy["away"]) == (True, {}, {})
    assert "no wavelengths" in none["why"]
    assert vitlab(command) == 0
    shown = capsys.readouterr().out
    assert "LABEL  N  BIAS" in shown
    assert "spectra/galaxy.fits: not scored" in shown


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("file,T_eff\n../../x.fits,5000", ":2: file: must be a path below the list's folder"),
        ("file,T_eff\n/etc/passwd,5000", ":2: file: must be a path below the list's folder"),
        ("file,T_eff\nx.fits,warm", ":2: T_eff: 'warm' is not a number"),
        ("file,log_g\nx.fits,\nx.fits,99", ":3: log_g: 99 is not from -2 to 10"),
        ("file,log_g,rv_km_s\nx.fits,4,4e4", ":2: rv_km_s: 4e4 is not from -3000 to 3000"),
        ("file,log_g,air_or_vacuum\nx.fits,4,void", ":2: air_or_vacuum: 'void' is neither"),
        ("file,log_g, log_g\nx.fits,4,5", ":1: two columns log_g"),
        ("file,log_g\nx.fits,4,5", ":2: 3 cells, but 2 columns"),
        ("file,log_g,M_H\nx.fits,2", ":2: is cut: fewer cells than columns, no line's end"),
        ("path,T_eff\nx.fits,1", ":1: needs columns file and one of log_g, T_eff"),
        ("", ":1: needs columns"),
    ],
)
def test_a_wrong_list_is_one_line(
    lines: str,
    why: str,
    lab: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(lab)
    table = tmp_path / "stars.csv"
    table.write_text(lines)
    command = ["evaluate", f"{EXP_ID}/survey", "--stars", str(table)]
    assert f"{table}{why}" in refusal(command, capsys)


@pytest.mark.parametrize(
    ("cell", "r"),
    [("1800 (survey value)", 1800), ("about 28000-35000", 31_500), ("1.15e4", 11_500), ("", None),
     ("2141 in band (wdisp)", 2141), ("5000±500", ""), ("5000 +- 500", ""), ("5,000", ""),
     ("22000 to 28000", 25_000), ("2000-5000 (RESOLUTION; ~4500 in z)", 3500), ("-9999", None),
     ("1800/5000", ""), ("1800 or 5000", ""), ("<5000", ""), ("-5000", ""),
     ("0", ""), ("1e400", "")],
)  # fmt: skip
def test_r_of_a_list_is_never_guessed(cell: str, r: float | str | None, tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    path.write_text(f'file,T_eff,R\na.fits,5000,"{cell}"\n', encoding="utf-8")
    if r == "":
        with pytest.raises(UsageError, match=r"stars\.csv:2: R: .* is not an R from 100 to"):
            read_stars(path, ["T_eff"])
    else:
        assert [star.resolution for star in read_stars(path, ["T_eff"])] == [r]


def test_a_list_leads_nowhere_but_below_its_folder(tmp_path: Path) -> None:
    """By no link on the way; a list, or its folder, that is named by a link is read."""
    (tmp_path / "own").mkdir()
    wave = np.linspace(7000, 8000, 100)
    for path in (tmp_path / "other.txt", tmp_path / "own/a.txt"):
        path.write_text("".join(f"{w:.1f} {w % 7:.1f}\n" for w in wave))
    (tmp_path / "own/b.txt").symlink_to(tmp_path / "other.txt")
    (tmp_path / "own/c").symlink_to(tmp_path)
    (tmp_path / "own/d.txt").symlink_to(tmp_path / "own/a.txt")
    (tmp_path / "own/stars.csv").write_text("file,T_eff\na.txt,1e4\nd.txt,1e4\nb.txt,1e4\n"
                                            "c/other.txt,1e4\n")  # fmt: skip
    (tmp_path / "link").symlink_to(tmp_path / "own")
    for folder in ("own", "link"):
        right, linked, *wrong = read_stars(tmp_path / folder / "stars.csv", ["T_eff"])
        assert len(spectra_of(right)) == len(spectra_of(linked)) == 1
        for star in wrong:
            with pytest.raises(UsageError, match=r"own|link/.*: a link out of the list's folder"):
                spectra_of(star)


def test_a_list_s_labels_are_of_one_object_of_a_file(tmp_path: Path) -> None:
    wave = np.linspace(8460, 8700, 60)
    rows = [f"{source},{w:.2f},{w % 7:.2f},0.1\n" for source in (1111, 2222) for w in wave]
    (tmp_path / "two.csv").write_text("source_id,wavelength,flux,flux_error\n" + "".join(rows))
    (tmp_path / "stars.csv").write_text(
        "file,object,T_eff\ntwo.csv,Gaia 2222,5800\ntwo.csv,Gaia DR3 1111,5800\n"
        "two.csv,2222,5800\ntwo.csv,Gaia 22,5800\ntwo.csv,HD 1,5800\ntwo.csv,,\n"
    )
    *known, short, wrong, free = read_stars(tmp_path / "stars.csv", ["T_eff"], needs_labels=False)
    found = [[one.object for one in spectra_of(star)] for star in (*known, free)]
    assert found == [["Gaia 2222"], ["Gaia 1111"], ["Gaia 2222"], ["Gaia 1111", "Gaia 2222"]]
    for star in (short, wrong):
        with pytest.raises(UsageError, match=r"2 spectra, and what is known of one star: name it"):
            spectra_of(star)


def test_nulls_and_media_of_a_list_are_those_of_catalogues(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    media = {"vac": "vacuum", " VAC": "vacuum", "in vacuum": "vacuum", "Vacuum (IAU)": "vacuum",
             "Air": "air", "": "", "not stated (nm)": "", "-": ""}  # fmt: skip
    nulls = ("-9999", "-999.0", "-99", "", "nan", "null", "--", "99999")
    rows = zip(nulls, media, strict=True)
    path.write_text(
        "file, log_g, rv_km_s, air_or_vacuum\n"
        + "".join(f"a.fits, {null}, {null}, {medium}\n" for null, medium in rows)
    )
    stars = read_stars(path, ["log_g"])
    assert [star.medium for star in stars] == list(media.values())
    assert not any(star.labels for star in stars)
    assert {star.velocity for star in stars} == {None, -99.0}  # a star may have this one


OPENED: dict[tuple[Path, Sources], ObservedStars] = {}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's client without a process, and each thing opened once."""

    class Here:
        def __init__(self, job: JobPaths, sources: Sources) -> None:
            key = job.folder, sources
            shown = OPENED.get(key) or open_observed(job, sources, lambda _: None)
            OPENED[key] = shown
            self.open, self.star = shown.stars, shown.star

        def close(self) -> None:
            """Nothing to end."""

    monkeypatch.setattr(spectrum, "Client", Here)


@pytest.fixture(scope="module")
def listed(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of a file without spectrum, a star with a line as no star has it, and a galaxy."""
    folder = tmp_path_factory.mktemp("stars")
    star = observed(grid, SUN, 80, velocity=-30)
    deep = abs(star.wave / (1 - 30 / LIGHT) - 7511.019) < 4
    flux = star.flux * np.where(deep, 0.85, 1.0)
    write(folder / "sun.fits", Spectrum(**{**vars(star), "flux": flux}), OBJECT="Sun")
    (folder / "none.fits").write_bytes(EMPTY)
    (folder / "galaxy.fits").write_bytes(sdss("GALAXY", ""))
    rows = ["none.fits,None,,,", "sun.fits,The Sun,5750,,5000", "galaxy.fits,-,,,"]
    (folder / "stars.csv").write_text("\n".join(["file,object,T_eff,log_g,R", *rows]))
    return folder / "stars.csv"


@pytest.mark.usefixtures("here")
def test_an_observed_star_is_shown_as_a_simulated_one(
    lab: Path, listed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab)
    sun = str(listed.parent / "sun.fits")
    told = asked(["spectrum", f"{EXP_ID}/survey", str(listed), "--star", "1"], capsys)
    (said,) = asked(["predict", f"{EXP_ID}/survey", sun, "--resolution", "5000"], capsys)
    (guess,) = told["guesses"]
    for name, label in said["labels"].items():  # as the prediction has it
        assert guess["values"][name] == pytest.approx(label["value"], rel=1e-4)
        assert guess["errors"][name] == pytest.approx(label["error"], rel=1e-3)
    seen = told["observed"]
    assert (told["true"]["T_eff"], told["true"]["log_g"]) == (5750, None)
    assert (seen["object"], seen["known_from"]) == ("The Sun", "stars.csv")
    assert seen["velocity"] == pytest.approx(said["velocity"], rel=1e-4)
    assert seen["nearest"] == pytest.approx(said["nearest"]["labels"])
    assert seen["misfits"][0]["name"] == "Fe I 7511"
    assert seen["misfits"][0]["residual"] == pytest.approx(-0.15, abs=0.03)
    wave = np.array(told["wave"])
    away = np.array(told["flux"], float) - np.array(told["clean"], float)
    line = abs(wave - 7511.019) < 3.5
    assert np.nanstd(away[~line]) < 0.03  # at rest, over it
    assert away[line].mean() == pytest.approx(-0.15, abs=0.03)
    pulls = np.array(seen["residual"]["values"], float)
    assert np.isnan(pulls[abs(wave - 7650) < 20]).all()  # the Earth's oxygen
    assert np.nanmin(pulls) == pulls[line].min()
    galaxy = asked(["spectrum", str(listed), "--star", "2"], capsys)
    assert (galaxy["observed"]["object"], galaxy["observed"]["unlike"]) == ("galaxy.fits", True)
    assert galaxy["guesses"][0]["values"] == {}
    assert "this is a galaxy" in galaxy["guesses"][0]["why"]
    ridge = ["spectrum", f"{EXP_ID}/plain", sun, "--resolution", "5000"]
    both = asked(ridge, capsys)["guesses"]  # besides it what was trained for surveys
    assert [one["name"] for one in both] == ["Ridge 2.0 main", "ViT 1.0 main"]
    assert "trained without gaps" in both[0]["why"]


@pytest.mark.usefixtures("here")
def test_an_observed_star_in_words_and_what_cannot_be_shown(
    lab: Path, listed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(lab)
    command = ["spectrum", str(listed), "--star", "1", "--label", "T_eff"]
    assert vitlab(command) == 0
    words = capsys.readouterr().out
    assert "star 1 of 3: The Sun (sun.fits, HDU 1), FITS table" in words
    assert "known labels: stars.csv" in words
    assert "Fe I 7511" in words.partition("OBSERVED - GRID, %")[2]
    assert "ViT 1.0 main  T_eff" in words
    out = listed.parent / "star.npz"
    also = ["--also", f"{EXP_ID}/survey"]
    assert vitlab([*command, *also, "--out", str(out)]) == 0
    with np.load(out, allow_pickle=False) as arrays:
        assert arrays["residual"].shape == arrays["wave"].shape
    for arguments, why in (
        ([str(listed)], "none.fits: no wavelengths"),
        ([str(listed), "--star", "3"], "star 3: there are the stars 0 to 2"),
        ([str(listed), "--label", "age"], "--label age: not predicted"),
        (["none.fits"], "none.fits: no such file"),
        ([f"{EXP_ID}/survey", "none.fits"], "none.fits: no such file"),
        ([f"{EXP_ID}/survey", "--velocity", "3"], "need a FILE"),
        ([str(listed), "--resolution", "3"], "must be 100 to 1000000"),
    ):
        assert why in refusal(["spectrum", *arguments], capsys)


def test_the_reader_of_stars_opens_observed_ones(lab: Path, grid: Grid, tmp_path: Path) -> None:
    file = write(tmp_path / "sun.fits", observed(grid, SUN, 80), OBJECT="Sun")
    job = JobPaths(next((lab / "experiments").glob("*/plain")))
    client = Client(job, Sources(str(file), others=()))
    said: list[str] = []
    try:
        stars = client.open(said.append)
        assert (stars.names, stars.labels) == (("Sun",), ("log_g",))
        with pytest.raises(UsageError, match=r"sun\.fits: HDU 1: .*give it with --resolution"):
            client.star(0, "log_g", said.append)
        assert said[-1] == "comparing Sun with the grid"
    finally:
        client.close()
