"""What tests that run recipes share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def own_signals() -> Iterator[None]:
    """A recipe in this process listens for SIGTERM as a job does."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
