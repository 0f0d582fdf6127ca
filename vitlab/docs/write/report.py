"""The report file of one experiment, written from its results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vitlab.contract.job import Result
from vitlab.contract.value import Value, ceiling_split
from vitlab.docs.judge.conclusion import ceiling_mags, count_text, profile_mark
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.model.roadmap import Mvp, Roadmap, Spec
from vitlab.docs.text.inline import cell_text, code
from vitlab.docs.write.rows import TITLES, figure_lines

_WORDS = {
    "zh": {
        "conclusion": "结论", "question": "问题", "setup": "设置", "results": "结果",
        "gates": "Gate 判定", "figures": "图表", "reproduce": "复现", "sanity": "核对",
        "run": "Run", "model": "模型", "train": "训练数", "params": "参数量", "seconds": "用时 (s)",
        "item": "项", "content": "内容", "verdict": "判定", "because": "依据", "rule": "规则",
        "profile": "配置档", "data": "数据", "hash": "数据 hash", "n": "训练/验证/测试",
        "best": "最佳 epoch", "nan": "非有限数值", "none": "无", "error": "± 为 bootstrap 标准误",
        "trial": "这是 {} 档的结果：只用于检查流程，不用于关闭 Gate，也不替代完整训练的数字。",
        "same": "所有 run 使用同一测试数据", "differ": "各 run 的测试数据不同，不可直接比较",
    },
    "en": {
        "conclusion": "Conclusion", "question": "Question", "setup": "Setup", "results": "Results",
        "gates": "Gates", "figures": "Figures", "reproduce": "Reproduce", "sanity": "Sanity",
        "run": "Run", "model": "Model", "train": "Train", "params": "Parameters",
        "seconds": "Time (s)", "item": "Item", "content": "Content", "verdict": "Verdict",
        "because": "Because", "rule": "Rule", "profile": "Profile", "data": "Data",
        "hash": "Data hash", "n": "Train/val/test", "best": "Best epoch",
        "nan": "Non-finite values", "none": "none", "error": "± is a bootstrap standard error",
        "trial": "These are results of the {} profile: they check the path, close no gate and "
        "stand for no full run's number.",
        "same": "all runs saw the same test data",
        "differ": "the runs saw different test data: their numbers do not compare",
    },
}  # fmt: skip


def report_name(mvp: Mvp, exp_id: str, date: str) -> str:
    """`exp_<topic>_<yyyymmdd>.md`, the topic taken from the experiment's id."""
    topic = re.sub(r"^[A-Za-z]+-\d{8}-", "", exp_id)
    topic = re.sub(r"-\d{1,3}$", "", topic)
    plain_topic = re.sub(r"[^\w]+", "_", topic.casefold()).strip("_") or f"mvp_{mvp.id}"
    return f"exp_{plain_topic}_{re.sub(r'[^0-9]', '', date)}.md"


def report_text(
    roadmap: Roadmap,
    mvp_id: str,
    results: Sequence[Result],
    *,
    exp_id: str,
    conclusion: str,
    date: str,
    command: str,
    verdicts: Mapping[str, Verdict],
    figures: Sequence[str] = (),
    checks: Sequence[Phrase] = (),
    made_by: Sequence[Phrase] = (),
) -> str:
    """The text of a report: question, setup, results, gates, command, checks.

    `figures`: paths of figures from the report, added to those the results name; `checks`: sanity
    checks of the numbers; `made_by`: which code made each run.
    """
    mvp = roadmap.mvp(mvp_id)
    words = _WORDS[roadmap.language]
    spec = next((s for s in roadmap.specs if s.mvp == mvp.id), None)
    profiles = sorted({result.profile for result in results})
    trial = [profile for profile in profiles if profile != "full"]
    head = [
        f"# 📗 {mvp.name or 'MVP-' + mvp.id}",
        f"> **MVP:** MVP-{mvp.id} | **exp_id:** {code(exp_id)} | **Date:** {date}",
        "",
    ]
    if trial:
        head += [f"> ⚠️ {words['trial'].format('/'.join(trial))}", ""]
    parts = [
        (words["conclusion"], [conclusion]),
        (words["question"], _question(roadmap, mvp, spec)),
        (words["setup"], _setup(spec, results, words)),
        (words["results"], [*_results(results, words), *_ceilings(results), "", words["error"]]),
        (words["gates"], _gates(verdicts, words, roadmap.language)),
        (words["figures"], figure_lines([*(f for r in results for f in r.figures), *figures])),
        (words["reproduce"], _reproduce(command, [p.text(roadmap.language) for p in made_by])),
        (
            words["sanity"],
            [*(f"- {p.text(roadmap.language)}" for p in checks), *_sanity(results, words)],
        ),
    ]
    lines = [*head]
    for title, body in parts:
        if body:
            lines += [f"## {title}", "", *body, ""]
    return roadmap.document.newline.join([*lines[:-1], ""])


def _question(roadmap: Roadmap, mvp: Mvp, spec: Spec | None) -> list[str]:
    aims = ("目标", "核心问题", "goal", "aim", "question", "objective", "验证")
    lines = [
        entry.cells["content"].raw
        for entry in (spec.facts if spec else ())
        if entry.text("item").casefold() in aims and "content" in entry.cells
    ]
    gates = [g for g in roadmap.gates if mvp.id in g.mvps]
    lines += [f"Gate-{gate.id}: {gate.title}" for gate in gates]
    return [f"- {text}" for text in lines] or [mvp.name]


def _setup(spec: Spec | None, results: Sequence[Result], words: Mapping[str, str]) -> list[str]:
    rows = [
        (e.cells["item"].raw, e.cells["content"].raw)
        for e in (spec.facts if spec else ())
        if "item" in e.cells and "content" in e.cells and e.text("item") not in TITLES
    ]
    for result in results[:1]:
        n = "/".join(
            count_text(result.n[s]) if s in result.n else "-" for s in ("train", "val", "test")
        )
        rows += [
            (words["profile"], result.profile),
            (words["data"], cell_text(str(result.data.get("source", "-")))),
            (words["n"], n),
        ]
    return table([words["item"], words["content"]], rows)


def _results(results: Sequence[Result], words: Mapping[str, str]) -> list[str]:
    values = {Value.parse(name) for r in results for name in r.values}
    tested = [v for v in values if v.split == "test"]
    names = sorted(map(str, tested)) or sorted({r.headline for r in results})
    header = [words["run"], words["model"], words["train"], words["params"]]
    header += [Value.parse(name).short for name in names] + [words["seconds"]]
    rows = []
    for result in results:
        train = count_text(result.n["train"]) if "train" in result.n else "-"
        params = result.model.get("params")
        size = count_text(params) if isinstance(params, int) else "-"
        numbers = [_cell(result, name) for name in names]
        run = cell_text(result.run) + profile_mark(result.profile)
        model = cell_text(result.model_name)
        rows.append([run, model, train, size, *numbers, f"{result.seconds:.0f}"])
    return table(header, rows)


def _ceilings(results: Sequence[Result]) -> list[str]:
    """A ceiling by magnitude: of a regressor (Bayes) and of unbiased estimators (CRLB)."""
    lines = []
    for result in results:
        label = Value.parse(result.headline).label
        snr = Value("", "snr", "median")
        bounds = [Value("", name, label) for name in ("r2_bayes", "r2_crlb_mean", "r2_crlb_median")]
        rows = [
            [
                f"{mag:g}",
                f"{result.values.get(str(snr.on(ceiling_split(mag)))) or 0:.1f}",
                *(_cell(result, str(bound.on(ceiling_split(mag)))) for bound in bounds),
            ]
            for mag in ceiling_mags(result)
        ]
        header = ["mag", *(value.symbol for value in (snr, *bounds))]
        lines += ["", *table(header, rows)] if rows else []
    return lines


def _cell(result: Result, name: str) -> str:
    value = result.values.get(name)
    if value is None:
        return "-"
    error = result.errors.get(name)
    digits = 1 if abs(value) >= 100 else 4
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error else "")


def _gates(verdicts: Mapping[str, Verdict], words: Mapping[str, str], language: str) -> list[str]:
    rows = [
        (
            f"Gate-{gate}",
            phrase(verdict.verdict).text(language),
            cell_text(verdict.rule or "-"),
            cell_text(verdict.because_in_document or verdict.because),
        )
        for gate, verdict in verdicts.items()
    ]
    return table(["Gate", words["verdict"], words["rule"], words["because"]], rows) if rows else []


def _reproduce(command: str, made_by: Sequence[str]) -> list[str]:
    lines = ["```bash", command.replace("```", ""), "```"]
    return [*lines, *(["", *(f"- {cell_text(text)}" for text in made_by)] if made_by else [])]


def _sanity(results: Sequence[Result], words: Mapping[str, str]) -> list[str]:
    hashes = {str(r.data["hash"]) for r in results if r.data.get("hash")}
    broken = sorted({name for r in results for name, value in r.values.items() if value is None})
    lines = [f"- {words['nan']}: {', '.join(map(code, broken)) or words['none']}"]
    lines += [f"- {words['hash']}: {', '.join(map(code, sorted(hashes))) or words['none']}"]
    if len(results) > 1 and hashes:
        lines.append(f"- {words['same'] if len(hashes) == 1 else words['differ']}")
    epochs = [f"{r.run} {r.best['epoch']:g}" for r in results if r.best.get("epoch")]
    return [*lines, *([f"- {words['best']}: {', '.join(epochs)}"] if epochs else [])]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a markdown table; cells are taken as they are."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" for _ in header) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
