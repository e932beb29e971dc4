"""The event loop of a worker's process."""

from __future__ import annotations

import asyncio
import sys

import pytest

from waybill.worker.runtime import ProcessRuntime


class NoParts:
    """Parts of a process that needs none."""

    async def close(self) -> None:
        """Nothing to do."""


async def name_of_the_loop(_: NoParts) -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def test_process_runs_on_uvloop() -> None:
    runtime = ProcessRuntime(NoParts)  # type: ignore[type-var]
    assert runtime.run(name_of_the_loop) == "uvloop"
    runtime.close()


def test_process_runs_on_the_loop_of_python_where_there_is_no_uvloop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    runtime = ProcessRuntime(NoParts)  # type: ignore[type-var]
    assert runtime.run(name_of_the_loop) == "asyncio"
    runtime.close()
