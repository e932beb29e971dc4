"""Adds the pages to the API's application."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException

from waybill.api.jwt import JwtAuthenticator
from waybill.api.jwt_settings import load_jwt_settings
from waybill.api.known_query import require_known_query
from waybill.api.oidc_provider import Provider
from waybill.api.oidc_settings import load_oidc_settings, require_same_people
from waybill.web import (
    assets,
    element,
    history,
    oidc,
    operate,
    portal_links,
    request_page,
    signing_in,
    watch,
)
from waybill.web.cookies import SessionAuthenticator
from waybill.web.cross_origin import CrossOrigin
from waybill.web.rendering import pages_for_people

ROUTERS = (
    signing_in.router,
    oidc.router,
    request_page.router,
    history.router,
    watch.router,
    operate.router,
)
"""Whose routes are pages; a row each in tests/attacks/rights/matrix.py."""


def install(app: FastAPI) -> None:
    """Serve the pages, and take their sessions wherever the API takes a token.

    Raises:
        ConfigurationError: people are to sign in at a provider, and its settings do not hold, or
            bearer tokens are another issuer's.
    """
    services = app.state.services
    provider, jwt = load_oidc_settings(), load_jwt_settings()
    if isinstance(app.state.authenticator, JwtAuthenticator):
        require_same_people(provider, jwt)
    app.state.authenticator = SessionAuthenticator(app.state.authenticator, services.sessions)
    if provider.is_configured:
        app.state.provider = Provider(provider, jwt)
    app.include_router(assets.router)
    app.include_router(element.router)
    app.include_router(portal_links.router, dependencies=[Depends(require_known_query)])
    for router in ROUTERS:
        app.include_router(router)
    problems = app.exception_handlers[HTTPException]
    app.add_exception_handler(HTTPException, pages_for_people(problems))
    if services.settings.element_origins:
        app.add_middleware(CrossOrigin, origins=services.settings.element_origins)
