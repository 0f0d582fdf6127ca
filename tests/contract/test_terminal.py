"""What is printed reaches whoever reads it, however its pipe was left."""

from __future__ import annotations

import os
import subprocess
import sys
import time

_PRINTS = """
import sys
from vitlab.contract.terminal import harmless_output, lost_output
with harmless_output():
    for number in range(20_000):
        print(f"{number:019}")
    print("end", file=sys.stderr)
    assert lost_output() is None
"""


def test_a_pipe_in_non_blocking_mode_gets_all() -> None:
    """As ssh, node and runners of tests leave one that they share."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    command = [sys.executable, "-c", _PRINTS]
    program = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    time.sleep(0.5)  # it fills the pipe
    with os.fdopen(ours, "rb") as pipe:
        lines = pipe.read().split()
    assert program.communicate()[1] == b"end\n"
    assert (program.returncode, len(lines), lines[-1]) == (0, 20_000, b"0" * 14 + b"19999")
