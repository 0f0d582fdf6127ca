"""Batches made ahead in a thread while the device computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

K = TypeVar("K")


class OnDevice(Protocol):
    """Something made of tensors."""

    @property
    def tensors(self) -> tuple[Tensor, ...]: ...


T = TypeVar("T", bound=OnDevice)


class Prefetch(Generic[K, T]):
    """`make(key)` for each key in turn, `ahead` of them made before they are asked for.

    One thread makes them in the order of the keys, so what comes out does not depend on its
    timing. On CUDA it works on a stream of its own: copies and noise overlap with the training.
    """

    def __init__(
        self, make: Callable[[K], T], keys: Iterable[K], ahead: int, device: torch.device
    ) -> None:
        self._make, self._keys, self._ahead = make, iter(keys), ahead
        self._stream: Any = None
        if device.type == "cuda" and ahead:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._waiting: deque[Future[tuple[T, Any]]] = deque()
        self._thread = ThreadPoolExecutor(1, "prefetch") if ahead else None

    def next(self) -> T:
        """The next one; raises what making it raised. `StopIteration` after the last key."""
        if self._thread is None:
            return self._make(next(self._keys))
        while len(self._waiting) <= self._ahead:
            key = next(self._keys, None)
            if key is None:
                break
            self._waiting.append(self._thread.submit(self._made, key))
        if not self._waiting:
            raise StopIteration
        item, ready = self._waiting.popleft().result()
        if ready is not None:
            now = torch.cuda.current_stream()
            now.wait_event(ready)
            for tensor in item.tensors:
                tensor.record_stream(now)  # its memory is free when the training is done with it
        return item

    def close(self) -> None:
        """End the thread; what it has made is dropped."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _made(self, key: K) -> tuple[T, Any]:
        if self._stream is None:
            return self._make(key), None
        with torch.cuda.stream(self._stream):
            item = self._make(key)
        return item, self._stream.record_event()
