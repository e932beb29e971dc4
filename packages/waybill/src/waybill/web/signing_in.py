"""Signing in and out: the page that strangers are led to, and the door that portal links open."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Query, Request, Response

from waybill.api.oidc_provider import Provider
from waybill.api.own_app import app_of
from waybill.api.responses import AppServices
from waybill.api.sign_in_failures import SignInFailed
from waybill.audit.audit import AuditAction, bind_client
from waybill.bootstrap.api import ApiParts
from waybill.principal import Principal
from waybill.web.cookies import clear_cookie, cookie_name, set_cookie
from waybill.web.forms import SentForm
from waybill.web.origin import HOME, target_of
from waybill.web.rendering import PageRoute, render, see_other

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/")
async def home(request: Request) -> Response:
    """Lead to the first page."""
    return see_other(request, HOME)


@router.get("/signin")
async def sign_in_page(
    request: Request,
    services: AppServices,
    next: Annotated[str | None, Query(max_length=1_000)] = None,
    why: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Say how to sign in. Where the host has a page for it, lead there, with where to go next."""
    return await show_sign_in(
        request,
        services,
        target=target_of(next),
        why=why if why in {"over", "recent", "out", "used"} else "",
    )


async def show_sign_in(
    request: Request,
    services: ApiParts,
    *,
    target: str = HOME,
    status: int = 200,
    why: str = "",
    failure: SignInFailed | None = None,
) -> Response:
    """Return the page where one signs in: by the host, by a provider, or by a link."""
    host = services.settings.sign_in_url
    query = urlencode({"next": target})
    host_url = None
    if host is not None:
        host_url = f"{host}{'&' if urlsplit(str(host)).query else '?'}{query}"
    provider = provider_of(request)
    provider_url = None
    if provider is not None:
        provider_url = f"/signin/oidc?{query}" + ("&again=true" if why == "recent" else "")
    return render(
        request,
        "signin.html",
        status=status,
        why=why,
        host_url=host_url,
        provider_url=provider_url,
        provider_name=provider and provider.name,
        end_url=await provider.end_url() if provider and why == "out" else None,
        failure=failure,
    )


def provider_of(request: Request) -> Provider | None:
    """Return the OpenID provider of this application, if it has one."""
    provider: Provider | None = getattr(app_of(request.scope).state, "provider", None)
    return provider


async def admit(
    request: Request, services: ApiParts, person: Principal, secret: str, target: str, *, by: str
) -> Response:
    """Lead somebody in whose session has begun: the one that this browser had before ends."""
    bind_client(request.client.host if request.client else None)
    former = request.cookies.get(cookie_name(request))
    if former:
        await services.sessions.end(former)
    await services.audit.record(person, AuditAction.SIGNED_IN, code=by)
    response = see_other(request, target_of(target))
    # Always a secret of its own: none that was there before is taken on (session fixation).
    set_cookie(request, response, secret)
    return response


@router.get("/portal/{secret}")
async def portal_page(secret: str, request: Request) -> Response:
    """Ask the browser to open the link. Mail scanners and previews follow links but send no forms,
    so they do not use it up; a browser with script sends it by itself."""
    return render(request, "portal.html", secret=secret)


@router.post("/portal")
async def open_portal_link(request: Request, services: AppServices, form: SentForm) -> Response:
    """Use a link up, and begin a session of its person."""
    opened = await services.portal_links.redeem(form.get("link"))
    if opened is None:
        return await show_sign_in(request, services, status=410, why="used")
    secret = await services.sessions.begin(opened.person)
    return await admit(request, services, opened.person, secret, opened.target, by="portal_link")


@router.post("/signout")
async def sign_out(request: Request, services: AppServices, form: SentForm) -> Response:
    """End the session, here and on the server."""
    secret = request.cookies.get(cookie_name(request))
    if secret:
        session = await services.sessions.find(secret)
        await services.sessions.end(secret)
        if session is not None:
            bind_client(request.client.host if request.client else None)
            await services.audit.record(session.person, AuditAction.SIGNED_OUT)
    response = see_other(request, "/signin?why=out")
    clear_cookie(request, response)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
