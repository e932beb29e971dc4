"""Ctrl-C, ``kill`` and a closed terminal end a command in the same orderly way."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def orderly_exit() -> Iterator[None]:
    """Turn the first ending signal into ``SystemExit`` in the main thread, and ignore the rest.

    The exit unwinds ``with`` blocks, so that services are stopped; a second Ctrl-C would break
    that off half-way. How long it takes is bounded by the services' grace periods. The status is
    128 plus the signal's number, as a shell reports it.

    Use in the main thread only.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        for ending in _ENDING:
            signal.signal(ending, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {ending: signal.signal(ending, leave) for ending in _ENDING}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)
