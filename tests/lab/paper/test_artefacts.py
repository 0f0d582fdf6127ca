"""A paper's artefacts: their numbers are the results', and only what changed is written."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import Ended, error_of_mean
from tests.lab.paper.artefacts_lab import ROADMAP, Score, bounded, filled, rescore, scorer
from tests.lab.paper.results import finished
from vitlab.cli import main
from vitlab.commands.results import as_latex
from vitlab.contract.job import Result, read_result, write_result
from vitlab.contract.paths import JobPaths, write_atomic
from vitlab.contract.value import rounded
from vitlab.jobs.files import take_lock
from vitlab.lab.lab import Lab
from vitlab.lab.paper.artefacts import make
from vitlab.lab.paper.artefacts.latex import Cell, Column, escaped, in_brackets, table
from vitlab.lab.paper.artefacts.macros import Subject
from vitlab.lab.paper.artefacts.make import make_paper, wanted
from vitlab.lab.paper.artefacts.score_table import _seeds, _stars
from vitlab.lab.paper.artefacts.selection import chosen_results
from vitlab.lab.results.repeats import grouped
from vitlab.plot.figures.picture import Picture

NAME = "test/r2/log_g"
FILES = {
    "table_main.tex", "table_baselines.tex", "fig_scaling.pdf", "fig_snr.pdf",
    "table_ablation_4.0.tex", "fig_ablation_4.0.pdf",
}  # fmt: skip
Run = Callable[..., int]


@pytest.fixture
def score(ended: Ended) -> Score:
    return scorer(ended)


@pytest.fixture
def plain_figures(monkeypatch: pytest.MonkeyPatch) -> list[Picture]:
    """Pictures in place of their files, which take a second each to draw."""
    drawn: list[Picture] = []

    def as_text(picture: Picture) -> bytes:
        drawn.append(picture)
        return repr(picture).encode()

    monkeypatch.setattr(make, "pdf", as_text)
    return drawn


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(lab.paths.root)
    return lambda *words: main(["paper", *words])


@pytest.fixture
def full(lab: Lab, score: Score, ended: Ended, plain_figures: list[Picture]) -> Lab:
    del plain_figures
    filled(lab.paths.root, score, ended)
    return lab


def result_of(job: JobPaths) -> Result:
    result = read_result(job.result)
    assert result is not None
    return result


def jobs_of(lab: Lab, mvp: str) -> list[JobPaths]:
    folders = sorted((lab.paths.root / f"experiments/VIT-20260102-{mvp}").iterdir())
    return [JobPaths(folder) for folder in folders]


def rows(text: str) -> list[list[str]]:
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [[cell.strip() for cell in row.split("&")] for row in body.split(r"\\") if row.strip()]


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (stat.st_mtime_ns, stat.st_ino) for name, stat in found.items()}


def test_the_whole_check_list(full: Lab, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--out", "paper", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {*told["made"]} == FILES | {"numbers.tex", "provenance.json"}
    assert (told["missing"], told["left_out"]) == ([], [])
    folder = full.paths.root / "paper"
    assert {path.name for path in folder.iterdir()} == {*told["made"]}
    for path in folder.glob("*.tex"):
        text = path.read_text(encoding="utf-8")
        assert "DRAFT" not in text
        assert "vitlabtrial" not in text


@pytest.mark.usefixtures("full")
def test_real_figures_are_the_same_bytes_again(
    lab: Lab, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vitlab.plot.figures.paper import pdf

    monkeypatch.setattr(make, "pdf", pdf)
    monkeypatch.setattr(make, "ORDER", ("scaling",))
    assert run("--out", "paper") == 0
    (figure,) = (lab.paths.root / "paper").glob("*.pdf")
    assert figure.read_bytes().startswith(b"%PDF")
    before = stamps(figure.parent)
    assert run("--out", "paper") == 0
    assert stamps(figure.parent) == before


def test_the_numbers_of_a_table_are_the_results_rounded(full: Lab, run: Run) -> None:
    assert run("--out", "paper") == 0
    folder = full.paths.root / "paper"
    [row] = rows((folder / "table_main.tex").read_text())
    results = [result_of(job) for job in jobs_of(full, "1.0")]
    for cell, metric in zip(row[2:5], ("r2", "mae", "rmse"), strict=True):
        name = f"test/{metric}/log_g"
        values = [one.values[name] for one in results]
        mean = statistics.fmean(x for x in values if x is not None)
        error = error_of_mean([x or 0.0 for x in values], [one.errors[name] for one in results])
        decimals = 1 - math.floor(math.log10(error))
        assert cell.removeprefix(r"\bfseries ") == (
            f"{mean:.{decimals}f}({round(error * 10**decimals)})"
        )
    assert row[:2] == ["ViT", "1000"]
    notes = (folder / "table_main.tex").read_text().split(r"\end{tabular}")[1]
    for words in (f"n = {400} test stars", "magnitudes 20.5 to 22.5", "Mean of 3 seeds (42, 43"):
        assert words in notes


def test_seeds_are_named_in_their_order() -> None:
    each = [finished("1.0", "Run 1", "ViT", 1000, {"r2": 0.7}, seed=n) for n in (43, 42, 44)]
    (group,) = grouped(each)
    assert _seeds(group) == "Mean of 3 seeds (42, 43, 44)"


def test_a_number_of_stars_that_is_not_known_is_none() -> None:
    (one,) = grouped([finished("1.0", "Run 1", "ViT", 1000, {"r2": 0.7})])
    assert _stars(one) == "n = 10,000 test stars"
    bare = replace(one.first, n={})
    (one,) = grouped([replace(one.members[0], result=bare)])
    assert _stars(one) == "The number of test stars is not known"


def test_bold_only_where_the_paired_difference_says_so(full: Lab, run: Run, score: Score) -> None:
    def bold() -> dict[str, bool]:
        assert run("--out", "paper") == 0
        text = (full.paths.root / "paper/table_baselines.tex").read_text()
        return {row[0]: any(r"\bfseries" in cell for cell in row) for row in rows(text)}

    assert bold() == {"ViT": True, "LightGBM": False}
    for seed, job in zip((42, 43, 44), jobs_of(full, "2.0"), strict=True):
        rescore(job, 0.1, noise=500 + seed)  # as good, but for chance
    assert bold() == {"ViT": False, "LightGBM": False}
    for job in jobs_of(full, "2.0"):
        shutil.rmtree(job.folder)
    score("trees", 0.6, mvp="2.0", model="LightGBM")  # far worse, but one seed, which may be luck
    assert bold() == {"ViT": False, "LightGBM": False}


def test_a_difference_that_is_none_is_nought_in_the_digits_of_the_values(
    full: Lab, run: Run
) -> None:
    for mvp, spread in (("1.0", 0.0), ("2.0", 1e-9)):
        for job in jobs_of(full, mvp):
            rescore(job, spread)
    assert run("--out", "paper") == 0
    text = (full.paths.root / "paper/table_baselines.tex").read_text()
    deltas = {row[0]: row[-1] for row in rows(text)}
    assert deltas["ViT"] == "{--}" or deltas["LightGBM"] == "{--}"
    (nought,) = (one for one in deltas.values() if one != "{--}")
    assert re.fullmatch(r"0\.0{2,4}", nought)
    numbers = (full.paths.root / "paper/numbers.tex").read_text()
    assert "0000000" not in numbers
    assert "0.00000" not in text


def test_nothing_is_touched_by_a_second_run_and_only_what_changed_by_a_third(
    full: Lab, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = full.paths.root / "paper"
    assert run("--out", "paper") == 0
    before = stamps(folder)
    capsys.readouterr()
    assert run("--out", "paper") == 0
    assert stamps(folder) == before
    assert "nothing has changed" in capsys.readouterr().out
    rescore(jobs_of(full, "4.0")[0], 0.35, noise=7)
    assert run("--out", "paper") == 0
    after = stamps(folder)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"table_ablation_4.0.tex", "fig_ablation_4.0.pdf", "numbers.tex",
                       "provenance.json"}  # fmt: skip


def test_trials_are_refused_but_for_a_draft_which_is_marked(
    lab: Lab, score: Score, run: Run, plain_figures: list[Picture],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (lab.paths.root / "roadmaps/plan_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    for n, spread in ((100, 0.8), (1000, 0.3)):
        score(f"ViT train_size={n}", spread, mvp="3.0", n=n, profile="demo")
    score("main", 0.2, profile="demo")
    assert run("--out", "paper") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "MVP-1.0 has results of profile demo alone, a trial" in line
    assert "--draft" in line
    assert not (lab.paths.root / "paper").exists()
    assert run("--out", "paper", "--draft") == 1  # the rest is missing
    told = capsys.readouterr().err
    assert "ablation: MVP-4.0 has no result: run `vitlab run 4.0 --profile full`" in told
    folder = lab.paths.root / "paper"
    assert r"\textbf{DRAFT: profile demo, trials}" in (folder / "table_main.tex").read_text()
    numbers = (folder / "numbers.tex").read_text()
    assert "% DRAFT" in numbers
    values = re.findall(r"\\newcommand\{\\\w+?(?:FromOneDotZero|Value|Error)\}\{(.*)\}", numbers)
    assert values
    assert all(text.startswith(r"\vitlabtrial{") for text in values)
    (picture,) = plain_figures
    assert picture.keys[:2] == ("DRAFT", "profile demo: a trial, not a full run")
    assert json.loads((folder / "provenance.json").read_bytes())["draft"] is True


def test_a_draft_of_full_runs_is_marked_too(full: Lab, run: Run) -> None:
    assert run("--out", "paper", "--draft") == 0
    for path in (full.paths.root / "paper").glob("*.tex"):
        assert "DRAFT" in path.read_text(), path.name


def test_invalid_results_never_enter(full: Lab, ended: Ended, roadmap: Path) -> None:
    def left_out() -> list[str]:
        return list(chosen_results(full, roadmap, draft=True).told)

    assert left_out() == []
    bad = jobs_of(full, "4.0")[1]
    kept = result_of(bad)
    leak = {"overlap_content": {"outcome": "fail", "number": 3.0, "limit": 0.0, "of": 400,
                                "reason": ""}}  # fmt: skip
    write_result(bad.result, replace(kept, checks=leak))
    assert ["MVP-4.0 patch_32: left out: " in line for line in left_out()] == [True]
    paper = make_paper(full, roadmap, draft=False)
    assert "table_ablation_4.0.tex" not in paper.files
    assert "ablation: MVP-4.0 has one run alone; it needs two" in paper.missing
    write_result(bad.result, replace(kept, values={**kept.values, NAME: 0.999}))
    assert any("patch_32: left out" in line for line in left_out())  # R², RMSE, or the ceiling
    write_result(bad.result, replace(kept, values={**kept.values, NAME: None}))
    assert any("patch_32: left out: test/r2/log_g is not a finite" in line for line in left_out())
    write_result(bad.result, kept)
    control = ended("shuffled", 0.4, mvp="1.0", exp_id="VIT-20260102-1.0")
    write_result(control.result, replace(result_of(control), data={"permuted": True}))
    assert left_out() == ["MVP-1.0 left out: a control on permuted labels fails: shuffled"]
    seed = ended("seed=3", 0.9, mvp="1.0", exp_id="VIT-20260102-1.0")
    for path in (seed.result, seed.spec):
        path.write_text('{"mvp', encoding="utf-8")
        wanted = f"MVP-1.0: a run is left out: {seed.name}: {path.name} is not JSON"
        assert any(line.startswith(wanted) for line in left_out())
    shutil.rmtree(seed.folder)
    torn = ended("patch_32", 0.9, mvp="4.0")
    torn.result.write_text('{"mvp', encoding="utf-8")
    assert f"MVP-4.0 patch_32: left out: {torn.name}: result.json is not JSON" in left_out()[0]
    paper = make_paper(full, roadmap, draft=False)
    assert "table_main.tex" not in paper.files
    assert any(line.startswith("main: MVP-1.0: no valid result") for line in paper.missing)


def test_a_row_without_the_value_of_the_others_is_told(full: Lab, roadmap: Path) -> None:
    job = jobs_of(full, "4.0")[1]
    other = {"test/r2/T_eff": 0.9, "val/r2/T_eff": 0.9}
    write_result(job.result, replace(result_of(job), values=other, headline="test/r2/T_eff"))
    paper = make_paper(full, roadmap, draft=False)
    assert paper.told[0] == "table_ablation_4.0.tex: MVP-4.0 patch_32 has no test/r2/log_g: no row"
    assert len(rows(paper.files["table_ablation_4.0.tex"].decode())) == 1


def test_what_is_above_the_ceiling_never_enters(
    lab: Lab, score: Score, ended: Ended, roadmap: Path
) -> None:
    roadmap.write_text(ROADMAP, encoding="utf-8")
    score("main", 0.1)
    bounded(ended, r2=0.3)
    paper = make_paper(lab, roadmap, draft=False)
    assert paper.files == {}
    assert any("MVP-1.0: no valid result" in line for line in paper.missing)


def test_the_check_list_decides_and_what_is_not_known_is_told(lab: Lab, roadmap: Path) -> None:
    row = "| P0.6 | Sketch | MVP-1.0 | ⏳ | Fig: architecture |\n"
    roadmap.write_text(ROADMAP + row, encoding="utf-8")
    found, unknown = wanted(lab.read_roadmap(roadmap))
    assert found == {"main": ("1.0",), "baselines": ("2.0",), "scaling": ("3.0",),
                     "snr": ("8.0",), "ablation": ("4.0",)}  # fmt: skip
    (line,) = unknown
    assert "'Fig: architecture' is none of" in line
    roadmap.write_text(ROADMAP.partition("## Paper")[0], encoding="utf-8")
    assert wanted(lab.read_roadmap(roadmap)) == (dict.fromkeys(make.ORDER, ()), [])


# The folder


def refused(run: Run, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run("--out", "paper", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing was written" in line
    return line


def test_what_vitlab_did_not_write_is_never_replaced(
    full: Lab, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = full.paths.root / "paper"
    folder.mkdir()
    mine = folder / "table_main.tex"
    mine.write_text("mine")
    assert "table_main.tex" in refused(run, capsys)
    assert [path.name for path in folder.iterdir()] == ["table_main.tex"]
    assert run("--out", "paper", "--force") == 0
    assert mine.read_text() != "mine"
    mine.write_text("edited")
    rescore(jobs_of(full, "1.0")[0], 0.2)
    assert "table_main.tex" in refused(run, capsys)
    mine.unlink()
    (folder / "elsewhere").write_text("other")
    mine.symlink_to("elsewhere")
    assert "is a link" in refused(run, capsys)
    assert (folder / "elsewhere").read_text() == "other"
    mine.unlink()
    (full.paths.root / "out").symlink_to(full.paths.root.parent)
    assert run("--out", "out/paper") == 2
    assert "a link out of" in capsys.readouterr().err
    (folder / "provenance.json").write_text('{"made_by": "vitlab paper", "files": {}}')
    assert "provenance.json" in refused(run, capsys)


def test_one_at_a_time_writes_artefacts(
    full: Lab, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full.paths.private.make()
    held = take_lock(full.paths.private.paper_lock)
    assert held is not None
    monkeypatch.setattr("vitlab.commands.paper.make.PATIENCE", 0.0)
    assert run("--out", "paper") == 2
    assert "another `vitlab paper` of this lab is writing" in capsys.readouterr().err
    assert not (full.paths.root / "paper").exists()
    os.close(held)
    assert run("--out", "paper") == 0


def test_a_full_disk_changes_no_file(
    full: Lab, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run left half done was no longer as `vitlab paper` left it."""
    folder = full.paths.root / "paper"
    assert run("--out", "paper") == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rescore(jobs_of(full, "1.0")[0], 0.2)
    for number in range(3):
        room = iter(range(number))

        def on_a_full_disk(path: Path, data: bytes, room: Iterator[int] = room) -> None:
            if next(room, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            write_atomic(path, data)

        monkeypatch.setattr("vitlab.lab.paper.artefacts.folder.write_atomic", on_a_full_disk)
        capsys.readouterr()
        assert run("--out", "paper") == 2
        line = capsys.readouterr().err
        assert re.fullmatch(r"vitlab: \S*paper/[\w.]+: No space left on device\n", line)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_no_result_backs_any_more_is_removed_if_it_is_ours(
    full: Lab, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = full.paths.root / "paper"
    assert run("--out", "paper") == 0
    (folder / "fig_mine.pdf").write_text("mine")
    for job in jobs_of(full, "4.0"):
        shutil.rmtree(job.folder)
    capsys.readouterr()
    assert run("--out", "paper") == 1
    assert "removed: paper/table_ablation_4.0.tex" in capsys.readouterr().out
    names = {path.name for path in folder.iterdir()}
    assert names == {*FILES, "numbers.tex", "provenance.json", "fig_mine.pdf"} - {
        "table_ablation_4.0.tex", "fig_ablation_4.0.pdf",
    }  # fmt: skip


def test_the_provenance_of_each_number(full: Lab, run: Run) -> None:
    job = jobs_of(full, "1.0")[0]
    started = json.loads(job.started.read_bytes())
    job.started.write_text(json.dumps({**started, "commit": "abc123", "dirty": True}))
    assert run("--out", "paper") == 0
    folder = full.paths.root / "paper"
    known = json.loads((folder / "provenance.json").read_bytes())
    macros = set(re.findall(r"\\newcommand\{\\(\w+?)\}\{\\ensuremath",
                            (folder / "numbers.tex").read_text()))  # fmt: skip
    assert macros == set(known["numbers"])
    one = known["numbers"]["vitlabRtwoOfLogGByViTAtOneKFromOneDotZero"]
    assert (one["seeds"], one["n"], len(one["jobs"])) == (3, 400, 3)
    assert "table_main.tex" in one["artefacts"]
    for each in known["numbers"].values():
        for name in each["jobs"]:
            record = known["jobs"][name]
            assert len(record["spec"]) == 16
            assert record["data"] == "same"
            assert record["command"].startswith("vitlab --roadmap roadmaps/plan_roadmap.md run ")
    record = known["jobs"][job.name]
    assert (record["commit"], record["dirty"], record["seed"]) == ("abc123", True, 42)


# The draft's own text


def test_the_macros_of_a_paper_are_understood_by_its_check(
    full: Lab, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--out", "paper") == 0
    vit, tree = (f"vitlab{{}}OfLogGBy{model}AtOneKFrom{mvp}" for model, mvp in
                 (("ViT", "OneDotZero"), ("LightGBM", "TwoDotZeroRuntrees")))  # fmt: skip
    draft = full.paths.root / "draft.tex"
    draft.write_text(
        "\\documentclass{article}\n\\input{paper/numbers}\n\\begin{document}\n"
        f"With 1,000 spectra ViT reaches $R^2 = \\{vit.format('Rtwo')}$"
        f" and an MAE of \\{vit.format('Mae')}Value~dex.\n\n"
        f"With 1,000 spectra LightGBM reaches $R^2 = \\{tree.format('Rtwo')}Value \\pm"
        f" \\{tree.format('Rtwo')}Error$.\n\\end{{document}}\n"
    )
    capsys.readouterr()

    def verdicts() -> list[str]:
        main(["paper", "check", "draft.tex", "--json"])
        return [one["verdict"] for one in json.loads(capsys.readouterr().out)]

    assert verdicts() == ["right"] * 5
    for seed, job in zip((42, 43, 44), jobs_of(full, "1.0"), strict=True):
        rescore(job, 0.5, noise=seed)  # since then the results have changed
    assert verdicts().count("right") == 3
    numbers = full.paths.root / "paper/numbers.tex"
    numbers.rename(full.paths.root.parent / "numbers.tex")
    draft.write_text(draft.read_text().replace("paper/numbers", "../numbers"))
    assert "not read" in verdicts()  # no file outside the lab is read


# LaTeX


@pytest.mark.parametrize(
    ("number", "error", "shown"),
    [
        (0.71093, 0.0052, "0.7109(52)"),
        (0.71093, 0.012, "0.711(12)"),
        (0.71093, 0.0096, "0.711(10)"),
        (-0.0004, 0.0031, "-0.0004(31)"),
        (-0.00001, 0.0031, "0.0000(31)"),
        (152.34, 1.2, "152.3(12)"),
        (1523.4, 25.0, "1523(25)"),
        (15234.0, 250.0, "15234(250)"),
        (0.71093, None, "0.7109"),
        (0.71093, 0.0, "0.7109"),
        (61.3, None, "61.30"),
        (0.0, None, "0.000"),
    ],
)
def test_a_number_has_two_figures_of_its_error(
    number: float, error: float | None, shown: str
) -> None:
    assert in_brackets(*rounded(number, error)) == shown


HOSTILE = [
    "a_b%c&d$e#f{g}h~i^j\\k", r"\input{/etc/passwd}", "[x]", "*", "中文 型号", "}\\end{document}",
    "a\nb\x1b[31m", "%", "<|>", '"quoted"', "R² ± σ", "``x''--", "é", "^^41", "a" * 300,
]  # fmt: skip


def hostile_table() -> str:
    names = Column("Model", tuple(escaped(name) for name in HOSTILE))
    cells = [Cell("0.711", "0.005", bold=i == 0, mark="a" * (i == 1)) for i in range(len(HOSTILE))]
    notes = [escaped(name) for name in HOSTILE]
    numbers = Column("$R^2$", (*cells[:-1], Cell()))
    return table([names, numbers], notes, escaped("DRAFT: a_b & 100%"))


def test_names_hold_no_command() -> None:
    for name in HOSTILE:
        bare = re.sub(r"\\[%&$#_{}]|\\(?:text\w+|vitlabtext)\{|\\[a-z]+(?=\$)|\$[^$]*\$", "",
                      escaped(name))  # fmt: skip
        assert not re.search(r"[\\%&$#_^~\n\x1b]", bare), name
        assert not escaped(name).startswith(("[", "*"))
    assert len(rows(hostile_table())) == len(HOSTILE)
    assert hostile_table().startswith(r"\providecommand{\vitlabtext}")
    assert as_latex(["Run"], [["中文"]]).startswith(r"\providecommand{\vitlabtext}")


def compiled(folder: Path, *lines: str) -> None:
    """A paper of these lines must compile."""
    head = ["\\documentclass{article}", "\\usepackage{booktabs,siunitx}"]
    text = "\n".join([*head, *lines, "\\end{document}", ""])
    (folder / "paper.tex").write_text(text, encoding="utf-8")
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace")
    if "siunitx.sty' not found" in done.stdout or "booktabs.sty' not found" in done.stdout:
        pytest.skip("a LaTeX without siunitx or booktabs")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "/etc/passwd" not in re.sub(r"\s", "", done.stdout)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_takes_a_table_of_any_names(tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(hostile_table(), encoding="utf-8")
    compiled(tmp_path, r"\begin{document}", r"\begin{table}\centering\input{table}\end{table}")


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_takes_the_artefacts_of_a_lab_of_any_names(lab: Lab, score: Score, run: Run) -> None:
    (lab.paths.root / "roadmaps/plan_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    for at, name in enumerate(
        ("a_b%c&d", "中文 型号", "[x]", "}\\end{document}\n\\input{/etc/passwd}")
    ):
        score(name, 0.2 + 0.1 * at, mvp="4.0", model="ViT 模型_%\n\\x")
    assert run("--out", "paper", "--draft") == 1
    folder = lab.paths.root / "paper"
    numbers = (folder / "numbers.tex").read_text(encoding="utf-8")
    macros = re.findall(r"\\newcommand\{(\\\w+)\}", numbers)
    assert len(macros) > 40
    compiled(
        folder,
        r"\input{numbers}",
        r"\begin{document}",
        r"\begin{table}\centering\input{table_ablation_4.0}\end{table}",
        *(f"${macro}$, {macro}\n" for macro in macros[:8]),
    )


# Names of macros


def subject(**parts: object) -> Subject:
    plain: dict[str, object] = {"metric": "r2", "label": "log_g", "model": "ViT", "size": 1000,
                                "mvp": "1.0"}  # fmt: skip
    return Subject(**(plain | parts))  # type: ignore[arg-type]


def test_names_of_macros_are_kept_for_ever() -> None:
    assert subject().macro == "vitlabRtwoOfLogGByViTAtOneKFromOneDotZero"
    assert subject(size=1_500_000, mvp="16A-0", run="p16").macro == (
        "vitlabRtwoOfLogGByViTAtOneFiveZeroZeroKFromOneSixADashZeroRunpOneSix"
    )
    assert subject(metric="r2_bayes", model="Ceiling", size=None, slice="Mag 21.5").macro == (
        "vitlabRtwoBayesOfLogGByCeilingFromOneDotZeroMagTwoOneDotFive"
    )
    assert subject(model="MoE 模型", other="LightGBM").macro == (
        "vitlabRtwoOfLogGByMoESpacexicrhklzMinusLightGBMAtOneKFromOneDotZero"
    )


def test_names_hold_letters_only_and_no_two_are_the_same() -> None:
    texts = ["ViT", "ViTAtOne", "Vi T", "Vi_T", "vit", "ViT1", "ViTOne", "中文", "模型", "", "%",
             "One", "1", "1.0", "10", "OneDot", "log_g", "LogG", "logg", "r2", "Rtwo", "R2",
             "ViTBy", "By", "xabcdefg", "a" * 99, "a" * 98, "ViT-", "ViT+"]  # fmt: skip
    subjects = [
        subject(**{part: text})
        for part in ("metric", "label", "model", "mvp", "run", "other")
        for text in texts
        if text or part in ("label", "run", "other")
    ]
    subjects += [subject(size=size) for size in (None, 1, 10, 1001, 100, 10_000, 10**6, 10**9)]
    subjects += [subject(slice=f"{kind} {at}") for kind in ("Mag", "SnrBin") for at in (1, 11, 1.1)]
    distinct = {*subjects}
    macros = {one.macro for one in distinct}
    assert len(macros) == len(distinct)
    assert all(re.fullmatch("[A-Za-z]+", name) for name in macros)


def test_a_roadmap_in_no_lab_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.md").write_text(ROADMAP, encoding="utf-8")
    assert main(["paper", "plan.md", "--out", "paper"]) == 2
    assert "in no lab" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["paper", "plan.md"])  # without a folder
