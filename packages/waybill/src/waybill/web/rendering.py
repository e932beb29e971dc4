"""Renders pages, errors included, and says what they may load: files of our own, and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, urlencode

import jinja2
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette._utils import get_route_path

from waybill.api.of_request import PRINCIPAL
from waybill.api.own_app import app_of
from waybill.api.problems import status_of
from waybill.api.refusals import record_refusal
from waybill.errors import AuthenticationRequired, RecentLoginRequired, RequestError
from waybill.log import get_logger
from waybill.web import assets
from waybill.web.cookies import clear_cookie, cookie_name, session_of, set_cookie
from waybill.web.forms import FormRefused
from waybill.web.head import Handler, HeadRoute
from waybill.web.origin import SAFE_METHODS, ForeignRequest, page_of, target_of
from waybill.web.texts import Texts, language_of
from waybill.web.values import FILTERS

log = get_logger(__name__)

HEADERS: Final = {
    # No script, style or frame but our own files; no form that goes elsewhere.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    # Not `no-referrer`: with it browsers hide the origin of our own forms too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}
_PAGE_STATUS: Final[dict[type[RequestError], int]] = {ForeignRequest: 403, FormRefused: 400}

ErrorHandler = Callable[[Request, Any], Response | Awaitable[Response]]

_environment: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("waybill.web", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(FILTERS)


def root_of(request: Request) -> str:
    """Return the path that this application is mounted at, without a slash at its end."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def render(request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
    """Return the page of a template, in the reader's language."""
    texts = Texts(language_of(request.headers.get("accept-language", "")))
    principal = PRINCIPAL.find(request)
    access = app_of(request.scope).state.services.access
    body = _environment.get_template(name).render(
        t=texts,
        lang=texts.language,
        root=root_of(request),
        asset=assets.version,
        here=get_route_path(request.scope),
        who=principal and principal.subject,
        tenant=principal and principal.tenant,
        may_operate=principal is not None and access.administers(principal),
        has_session=session_of(request) is not None,
        **values,
    )
    return HTMLResponse(
        body, status_code=status, headers={**HEADERS, "Content-Language": texts.language}
    )


def see_other(request: Request, path: str) -> Response:
    """Return the answer that leads on to a page of ours."""
    return RedirectResponse(
        root_of(request) + quote(path, safe="/?=&%+:,~"), 303, headers={"Cache-Control": "no-store"}
    )


class PageRoute(HeadRoute):
    """A route whose errors are pages too, and that leads strangers to where one signs in."""

    def answering(self, answer: Handler) -> Handler:
        """Return what answers by ``answer``."""

        async def handler(request: Request) -> Response:
            try:
                response = await answer(request)
            except RequestError as exc:
                await record_refusal(request, exc)
                return _refusal(request, exc)
            except RequestValidationError:
                return error_page(request, 404, "not_found")
            except (OperationalError, InterfaceError, PoolTimeout) as exc:
                log.warning(
                    "web.database_unavailable", path=request.url.path, error=type(exc).__name__
                )
                return error_page(request, 503, "database_unavailable")
            await _renew(request, response)
            return response

        return handler


class OnceRoute(PageRoute):
    """A page's route where an answer is used up by looking at it: by GET alone."""

    answers_head = False


def error_page(request: Request, status: int, code: str, detail: str = "") -> Response:
    """Return the page of an error: what happened, and what to do."""
    return render(request, "error.html", status=status, code=code, detail=detail)


def pages_for_people(otherwise: ErrorHandler) -> ErrorHandler:
    """Return a handler of ``HTTPException``: where a browser asks for an address that is none, it
    gets the page that says so and leads on; whatever asks for data gets the problem, as before."""

    async def handler(request: Request, exc: Exception) -> Response:
        answer = otherwise(request, exc)
        problem = answer if isinstance(answer, Response) else await answer
        path = get_route_path(request.scope)
        if (
            problem.status_code not in {404, 405}
            or request.method not in {"GET", "HEAD"}
            or path == "/api"
            or path.startswith("/api/")
            or "text/html" not in request.headers.get("accept", "").lower()
        ):
            return problem
        page = error_page(request, problem.status_code, "not_found")
        if "allow" in problem.headers:
            page.headers["Allow"] = problem.headers["allow"]
        return page

    return handler


def _refusal(request: Request, exc: RequestError) -> Response:
    if isinstance(exc, AuthenticationRequired | RecentLoginRequired):
        here = page_of(get_route_path(request.scope))
        if request.url.query and request.method in SAFE_METHODS:
            here += f"?{request.url.query}"
        query = {"next": target_of(here)}
        if isinstance(exc, RecentLoginRequired):
            query["why"] = "recent"
        elif cookie_name(request) in request.cookies:
            query["why"] = "over"
        response = see_other(request, f"/signin?{urlencode(query)}")
        if query.get("why") == "over":
            clear_cookie(request, response)
        return response
    status = _PAGE_STATUS.get(type(exc)) or int(status_of(type(exc)))
    return error_page(request, status, exc.code, str(exc))


async def _renew(request: Request, response: Response) -> None:
    session = session_of(request)
    if session is None or not session.is_due_to_rotate:
        return
    name = cookie_name(request)
    if any(
        key.lower() == b"set-cookie" and value.startswith(name.encode())
        for key, value in response.raw_headers
    ):
        return  # signed out, or in anew
    fresh = await app_of(request.scope).state.services.sessions.rotate(request.cookies[name])
    if fresh is not None:
        set_cookie(request, response, fresh)
