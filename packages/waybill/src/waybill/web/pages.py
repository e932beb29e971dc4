"""Adds the pages to the API's application."""

from __future__ import annotations

from fastapi import FastAPI

from waybill.web import assets, history, operate, portal_links, request_page, signing_in, watch
from waybill.web.cookies import SessionAuthenticator

_ROUTERS = (signing_in.router, request_page.router, history.router, watch.router, operate.router)


def install(app: FastAPI) -> None:
    """Serve the pages, and take their sessions wherever the API takes a token."""
    services = app.state.services
    app.state.authenticator = SessionAuthenticator(app.state.authenticator, services.sessions)
    app.include_router(assets.router)
    app.include_router(portal_links.router)
    for router in _ROUTERS:
        app.include_router(router)
