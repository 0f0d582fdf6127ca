"""Which metrics file an adopted run is given."""

from __future__ import annotations

from pathlib import Path

from vitlab.contract.reading import matching
from vitlab.jobs.queue.trainings import Training, as_glob
from vitlab.lab.adoption import _given_file


def test_a_file_that_is_there_is_no_pattern(tmp_path: Path) -> None:
    """Hydra names folders `layers=[64,64]`; those of another run match it as a pattern."""
    files = [tmp_path / name / "metrics.csv" for name in ("run[1]", "run1")]
    for path in files:
        path.parent.mkdir()
        path.write_text("epoch,val_r2\n1,0.9\n")
    run = Training(1, 1, ("python",), tmp_path, 0.0, None, (), "", "cpu", "")
    written = as_glob(files[0], tmp_path), _given_file(run, "run[1]/metrics.csv")
    for pattern in written:
        assert list(matching(tmp_path, pattern)) == [files[0]]
    assert _given_file(run, "run*/metrics.csv") == "run*/metrics.csv"
