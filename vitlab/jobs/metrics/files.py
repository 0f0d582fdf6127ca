"""Following a metrics file: what is new in it, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitlab.jobs.metrics.formats.wandb_file import WandbFile
from vitlab.jobs.metrics.grouped import Grouped
from vitlab.jobs.metrics.reader import FileReader
from vitlab.jobs.metrics.source import Source, near
from vitlab.jobs.metrics.thinning import Event


class FileFollower(Grouped[FileReader]):
    """The events of one metrics file, each row once."""

    def __init__(
        self,
        source: Source,
        path: Path,
        cursor: Mapping[str, Any] | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        """`cursor`: where an earlier follower was.

        `scales`: of names whose scale the run gives, filled while it runs (`Scales.known`).
        """
        self._path = path
        self._names = source.in_file

        def make(part: Source) -> FileReader:
            return FileReader(part, path, self._scales)

        super().__init__(source, self._names, make, scales, cursor)

    def skip_existing(self) -> None:
        """What is there now is an earlier run's; what comes, or a file written anew, counts."""
        for reader in self._readers:
            reader.skip_existing()
        self._starts = self._states()

    def know_rows_of(self, other: FileFollower) -> None:
        """Pass on no rows again that `other` did: `checkpoint-*/trainer_state.json` repeat all."""
        for reader, before in zip(self._readers, other._readers, strict=False):
            reader.know(before)

    def poll(self, last: bool = False) -> Iterator[Event]:
        """The new events, as kind and data; `last`: the run is over, so an unfinished line too.

        What was read counts as passed on only once the iterator is at its end.
        """
        yield from self._poll(last, frozenset())

    @property
    def status(self) -> dict[str, Any]:
        """What was matched: file, kind, columns, names, missing, rows, kept, skipped, note."""
        decoders = [reader.decoder for reader in self._readers if reader.decoder]
        columns = decoders[0].columns if decoders else []
        matched = {name for decoder in decoders for name in decoder.matched}
        missing = [name for name in self._names if name not in matched | {*self._source.in_log}]
        names = {name: one.ours for name, one in self._names.items() if name in matched}
        return {
            "file": str(self._path),
            "kind": decoders[0].kind if decoders else "",
            "columns": columns,
            "names": names,
            "missing": [{"name": name, "near": near(name, columns)} for name in missing if columns],
            "skipped": max((decoder.skipped for decoder in decoders), default=0),
            **self._counts,
        }

    @property
    def wandb(self) -> dict[str, str] | None:
        """Id, project, entity, name, url and folder of a W&B run; None of another file."""
        for reader in self._readers:
            if isinstance(reader.decoder, WandbFile):
                run = reader.decoder.run
                return {**run, "folder": str(self._path.parent)}
        return None
