"""The report file of one experiment, written from its results."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from vitlab.contract.job import Result
from vitlab.contract.value import Value, ceiling_split
from vitlab.docs.judge.checks import failed_checks
from vitlab.docs.judge.conclusion import ceiling_mags, count_text, gate_sentence, profile_mark
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.model.mvps import Spec
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.text.inline import cell_text, code, one_line
from vitlab.docs.write.rows import TITLES, figure_lines

EACH = 8
"""Runs up to which each is named with its best epoch; of more the range is told."""

_WORDS = {
    "zh": {
        "conclusion": "结论", "question": "问题", "setup": "设置", "results": "结果",
        "gates": "Gate 判定", "figures": "图表", "reproduce": "复现", "sanity": "核对",
        "run": "Run", "model": "模型", "train": "训练数", "params": "参数量",
        "seconds": "墙钟时间 (s)",
        "item": "项", "verdict": "判定", "because": "依据", "rule": "规则",
        "profile": "配置档", "data": "数据", "hash": "数据 hash", "n": "训练/验证/测试",
        "best": "最佳 epoch", "range": "{:g} 至 {:g}（{} 个 run）",
        "nan": "NaN 或 Inf", "none": "无",
        "plan": "计划（roadmap 原文）", "ran": "实际运行：{}", "next": "下一步", "line": "- {}：{}",
        "labels": "标签", "training": "训练设置", "input": "数据设置",
        "other": "其他设置", "unknown": "未知（无运行配置）",
        "stars": "± 为对测试恒星 bootstrap 的标准误（单个模型，不含随机种子间的弥散）",
        "draws": "± 为 Monte Carlo 标准误（有限个模拟恒星及其噪声），并非 bootstrap；"
        "R²_linear 的误差取两半恒星结果之差的一半；"
        "R²_CRLB 由平均 CRLB 得出，可为负，只约束无偏估计",
        "trial": "这是 {} 档的结果：只用于检查流程，不用于关闭 Gate，也不替代完整训练的数字。",
        "same": "所有 run 使用同一测试数据", "differ": "各 run 的测试数据不同，不可直接比较",
    },
    "en": {
        "conclusion": "Conclusion", "question": "Question", "setup": "Setup", "results": "Results",
        "gates": "Gates", "figures": "Figures", "reproduce": "Reproduce", "sanity": "Sanity",
        "run": "Run", "model": "Model", "train": "Train", "params": "Parameters",
        "seconds": "Wall time (s)", "item": "Item", "verdict": "Verdict",
        "because": "Because", "rule": "Rule", "profile": "Profile", "data": "Data",
        "hash": "Data hash", "n": "Train/val/test",
        "best": "Best epoch", "range": "{:g} to {:g} of {} runs",
        "nan": "Non-finite values", "none": "none", "plan": "Plan (from the roadmap)",
        "ran": "What ran: {}", "next": "Next steps", "line": "- {}: {}",
        "recipe": "Recipe", "labels": "Labels", "training": "Training settings",
        "input": "Data settings", "other": "Other settings",
        "unknown": "unknown (no configuration of the run)",
        "stars": "± is the bootstrap standard error over the test stars for one trained "
        "model, without the scatter over seeds",
        "draws": "± is a Monte Carlo standard error (finitely many simulated stars and their "
        "noise), not a bootstrap; for R²_linear, half the difference between two halves; R²_CRLB "
        "is of the mean CRLB, may be negative, and bounds unbiased estimates only",
        "trial": "Results of the {} profile: a test of the pipeline that closes no gate and "
        "does not replace the numbers of a full run.",
        "same": "all runs saw the same test data",
        "differ": "the runs saw different test data: their numbers are not comparable",
    },
}  # fmt: skip


def report_names(mvp: Mvp, exp_id: str, date: str) -> Iterator[str]:
    """`exp_<topic>_<yyyymmdd>.md`, the topic taken from the experiment's id; then other names.

    For where another experiment's report has the first: with its number, the whole id, counted.
    """
    numbered = re.sub(r"^[A-Za-z]+-\d{8}-", "", exp_id)
    topics = (re.sub(r"-\d{1,3}$", "", numbered), numbered, exp_id)
    for count in itertools.count(1):
        for topic in topics if count == 1 else (f"{exp_id}_{count}",):
            plain_topic = re.sub(r"[^\w]+", "_", topic.casefold()).strip("_") or f"mvp_{mvp.id}"
            yield f"exp_{plain_topic}_{re.sub(r'[^0-9]', '', date)}.md"


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
    settings: Sequence[Mapping[str, object]] = (),
) -> str:
    """The text of a report: question, setup, results, gates, command, checks.

    `figures`: paths of figures from the report, added to those the results name; `checks`: sanity
    checks of the numbers; `made_by`: which code made each run; `settings`: what each of `results`
    ran with, by dotted keys (`train.lr`), empty for one of which nothing is known.
    """
    mvp = roadmap.mvp(mvp_id)
    words = _WORDS[roadmap.language]
    spec = next((s for s in roadmap.specs if s.mvp == mvp.id), None)
    parts = [
        (words["conclusion"], [conclusion]),
        (words["question"], _question(roadmap, mvp, spec)),
        (words["setup"], [*_what_ran(results, settings, words), *_plan(spec, words)]),
        (
            words["results"],
            [*_results(results, words), *_ceilings(results), *_errors(results, words)],
        ),
        (words["gates"], _gates(verdicts, words, roadmap.language)),
        (words["next"], _next(roadmap, verdicts)),
        (words["figures"], figure_lines([*(f for r in results for f in r.figures), *figures])),
        (words["reproduce"], _reproduce(command, [p.text(roadmap.language) for p in made_by])),
        (
            words["sanity"],
            [*(f"- {p.text(roadmap.language)}" for p in checks), *_sanity(results, words)],
        ),
    ]
    lines = _head(mvp, results, words, exp_id, date)
    for title, body in parts:
        if body:
            lines += [f"## {title}", "", *body, ""]
    return roadmap.document.newline.join([*map(one_line, lines[:-1]), ""])


def _head(
    mvp: Mvp, results: Sequence[Result], words: Mapping[str, str], exp_id: str, date: str
) -> list[str]:
    profiles = sorted({result.profile for result in results})
    trial = [profile for profile in profiles if profile != "full"]
    head = [
        f"# 📗 {mvp.name or 'MVP-' + mvp.id}",
        f"> **MVP:** MVP-{mvp.id} | **exp_id:** {code(exp_id)} | **Date:** {date}",
        "",
    ]
    if trial:
        head += [f"> ⚠️ {words['trial'].format('/'.join(trial))}", ""]
    return head


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


_SECTIONS = {"model": "model", "train": "training", "args": "training"} | dict.fromkeys(
    ("data", "noise"), "input"
)
"""The row of a setting by its section; of a command only what follows its program is a setting."""
_NOT_SHOWN = {
    *("labels", "data.source", "data.memory", "data.device_memory"),
    *("train.threads", "train.prefetch", "threads"),
    *("metrics", "env", "outputs", "resume_argv", "cwd", "argv", "matrix"),
}
"""Settings with a row of their own, and those that change no number or are no setting of a run."""


def _what_ran(
    results: Sequence[Result],
    settings: Sequence[Mapping[str, object]],
    words: Mapping[str, str],
) -> list[str]:
    """What ran, a column for each recipe; where its runs differ all their values in braces."""
    known = [*settings, *({} for _ in results[len(settings) :])]
    columns: dict[str, dict[str, list[str]]] = {}
    for result, own in zip(results, known, strict=True):
        column = columns.setdefault(result.recipe, {})
        for item, text in _run_items(result, own, words):
            values = column.setdefault(item, [])
            values += [] if text in values else [text]
    cells = {recipe: _item_cells(column) for recipe, column in columns.items()}
    items = dict.fromkeys(item for column in cells.values() for item in column)
    header = [words["item"], *(words["ran"].format(cell_text(recipe)) for recipe in cells)]
    rows = [[item, *(column.get(item, "-") for column in cells.values())] for item in items]
    return table(header, rows)


def _run_items(
    result: Result, settings: Mapping[str, object], words: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Items and values of one run; a setting's item is `<row>: <its key>`."""
    labels = dict.fromkeys(Value.parse(name).label for name in result.values)
    listed = settings.get("labels") or [label for label in labels if label]
    params = result.model.get("params")
    yield words["profile"], result.profile
    yield words["data"], str(result.data.get("source", "-"))
    yield (
        words["n"],
        "/".join(
            count_text(result.n[s]) if s in result.n else "-" for s in ("train", "val", "test")
        ),
    )
    yield words["labels"], _setting_text(listed)
    yield words["model"], result.model_name
    if isinstance(params, int):
        yield words["params"], f"{params:,}"
    if not settings:
        yield words["training"], words["unknown"]
    unused = {f"data.{split}_size" for split, count in result.n.items() if not count}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        if not {name, section} & (_NOT_SHOWN | unused) and value not in (None, "", []):
            row = words[_SECTIONS.get(section, "other")]
            yield f"{row}: {name if section == 'noise' else key or name}", _setting_text(value)


def _item_cells(column: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The cells of one recipe; its settings joined to a row for each section."""
    cells: dict[str, list[str]] = {}
    for item, values in column.items():
        row, _, key = item.partition(": ")
        text = values[0] if len(values) == 1 else "{" + "; ".join(values) + "}"
        cells.setdefault(row, []).append(f"{key}={text}" if key else text)
    return {row: cell_text(", ".join(texts)) for row, texts in cells.items()}


def _setting_text(value: object) -> str:
    """`0.0003`, `true`, `[log_g, T_eff]`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        texts = [_setting_text(one) for one in value]
        return f"[{', '.join(texts)}]" if len(texts) > 1 else "".join(texts)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plan(spec: Spec | None, words: Mapping[str, str]) -> list[str]:
    """The plan as the roadmap words it: what was meant to run, named so."""
    rows = [
        (e.cells["item"].raw, e.cells["content"].raw)
        for e in (spec.facts if spec else ())
        if "item" in e.cells and "content" in e.cells and e.text("item") not in TITLES
    ]
    return ["", *table([words["item"], words["plan"]], rows)] if rows else []


def _errors(results: Sequence[Result], words: Mapping[str, str]) -> list[str]:
    """What the errors of these results are, one line for each kind."""
    kinds = dict.fromkeys(result.error_kind for result in results if result.errors)
    return [line for kind in kinds for line in ("", words[kind])]


def _results(results: Sequence[Result], words: Mapping[str, str]) -> list[str]:
    values = {Value.parse(name) for r in results for name in r.values}
    tested = [v for v in values if v.split == "test"]
    names = sorted(map(str, tested)) or sorted({r.headline for r in results})
    header = [words["run"], words["model"], words["train"], words["params"]]
    header += [cell_text(_head_of(Value.parse(name))) for name in names] + [words["seconds"]]
    rows = []
    for result in results:
        train = count_text(result.n["train"]) if "train" in result.n else "-"
        params = result.model.get("params")
        size = count_text(params) if isinstance(params, int) else "-"
        numbers = [_cell(result, name) for name in names]
        run = cell_text(result.run) + profile_mark(result.profile)
        run += " ❌" if failed_checks(result) or not result.values else ""
        model = cell_text(result.model_name)
        rows.append([run, model, train, size, *numbers, f"{result.seconds:.0f}"])
    return table(header, rows)


def _head_of(value: Value) -> str:
    """A column's head: `MAE`, where it is not of the test set `MAE (val)`."""
    other = value.split not in ("", "test") and not value.is_ceiling
    return f"{value.short} ({value.split})" if other else value.short


def _ceilings(results: Sequence[Result]) -> list[str]:
    """A ceiling by magnitude: of a regressor (Bayes) and of unbiased estimators (CRLB)."""
    lines = []
    for result in results:
        label = Value.parse(result.headline).label
        snr = Value("", "snr", "median")
        bounds = [Value("", name, label) for name in ("r2_bayes", "r2_crlb_mean", "r2_crlb_median")]
        rows = [
            [
                f"{mag:g}{profile_mark(result.profile)}",
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


def _next(roadmap: Roadmap, verdicts: Mapping[str, Verdict]) -> list[str]:
    """What each gate's verdict leads to, by the plan; of an open one what it needs."""
    lines = []
    for identity, verdict in verdicts.items():
        rules = [rule for rule in roadmap.gate(identity).rules if rule.if_ == verdict.rule]
        then = f" → {rules[0].then}" if rules and rules[0].then else ""
        lines.append(f"- {gate_sentence(verdict, roadmap.language)}{then}")
    return lines


def _reproduce(command: str, made_by: Sequence[str]) -> list[str]:
    lines = ["```bash", command.replace("```", ""), "```"]
    return [*lines, *(["", *(f"- {cell_text(text)}" for text in made_by)] if made_by else [])]


def _sanity(results: Sequence[Result], words: Mapping[str, str]) -> list[str]:
    hashes = {str(r.data["hash"]) for r in results if r.data.get("hash")}
    broken = sorted({name for r in results for name, value in r.values.items() if value is None})
    found = {
        "nan": ", ".join(map(code, broken)) or words["none"],
        "hash": ", ".join(map(code, sorted(hashes))) or words["none"],
    }
    lines = [words["line"].format(words[key], text) for key, text in found.items()]
    if len(results) > 1 and hashes:
        lines.append(f"- {words['same'] if len(hashes) == 1 else words['differ']}")
    epochs = {r.run: r.best["epoch"] for r in results if r.best.get("epoch")}
    each = [f"{run} {epoch:g}" for run, epoch in epochs.items()]
    if len(each) > EACH:
        numbers = epochs.values()
        each = [words["range"].format(min(numbers), max(numbers), len(each))]
    return [*lines, *([words["line"].format(words["best"], ", ".join(each))] if each else [])]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a markdown table; cells are taken as they are."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---" for _ in header) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
