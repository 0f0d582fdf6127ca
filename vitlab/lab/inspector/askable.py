"""Which models of a lab may be asked about observed spectra."""

from __future__ import annotations

from collections.abc import Iterable

from vitlab.contract.config import Scored, read_config
from vitlab.contract.job import read_result, read_spec
from vitlab.contract.paths import JobPaths, UsageError


def trained_for_surveys(jobs: Iterable[JobPaths]) -> list[JobPaths]:
    """The newest job with a result of each run, newest first; `jobs` are oldest first.

    Of runs that were trained with gaps in their spectra (`data.disturb.masked`): others have seen
    no spectrum as surveys take them.
    """
    newest: dict[tuple[str, str], JobPaths] = {}
    for job in jobs:
        spec, result = read_spec(job.spec), read_result(job.result)
        if spec is None or result is None:
            continue
        try:
            config = read_config(spec.recipe, spec.config)
        except UsageError:
            continue
        if isinstance(config, Scored) and config.data.disturb.masked is not None:
            newest.pop((result.mvp, result.run), None)
            newest[result.mvp, result.run] = job
    return list(newest.values())[::-1]
