from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from waybill.api import docs, health, metrics
from waybill.api.app import API_MODULES


def called(dependant: Any) -> Iterator[Any]:
    """Yield what FastAPI calls before a route: all that its dependencies depend on."""
    for each in dependant.dependencies:
        yield each.call
        yield from called(each)


def waits(call: Any) -> bool:
    return (
        inspect.iscoroutinefunction(call)
        or inspect.isasyncgenfunction(call)
        or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004 - an instance's
    )


def test_no_request_takes_a_thread_for_what_it_depends_on() -> None:
    found: set[Any] = set()
    for module in (*API_MODULES, docs, health, metrics):
        for route in module.router.routes:
            found.update(called(route.dependant))  # type: ignore[attr-defined]
    assert len(found) > 5
    assert [call for call in found if not waits(call)] == []
