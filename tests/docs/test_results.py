"""What a result writes: numbers, verdicts, conclusions, links; a trial's only where it may."""

import pytest

from vitlab.contract.job import Result
from vitlab.docs.judge.conclusion import conclusion, key_metric, spectra
from vitlab.docs.judge.gates import Verdict, judge
from vitlab.docs.model.hub import key_number, parse_hub
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.save import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.progress import set_progress
from vitlab.docs.write.report import report_name, report_text
from vitlab.docs.write.results import finish, link_report
from vitlab.docs.write.rows import link_figures
from vitlab.docs.write.status import launch

from .conftest import real
from .test_writeback import changed_lines

DATE = "2026-01-02"


def result(mvp: str, model: str, r2: float, run: str = "main", **more: object) -> Result:
    fields: dict[str, object] = {
        "mvp": mvp,
        "run": run,
        "profile": "full",
        "recipe": "x",
        "values": {"test/r2/log_g": r2, "val/r2/log_g": r2 + 0.01, "test/mae/log_g": 0.3},
        "errors": {"test/r2/log_g": 0.004},
        "n": {"train": 1_000_000, "val": 1000, "test": 10_000},
        "model": {"name": model, "params": 4_900_000},
        "data": {"source": "simulated", "hash": "h1"},
        "best": {"epoch": 187, "step": 1},
        "seconds": 12.0,
        **more,
    }
    return Result(**fields)  # type: ignore[arg-type]


def finished(
    text: str, results: list[Result], others: list[Result] | None = None, status: str = "done"
) -> str:
    roadmap = parse_roadmap(Document(text))
    mvp = results[0].mvp
    everything = [*results, *(others or [])]
    verdicts = {g.id: judge(g, everything, roadmap) for g in roadmap.gates if mvp in g.mvps}
    sentence = conclusion(results, roadmap.language, list(verdicts.values()))
    profile = results[0].profile
    edits = finish(
        roadmap, mvp, results, status, sentence, "./exp_x_20260102.md", verdicts, DATE, profile
    )
    return apply(text, edits)


def launched(roadmap: Roadmap, mvp: str) -> str:
    text = roadmap.document.text
    return apply(text, launch(roadmap, mvp, "VIT-20260102-lgbm-01", DATE))


def test_a_full_result_is_written_everywhere(vit: Roadmap) -> None:
    text = launched(vit, "2.0")
    new = finished(text, [result("2.0", "LightGBM", 0.614)], [result("1.0", "ViT", 0.711)])
    added = [line[1:] for line in changed_lines(text, new).splitlines() if line[0] == "+"]
    assert added == [
        "| 状态 | ✅ **PASS: R²_test: ViT 0.711, LightGBM 0.614, "
        "Δ = +0.097 ± 0.0057（按独立误差）** |",
        "| 🔴 P0.2 | MVP-2.0 (LightGBM 1M) | Gate-2 | ✅ | 2025-12-28 |",
        "| 2.0 | LightGBM 1M Baseline | 1 | Gate-2 | ✅ | `VIT-20260102-lgbm-01` |"
        " [exp_x](./exp_x_20260102.md) |",
        "### MVP-2.0: LightGBM 1M Baseline (✅ 完成)",
        "MVP-4.0                   (Run1,Run2)               MVP-2.0",
        "MVP-6.0",
        "| Gate-2 | MVP-2.0 | ✅ | R²_test=0.614 ± 0.004 |",
        "| 2.0 | LightGBM 在 1M 数据上 R²_test=0.614 ± 0.004；Gate-2 通过 |"
        " R²_test=0.614 ± 0.004 | - |",
        "| 2026-01-02 | MVP-2.0 完成 (R²_test=0.614 ± 0.004) |",
        "| `VIT-20260102-lgbm-01` | VIT | vit | ✅ | MVP-2.0 |",
        "| 2.0 | LightGBM, 1M | 0.624 | 0.300 | ✅ |",
        "| P0.2 | LightGBM 1M baseline | MVP-2.0 | ✅ | Table: ViT vs baselines |",
        "| 2026-01-02 | MVP-2.0 完成: R²_test=0.614 ± 0.004 |"
        " §1.2, §1.3, §2.1, §3, §4.1, §4.2, §4.3, §5.1, §6.1, §6.2 |",
    ]


def test_a_trial_is_marked_and_closes_nothing(vit: Roadmap) -> None:
    text = launched(vit, "2.0")
    ours = result("2.0", "LightGBM", 0.41, profile="demo")
    others = [result("1.0", "ViT", 0.5, profile="demo")]
    new = finished(text, [ours], others, status="analysing")
    assert "PASS" not in new
    assert "| Gate-2 | MVP-2.0 | 🔆 | R²_test=0.410 ± 0.004 (demo) |" in new
    assert "| 2.0 | LightGBM, 1M | 0.420 (demo) | 0.300 (demo) | 🔆 |" in new
    assert "(demo)；Gate-2 待定 | R²_test=0.410 ± 0.004 (demo) | - |" in new
    assert "| 2026-01-02 | MVP-2.0 demo 完成 (R²_test=0.410 ± 0.004) |" in new
    again = finished(new, [result("2.0", "LightGBM", 0.614)], [result("1.0", "ViT", 0.711)])
    assert "| 2.0 | LightGBM, 1M | 0.624 | 0.300 | ✅ |" in again
    assert "| Gate-2 | MVP-2.0 | ✅ | R²_test=0.614 ± 0.004 |" in again
    assert again.count("| 2.0 | LightGBM") == 3  # overview, conclusion, numbers: none is doubled


def test_a_trial_that_is_over_does_not_close_its_gate(vit: Roadmap) -> None:
    new = finished(launched(vit, "2.0"), [result("2.0", "LightGBM", 0.41, profile="demo")])
    assert "| Gate-2 | MVP-2.0 | ⏳ |" in new
    assert "| 状态 | ⏳ 待启动 |" in new.split("### Gate-2")[1].split("###")[0]


def test_a_trial_never_replaces_the_number_of_a_full_run(vit: Roadmap) -> None:
    text = vit.document.text
    trial = [result("1.0", "ViT", 0.2, run=f"Run {i}", profile="smoke") for i in (1, 2)]
    new = finished(text, trial, status="running")
    assert "| 1.0 Run1 | MSE+C1D+standard | **0.713** | 0.38 | 🚀 ep112 |" in new
    assert "| Gate-1 | MVP-1.0 | 🚀 | R²_val=0.713 (ep112), 待 200ep + test |" in new
    assert "| 1.0 | ViT 在 1M 数据上有效学习 log_g | R²=0.713 (ep112) | ✅ §6.3 |" in new
    assert "| 1.0 Run2 | L1+SW+minmax | 0.210 (smoke) | 0.300 (smoke) | 🚀 ep0 |" in new


def test_the_rows_of_runs_are_filled_in_where_they_stand(vit: Roadmap) -> None:
    runs = [
        result("1.0", "ViT", 0.711, run="Run 1", wandb="https://wandb.ai/x/runs/abc"),
        result("1.0", "ViT", 0.69, run="Run 2"),
    ]
    new = finished(vit.document.text, runs)
    assert "| 1.0 Run1 | MSE+C1D+standard | **0.721** | 0.300 | ✅ ep187 |" in new
    assert "| Run 2 | L1 | minmax | SW | ✅ ep187 | [6yg86hgi](" in new
    assert "| 1.0 | ViT [Run 1] 在 1M 数据上 R²_test=0.711" in new
    assert "| 状态 | ✅ **PASS: R²_test = 0.711 ± 0.004 > 0.7** |" in new
    assert new.index("| 2025-12-28 | (预期)") < new.index("| 2026-01-02 | MVP-1.0 完成")


def test_a_verdict_by_hand_is_not_overwritten() -> None:
    moe = parse_roadmap(real("moe_snr_roadmap.md"))
    verdict = Verdict("2", "fail", "because")
    one = result("1.0", "MoE", 0.4)
    edits = finish(moe, "1.0", [one], "done", "s", None, {"2": verdict}, DATE, "full")
    new = apply(moe.document.text, edits)
    assert "| 状态  | ✅ **PASS: ΔR² = +0.05 ≥ 0.02**                        |" in new
    assert "FAIL: because" not in new


def test_an_open_verdict_leaves_the_gate_to_a_person(vit: Roadmap) -> None:
    new = finished(launched(vit, "2.0"), [result("2.0", "LightGBM", 0.614)])
    assert "| 状态 | 🔆 分析中 |" in new.split("### Gate-2")[1].split("###")[0]


def test_what_is_written_stays_in_its_cell(vit: Roadmap) -> None:
    bad = "a | b\n| c `d"
    verdict = Verdict("2", "pass", bad)
    one = result("2.0", bad, 0.6)
    edits = finish(vit, "2.0", [one], "done", bad, "./a (b)|c.md", {"2": verdict}, DATE, "full")
    again = parse_roadmap(Document(apply(vit.document.text, edits)))
    for view in again.views:
        assert {len(e.row.cells) for e in view.entries} <= {view.table.width}
    assert again.mvp("2.0").report == "./a%20%28b%29%7Cc.md"


def test_a_report_is_linked_once(vit: Roadmap) -> None:
    assert link_report(vit, "2.0", "./exp_a_20260102.md")
    new = apply(vit.document.text, link_report(vit, "2.0", "./exp_a_20260102.md"))
    assert parse_roadmap(Document(new)).mvp("2.0").report == "./exp_a_20260102.md"


def test_english_documents_are_written_in_english(english: Roadmap) -> None:
    text = apply(english.document.text, launch(english, "1.0", "NZ-20260102-sig-01", DATE))
    new = finished(text, [result("1.0", "ViT", 0.7)])
    assert "| 2026-01-02 | MVP-1.0 started (Signal a\\|b) |" in new
    assert "| 2026-01-02 | MVP-1.0 done (R²_test=0.700 ± 0.004) |" in new
    assert "| 1.0 | ViT on 1M spectra: R²_test=0.700 ± 0.004; Gate-1 passes |" in new
    assert "| 1.0 | ViT, 1M | 0.700 | 0.300 | ✅ Done |" in new
    assert "| `NZ-20260102-sig-01` | NZ | noise | ✅ Done | MVP-1.0 |" in new


def test_progress_touches_only_what_reads_as_progress(vit: Roadmap) -> None:
    edits = set_progress(vit, "1.0", 130, 200, ("val/r2/log_g", 0.72), "Run 1")
    found = changed_lines(vit.document.text, apply(vit.document.text, edits)).splitlines()
    assert [line[1:] for line in found if line[0] == "+"] == [
        "| 状态 | 🚀 运行中 (ep130/200) |",
        "| 当前 | ep130, R²_val=0.720 |",
        "| Run 1 | MSE | standard | C1D | 🚀 ep130 | [khgqjngm](https://wandb.ai/"
        "viskawei-johns-hopkins-university/vit-1m-scaling/runs/khgqjngm) |",
        "| Gate-1 | MVP-1.0 | 🚀 | R²_val=0.720 (ep130), 待 200ep + test |",
        "| 1.0 Run1 | MSE+C1D+standard | **0.713** | 0.38 | 🚀 ep130 |",
    ]


def test_progress_begins_where_nothing_stands_yet(vit: Roadmap) -> None:
    text = launched(vit, "2.0")
    roadmap = parse_roadmap(Document(text))
    new = apply(text, set_progress(roadmap, "2.0", 3, 10, ("val/r2/log_g", 0.5)))
    assert "| Gate-2 | MVP-2.0 | 🚀 | R²_val=0.500 (ep3) |" in new
    assert "| 状态 | 🚀 运行中 (ep3/10) |" in new


def test_the_report_holds_numbers_command_and_checks(vit: Roadmap) -> None:
    one = result("2.0", "LightGBM", 0.614, values={"test/r2/log_g": 0.614, "val/r2/log_g": None})
    text = report_text(
        vit,
        "2.0",
        [one],
        exp_id="VIT-20260102-lgbm-01",
        sentence="结论句",
        date=DATE,
        command="vitlab run 2.0 --profile full",
        verdicts={"2": Verdict("2", "open", "a | b", None)},
    )
    assert text.startswith("# 📗 LightGBM 1M Baseline\n")
    for part in (
        "- 同口径 LightGBM baseline\n- Gate-2: LightGBM 1M Baseline 对比\n",
        "| main | LightGBM | 1M | 4.9M | 0.6140 ± 0.0040 | 12 |\n",
        "| Gate-2 | 待定 | - | a \\| b |\n",
        "```bash\nvitlab run 2.0 --profile full\n```\n",
        "- 非有限数值: `val/r2/log_g`\n",
        "- 数据 hash: `h1`\n",
    ):
        assert part in text
    assert report_name(vit.mvp("2.0"), "VIT-20260102-lgbm-01", DATE) == "exp_lgbm_20260102.md"


def test_a_trials_report_says_so(english: Roadmap) -> None:
    one = result("1.0", "ViT", 0.4, profile="demo")
    text = report_text(
        english, "1.0", [one], exp_id="x", sentence="s", date=DATE, command="c", verdicts={}
    )
    assert "> ⚠️ These are results of the demo profile" in text
    assert "| main (demo) | ViT |" in text


def test_sentences_and_sizes() -> None:
    assert [spectra(n) for n in (500, 10_000, 250_000, 1_000_000)] == ["500", "10k", "250k", "1M"]
    assert key_metric([]) == "-"
    assert conclusion([], "zh") == "没有可用的数值"
    worse, better = result("1.0", "A", 0.5, run="a"), result("1.0", "B", 0.6, run="b")
    assert conclusion([worse, better], "en") == "B [b] on 1M spectra: R²_test=0.600 ± 0.004"


def test_a_hub_keeps_its_form_when_a_key_number_changes() -> None:
    hub = parse_hub(real("vit_hub_20251227.md"))
    text = hub.document.text
    new = apply(text, key_number(hub, "LightGBM R²", "0.62", "1M | x", "exp_y", DATE))
    assert changed_lines(text, new).splitlines() == [
        "-| **LightGBM R²** | **0.614** | 1M/10k, raw input | r2_vs_snr_ceiling |",
        "+| **LightGBM R²** | **0.62** | 1M \\| x | exp_y |",
        "+| 2026-01-02 | 更新 LightGBM R²: 0.62 | exp_y |",
    ]
    again = parse_hub(Document(new))
    assert key_number(again, "LightGBM R²", "0.62", "1M | x", "exp_y", DATE) == []


@pytest.mark.parametrize("text", ["", "# Nothing\n", "| 指标 | 值 |\n|---|---|\n"])
def test_a_hub_without_the_tables_is_left_alone_or_filled(text: str) -> None:
    hub = parse_hub(Document(text))
    edits = key_number(hub, "a", "1", "c", "s", DATE)
    assert apply(text, edits) in (text, text + "| a | 1 |", text.rstrip("\n") + "\n| a | 1 |\n")


def test_figures_are_a_row_of_the_specification_and_later_ones_take_its_place(vit: Roadmap) -> None:
    links = {"scaling": "./img/mvp_3.0_scaling_demo.png", "parity": "./img/mvp_3.0_parity_demo.png"}
    new = apply(vit.document.text, link_figures(vit, "3.0", links))
    told = ", ".join(f"[{name}]({path})" for name, path in links.items())
    row = f"| 图表 | {told} |"
    assert changed_lines(vit.document.text, new).splitlines() == [f"+{row}"]
    again = parse_roadmap(Document(new))
    assert link_figures(again, "3.0", links) == []
    full = {"scaling": "./img/mvp_3.0_scaling.png"}
    later = apply(new, link_figures(again, "3.0", full))
    assert later == new.replace(row, "| 图表 | [scaling](./img/mvp_3.0_scaling.png) |")


def test_a_row_on_figures_that_a_person_wrote_is_left_alone(vit: Roadmap) -> None:
    links = {"scaling": "./img/mvp_3.0_scaling.png"}
    text = apply(vit.document.text, link_figures(vit, "3.0", links))
    own = text.replace("[scaling](./img/mvp_3.0_scaling.png)", "R² vs N, see [here](./img/a.png)")
    new = apply(own, link_figures(parse_roadmap(Document(own)), "3.0", links))
    assert "R² vs N, see [here](./img/a.png)" in new
    assert "| 图表 | [scaling](./img/mvp_3.0_scaling.png) |" in new
