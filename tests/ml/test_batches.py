"""Batches made ahead: their order, how many, and what happens to an error."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from tests.waiting import DEADLINE
from vitlab.ml.training.batches import Prefetch

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Item:
    number: int

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return ()


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_the_order_is_that_of_the_keys_and_no_more_are_made_than_wanted(ahead: int) -> None:
    made: list[int] = []

    def make(number: int) -> Item:
        time.sleep(0.003 * (number % 3))
        made.append(number)
        return Item(number)

    feed = Prefetch(make, range(10), ahead, CPU)
    for wanted in range(10):
        assert feed.next().number == wanted
        assert len(made) <= wanted + 1 + ahead
    feed.close()
    assert made == list(range(10))


def test_the_next_one_is_made_while_the_last_is_used() -> None:
    begun = threading.Event()

    def make(number: int) -> Item:
        if number == 1:
            begun.set()
        return Item(number)

    feed = Prefetch(make, range(3), 1, CPU)
    assert feed.next().number == 0
    assert begun.wait(DEADLINE)
    feed.close()
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())


def test_an_error_comes_where_its_batch_would() -> None:
    def make(number: int) -> Item:
        if number == 2:
            raise OSError("the disk is gone")
        return Item(number)

    feed = Prefetch(make, range(5), 4, CPU)
    assert [feed.next().number for _ in range(2)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        feed.next()
    feed.close()
