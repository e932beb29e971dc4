"""The signal to end that comes to a process in the middle of an export."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from waybill.run.shutdown import ChildTermination, ShutdownFlag


@pytest.fixture
def theirs() -> Iterator[list[int]]:
    """What a handler that was there before has heard."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


def test_handler_that_was_there_is_there_again(theirs: list[int]) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    termination = ChildTermination(ShutdownFlag())
    for _ in range(2):
        with termination.postponed():
            assert signal.getsignal(signal.SIGTERM) is not handler
        assert signal.getsignal(signal.SIGTERM) is handler
    with pytest.raises(ValueError, match="of the export"), termination.postponed():
        raise ValueError("of the export")
    assert signal.getsignal(signal.SIGTERM) is handler
    assert theirs == []


def test_signal_in_the_middle_gives_the_export_back_and_is_heard_afterwards(
    theirs: list[int],
) -> None:
    flag = ShutdownFlag()
    termination = ChildTermination(flag)
    with termination.postponed():
        os.kill(os.getpid(), signal.SIGTERM)
        assert flag.is_urgent()
        assert theirs == []
    assert theirs == [signal.SIGTERM]
    with termination.postponed():
        pass
    assert theirs == [signal.SIGTERM]  # told once
