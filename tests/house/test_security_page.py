"""Each row of the security page names a test, and each of these is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"


def test_every_row_has_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row != "| What | Test |"]
    assert len(rows) > 25
    for row in rows:
        tests = row[row.rindex("| tests/") :]
        text = ""
        for name in re.findall(r"tests/[\w/]+\.py|::\w+", tests):
            if name.startswith("::"):
                assert f"def {name[2:]}(" in text, (name, row)
            else:
                text = (ROOT / name).read_text("utf-8")
        assert text, row
