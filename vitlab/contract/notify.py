"""How a lab wants to be told that a job has ended: `notify` of its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vitlab.contract.strict import ConfigError, read_strict


@dataclass(frozen=True)
class Notify:
    """Each way by itself; the screen tells the terminal, the webhook needs no screen."""

    bell: bool = True
    """Ring the terminal's bell."""
    desktop: bool = False
    """Have the terminal show a notice on the desktop."""
    osc: Literal["auto", 9, 777] = "auto"
    """The escape sequence it is asked by; `auto` goes by the terminal's name."""
    webhook: str | None = None
    """An address that takes a POST of JSON. It is a secret: shown and logged nowhere."""


def read_notify(value: object, where: str) -> Notify:
    """The settings' `notify`, checked; raises `ConfigError`, which never holds the address."""
    notify = read_strict(Notify, value, where)
    if notify.webhook is not None and not host_of(notify.webhook):
        words = "must be one address that begins with http:// or https://"
        raise ConfigError(f"{where}.webhook", words)
    return notify


def host_of(address: str) -> str:
    """The host of an http(s) address, all of it that may be shown; empty where it is none."""
    from urllib.parse import urlsplit  # deferred: few labs have a webhook, all are opened fast

    if not address.isprintable() or any(letter.isspace() for letter in address):
        return ""
    try:
        parts = urlsplit(address)
        return (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:  # a broken IPv6 address
        return ""
