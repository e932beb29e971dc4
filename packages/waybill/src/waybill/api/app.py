"""Builds the FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from waybill import __version__, tracing
from waybill.api import (
    admin,
    audit,
    docs,
    download,
    events,
    exports,
    health,
    metrics,
    offer,
    openapi,
    problems,
    quota,
    stream,
)
from waybill.api.addresses import ForwardedHeaders, TrustedProxies
from waybill.api.auth import Authenticator, create_authenticator
from waybill.api.body_limit import BodyLimit
from waybill.api.buckets import TokenBuckets
from waybill.api.gate import Gate
from waybill.api.known_query import require_known_query
from waybill.api.own_app import HostInScope
from waybill.api.rate_limit import RateLimiter
from waybill.api.request_figures import RequestFigures
from waybill.api.safe_headers import SafeHeaders
from waybill.api.slots import Slots
from waybill.api.trace_context import TraceContext
from waybill.audit.strangers import StrangerLog
from waybill.bootstrap.api import ApiParts

_DESCRIPTION = """\
Asynchronous user-data export, with a manifest that proves the file whole.

Request an export (`202`, with its address in `Location`), watch it by polling or by server-sent
events, then download the file and its manifest. Every error is an RFC 9457 problem whose `code` is
stable.
"""
_TAGS = [
    {"name": "exports", "description": "Request, watch, download, discard."},
    {
        "name": "admin",
        "description": "For holders of the scope `exports:admin`, within their tenant; for all "
        "tenants with `exports:all-tenants` beside it.",
    },
    {"name": "health", "description": "For load balancers."},
    {"name": "operations", "description": "For monitoring."},
]


API_MODULES = (offer, quota, exports, stream, events, download, admin, audit)
"""Whose routes are below ``/api``."""


def create_app(services: ApiParts, *, authenticator: Authenticator | None = None) -> FastAPI:
    """Return the application; ``authenticator`` replaces the one the settings name.

    Raises:
        ConfigurationError: nobody could ever authenticate, or not safely.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with services, services.announcements.gathered():
            # Beside the first requests, not before them: whoever is away must not keep us from
            # saying so.
            warming = asyncio.create_task(services.warm_up(with_queue=True))
            summing_up = asyncio.create_task(app.state.strangers.run())
            yield
            warming.cancel()
            summing_up.cancel()
            await asyncio.gather(warming, summing_up, return_exceptions=True)

    app = FastAPI(
        title="waybill",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        # Names that generated clients can bear.
        generate_unique_id_function=lambda route: route.name,
        lifespan=lifespan,
        # Theirs load programs from elsewhere; ours is ``api.docs``.
        docs_url=None,
        redoc_url=None,
        # Its own tells an application's logs of exceptions by their texts, which quote rows.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.services = services
    app.state.authenticator = authenticator or create_authenticator(services.settings)
    app.state.rate_limiter = RateLimiter(
        per_second=services.settings.requests_per_second,
        burst=services.settings.requests_burst,
    )
    settings = services.settings
    app.state.strangers = StrangerLog(services.audit)
    app.state.watchers_of_person = Slots(settings.max_watchers_per_person)
    app.state.watchers_of_address = Slots(settings.max_watchers_per_address)
    app.state.streams_of_person = Slots(settings.max_streams_per_person)
    # The last one added is met first.
    if tracing.is_on():
        app.add_middleware(TraceContext)
    app.add_middleware(HostInScope)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, seconds=settings.body_seconds)
    app.add_middleware(
        Gate,
        hosts=settings.allowed_hosts,
        buckets=TokenBuckets(
            per_second=settings.address_requests_per_second,
            burst=settings.address_requests_burst,
        ),
    )
    app.add_middleware(SafeHeaders)
    app.add_middleware(RequestFigures)
    app.add_middleware(ForwardedHeaders, proxies=TrustedProxies(settings.trusted_proxies))
    problems.install(app)
    for module in (health, metrics):
        app.include_router(module.router)
    known_query = [Depends(require_known_query)]
    for module in API_MODULES:
        app.include_router(module.router, dependencies=known_query)
    if settings.docs:
        app.include_router(docs.router)
    openapi.install(app)
    return app
