"""What is said to the terminal itself, through tmux and screen: the clipboard, a desktop notice."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping

from vitlab.tui.words import clean

LONGEST = 72_000
"""Bytes of a text the clipboard is given: many a terminal drops a longer sequence."""
CHUNK = 240
"""Characters GNU screen passes on at once."""


def through(sequence: str, environment: Mapping[str, str]) -> str:
    """The sequence wrapped so that tmux (`allow-passthrough on`) or screen hands it on."""
    if environment.get("TMUX"):
        inner = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{inner}\x1b\\"
    if environment.get("TERM", "").startswith("screen"):
        parts = [sequence[at : at + CHUNK] for at in range(0, len(sequence), CHUNK)]
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return sequence


def clipboard(text: str, environment: Mapping[str, str]) -> str:
    """OSC 52, by which a terminal, however far away, takes a text into its clipboard.

    In tmux bare and wrapped: the one is heard with `set-clipboard on`, the other with
    `allow-passthrough on`, and twice the same text does no harm.
    """
    coded = base64.b64encode(text.encode()).decode()
    plain = f"\x1b]52;c;{coded}\a"
    wrapped = through(plain, environment)
    return plain + wrapped if environment.get("TMUX") else wrapped


def into_tmux(text: str) -> bool:
    """Give tmux the text, which hands it to the terminal's clipboard by itself; blocking.

    By its command, as its default, `set-clipboard external`, heeds that and no sequence.
    """
    argv = ["tmux", "load-buffer", "-w", "-"]
    try:
        done = subprocess.run(
            argv,
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def desktop(title: str, body: str, osc: str | int, environment: Mapping[str, str]) -> str:
    """OSC 9 or 777, by which a terminal shows a notice on the desktop."""
    title, body = (clean(part).replace(";", ",") for part in (title, body))
    if osc == "auto":
        term = environment.get("TERM", "")
        knows_777 = term.startswith(("foot", "rxvt")) or "VTE_VERSION" in environment
        osc = 777 if knows_777 else 9
    # Not OSC 9 with a number first: that is a progress bar in some terminals.
    said = f"777;notify;{title};{body}" if osc == 777 else f"9;{title}: {body}"
    return through(f"\x1b]{said}\a", environment)
