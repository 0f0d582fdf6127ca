"""The text is the truth: what is read is what is there, line by line and block by block."""

from pathlib import Path

import pytest

from vitlab.contract.paths import UsageError
from vitlab.docs.text.source import Document, read


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


def test_a_file_that_is_not_utf8_is_refused_with_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    path.write_bytes("状态".encode() + b"\xed\xa0\x80 lone surrogate")
    with pytest.raises(UsageError, match=r"r\.md: not UTF-8, byte 0xed at offset 6"):
        read(path)


@pytest.mark.parametrize("name", ["gone.md", "."])
def test_a_file_that_cannot_be_read_is_a_users_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / name)
