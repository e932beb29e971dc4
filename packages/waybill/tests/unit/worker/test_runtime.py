"""The event loop of a worker's process."""

from __future__ import annotations

import asyncio
import sys
import threading

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


def test_process_has_threads_for_more_pipelines_than_python_would_give_a_small_machine() -> None:
    # Those of jobs side by side, and those that hang and were left behind.
    together = threading.Barrier(40, timeout=30)

    async def all_wait_for_each_other(_: NoParts) -> None:
        await asyncio.gather(*(asyncio.to_thread(together.wait) for _ in range(40)))

    runtime = ProcessRuntime(NoParts)  # type: ignore[type-var]
    runtime.run(all_wait_for_each_other)
    runtime.close()
