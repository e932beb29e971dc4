"""What an application wants to be told of, in Python: after the commit.

For what must not be missed there are notifications, which are written in the transaction itself. A
hook is called once, if the process lives; what it raises is logged and changes no job.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from waybill.jobs.job import ExportJob
from waybill.log import get_logger
from waybill.references import import_made

log = get_logger(__name__)

Hook = Callable[[ExportJob], Awaitable[Any] | Any]

_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Hooks:
    """Functions of the application's, sync or async, each given the job as it was committed.

    ``on_completed`` and ``on_failed`` run in the worker; ``on_expired`` where upkeep runs. A hook
    has ten seconds.
    """

    on_completed: Hook | None = None
    on_failed: Hook | None = None
    on_expired: Hook | None = None

    async def call(self, name: str, job: ExportJob) -> None:
        """Call ``name`` with ``job``, if there is such a hook. Raises nothing of its own."""
        hook: Hook | None = getattr(self, name)
        if hook is None:
            return
        try:
            async with asyncio.timeout(_SECONDS):
                if inspect.iscoroutinefunction(hook):
                    await hook(job)
                else:
                    # It may wait for whatever it likes; the lease of the next job does not.
                    await asyncio.to_thread(hook, job)
        except Exception as exc:
            # The class alone: its message is the application's, and may hold anything.
            log.error("hook.failed", hook=name, export_id=str(job.id), error=type(exc).__name__)  # noqa: TRY400


def load_hooks(reference: str | None) -> Hooks:
    """Return the hooks that ``WAYBILL_HOOKS`` names; none when ``None``.

    Raises:
        ConfigurationError: it names nothing, or something else.
    """
    if reference is None:
        return Hooks()
    return import_made("WAYBILL_HOOKS", reference, Hooks, "a waybill.Hooks")
