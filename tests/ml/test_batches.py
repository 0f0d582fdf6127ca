"""Batches made ahead: their order, how many, and what happens to an error."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
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


class Clock:
    """Seconds that only pass when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("vitlab.ml.training.batches.time.perf_counter", found)
    return found


def test_without_a_thread_the_making_is_waited_for(clock: Clock) -> None:
    def make(number: int) -> Item:
        clock.now += number
        return Item(number)

    feed = Prefetch(make, [2, 3], 0, CPU)
    feed.next()
    clock.now += 100  # training
    feed.next()
    assert feed.waited == 5


def test_what_was_made_in_time_is_not_waited_for(clock: Clock) -> None:
    used, made = threading.Event(), threading.Event()

    def make(number: int) -> Item:
        if number == 1:
            used.wait(DEADLINE)
        clock.now += 2
        if number == 1:
            made.set()
        return Item(number)

    feed = Prefetch(make, range(2), 1, CPU)
    feed.next()
    assert feed.waited == 2
    used.set()
    made.wait(DEADLINE)
    feed.next()
    assert feed.waited == 2
    feed.close()


class Event:
    """A CUDA event on a device that reaches it when told."""

    at: float | None = None

    def query(self) -> bool:
        return self.at is not None

    def elapsed_time(self, other: Event) -> float:
        assert self.at is not None
        assert other.at is not None
        return 1e3 * (other.at - self.at)


class Stream:
    def __init__(self, _: object = None) -> None:
        self.done: list[object] = []

    def record_event(self, event: Event | None = None) -> Event:
        self.done.append(event or Event())
        return event or Event()

    def wait_event(self, event: Event) -> None:
        self.done.append(("waits for", event))


def test_on_a_gpu_the_devices_own_waiting_counts_once_it_is_past(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training, side = Stream(), Stream()
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: side)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: training)
    monkeypatch.setattr(
        torch.cuda, "Event", lambda enable_timing: Event() if enable_timing else None
    )
    feed = Prefetch(Item, range(2), 1, torch.device("cuda"))
    feed.next()
    feed.next()
    first, _, past, second, _, beyond = training.done
    assert isinstance(first, Event)
    assert isinstance(past, Event)
    assert isinstance(second, Event)
    assert isinstance(beyond, Event)
    assert feed.waited == 0  # the device is not there yet: nobody waits for the number
    first.at, past.at, second.at = 10.0, 10.5, 11.0
    assert feed.waited == 0.5
    beyond.at = 11.25
    assert feed.waited == 0.75
    feed.close()
