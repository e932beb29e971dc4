"""Signing in at an OpenID provider: where people are sent, and the door they come back by."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from waybill.api.own_app import app_of
from waybill.api.responses import AppServices, api_base
from waybill.api.sign_in_failures import (
    IdentityRefused,
    ProviderRefused,
    ProviderUnavailable,
    SignInDenied,
    SignInFailed,
    SignInNotBegun,
)
from waybill.audit.audit import AuditAction
from waybill.bootstrap.api import ApiParts
from waybill.clock import SystemClock
from waybill.log import get_logger
from waybill.web import sign_in_attempt
from waybill.web.origin import target_of
from waybill.web.rendering import OnceRoute, PageRoute, error_page
from waybill.web.signing_in import admit, provider_of, show_sign_in

log = get_logger(__name__)

router = APIRouter(include_in_schema=False, route_class=PageRoute)

CALLBACK: Final = "/signin/callback"
_STATUS: Final[dict[type[SignInFailed], int]] = {
    ProviderUnavailable: 503,
    ProviderRefused: 502,
    SignInDenied: 403,
    SignInNotBegun: 410,
}
"""Of the pages that say so; 403 for the others."""
# RFC 6749, section 4.1.2.1.
_AWAY: Final = frozenset({"temporarily_unavailable", "server_error"})
# Core, section 3.1.2.6: the person has to do something there.
_DENIED: Final = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "login_required",
    }
)

Text = Annotated[str, Query(max_length=4_000)]


@router.get("/signin/oidc")
async def sign_in_at_provider(
    request: Request,
    services: AppServices,
    next: Annotated[str | None, Query(max_length=1_000)] = None,
    again: Annotated[bool, Query()] = False,
) -> Response:
    """Send the person to the provider. A link and no form: forms of ours lead to no other site."""
    provider = provider_of(request)
    if provider is None:
        return error_page(request, 404, "not_found")
    begun = sign_in_attempt.begin(target_of(next), _now(), must_be_recent=again)
    try:
        url = await provider.address(begun.attempt(_callback(request, services)))
    except SignInFailed as exc:
        return await _failed(request, services, exc, begun.target)
    response = RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})
    sign_in_attempt.keep(request, response, begun)
    return response


async def come_back(
    request: Request,
    services: AppServices,
    state: Text = "",
    code: Text = "",
    error: Text = "",
    iss: Annotated[str | None, Query(max_length=1_000)] = None,
) -> Response:
    """Take the provider's answer, and begin the session of whom it is about."""
    provider = provider_of(request)
    if provider is None:
        return error_page(request, 404, "not_found")
    target = None
    try:
        if any(len(request.query_params.getlist(name)) > 1 for name in request.query_params):
            raise SignInNotBegun("the answer says something twice")
        begun = sign_in_attempt.find(request, state, _now())
        target = begun.target
        await provider.check_sender(iss)
        if error or not code:
            raise _refusal(error)
        person = await provider.person(code, begun.attempt(_callback(request, services)))
        secret = await services.sessions.begin_once(person, begun.session_id)
        if secret is None:
            raise SignInNotBegun("it was used already")
        response = await admit(request, services, person, secret, target, by="oidc")
    except SignInFailed as exc:
        response = await _failed(request, services, exc, target)
    sign_in_attempt.forget(request, response, state)
    return response


router.add_api_route(CALLBACK, come_back, methods=["GET"], route_class_override=OnceRoute)


async def _failed(
    request: Request, services: ApiParts, failure: SignInFailed, target: str | None
) -> Response:
    log.warning("oidc.sign_in_failed", code=failure.code, reason=failure.reason)
    if isinstance(failure, IdentityRefused | SignInDenied):
        client = request.client.host if request.client else None
        strangers = app_of(request.scope).state.strangers
        await strangers.record(AuditAction.SIGNED_IN, failure.code, client=client)
    return await show_sign_in(
        request,
        services,
        target=target_of(target),
        status=next((status for kind, status in _STATUS.items() if isinstance(failure, kind)), 403),
        failure=failure,
    )


def _refusal(error: str) -> SignInFailed:
    if error in _DENIED:
        return SignInDenied("the provider did not let the person in")
    if error in _AWAY:
        return ProviderUnavailable("it says that it cannot at the moment")
    return ProviderRefused("the provider does not take the request of this service")


def _callback(request: Request, services: ApiParts) -> str:
    return api_base(request, services).removesuffix("/api") + CALLBACK


def _now() -> float:
    # The machine's own clock, not one that rehearses expiry, as for tokens: providers live today.
    return SystemClock().now().timestamp()
