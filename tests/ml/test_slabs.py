"""Streaming: every row once an epoch, no slab twice, never more in memory than stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.contract.config import ConfigError
from vitlab.contract.validation import memory_bytes
from vitlab.ml.spectra.file_spectra import READERS, READING, ROWS, Plan, Slab, Slabs, make_plan

WIDTH = 4


def numbered(start: int, stop: int) -> Slab:
    """Rows that hold their own number."""
    rows = np.repeat(np.arange(start, stop, dtype=np.float32)[:, None], WIDTH, axis=1)
    return rows, -rows


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 20 * ROWS), st.integers(0, 30), st.integers(0, 5))
def test_every_row_comes_once_and_memory_is_kept_to(n: int, capacity: int, epoch: int) -> None:
    memory = (capacity + READING * READERS) * ROWS * WIDTH * 8
    plan = make_plan(n, WIDTH, memory)
    assert plan.held <= max(capacity, 2)
    assert plan.kept == plan.slabs or plan.group > 0
    order = plan.order(epoch, 1)
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, plan.order(epoch, 1))
    if n > 100:
        assert not np.array_equal(order, plan.order(epoch + 1, 1))


@pytest.mark.parametrize("plan", [Plan(9000, 9, 0), Plan(9000, 3, 2), Plan(9000, 0, 1)])
def test_slabs_are_read_once_an_epoch(plan: Plan) -> None:
    slabs = Slabs(numbered, plan)
    streamed = plan.slabs - plan.kept
    for epoch in range(3):
        order = plan.order(epoch, 7)
        for start in range(0, plan.n, 256):
            rows = order[start : start + 256]
            slabs.follow(epoch, 7, rows)
            flux, error = slabs.rows(rows)
            assert np.array_equal(flux[:, 0], rows)
            assert np.array_equal(error[:, 1], -rows)
            assert len(slabs._held) <= plan.held
        ahead = plan.group if streamed else 0
        assert slabs.reads <= plan.kept + streamed * (epoch + 1) + ahead


def test_a_resumed_epoch_needs_no_rows_of_before() -> None:
    plan = Plan(9000, 3, 2)
    slabs = Slabs(numbered, plan)
    rows = plan.order(4, 7)[5000:5256]
    slabs.follow(4, 7, rows)
    assert np.array_equal(slabs.rows(rows)[0][:, 0], rows)


def test_a_first_batch_of_kept_rows_alone() -> None:
    slabs = Slabs(numbered, Plan(9000, 3, 2))
    rows = np.array([5, 1000, 2000])
    slabs.follow(0, 7, rows)
    assert np.array_equal(slabs.rows(rows)[0][:, 0], rows)


def test_a_failed_read_is_told_where_the_rows_are_wanted() -> None:
    def broken(start: int, stop: int) -> Slab:
        raise OSError(f"{start} to {stop}")

    slabs = Slabs(broken, Plan(10, 1, 0))
    with pytest.raises(OSError, match="0 to 10"):
        slabs.rows(np.arange(3))


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GiB", 8 * 2**30), ("500 MB", 500_000_000), ("1.5K", 1500), ("1e9", 10**9)],
)
def test_sizes(text: str, size: int) -> None:
    assert memory_bytes("config.data.memory", text) == size


@pytest.mark.parametrize(
    "text", ["", "lots", "8 GiBs", "-1GB", "0", "1.2.3", "1e999GiB", "9e308TiB", "9" * 400]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.data\.memory: must be a size like 8GiB"):
        memory_bytes("config.data.memory", text)
