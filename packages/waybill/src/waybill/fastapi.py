"""waybill inside a FastAPI (or Starlette) application: its routes, or a mount.

::

    app.include_router(waybill.router(principal=Depends(exporter)), prefix="/data")
    app.mount("/data", waybill.app(principal=Depends(exporter)))

Nothing is opened before the application's lifespan, or without one the first request, and all of it
is closed with that lifespan, or with the event loop: a process may import, fork and then serve.
"""

from __future__ import annotations

import asyncio
import sys
from collections import ChainMap
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from celery import Celery
from fastapi import APIRouter, FastAPI, Request
from fastapi.params import Depends as DependsParameter
from starlette._utils import get_route_path
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from waybill.api.app import API_MODULES, create_app
from waybill.api.auth import current_principal
from waybill.api.own_app import HOST_APP
from waybill.audit.sink import AuditSink
from waybill.bootstrap.api import ApiParts
from waybill.catalog import Catalog
from waybill.config import Settings, load_settings
from waybill.errors import AuthenticationRequired, ConfigurationError
from waybill.jobs.host_queue import queue_of
from waybill.log import get_logger
from waybill.notify.delivery import NotificationChannel
from waybill.notify.registry import create_channels
from waybill.principal import Principal
from waybill.storage.objects import Objects

__all__ = ["Embedded", "app", "router"]

log = get_logger(__name__)

_LOOK_SECONDS: Final = 0.2


def app(
    settings: Settings | None = None,
    *,
    principal: Any = None,
    catalog: Catalog | None = None,
    celery: Celery | None = None,
    channels: Sequence[NotificationChannel] = (),
    audit_sink: AuditSink | None = None,
    objects: Objects | None = None,
) -> Embedded:
    """Return waybill's API as an ASGI application to mount; with ``pages``, its pages too.

    Args:
        settings: the environment's (``WAYBILL_…``) when ``None``.
        principal: ``Depends(…)`` of the application's own sign-in, which returns a
            ``waybill.Principal``, or ``None`` for nobody; what the settings name when ``None``.
        catalog: what may be exported; the settings' when ``None``.
        celery: the application's Celery, where ``waybill.celery.install`` was called with it; then
            jobs are announced there.
        channels: as ``waybill.celery.install``.
        audit_sink: a function of the application's, sync or async, that is told of each audit
            event after its commit; the settings' when ``None``.
        objects: how files are to be in S3; give them to ``waybill.celery.install`` as well.

    Raises:
        ConfigurationError: settings, catalog, channels, sink, objects or sign-in do not hold.
    """
    given = load_settings() if settings is None else settings
    if audit_sink is not None:
        given = given.model_copy(update={"audit_sink": audit_sink})
    if objects is not None:
        given = objects.applied_to(given)
    if celery is not None and queue_of(celery) is None:
        raise ConfigurationError(
            "No worker of this Celery application runs exports: call waybill.celery.install(app) "
            "where it is made, or leave celery= out for workers of waybill's own."
        )
    create_channels(given, channels)
    sign_in = _callable(principal)

    def build() -> FastAPI:
        parts = ApiParts(given, catalog=catalog, celery=celery, channels=channels)
        own = create_app(parts, authenticator=_HostSignIn() if sign_in else None)
        if sign_in:
            own.dependency_overrides[current_principal] = sign_in
        if given.pages:
            from waybill.web.pages import install

            install(own)
        return own

    return Embedded(build)


def router(
    settings: Settings | None = None,
    *,
    principal: Any = None,
    catalog: Catalog | None = None,
    celery: Celery | None = None,
    channels: Sequence[NotificationChannel] = (),
    audit_sink: AuditSink | None = None,
    objects: Objects | None = None,
) -> APIRouter:
    """Return waybill's routes below ``/api``, to include with whichever prefix; as ``app``.

    Health, metrics and documentation stay the application's own. The application's lifespan, to
    which FastAPI adds a router's, starts and stops it. Errors of these routes are problems
    (RFC 9457); those of others are none of its business. What ``include_router`` adds to routes of
    FastAPI's (``dependencies``, ``responses``) does not apply: who may do what is said by
    ``principal``.
    """
    embedded = app(
        settings,
        principal=principal,
        catalog=catalog,
        celery=celery,
        channels=channels,
        audit_sink=audit_sink,
        objects=objects,
    )
    found = APIRouter(lifespan=embedded.lifespan)
    paths = dict.fromkeys(
        each.path
        for module in API_MODULES
        for each in module.router.routes
        if isinstance(each, Route)
    )
    for path in paths:
        entry = _Entry(embedded, path.count("/"))
        found.routes.append(Route(path, entry, include_in_schema=False))
    return found


class Embedded:
    """waybill's API in another application; an ASGI application itself.

    Args:
        build: makes the application, opening nothing; called once for each start.

    Raises:
        ConfigurationError: it cannot be made.
    """

    def __init__(self, build: Callable[[], FastAPI]) -> None:
        self._build = build
        self._made: FastAPI | None = build()  # what does not hold is said where it is written
        self._running: tuple[asyncio.AbstractEventLoop, FastAPI] | None = None
        self._starting: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._owner: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def lifespan(self, _host: Any = None) -> AsyncIterator[None]:
        """Run it for the block: ``FastAPI(lifespan=data.lifespan)``, or inside another one."""
        own, self._made = self._made or self._build(), None
        watching = asyncio.create_task(_release_with_the_server(own), name="waybill-server")
        try:
            async with own.router.lifespan_context(own):
                self._running = (asyncio.get_running_loop(), own)
                try:
                    yield
                finally:
                    self._running = None
                    _release(own)
        finally:
            watching.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            # As the one application of a server.
            await FastAPI(lifespan=self.lifespan)(scope, receive, send)
            return
        scope = _with_whole_path(scope)
        own = await self._here()
        host = scope.get("app")
        if host is not None:
            _adopt(own, host)
        await own({**scope, HOST_APP: host}, receive, send)

    async def _here(self) -> FastAPI:
        loop = asyncio.get_running_loop()
        if self._running is None or self._running[0] is not loop:
            if self._starting is None or self._starting[0] is not loop:
                ready = loop.create_future()
                self._starting = (loop, ready)
                # It ends when the loop cancels what is left, and closes what it opened.
                self._owner = loop.create_task(self._run_with_the_loop(ready), name="waybill")
            # The start is nobody's: whoever asked first may go, and the next waits for the same.
            await asyncio.shield(self._starting[1])
        assert self._running is not None  # noqa: S101 - what is ready runs
        return self._running[1]

    async def _run_with_the_loop(self, ready: asyncio.Future[None]) -> None:
        try:
            async with self.lifespan():
                self._starting = None
                ready.set_result(None)
                await asyncio.Event().wait()
        except BaseException as exc:
            if ready.done():
                raise
            self._starting = None  # so that the next request tries anew
            if not isinstance(exc, Exception):
                ready.cancel()
                raise
            ready.set_exception(exc)


class _Entry:
    """One of our paths among the routes of an application."""

    def __init__(self, embedded: Embedded, parts: int) -> None:
        self._embedded = embedded
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root, path = scope.get("root_path", ""), get_route_path(scope)
        own = path.rsplit("/", self._parts)
        # A host may have said its root path itself (``FastAPI(root_path=…)``), and then routes a
        # path that a proxy took it off as well; whatever is mounted below finds none of these.
        found = {"path": root + path, "root_path": root + own[0], "path_params": {}}
        await self._embedded({**scope, **found}, receive, send)


class _HostSignIn:
    """Stands where an authenticator would: nobody comes in by a token of ours."""

    async def authenticate(self, request: Request, token: str | None) -> Principal:
        raise AuthenticationRequired


def _with_whole_path(scope: Scope) -> Scope:
    """Return the scope of a mount with a path that begins with its root path, as ASGI has it. One
    that the host said itself (``FastAPI(root_path=…)``) is not in what a proxy took it off."""
    outer, root, path = scope.get("app_root_path", ""), scope.get("root_path", ""), scope["path"]
    is_within = path == root or path.startswith(f"{root}/")
    return scope if is_within or not outer else {**scope, "path": outer + path}


def _callable(principal: Any) -> Callable[..., Any] | None:
    found = principal.dependency if isinstance(principal, DependsParameter) else principal
    if found is not None and not callable(found):
        raise ConfigurationError(
            f"principal={found!r} is no dependency. Pass Depends(…) of a function that returns a "
            "waybill.Principal."
        )
    return found


def _adopt(own: FastAPI, host: Any) -> None:
    """Let the host's sign-in be as in its own routes: with its overrides in tests, and its handlers
    of its own errors."""
    overrides = getattr(host, "dependency_overrides", None)
    if overrides is None or hasattr(own.state, "host"):
        return
    own.state.host = host
    own.dependency_overrides = ChainMap(own.dependency_overrides, overrides)  # type: ignore[assignment]
    for error, handler in host.exception_handlers.items():
        if isinstance(error, type) and error is not Exception:
            own.exception_handlers.setdefault(error, handler)


def _release(own: FastAPI) -> None:
    parts: ApiParts = own.state.services
    if "changes" in vars(parts):
        parts.changes.release()


async def _release_with_the_server(own: FastAPI) -> None:
    """End event streams when the server begins to stop. uvicorn waits for open answers first and
    tells the application afterwards, so that nothing else would end them."""
    server = next(_servers(), None)
    while server is not None:
        if server.should_exit:
            _release(own)
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _servers() -> Iterator[Any]:
    """Find uvicorn's server by the task that runs it: it hands itself to no application."""
    kind = getattr(sys.modules.get("uvicorn"), "Server", ())
    for task in asyncio.all_tasks():
        awaited: Any = task.get_coro()
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None)
            owner: Any = frame.f_locals.get("self") if frame is not None else None
            if isinstance(owner, kind):
                yield owner
            awaited = getattr(awaited, "cr_await", None)
