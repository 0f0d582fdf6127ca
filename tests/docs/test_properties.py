"""What holds for every text: it round-trips, parsing never raises, edits touch their spans only."""

import random
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.docs.documents import HERE
from vitlab.contract.job import STATUSES, Result
from vitlab.contract.paths import UsageError
from vitlab.docs.journal import Journal
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.lint.document import fix_all, lint
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.save import change, redo, save, undo
from vitlab.docs.text.edit import Conflict, Edit, apply, rebase, reverse, split_lines
from vitlab.docs.text.inline import cell_text
from vitlab.docs.text.source import Document, Span, decode, map_blocks, read
from vitlab.docs.text.tables import tables_of
from vitlab.docs.write.results import record_results
from vitlab.docs.write.rows import set_key_number
from vitlab.docs.write.status import record_launch, set_status

# The draws are the same every time, so more of them find nothing new: that is for `make fuzz`.
MANY = settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
FEWER = settings(MANY, max_examples=200)

# What documents are made of, and what breaks those who read them.
PIECES = [
    "|", "||", "\\|", "`", "``", "[[", "]]", "$", "**", "~~", "<br>", "\\", "\n", "\r\n", "\r",
    "\u2028", "\x85", "\x0c", "\x00", "\ufeff", "\ufe0f", "\t", "  ", " ", "-", "#", "## ", ">",
    "|---|---|\n", "| MVP | Name | Status |\n|---|---|---|\n", "| 1.0 | x | ⏳ |\n", "```\n", "~~~",
    "⏳计划  ✅完成\nMVP-1.0\n", "✅", "⚠️", "🚀 运行中", "❌ 失败", "MVP-1.0", "Gate-1",
    "### Gate-1: g\n", "### MVP-1.0: x (⏳)\n", "| 项 | 内容 |\n|--|--|\n", "| 若 R² > 0.7 | x |\n",
    "| 状态 | ⏳ |\n", "**状态**: ⏳计划 | ✅完成\n", "状态", "a", "1.0", "(", "）", "[a](b)",
    "  - ", "1. ", "<details>\n",
]  # fmt: skip
MARKDOWN = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=60).map(
    "".join
)
TEXT = st.one_of(st.text(max_size=200), MARKDOWN)

# The same on every machine; `make fuzz` takes the real documents too.
SEEDS = [
    (HERE / "roadmaps" / name).read_bytes().decode()
    for name in ("chinese.md", "english.md", "letters.md", "placeholders.md", "verdicts.md")
]


@given(TEXT)
@MANY
def test_a_text_is_its_lines_and_their_ends(text: str) -> None:
    document = Document(text)
    assert document.text == text
    at = 0
    for span in document.lines:
        assert text[at : span.start] in ("", "\n", "\r", "\r\n")
        assert not set(document.slice(span)) & {"\n", "\r"}
        at = span.end
    assert text[at:] in ("", "\n", "\r", "\r\n")
    assert "".join(split_lines(text)) == text


@given(TEXT)
@MANY
def test_a_text_written_and_read_again_is_the_same(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    path = HERE / "never written"
    if any("\ud800" <= mark <= "\udfff" for mark in text):
        with pytest.raises(UsageError, match="not UTF-8"):
            decode(data, path)
    else:
        assert decode(data, path).text == text


@given(MARKDOWN)
@MANY
def test_cells_are_where_they_say(text: str) -> None:
    document = Document(text)
    for table in tables_of(document):
        for row in (table.header, *table.rows):
            assert document.slice(row.span) == document.line_text(row.index)
            at = row.span.start
            for cell in row.cells:
                assert document.slice(cell.span) == cell.raw == cell.raw.strip()
                assert at <= cell.outer.start <= cell.span.start
                assert cell.span.end <= max(cell.outer.end, cell.span.start) <= row.span.end
                at = cell.span.end


@given(MARKDOWN)
@MANY
def test_tables_are_where_markdown_it_finds_them(text: str) -> None:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(text.removeprefix("\ufeff"))
    found = tuple(tuple(t.map) for t in tokens if t.type == "table_open" and t.map)
    assert map_blocks(text).tables == found


@given(TEXT)
@MANY
def test_reading_never_raises(text: str) -> None:
    document = Document(text)
    hub = parse_hub(document)
    assert hub.beliefs is not None
    assert hub.hypotheses is not None
    roadmap = parsed(text)
    if roadmap is not None:
        assert roadmap.gates is not None
        assert all(board.bands for board in roadmap.boards[:1])
        lint(roadmap, Path("/nowhere"))


def parsed(text: str) -> Roadmap | None:
    try:
        return parse_roadmap(Document(text))
    except NoMvpTable:
        return None


def mutated(seed: str, number: int) -> str:
    """A real document with a few pieces put in, taken out or doubled."""
    dice = random.Random(number)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(seed) + 1)
        match dice.randrange(4):
            case 0:
                seed = seed[:at] + dice.choice(PIECES) + seed[at:]
            case 1:
                seed = seed[:at] + seed[at + dice.randint(1, 40) :]
            case 2:
                end = at + dice.randint(1, 200)
                seed = seed[:end] + seed[at:end] + seed[end:]
            case _:
                seed = seed.replace("\n", dice.choice(["\r\n", "\r", "\n"]))
    return seed


DOCUMENTS = st.builds(mutated, st.sampled_from(SEEDS), st.integers(0, 10**9))


def only_inside(old: str, new: str, edits: list[Edit]) -> None:
    """The bytes outside the spans are those of before, and the way back is exact."""
    at_old = at_new = 0
    for edit in sorted(edits, key=lambda e: (e.span.start, e.span.end)):
        kept = old[at_old : edit.span.start]
        assert new[at_new : at_new + len(kept)] == kept
        at_new += len(kept)
        assert new[at_new : at_new + len(edit.new)] == edit.new
        at_old, at_new = edit.span.end, at_new + len(edit.new)
    assert new[at_new:] == old[at_old:]
    assert apply(new, reverse(edits)) == old


NESTED = """# ### MVP-1.0: x (⏳)
小路线图

### Gate-1: 精度

| 项 | 内容 |
|----|------|
| MVP | MVP-1.0 |
| 若 R²_val ＞ 0.70 | 通过 |
| 状态 | ⏳ 待启动 |

| MVP | 实验名称   | 状态 | exp_id |
| --- | ---------- | ---- | ------ |
| 1.0 | 大模型     | ⏳   | -      |
| 1.1 | 小模型训练 | 🚀   | -      |

**状态**: ⏳计划 | 🚀训练中 | ✅完成 | ❌取消

### MVP-1.0: 大模型 (⏳ 待启动)

| 项 | 配置 前 | - |
"""


@given(DOCUMENTS, st.sampled_from(STATUSES), st.integers(0, 20))
@example(NESTED, "ready", 0)  # a section inside another of the same name
@FEWER
def test_a_status_change_touches_its_spans_and_is_read_back(
    text: str, status: str, number: int
) -> None:
    roadmap = parsed(text)
    if roadmap is None:
        return
    mvp = roadmap.mvp(roadmap.mvps[number % len(roadmap.mvps)].id)
    if mvp.status is None:
        return
    edits = set_status(roadmap, mvp.id, status)
    new = apply(text, edits)
    only_inside(text, new, edits)
    again = parse_roadmap(Document(new))
    assert again.mvp(mvp.id).status == status
    assert in_order(again) == in_order(roadmap)
    assert others(again, mvp.id) == others(roadmap, mvp.id)
    assert seats(again, mvp.id) == seats(roadmap, mvp.id)


def in_order(roadmap: Roadmap) -> list[str]:
    """The ids in order; those that are only on a board, where one moves another, come last."""
    cards = {m.id for m in roadmap.mvps if m.entry.kind == "card"}
    return [m.id for m in roadmap.mvps if m.id not in cards] + sorted(cards)


def others(roadmap: Roadmap, mvp_id: str) -> list[tuple[str, str | None]]:
    ids = mvp_id.casefold()
    rest = [(m.id, m.status) for m in roadmap.mvps if m.id.casefold() != ids]
    return sorted(rest, key=str)


def seats(roadmap: Roadmap, mvp_id: str) -> list[tuple[str, str]]:
    """All else on the board, each text with the column it is under; remarks go with their card."""
    bands = [band for board in roadmap.boards for band in board.bands]
    return sorted(
        (s.text, band.columns[s.column].text if s.column >= 0 else "")
        for band in bands
        for s in band.segments
        if s.mvp != mvp_id and s.text[0] not in "-—(（└↳·["
    )


HARD = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(PIECES), max_size=5).map("".join))


@given(
    DOCUMENTS, st.one_of(HARD, st.from_regex(r"\A[A-Z][A-Za-z0-9._-]{0,20}\Z")), st.integers(0, 20)
)
@FEWER
def test_a_launch_breaks_no_row_whatever_the_id(text: str, name: str, number: int) -> None:
    roadmap = parsed(text)
    if roadmap is None:
        return
    mvp = roadmap.mvp(roadmap.mvps[number % len(roadmap.mvps)].id)
    if mvp.status is None:
        return
    try:
        edits = record_launch(roadmap, mvp.id, name, "2026-01-02")
    except UsageError:
        return
    new = apply(text, edits)
    only_inside(text, new, edits)
    again = parse_roadmap(Document(new))
    assert len(again.mvps) == len(roadmap.mvps)
    for old_row, new_row in zip(roadmap.mvps, again.mvps, strict=True):
        assert len(new_row.entry.row.cells) >= len(old_row.entry.row.cells)


@given(DOCUMENTS, HARD, HARD, st.sampled_from(["smoke", "full"]), st.integers(0, 20))
@FEWER
def test_a_result_breaks_no_row_whatever_it_says(
    text: str, sentence: str, model: str, profile: str, number: int
) -> None:
    roadmap = parsed(text)
    if roadmap is None:
        return
    mvp = roadmap.mvp(roadmap.mvps[number % len(roadmap.mvps)].id)
    if mvp.status is None:
        return
    values = {"test/r2/log_g": 0.7, "val/r2/log_g": 0.7}
    result = Result(mvp.id, "main", profile, "vit", values, model={"name": model})
    verdicts = {gate.id: Verdict(gate.id, "pass", sentence) for gate in roadmap.gates}
    edits = record_results(
        roadmap, mvp.id, [result], "done", sentence, model, verdicts, "2026-01-02", profile,
        {"training": "./img/mvp_x_training.png"},
    )  # fmt: skip
    new = apply(text, edits)
    only_inside(text, new, edits)
    again = parse_roadmap(Document(new))
    assert again.mvp(mvp.id).status == "done"
    assert others(again, mvp.id) == others(roadmap, mvp.id)
    assert seats(again, mvp.id) == seats(roadmap, mvp.id)
    for before, after in zip(roadmap.views, again.views, strict=True):
        assert (before.kind, before.columns) == (after.kind, after.columns)
        assert len(after.entries) - len(before.entries) in (0, 1)
        if all(len(e.row.cells) == before.table.width for e in before.entries):
            assert all(len(e.row.cells) == after.table.width for e in after.entries)


@given(HARD)
@MANY
def test_a_text_in_a_cell_stays_one_cell(text: str) -> None:
    row = f"| a | {cell_text(text)} | c |"
    (table,) = tables_of(Document(f"| A | B | C |\n|---|---|---|\n{row}"))
    assert [cell.text for cell in table.rows[0].cells][::2] == ["a", "c"]
    assert len(table.rows[0].cells) == 3


@given(st.lists(HARD, min_size=4, max_size=4))
@MANY
def test_a_key_number_breaks_no_hub(values: list[str]) -> None:
    text = (
        "| 指标 | 值 | 条件 | 来源 |\n|---|---|---|---|\n| R² | 0.5 | x | y |\n\n"
        "| 日期 | 变更 | 影响 |\n|---|---|---|\n"
    )
    hub = parse_hub(Document(text))
    indicator, value, condition, source = values
    edits = set_key_number(hub, indicator, value, condition, source, "2026-01-02")
    new = apply(text, edits)
    only_inside(text, new, edits)
    assert {len(e.row.cells) for e in parse_hub(Document(new)).key_numbers} == {4}


@given(DOCUMENTS)
@FEWER
def test_what_lint_mends_stays_mended(text: str) -> None:
    roadmap = parsed(text)
    if roadmap is None:
        return
    new = fix_all(roadmap, None)
    again = parse_roadmap(Document(new))
    assert fix_all(again, None) == new
    assert in_order(again) == in_order(roadmap)


@given(DOCUMENTS, DOCUMENTS.map(lambda t: t[:300]), st.integers(0, 10**9))
@FEWER
def test_a_rebased_edit_lands_on_the_same_words(text: str, other: str, number: int) -> None:
    dice = random.Random(number)
    start = dice.randrange(len(text))
    end = min(len(text), start + dice.randint(0, 8))
    edit = Edit(Span(start, end), text[start:end], "NEW")
    at = dice.randrange(len(text) + 1)
    now = text[:at] + other + text[at:]
    try:
        (moved,) = rebase(text, now, [edit], "r.md")
    except Conflict:
        return
    assert now[moved.span.start : moved.span.end] == edit.old


@given(DOCUMENTS, st.sampled_from(STATUSES))
@FEWER
def test_undo_restores_the_exact_bytes(text: str, status: str) -> None:
    in_a_folder(text, [status])


@given(DOCUMENTS, st.lists(st.sampled_from(STATUSES), min_size=2, max_size=4))
@settings(MANY, max_examples=60)
def test_undo_goes_back_over_several_writes(text: str, statuses: list[str]) -> None:
    in_a_folder(text, statuses)


def in_a_folder(text: str, statuses: list[str]) -> None:
    # What is proved is bytes, not durability: the disk need not be waited for.
    with tempfile.TemporaryDirectory() as folder, mock.patch("os.fsync"):
        undone_and_redone(Path(folder), text, statuses)


def undone_and_redone(folder: Path, text: str, statuses: list[str]) -> None:
    """Save some statuses one after the other, go all the way back, and all the way forth."""
    path, journal = folder / "r.md", Journal(folder / "journal", folder)
    path.write_bytes(text.encode())
    if parsed(text) is None or parse_roadmap(read(path)).mvps[0].status is None:
        return
    states = [path.read_bytes()]
    for status in statuses:
        roadmap = parse_roadmap(read(path))
        try:
            edits = set_status(roadmap, roadmap.mvps[0].id, status)
        except UsageError:  # a card on a broken board cannot be moved, which is told
            continue
        if save([change(roadmap.document, edits)], journal):
            states.append(path.read_bytes())
    for expected in reversed(states[:-1]):
        undo(journal)
        assert path.read_bytes() == expected
    for expected in states[1:]:
        redo(journal)
        assert path.read_bytes() == expected
