"""The edits of a file beside a roadmap when the status of one of its MVPs changes."""

from __future__ import annotations

from vitlab.docs.model.linked import LinkedDocument
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.edit import Edit, apply, lost_lines
from vitlab.docs.text.source import Document
from vitlab.docs.write.status import status_edits


def linked_edits(
    linked: LinkedDocument,
    mvp_id: str,
    status: str,
    before: Roadmap | None = None,
    date: str | None = None,
) -> list[Edit]:
    """Give an MVP a status at each of its places in a file; none where they have it already.

    `before`: an earlier state of the file, from which wording is restored; `date`: as for
    `set_status`.
    """
    mvp = linked.mvp(mvp_id)
    if mvp.status == status:
        return []
    return status_edits(linked, mvp, {"": status}, before, date)


def linked_not_restored(
    linked: LinkedDocument, mvp_id: str, new_text: str, status: str
) -> list[str]:
    """The lines that the earlier status of an MVP would not restore without the journal."""
    new = linked.reread(Document(new_text, linked.document.path))
    return lost_lines(linked.document.text, apply(new_text, linked_edits(new, mvp_id, status)))
