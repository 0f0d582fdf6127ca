"""The templates of new documents, and their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vitlab.docs.text.inline import cell_text

_TEMPLATES = Path(__file__).parent / "templates"
_OPTIONAL = ("author", "project")
"""Fields that are left out with their label where nothing is known."""


def template(name: str) -> str:
    """The template of a name: `roadmap_zh`, `hub_en`, `report_zh`."""
    return (_TEMPLATES / f"{name}.md").read_text(encoding="utf-8")


def filled(text: str, values: Mapping[str, str]) -> str:
    """A template with its fields filled in, each text as one line."""
    for name in _OPTIONAL:
        if not values.get(name):
            text = re.sub(rf"\*\*\w+:\*\* `?\{{{name}\}}`?(?: \| )?", "", text)
            text = re.sub(r" \| (?= *$)", "  ", text, flags=re.M)
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)


def slug(text: str) -> str:
    """A text as part of a file's name: letters and digits of any script, joined by `_`."""
    return re.sub(r"[\W_]+", "_", text.casefold()).strip("_")


def plan_texts(
    topic: str, language: str, date: str, author: str, project: str
) -> tuple[tuple[str, str], tuple[str, str]]:
    """(file name, text) of a new roadmap and of its hub."""
    stem = slug(topic)
    roadmap, hub = f"{stem}_roadmap.md", f"{stem}_hub.md"
    own = project or stem.upper().replace("_", "-")
    values = {
        "topic": cell_text(topic),
        "slug": stem,
        "id": f"{own}-{date.replace('-', '')}-{stem.replace('_', '-')}",
        "project": own,
        "author": author,
        "date": date,
        "roadmap": roadmap,
        "hub": hub,
    }
    first, second = (filled(template(f"{kind}_{language}"), values) for kind in ("roadmap", "hub"))
    return (roadmap, first), (hub, second)
