"""The text is the truth: what is read is what is there, line by line and block by block."""

from pathlib import Path

import pytest

from vitlab.contract.paths import UsageError
from vitlab.docs.journal import Journal
from vitlab.docs.save import change, save, undo
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Document, Span, decode, read
from vitlab.docs.text.tables import tables_of


def test_lines_end_at_cr_lf_and_crlf_only() -> None:
    document = Document("a\r\nb\rc\nd\u2028e\x0cf\x85g\n\nh")
    lines = [document.slice(span) for span in document.lines]
    assert lines == ["a", "b", "c", "d\u2028e\x0cf\x85g", "", "h"]


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("\n", 1), ("a", 1), ("a\n", 1), ("a\n\n", 2), ("\r\r\n", 2)]
)
def test_a_last_line_end_opens_no_line(text: str, count: int) -> None:
    assert len(Document(text).lines) == count


def test_the_newline_is_the_one_used_most() -> None:
    assert Document("a\r\nb\r\nc\n").newline == "\r\n"
    assert Document("a\rb").newline == "\r"
    assert Document("a").newline == "\n"


def test_line_of_is_one_based() -> None:
    document = Document("ab\r\ncd\n")
    assert [document.line_of(i) for i in (0, 2, 3, 4, 6)] == [1, 1, 1, 2, 2]


def test_the_language_is_that_of_the_words_not_of_the_code() -> None:
    assert Document("# 路线图\n状态 完成 `a_long_english_name_in_code`\n").language == "zh"
    assert Document("# Roadmap\nStatus done, see 表 1\nand so on and on and on\n").language == "en"
    assert Document("").language == "en"


def test_blocks_are_found_behind_a_bom_and_nowhere_else() -> None:
    text = "\ufeff# T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n# no\n| x |\n```\n"
    document = Document(text.replace("\n", "\r\n"))
    assert [(h.level, h.title, h.index) for h in document.headings] == [(1, "T", 0)]
    assert document.tables == ((2, 5),)
    assert [(f.first, f.last, f.content) for f in document.fences] == [(6, 10, (7, 9))]


def test_headings_keep_the_span_of_their_title() -> None:
    document = Document("##  A *b* (✅) ##\n\nTitle\n=====\n> ### quoted\n")
    assert [document.slice(h.span) for h in document.headings] == ["A *b* (✅)", "Title", "quoted"]


def test_a_section_ends_at_the_next_heading_of_its_level_or_above() -> None:
    document = Document("# A\n## B\n### C\n## D\n# E\n")
    assert [document.section_end(h) for h in document.headings] == [4, 3, 3, 4, 5]


def test_a_file_is_read_with_every_character(tmp_path: Path) -> None:
    data = "\ufeffa\r\nb\x00\rc\n状态".encode()
    path = tmp_path / "r.md"
    path.write_bytes(data)
    assert read(path).text.encode() == data


def test_nothing_is_written_into_a_document_with_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    path.write_bytes(b"# Plan\n\n| MVP |\n" + bytes(5000))
    assert "Plan" in read(path).text  # a look takes what is there
    with pytest.raises(UsageError, match=r"r\.md:4: a hole of zeros"):
        read(path, edit=True)


def test_a_file_that_is_not_utf8_is_refused_with_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    path.write_bytes("状态".encode() + b"\xed\xa0\x80 lone surrogate")
    with pytest.raises(UsageError, match=r"r\.md: not UTF-8, byte 0xed at offset 6"):
        read(path)


@pytest.mark.parametrize(
    "data",
    [
        "Größe, naïve, à la carte".encode("latin-1"),
        ("状态完成" * 50).encode()[:-1],
        "実験の状態".encode("shift_jis"),
        b"\xff\xfe\x00",
    ],
)
def test_other_encodings_and_broken_files_are_not_taken_for_gbk(data: bytes) -> None:
    with pytest.raises(UsageError, match="not UTF-8, byte 0x"):
        decode(data, Path("r.md"))


def test_a_gbk_file_is_changed_and_restored_in_gbk(tmp_path: Path) -> None:
    path, journal = tmp_path / "r.md", Journal(tmp_path / "journal", tmp_path)
    data = "# 路线图\r\n| 状态 |\r\n|---|\r\n| 完成 |\r\n".encode("gbk")
    path.write_bytes(data)
    document = read(path)
    start = document.text.index("完成")
    save([change(document, [Edit(Span(start, start + 2), "完成", "运行")])], journal)
    assert path.read_bytes() == data.replace("完成".encode("gbk"), "运行".encode("gbk"))
    undo(journal)
    assert path.read_bytes() == data


def test_front_matter_holds_no_heading_and_a_rule_opens_none() -> None:
    matter = Document("---\ntitle: A\ntags: [a,\n  b]\n# note\n---\n\n# B\n")
    assert [(h.title, h.index) for h in matter.headings] == [("B", 7)]
    assert matter.front_matter_end == 6
    rule = Document("---\n# A\nStatus: x\n---\n# B\n")
    assert [h.title for h in rule.headings] == ["A", "Status: x", "B"]
    assert rule.front_matter_end == 0


def test_a_row_in_a_comment_does_not_exist_and_ends_no_table() -> None:
    text = "| a | b |\n|---|---|\n| 1 | 2 |\n<!-- | 3 | 4 | -->\n<!--\n| 5 | 6 |\n-->\n| 7 | 8 |\n"
    (table,) = tables_of(Document(text))
    assert [row.cells[0].raw for row in table.rows] == ["1", "7"]


def test_prose_has_neither_comments_nor_code_and_keeps_every_place() -> None:
    text = "a `<!--` b <!-- c\nd --> e\n```\nf <!-- g\n```\nh --> i\n"
    prose = Document(text).prose
    assert len(prose) == len(text)
    assert prose.split() == ["a", "`<!--`", "b", "e", "h", "-->", "i"]
    rest = "\n\nseen\n\n<!--\n\nhidden -->\n- <!-- hidden\n\nhidden -->\n"
    for opened in ("| 1 | a <!-- b |\n| 2 | --> |", "a <!-- b"):  # no end in its row or paragraph
        prose = Document(opened + rest).prose
        assert prose.split() == [*opened.split(), "seen", "-"]


@pytest.mark.parametrize("name", ["gone.md", "."])
def test_a_file_that_cannot_be_read_is_a_users_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / name)
