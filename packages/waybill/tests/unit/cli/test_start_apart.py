"""A worker looks at what must hold before it starts in a process of its own."""

from __future__ import annotations

import subprocess
import sys

_START = """
import os, sys, threading
from waybill.apart import hold_apart

print("before", end=" ")
own = os.getpid()

def check():
    import wave
    print("apart" if os.getpid() != own else "here", end=" ")
    {then}

try:
    hold_apart(check)
except LookupError as exc:
    print("told:", exc, end=" ")
print("wave" in sys.modules)
"""


def _start(then: str = "", first: str = "") -> str:
    code = first + _START.format(then=then)
    done = subprocess.run(
        [sys.executable, "-u", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_what_holds_leaves_nothing_in_the_process_that_starts() -> None:
    assert _start() == "before apart False"


def test_what_does_not_hold_is_told_by_the_process_that_starts() -> None:
    assert _start('raise LookupError("no such catalog")') == (
        "before apart here told: no such catalog True"
    )


def test_process_with_threads_looks_itself() -> None:
    waiting = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    assert _start(first=f"import threading; {waiting}") == "before here True"


def test_check_that_ends_its_process_is_not_taken_for_one_that_holds() -> None:
    assert _start("if os.getpid() != own: os._exit(9)") == "before apart here True"
