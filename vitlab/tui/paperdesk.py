"""The documents' part of the desk: what waits, what is written, taken back and mended."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vitlab.contract.job import Spec
    from vitlab.docs.save import FileChange
    from vitlab.lab.lab import Lab
    from vitlab.lab.writeback.edits import Flaw, Papers
    from vitlab.lab.writeback.writeback import Pending, Step


@dataclass
class PaperDesk:
    """A lab and the roadmap that is shown; every call blocks."""

    lab: Lab
    roadmap: Path | None

    def pending(self) -> Pending:
        """What the results would change in the documents."""
        from vitlab.lab.writeback.writeback import pending

        return pending(self.lab, self._roadmap())

    def accept(self, waiting: Pending) -> list[Path]:
        """Write what is pending; the files written."""
        from vitlab.lab.writeback.edits import accept

        return accept(self.lab, waiting)

    def papers(self) -> Papers:
        """What there is to decide about the roadmap's documents."""
        from vitlab.lab.writeback.edits import papers

        return papers(self.lab, self._roadmap())

    def worded(self, mvp_id: str, sentence: str) -> Step:
        """One MVP's edits with a person's own sentence."""
        from vitlab.lab.writeback.edits import planned

        return planned(self.lab, self._roadmap(), mvp_id, sentence)

    def write(self, mvp_id: str, sentence: str | None) -> list[Path]:
        """Write one MVP's results; the files written."""
        from vitlab.lab.writeback.edits import write

        return write(self.lab, self._roadmap(), mvp_id, sentence)

    def refuse(self, mvp_id: str) -> None:
        from vitlab.lab.writeback.edits import refuse

        refuse(self.lab, self._roadmap(), mvp_id)

    def offer(self, mvp_id: str) -> None:
        from vitlab.lab.writeback.edits import offer

        offer(self.lab, mvp_id)

    def fix(self, flaw: Flaw) -> list[Path]:
        """Mend a contradiction; the files written."""
        from vitlab.lab.writeback.edits import fix

        return fix(self.lab, flaw)

    def undo(self) -> list[Path]:
        """Take the last write back; the files restored."""
        from vitlab.lab.writeback.edits import undo

        return undo(self.lab)

    def redo(self) -> list[Path]:
        """Make the last undone write again; the files written."""
        from vitlab.lab.writeback.edits import redo

        return redo(self.lab)

    def open_in_editors(self, paths: Iterable[Path]) -> list[str]:
        """One line for each file that an editor has open too."""
        from vitlab.lab.writeback.edits import open_in_editors

        return open_in_editors(paths)

    def diffs(self, changes: Iterable[FileChange]) -> list[str]:
        """One unified diff for every file touched, paths as the lab names them."""
        from vitlab.docs.text.edit import unified

        return [
            unified(change.old_text or "", change.new_text, self.name(change.path))
            for change in changes
        ]

    def section(self, mvp_id: str) -> tuple[Path, int]:
        """Where the roadmap specifies an MVP: file and line."""
        from vitlab.lab.live.mvp_summary import locate_mvp

        return locate_mvp(self.lab, self._roadmap(), mvp_id)

    def experiment(self, spec: Spec) -> tuple[Path, int]:
        """Where a job was declared: file and line."""
        from vitlab.lab.live.mvp_summary import locate_experiment

        return locate_experiment(self.lab, spec)

    def conclusion(self, mvp_id: str) -> str:
        """The sentence that concludes an MVP, written or waiting; empty: none."""
        from vitlab.lab.live.mvp_summary import read_conclusion

        return read_conclusion(self.lab, self._roadmap(), mvp_id)

    def export(self, view: str, ending: str, text: str) -> Path:
        """Write a view below `exports/`, never over a file; where it is."""
        from vitlab.tui.terminal.export import save_new

        return save_new(self.lab.paths, f"{view}-{time.strftime('%Y%m%d-%H%M%S')}", ending, text)

    def name(self, path: Path) -> str:
        return self.lab.paths.relative(path)

    def _roadmap(self) -> Path:
        return self.roadmap or self.lab.roadmap_path(None)
