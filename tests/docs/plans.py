"""Small plans with statuses written in many ways, and a reader of them of its own."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import width
from vitlab.docs.text.tables import tables_of

STATUSES_AS_WRITTEN = (
    "✅", "⏳", "🚀", "🔴", "❌", "⚠️", "🗑️", "⏸️", "✅ 完成", "**✅ 完成**", "⚠️ **进行中**",
    "⚠️ **部分完成: 还差 B**", "✅ ❌ FAIL (R²=0.7) → 去泄露", "✅ **PASS (ρ=1.04, 超过!)**",
    "⚠️ MARGINAL: +0.0017，Fallback", "🚀 阻塞", "🚀 (阻塞)", "⏳（🔴 就绪）", "⚠️ ✅",
    "~~⏳ 待启动~~", "🔄 进行中（等数据）", "⏸️ blocked by 1.0", "Done✅", "待启动", "planned",
    "🚀 ep40/80", "✅ 完成[^2]", "🔲 待做", "🆕 待启动", "`planned`", "⏳ planned<br>waits for 1.1",
    "🚧 进行中", "🚀 运行中 ✅ 通过", "已关闭（没有达到）", "Planned", "RUNNING", "✔️ **done**",
    "_⏳ 待启动_", "**⏳** 待启动", "✅ [完成](./exp.md)", "🔄 [立项中](./exp.md) (2 天)",
    "⏳→✅", "~~🚀~~ ✅", "⏳ ~~🚀~~", "🚀 → ❌ OOM", "✅?", "80% done", "🚀 ep 12/200 (GPU 3)",
    "⏸️ 冻结 (等数据)", "merged into 1.1", "失败→重跑中", "GO ✅", "⏳ 核心已完成",
)  # fmt: skip
IN_TITLES = (
    "({})", "（{}）", "【{}】", "{}", "", " — {}", "[{}]", "({}) ✅", "{} (2025-12-07)",
    "【{}】(P0)",
)  # fmt: skip
SHORT = (
    "✅ 完成",
    "🚀 运行中",
    "⏳ 待启动",
    "⏳",
    "✅",
    "🚀",
    "⏸️ 暂停",
    "🚀 运行中 ✅ 通过",
    "❌ 失败",
)
LEGENDS = (
    "", "",
    "**状态**: ⏳计划 | 🔴就绪 | 🚀运行 | 🔆分析中 | ✅完成 | ❌取消",
    "**状态**: ⏳计划 | 🔴就绪 | 🔆进行中 | ✅完成 | ❌失败 | 🗑️取消",
    "**Status**: ⏳planned | 🚀running | ✅done | ❌cancelled",
)  # fmt: skip
IDS = ("1.0", "1.1", "2.0", "3.2", "F-V3A", "16A-0", "1.2b")


def plan(number: int) -> str:
    """The plan of a number: an overview and some of what else a roadmap has."""
    dice = random.Random(number)
    ids = dice.sample(IDS, dice.randint(2, 3))
    parts = [
        "# 计划", dice.choice(LEGENDS), _overview(dice, ids),
        *dice.sample([part(dice, ids) for part in PARTS], dice.randint(2, 4)),
    ]  # fmt: skip
    end = dice.choice(["\n", "\n", "\n", "\r\n"])
    return end.join("\n\n".join(part for part in parts if part).split("\n")) + end


def beside(number: int, roadmap: Roadmap, mvp: str) -> dict[str, str]:
    """The files beside the plan of a number: hub, board, check list, next steps, report of an MVP.

    Other roadmaps have cards and rows there too, and hypotheses have verdicts of their own.
    """
    dice = random.Random(-number - 1)
    ids = list(dict.fromkeys(m.id for m in roadmap.mvps))
    legend = dice.choice(LEGENDS)
    parts = {
        "hub": [_hypotheses(dice, ids), _items(dice, ids)],
        "board": [legend, _board(dice, [*ids, "9.9"]), _experiments(dice, ids)],
        "checklist": [_items(dice, ids), _figures(dice, ids)],
        "next_steps": [_steps(dice, ids), _week(dice, ids)],
        "report": [_head(dice, mvp), _hypotheses(dice, ids)],
    }
    end = dice.choice(["\n", "\r\n"])
    texts = {name: "\n\n".join(part for part in some if part) for name, some in parts.items()}
    return {name: end.join(text.split("\n")) + end for name, text in texts.items()}


HEADS = (
    "# 📗 实验报告：名{title}\n> **Name:** 名 | **MVP:** MVP-{mvp}\n> **状态**：{status}\n",
    "# 📘 名\n> **Author:** X | **Date:** 2025-12-26 | **Status:** {status}  \n",
    "# MVP-{mvp}: 名{title}\n\n| 项 | 内容 |\n|---|---|\n| 状态 | {status} |\n| 数据 | x |\n",
    "---\nstatus: {word}\nmvp: {mvp}\n---\n# 名\n\n- **Status**: {status}\n",
    "# 名\n\nStatus: {word}\n\n## 进展\n\n- 实验状态: {status}\n",
)
"""The heads of reports, with their statuses."""


def _head(dice: random.Random, mvp: str) -> str:
    title = dice.choice(("", "（✅ 完成）", " 🚀", "【⏳ 待启动】"))
    word = dice.choice(("planned", "running", "done", "Done"))
    return dice.choice(HEADS).format(mvp=mvp, title=title, word=word, status=_status(dice))


def _hypotheses(dice: random.Random, ids: list[str]) -> str:
    rows = [f"| H1.{n} | 名 | MVP-{i} | {_status(dice)} |" for n, i in enumerate(ids)]
    return "\n".join(["## 假设", "", "| 假设 | 名称 | 证据 | 结果 |", "|---|---|---|---|", *rows])


def _experiments(dice: random.Random, ids: list[str]) -> str:
    rows = [f"| **`{exp_of(i)}`** | /x | {_status(dice)} |" for i in ids]
    rows += ["| `EXP-2024-other` | /x | 🚀 |"]
    return "\n".join(["| experiment_id | 运行路径 | 状态 |", "|---|---|---|", *rows])


def _figures(dice: random.Random, ids: list[str]) -> str:
    rows = [f"| {n} | 图 | MVP-{i} | {_status(dice)} | fig{n}.png |" for n, i in enumerate(ids)]
    return "\n".join(["| # | 实验 | MVP | 状态 | 产物 |", "|---|---|---|---|---|", *rows])


def _steps(dice: random.Random, ids: list[str]) -> str:
    ends = ("", " ✅", " ⏳ 等", " 🚀 (60%)", "：做")
    boxes = ("[ ] ", "[x] ", "")
    names = [dice.choice((f"MVP-{i}", f"**MVP-{i}**", exp_of(i))) for i in ids]
    lines = [f"{dice.choice(boxes)}{name}{dice.choice(ends)}" for name in names]
    return "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))


def exp_of(mvp: str) -> str:
    """The exp_id of an MVP in plans that have any."""
    return f"EXP-2025-{mvp}"


def _status(dice: random.Random) -> str:
    return dice.choice(STATUSES_AS_WRITTEN)


def _overview(dice: random.Random, ids: list[str]) -> str:
    rows = [
        f"| MVP-{i} | 名 {i} | P{dice.randint(0, 2)} | {_status(dice)} | `{exp_of(i)}` | - |"
        for i in ids
    ]
    heads = ["| MVP | 名称 | 优先级 | 状态 | exp_id | 报告 |", "|---|---|---|---|---|---|"]
    return "\n".join([*heads, *rows])


def _week(dice: random.Random, ids: list[str]) -> str:
    first = ("✅", "🔴 P0", "🟡 P1", "⏳", "⚠️ ✅", "🗑️", "🔴", "P2")
    rows = [f"| {dice.choice(first)} | **MVP-{i}** (x) | Gate-1 | {_status(dice)} |" for i in ids]
    return "\n".join(["| 优先级 | MVP | Gate | 状态 |", "|---|---|---|---|", *rows])


def _sections(dice: random.Random, ids: list[str]) -> str:
    lines = []
    for mvp in ids:
        form, status = dice.choice(IN_TITLES), dice.choice(SHORT)
        title = f"MVP-{mvp}: 名 {form.format(status)}".rstrip()
        lines += [f"{dice.choice(['###', '## 3.4', '## ✅' if not form else '##'])} {title}", ""]
        if dice.random() < 0.5:
            lines += ["| 项 | 配置 |", "|---|---|", f"| 状态 | {_status(dice)} |", ""]
    return "\n".join(lines).rstrip()


def _conclusions(dice: random.Random, ids: list[str]) -> str:
    said = ("✅ 有用，R² 更高", "❌ 泄露", "⏳ 待启动", "🚀 运行中", "⏳", "-")
    rows = [f"| **{i}** | {dice.choice(said)} | R²=0.7 | ✅ §2 |" for i in ids]
    return "\n".join(["| MVP | 结论 | 关键指标 | 同步Hub |", "|---|---|---|---|", *rows])


def _items(dice: random.Random, ids: list[str]) -> str:
    ends = ("", " ✅", " ✅ (2025-12-07)", " ⏳", "：要做")
    boxes = ("[ ] ", "[x] ", "")
    return "\n".join(f"- {dice.choice(boxes)}MVP-{i}{dice.choice(ends)}" for i in ids)


def _changes(dice: random.Random, ids: list[str]) -> str:
    del dice, ids
    return "| 日期 | 变更 | 章节 |\n|---|---|---|\n| 2025-12-25 | 创建 | - |"


def _index(dice: random.Random, ids: list[str]) -> str:
    rows = [f"| `{exp_of(i)}` | p | {_status(dice)} | MVP-{i} |" for i in ids]
    return "\n".join(["| exp_id | project | 状态 | MVP |", "|---|---|---|---|", *rows])


def _card(dice: random.Random, mvp: str) -> str:
    ends = ("", "", " ✅", " ⚠️ ✅ (+0.01 MARGINAL)", " ⏳ (可选)", " (已关闭)", " 🚀 60%", " 更宽")
    return f"MVP-{mvp}{dice.choice(ends)}"


def _board(dice: random.Random, ids: list[str]) -> str:
    columns: list[list[str]] = [[], [], []]
    for mvp in ids:
        columns[dice.randrange(3)].append(_card(dice, mvp))
    heads = ["⏳计划", "🚀运行", "✅完成"]
    height = max(map(len, columns))
    rows = [[c[n] if n < len(c) else "" for c in columns] for n in range(height)]
    if dice.random() < 0.5:
        return "```\n" + box(heads, rows, dice.choice(["│─┌┬┐├┼┤└┴┘", "|-+++++++++"])) + "\n```"
    lines = ["".join(padded(text, 44) for text in row).rstrip() for row in [heads, *rows]]
    return "\n".join(["```", *lines, "```"])


def padded(text: str, size: int) -> str:
    return text + " " * (size - width(text))


def box(heads: list[str], rows: list[list[str]], drawn: str, size: int = 42) -> str:
    """A board drawn in a box; `drawn`: its side, its line and its nine corners."""
    side, line, *corners = list(drawn)

    def border(left: str, middle: str, right: str) -> str:
        return left + middle.join([line * size] * len(heads)) + right

    def row(texts: list[str]) -> str:
        return side + side.join(padded(f" {text}", size) for text in texts) + side

    top, below, last = (border(*corners[n : n + 3]) for n in (0, 3, 6))
    return "\n".join([top, row(heads), below, *map(row, rows), last])


def _tree(dice: random.Random, ids: list[str]) -> str:
    marks = ("🔆 ", "✅ ", "", "⏳ ")
    lines = [f"    ├─ {dice.choice(marks)}MVP-{i}: 名" for i in ids]
    return "\n".join(["```", "开始", *lines, "```"])


def _table_board(dice: random.Random, ids: list[str]) -> str:
    row: list[list[str]] = [[], [], []]
    for mvp in ids:
        row[dice.randrange(3)].append(_card(dice, mvp))
    if dice.random() < 0.5:
        rows = [["<br>".join(cell) for cell in row]]
    else:
        height = max(map(len, row))
        rows = [[cell[n] if n < len(cell) else "" for cell in row] for n in range(height)]
    heads = ["| ⏳ 计划 | 🚀 运行 | ✅ 完成 |", "|---|---|---|"]
    return "\n".join([*heads, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _lists(dice: random.Random, ids: list[str]) -> str:
    lines = {head: [f"### {head}", ""] for head in ("⏳ 计划", "🚀 运行", "✅ 完成")}
    for mvp in ids:
        head = dice.choice(list(lines))
        box = dice.choice(("", "[x] " if "✅" in head else "[ ] "))
        lines[head] += [f"- {box}MVP-{mvp}{dice.choice(('', ' 名', ' ✅', ' 名 (⏳)'))}"]
        lines[head] += ["  - 细节"] if dice.random() < 0.3 else []
    return "\n\n".join("\n".join(part).rstrip() for part in lines.values()) + "\n\n### 其他"


PARTS = (
    _week, _sections, _conclusions, _items, _changes, _index, _board, _tree, _table_board, _lists,
)  # fmt: skip


def places(roadmap: Roadmap, mvp: str) -> Iterator[tuple[int, str]]:
    """(0-based line, text) of every place that states the status of an MVP, found by its id."""
    document = roadmap.document
    name = rf"(?:(?:MVP[-_ ]?)?{re.escape(mvp)}|{re.escape(exp_of(mvp))})"
    named = re.compile(rf"\W*(?:[\d.]+ )?\W*{name}(?![\w]|[.-]\w)", re.I)
    gates = {gate.line - 1 for gate in roadmap.gates}
    for heading in document.headings:
        if heading.index not in gates and "MVP" in heading.title and named.match(heading.title):
            yield heading.index, heading.title
    for table in tables_of(document):
        heads = [cell.text for cell in table.header.cells]
        if heads[0] == "Gate":
            continue  # a gate waits for its verdict when its MVP has ended
        for row in table.rows:
            if not any(named.match(cell.text) for cell in row.cells[:5]):
                continue
            for head, cell in zip(heads, row.cells, strict=False):
                finding = "结论" in head and not re.fullmatch(r"\W*(待启动|运行中)?\W*", cell.raw)
                priority = head == "优先级" and re.search("P\\d|🔴|🟡|🟢", cell.raw)
                if (
                    re.search("状态|status|结论|优先级", head, re.I)
                    and not finding
                    and not priority
                ):
                    yield row.index, cell.raw
    for fence in document.fences:
        for index in range(*fence.content):
            for piece in re.split(r"\s{2,}|[│|┃]|─ ", document.line_text(index)):
                if "MVP" in piece and named.match(piece):
                    yield index, piece
    for table in (table for table in tables_of(document) if "⏳ 计划" in table.header.cells[0].raw):
        pieces = ((r.index, p) for r in table.rows for c in r.cells for p in c.raw.split("<br>"))
        yield from ((index, piece) for index, piece in pieces if named.match(piece))
    drawn = {index for fence in document.fences for index in range(*fence.content)}
    for index in set(range(len(document.lines))) - drawn:
        item = re.match(r"\s*(?:-|\d\.) (\[.\] )?(.*(?:MVP|EXP).*)", document.line_text(index))
        if item and named.match(item[2]):
            yield index, document.line_text(index)


def head_values(text: str) -> list[str]:
    """What the status lines of a report say, but not the tables of its hypotheses."""
    label = r"(?:状态|[Ss]tatus)[*]*[ ]*[:：|][*]*[ ]*([^|\r\n]*)"
    return [str(value) for value in re.findall(label, text.partition("## 假设")[0])]


def glyphs_say(roadmap: Roadmap, text: str) -> set[str]:
    """Every status that a glyph in a text states; a word right behind one says which it is."""
    vocabulary = roadmap.vocabulary
    said, whole = set(), vocabulary.read(text)
    for start in vocabulary.glyph_starts(text):
        behind = whole and whole.word and whole.glyph and whole.word[0] < whole.glyph[0] == start
        parsed = whole if behind else vocabulary.read(text[start:])
        if parsed:
            said.add(parsed.status)
    box = re.match(r"\s*(?:-|\d\.) \[x\]", text)
    return said | ({"done"} if box else set())
