"""The signal to end that comes to a process in the middle of an export."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from billiard.common import reset_signals

from waybill.run import shutdown
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


def test_child_of_a_pool_dies_and_does_not_end_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    died: list[str] = []
    monkeypatch.setattr(shutdown, "_die", lambda: died.append("here"))
    before = signal.getsignal(signal.SIGTERM)
    reset_signals(full=True)  # as the pool does in each child
    theirs = signal.getsignal(signal.SIGTERM)
    try:
        monkeypatch.setattr(os, "kill", lambda *_: died.append("by its own signal"))
        with ChildTermination(ShutdownFlag()).postponed():
            signal.raise_signal(signal.SIGTERM)
        assert died[:1] == ["here"]
        assert signal.getsignal(signal.SIGTERM) is theirs
    finally:
        signal.signal(signal.SIGTERM, before)
