"""Builds the FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from waybill import __version__
from waybill.api import exports, health, metrics, problems
from waybill.api.auth import Authenticator, DevelopmentTokenAuthenticator
from waybill.api.body_limit import BodyLimit
from waybill.bootstrap import Services
from waybill.config import Settings
from waybill.errors import ConfigurationError


def create_app(services: Services, *, authenticator: Authenticator | None = None) -> FastAPI:
    """Return the application; ``authenticator`` replaces the one the settings name.

    Raises:
        ConfigurationError: nobody could ever authenticate.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with services:
            yield

    app = FastAPI(
        title="waybill",
        version=__version__,
        description="Asynchronous user-data export, with a manifest that proves the file whole.",
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.authenticator = authenticator or _authenticator(services.settings)
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_body_bytes)
    problems.install(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(exports.router)
    return app


def _authenticator(settings: Settings) -> Authenticator:
    if settings.development_token is not None:
        return DevelopmentTokenAuthenticator(settings.development_token)
    raise ConfigurationError(
        "Nobody could authenticate: set WAYBILL_DEVELOPMENT_TOKEN for local work, or pass an "
        "authenticator to create_app()."
    )
