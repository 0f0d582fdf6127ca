"""The wire format of protocol buffers, without their library."""

from __future__ import annotations

from collections.abc import Iterator


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field: an int for varints, bytes for the rest.

    `ValueError` or `IndexError` where it is cut off or no such message.
    """
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(message, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("cut off")
        yield tag >> 3, message[at : at + size]
        at += size


def texts(message: bytes) -> dict[int, str]:
    """The fields that are text, by their number; the last of each."""
    return {number: value.decode("utf-8", "replace") for number, value in fields(message)
            if isinstance(value, bytes)}  # fmt: skip


def signed(value: int) -> int:
    """A varint as the signed integer of 64 bits that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
