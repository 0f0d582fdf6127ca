"""Sizes as people write them."""

from __future__ import annotations

import re

from vitlab.contract.strict import ConfigError


def memory_bytes(key: str, text: str) -> int:
    """`8GiB`, `500 MB`, `1e9` -> bytes; `ConfigError` at `key` for anything else."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([KMGT]?)(i?)B?\s*", text)
    try:
        number = float(found[1]) if found else 0.0
    except ValueError:
        number = 0.0
    if not found or number <= 0:
        raise ConfigError(key, f"must be a size like 8GiB or 500MB, not {text!r}")
    return int(number * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " "))
