"""All results in one frame, from a cache that is never wrong, and compared side by side."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.lab.conftest import Ended, error_of_mean
from tests.lab.test_pairs import scored
from vitlab.cli import main as vitlab
from vitlab.commands.common import note_unreadable_jobs
from vitlab.commands.results import as_latex, short
from vitlab.contract import reading
from vitlab.contract.job import Result, load_result, read_result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs import store
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.results import job_results as scanning
from vitlab.lab.results.job_results import all_results, finished
from vitlab.lab.results.rows import compare, query_results, results_table

NAME = "test/r2/log_g"


def configured(job: JobPaths, **config: Any) -> JobPaths:
    spec = json.loads(job.spec.read_bytes())
    job.spec.write_text(json.dumps({**spec, "config": config}), encoding="utf-8")
    return job


def settle(job: JobPaths, ago: float = 60) -> None:
    """As if nothing had happened in the folder for a minute."""
    then = time.time() - ago
    for path in (job.folder, *job.folder.iterdir()):
        os.utime(path, (then, then))


def test_a_copy_of_a_job_s_folder_is_no_job(
    lab: Lab, ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    """Made before it was resumed, it would be the launch's end: failed."""
    job, other = ended("one"), ended("two", 0.5)
    own = job.folder.name
    for name in (f"{own}.bak", "kept", f"../{job.folder.parent.name}.old/{own}"):
        copy = JobPaths(shutil.copytree(job.folder, job.folder.parent / name))
        if name == "kept":
            settle(copy)
            continue  # of an ended one
        copy.result.unlink()
        copy.exit.write_text(job.exit.read_text().replace("ok", "failed"), encoding="utf-8")
    for _ in range(2):
        assert [one.paths for one in all_jobs(lab.paths)] == [job, other]
        assert [one.job.paths for one in all_results(lab)] == [job, other]
    note_unreadable_jobs(lab)
    told = capsys.readouterr().err
    assert told.count(f"is a copy of {job.name}, which counts\n") == told.count("\n") == 3
    changed = JobPaths(shutil.copytree(job.folder, job.folder.with_name("changed")))
    spec = json.loads(changed.spec.read_bytes())
    changed.spec.write_text(json.dumps({**spec, "config": {"argv": ["x"]}}), encoding="utf-8")
    assert changed in [one.paths for one in all_jobs(lab.paths)]  # a stranger's: it has a row


def without_sum(text: str) -> str:
    """A record as a person leaves it who changes a number in it."""
    record = json.loads(text)
    del record["crc32"]
    return json.dumps(record)


def test_the_cache_gives_what_the_folders_hold(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [ended("one"), ended("two", outcome="failed"), ended("three", 0.5), ended("four", 0.6)]
    for job in made:
        settle(job)
    wanted = finished(all_jobs(lab.paths))
    assert scanning.all_results(lab) == wanted
    monkeypatch.setattr(scanning, "read_job", lambda paths: pytest.fail(f"{paths} was read again"))
    again = scanning.all_results(lab)
    assert [one.result for one in again] == [one.result for one in wanted]
    assert [one.job.spec for one in again] == [one.job.spec for one in wanted]
    assert [one.ended for one in again] == [one.ended for one in wanted]
    monkeypatch.undo()
    # A new result comes by a rename, which its folder's time shows; a fresh folder is not trusted.
    result = read_result(made[2].result)
    assert result is not None
    write_result(made[2].result, replace(result, values={NAME: 0.9}))
    for _ in range(2):
        values = [one.result.values[NAME] for one in scanning.all_results(lab)]
        assert values == [0.75, 0.9, 0.6]
    settle(made[2])
    scanning.all_results(lab)
    with made[2].result.open("r+") as file:  # as an editor may, or `rsync --inplace`
        text = without_sum(file.read())
        file.seek(0)
        file.write(text.replace("0.9", "0.4"))
        file.truncate()
    assert [one.result.values[NAME] for one in scanning.all_results(lab)] == [0.75, 0.4, 0.6]
    cache = lab.paths.private.results
    scanning.all_results(lab)
    assert len(json.loads(cache.read_bytes())["jobs"]) == 3
    made[3].exit.rename(made[3].folder / "exit.1.json")
    assert len(scanning.all_results(lab)) == 2
    for broken in ("", "[]", '{"v": 1, "jobs": {"x": 1}}', '{"v": 1, "jobs": {"x": {}}}'):
        cache.write_text(broken, encoding="utf-8")
        assert len(scanning.all_results(lab)) == 2


def test_a_result_is_parsed_once_and_again_when_it_is_another(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "SETTLED", -1.0)  # as if all had ended long ago
    loaded: list[Path] = []

    def counted(path: Path) -> Result | None:
        loaded.append(path)
        return load_result(path)

    monkeypatch.setattr(scanning, "load_result", counted)
    one, two = ended("one", 0.5), ended("two", 0.6)
    jobs = all_jobs(lab.paths)

    def values() -> list[float | None]:
        loaded.clear()
        return [found.result.values[NAME] for found in finished(jobs)]

    assert (values(), len(loaded)) == ([0.5, 0.6], 2)
    assert (values(), len(loaded)) == ([0.5, 0.6], 0)
    result = read_result(one.result)
    assert result is not None
    write_result(one.result, replace(result, values={NAME: 0.7}))
    assert (values(), loaded) == ([0.7, 0.6], [one.result])
    times = one.result.stat().st_atime_ns, one.result.stat().st_mtime_ns
    text = without_sum(one.result.read_text())
    one.result.write_text(text.replace("0.7", "0.75"), encoding="utf-8")
    os.utime(one.result, ns=times)
    assert (values(), loaded) == ([0.75, 0.6], [one.result])
    two.result.rename(two.folder / "aside")
    assert (values(), loaded) == ([0.75], [])
    two.result.write_text("{", encoding="utf-8")
    for _ in range(2):
        assert (values(), loaded) == ([0.75], [two.result])
    (two.folder / "aside").replace(two.result)
    assert values() == [0.75, 0.6]
    two.result.rename(two.folder / "aside")
    two.result.symlink_to(two.folder / "aside")
    assert values() == [0.75]


def test_the_frame_has_every_score_with_its_error_and_what_leaks(lab: Lab, ended: Ended) -> None:
    scored(ended("one"), 0.1, 1)
    leaky = ended("two")
    result = read_result(leaky.result)
    assert result is not None
    write_result(leaky.result, replace(result, data={"hash": "same", "overlap": 4}))
    frame = results_table(lab)
    row = {row["run"]: row for row in frame.to_dicts()}
    assert row["one"]["scatter log_g"] > 0
    assert row["one"]["scatter log_g error"] > 0
    assert (row["two"]["overlap"], row["two"]["leak"], row["one"]["leak"]) == (4, True, False)
    assert frame.filter(frame["run"] == "one")["data"].to_list() == ["same"]


@pytest.fixture
def swept(lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """Two losses, three seeds each, and a LightGBM; the R2 of each."""
    monkeypatch.chdir(lab.paths.root)
    found: dict[str, list[float]] = {}
    for loss, spread in (("mse", 0.1), ("l1", 0.4)):
        for seed in (42, 43, 44):
            job = configured(
                ended(f"loss={loss} seed={seed}"), loss=loss, train={"seed": seed, "lr": 1e-3}
            )
            found.setdefault(loss, []).append(scored(job, spread, seed))
    found["trees"] = [scored(ended("trees", model="LightGBM"), 0.5, 7)]
    return found


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    capsys.readouterr()
    assert vitlab(["compare", *args]) == 0
    return capsys.readouterr().out


def test_repeats_are_one_row_with_their_mean_and_its_error(
    swept: dict[str, list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["run"]: row for row in json.loads(said(capsys, "--json"))}
    assert set(rows) == {"loss=mse", "loss=l1", "trees"}
    assert rows["loss=mse"]["seeds"] == 3
    assert rows["loss=mse"]["score"] == pytest.approx(np.mean(swept["mse"]))
    each = json.loads(said(capsys, "--json", "--each"))
    stars = [row["error"] for row in each if row["run"].startswith("loss=mse")]
    expected = error_of_mean(swept["mse"], stars)
    assert rows["loss=mse"]["error"] == pytest.approx(expected, rel=1e-3)
    assert {run: row["error of"] for run, row in rows.items()} == {
        "loss=mse": "seeds",
        "loss=l1": "seeds",
        "trees": "stars",
    }
    kinds = (
        "± of several seeds: standard error of their mean, of stars and seeds; "
        "± of a single job: bootstrap over its test stars\n"
    )
    assert said(capsys, "--markdown").endswith(f"\n\n{kinds}")
    assert said(capsys, "--latex").endswith(f"\n% {kinds}")
    assert len(each) == 7
    text = said(capsys).splitlines()
    assert text[0].split()[:3] == ["MVP", "RUN", "MODEL"]
    assert "config.loss" in text[0].lower()
    assert "train.lr" not in text[0].lower()  # all agree on it
    assert "train.seed" not in text[0].lower()
    assert [line.split()[1] for line in text[1:]] == ["loss=mse", "loss=l1", "trees"]


def test_differences_to_a_job_are_paired(
    swept: dict[str, list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["run"]: row for row in json.loads(said(capsys, "--to", "1.0/trees", "--json"))}
    best = rows["loss=mse"]
    assert best["delta"] == pytest.approx(np.mean(swept["mse"]) - swept["trees"][0])
    assert (best["how"], best["noise"], rows["trees"]["how"]) == ("paired", False, "reference")
    assert 0 < best["delta error"] < 0.02
    assert best["one seed"]  # the trees: what another seed would change is not known
    text = said(capsys, "--to", "1.0/trees", "--markdown")
    assert "(reference)" in text
    assert "(within 2 errors)" not in text
    assert "(one seed)" in text
    assert (
        "± of a difference: over stars and known seeds, at a single look; gates ask for more"
        in text
    )


def test_the_same_table_for_papers_and_programs(
    swept: dict[str, list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    tex = said(capsys, "--latex", "--to", "1.0/trees")
    assert tex.startswith("\\begin{tabular}{")
    assert tex.count(r" \\") == 4
    assert tex.count(" & ") % 4 == 0
    assert r"\pm" in tex
    assert "log_g" not in tex.replace(r"log\_g", "")
    *markdown, blank, _ = said(capsys, "--markdown").splitlines()
    assert (len(markdown), blank) == (5, "")
    assert len({line.count("|") for line in markdown}) == 1
    table = list(csv.DictReader(io.StringIO(said(capsys, "--csv"))))
    assert float(table[0]["r2 log_g"]) == pytest.approx(np.mean(swept["mse"]))
    assert table[0]["config.loss"] == "mse"


def test_any_column_sorts(
    swept: dict[str, list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept
    by_run = [row["run"] for row in json.loads(said(capsys, "--json", "--sort", "run"))]
    assert by_run == sorted(by_run)
    worst = json.loads(said(capsys, "--json", "--sort", "mae log_g", "--reverse"))
    assert [row["run"] for row in worst] == ["trees", "loss=l1", "loss=mse"]
    assert vitlab(["compare", "--sort", "scor"]) == 2
    assert "'scor'" in capsys.readouterr().err


def test_only_the_jobs_asked_for(
    swept: dict[str, list[float]], ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept
    ended("other", mvp="2.0")
    assert {row["mvp"] for row in json.loads(said(capsys, "2.0", "--json"))} == {"2.0"}


def test_a_folder_whose_name_is_no_text_hides_no_table(lab: Lab, ended: Ended) -> None:
    ended("one")
    folder = ended("two").folder
    odd = folder.with_name(os.fsdecode(folder.name.encode() + b"\xff"))
    folder.rename(odd)
    assert sorted(results_table(lab)["job"].to_list())[1].endswith("two\\udcff")


def test_all_results_answer_sql_and_go_to_other_programs(
    swept: dict[str, list[float]], lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    query = """SELECT "config.loss" AS loss, COUNT(*) AS n, AVG(score) AS mean
        FROM results WHERE model = 'ViT' GROUP BY "config.loss" ORDER BY mean DESC"""
    rows = json.loads(said(capsys, "--sql", query, "--json"))
    assert [(row["loss"], row["n"]) for row in rows] == [("mse", 3), ("l1", 3)]
    assert rows[0]["mean"] == pytest.approx(np.mean(swept["mse"]))
    assert said(capsys, "--sql", query).split()[:3] == ["LOSS", "N", "MEAN"]
    assert vitlab(["compare", "--sql", "SELECT scor FROM results"]) == 2
    err = capsys.readouterr().err
    assert "scor" in err
    assert "columns: mvp, run" in err
    assert err.count("\n") == 1
    for name in ("a.csv", "a.parquet", "a.ipc", "a.json", "a.ndjson"):
        (lab.paths.root / name).write_text('{"secret": 1}')
        kind = name.rpartition(".")[2]
        for call in (f"read_{kind}", f'"read_{kind}"', f"READ_{kind}/**/", f"scan_{kind}",
                     f"`read_{kind}`", f"'read_{kind}'"):  # fmt: skip
            for query in ("SELECT * FROM {}('{}')", "SELECT 1 FROM results, {}('{}')",
                          "WITH a AS (SELECT * FROM {}('{}')) SELECT * FROM a"):  # fmt: skip
                assert vitlab(["compare", "--sql", query.format(call, name)]) == 2
                err = capsys.readouterr().err
                assert err.count("\n") == 1
                assert "a query reads the table `results` and no file" in err
    for query in ("DELETE FROM results", "CREATE TABLE a AS SELECT 1", "-- x\nDROP TABLE results",
                  "SELECT * FROM 'a.csv'", "SELECT * FROM \"a.csv\"", "COPY results TO 'b.csv'",
                  "SELECT 1; DELETE FROM results"):  # fmt: skip
        assert vitlab(["compare", "--sql", query]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    query = "SELECT SQRT(-1.0 * score) AS a, DATE '2026-01-01' AS b FROM results LIMIT 1"
    assert json.loads(said(capsys, "--sql", query, "--json")) == [{"a": None, "b": "2026-01-01"}]
    path = lab.paths.root / "all.parquet"
    assert "7 rows" in said(capsys, "--out", str(path))
    assert pl.read_parquet(path).equals(results_table(lab))
    for name, why in (
        ("all.xlsx", "must end in .parquet or .csv"),
        (str(path), "exists already"),
        ("none/all.csv", "no such folder"),
    ):
        assert vitlab(["compare", "--out", name]) == 2
        assert f"--out {name}: {why}" in capsys.readouterr().err
    assert pl.read_parquet(path).equals(results_table(lab))


def test_comments_before_a_query_are_skipped_in_linear_time(lab: Lab, ended: Ended) -> None:
    ended("one", 0.7)
    began = time.process_time()
    with pytest.raises(UsageError, match="a query begins with SELECT"):
        query_results(lab, "/*a*/" * 5000 + "x")
    assert len(query_results(lab, "-- one\n/* two */ /**/ select run from results")) == 1
    assert time.process_time() - began < 5


def test_each_headline_is_a_column_and_is_ranked_by_itself(lab: Lab, ended: Ended) -> None:
    names = {"a": "test/mae/log_g", "b": "test/mae_sigma/log_g", "c": "test/mae/log_g"}
    for run, number in (("a", 0.4), ("b", 0.1), ("c", 0.3)):
        job = ended(run, headline=names[run])
        result = read_result(job.result)
        assert result is not None
        values = {names[run]: number, "test/rmse/log_g": 0.2 if run == "a" else 0.5}
        write_result(job.result, replace(result, values=values, errors={}, headline=names[run]))
    rows = compare(lab, all_results(lab), sort="score")
    assert [row["run"] for row in rows] == ["c", "a", "b"]
    contradiction = rows[1]["contradictions"]
    assert contradiction == "test log_g: MAE 0.4 is larger than RMSE 0.2, which no errors allow"
    header, cells = short(rows, [])
    assert header[-2:] == ["test/mae/log_g", "test/mae_sigma/log_g"]
    assert [line[-2:] for line in cells] == [["0.3", "-"], ["0.4", "-"], ["-", "0.1 σ"]]
    assert r"0.1 $\sigma$" in as_latex(header, cells)


def test_no_name_in_a_table_is_latex_or_a_formula(
    lab: Lab, ended: Ended, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(lab.paths.root)
    latex, formula = r"\input{/etc/passwd} ± 1", '=HYPERLINK("http://x")'
    configured(ended(latex), train={"seed": ["a"], "lr": 10**99})
    configured(ended(formula), train={"seed": 3, "lr": "x"})
    configured(ended(r"1 ± 2\input{x}"))
    tex = said(capsys, "--latex")
    assert r"\input" not in tex
    assert r"\textbackslash{}input\{/etc/passwd\} $\pm$ 1 &" in tex
    assert r"$1 \pm 2$\textbackslash{}input\{x\}" in tex
    out = tmp_path / "all.csv"
    said(capsys, "--out", str(out))
    texts = (said(capsys, "--csv"), said(capsys, "--sql", "from results", "--csv"), out.read_text())
    for text in texts:
        runs = {row["run"] for row in csv.DictReader(io.StringIO(text))}
        assert runs == {latex, f"'{formula}", r"1 ± 2\input{x}"}
    rows = {row["run"]: row for row in json.loads(said(capsys, "--json"))}
    assert [rows[run]["seed"] for run in (latex, formula)] == [None, 3]


def test_a_cache_that_came_with_a_lab_is_not_believed(
    lab: Lab, ended: Ended, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settle(ended("one", 0.5))
    assert [one.result.values[NAME] for one in all_results(lab)] == [0.5]
    cache = lab.paths.private.results
    text = cache.read_text()
    assert "0.5" in text
    cache.write_text(text.replace("0.5", "0.99"))
    assert [one.result.values[NAME] for one in all_results(lab)] == [0.5]  # no seal is on that
    assert "0.5" in cache.read_text()
    copied = tmp_path_factory.mktemp("copied") / "lab"
    shutil.copytree(lab.paths.root, copied, symlinks=True)  # with all times
    assert [one.result.values[NAME] for one in all_results(open_lab(copied))] == [0.5]


def test_results_that_fill_the_memory_are_told_and_not_read(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [ended(f"run {k}", 0.7) for k in range(3)]
    for job in jobs:
        record = json.loads(job.result.read_bytes())
        record["figures"] = ["\N{GRINNING FACE}" + "a" * 50_000]
        job.result.write_text(json.dumps(record, ensure_ascii=False))
        settle(job)
    monkeypatch.setattr(reading, "MEMORY", 250_000)
    monkeypatch.setattr(store, "_kept", {})
    found = all_jobs(lab.paths)
    assert [bool(job.problem) for job in found] == [False, False, True]
    assert found[2].problem.startswith("result.json is larger than 16 kB, and those of other jobs")
    assert len(finished(found)) == 2
    assert len(all_results(lab)) == 2
