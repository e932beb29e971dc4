"""Asking for a new export: which types there are, and the form of one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from waybill.api.auth import CurrentPrincipal
from waybill.api.problems import status_of
from waybill.api.rate_limit import limited
from waybill.api.refusals import record_refusal
from waybill.api.responses import AppServices, api_base
from waybill.bootstrap.api import ApiParts
from waybill.catalog import ExportType
from waybill.errors import AuthenticationRequired, RecentLoginRequired, RequestError
from waybill.formats import ENCODERS
from waybill.principal import Principal
from waybill.requests.preview import Preview
from waybill.requests.request import COMPRESSIONS
from waybill.web.forms import SentForm
from waybill.web.rendering import PageRoute, render, see_other
from waybill.web.request_form import (
    RequestForm,
    as_curl,
    as_python,
    fresh_form,
    sent_form,
    with_columns,
)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/new")
async def types_page(
    request: Request, principal: CurrentPrincipal, services: AppServices
) -> Response:
    """Show the types that the person may request, about how many rows they have where that is known
    at once, and what is left of the person's quotas."""
    offered = services.exports.offered(principal)
    rows = await services.row_estimates.by_type()
    types = [
        (each, services.access.usable(principal, each), rows.get(each.name)) for each in offered
    ]
    titles = {each.name: each.title or each.name for each in offered}
    quotas = [
        (state, [titles.get(name, name) for name in names])
        for state, names in await services.exports.quotas(principal)
    ]
    return render(request, "types.html", types=types, quotas=quotas)


@router.get("/new/{export_type}")
async def request_page(
    export_type: str, request: Request, principal: CurrentPrincipal, services: AppServices
) -> Response:
    """Show the form of one type."""
    found = services.exports.find_type(principal, export_type)
    form = fresh_form(found, services.access.usable(principal, found))
    return await _page(request, principal, services, found, form)


@router.post("/new/{export_type}", dependencies=[Depends(limited("request"))])
async def send_request(
    export_type: str,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    sent: SentForm,
) -> Response:
    """Request the export, or show what it would be. What is wrong is said on the form itself."""
    found = services.exports.find_type(principal, export_type)
    form = sent_form(found, services.access.usable(principal, found), sent)
    action, _, column = sent.get("action").partition(":")
    if action in {"up", "down"}:
        form = form.moved(column, -1 if action == "up" else 1)
        return await _page(request, principal, services, found, form)
    if action == "keep":
        # What was typed when the session ended, sent anew by the script: shown, and not done.
        return await _page(request, principal, services, found, form, is_kept=True)
    if form.body().get("columns") == []:
        return await _page(
            request, principal, services, found, form, code="no_columns",
            trouble="No column is chosen.", status=422,
        )  # fmt: skip
    if not form.is_whole:
        return await _page(
            request, principal, services, found, form, code="form_unfinished",
            trouble="A filter is filled in by half.", status=422,
        )  # fmt: skip
    try:
        wanted = form.read().request(found.name)
        if action == "preview":
            preview, _ = await services.exports.preview(principal, wanted)
            names = [(each.name, each.header) for each in preview.columns]
            form = with_columns(form, names)
            return await _page(request, principal, services, found, form, preview=preview)
        admitted = await services.exports.request(principal, wanted)
    except ValidationError as exc:
        first = exc.errors()[0]
        said = f"{'/'.join(map(str, first['loc']))}: {first['msg']}"
        return await _page(request, principal, services, found, form, trouble=said, status=422)
    except (AuthenticationRequired, RecentLoginRequired):
        raise
    except RequestError as exc:
        await record_refusal(request, exc)
        return await _page(
            request,
            principal,
            services,
            found,
            form,
            trouble=str(exc),
            code=exc.code,
            status=int(status_of(type(exc))),
        )
    return see_other(request, f"/exports/{admitted.job.id}")


async def _page(
    request: Request,
    principal: Principal,
    services: ApiParts,
    export_type: ExportType,
    form: RequestForm,
    *,
    preview: Preview | None = None,
    status: int = 200,
    **values: Any,
) -> Response:
    url = api_base(request, services).removesuffix("/api")
    body = form.body()
    quota = next(
        (
            state
            for state, names in await services.exports.quotas(principal)
            if export_type.name in names
        ),
        None,
    )
    return render(
        request,
        "request.html",
        status=status,
        **({"trouble": "", "code": "", "is_kept": False} | values),
        is_fresh=request.method != "POST",
        type=export_type,
        usable=services.access.usable(principal, export_type),
        form=form,
        preview=preview,
        quota=quota,
        formats={name: encoder.is_compressed for name, encoder in ENCODERS.items()},
        compressions=COMPRESSIONS,
        curl=as_curl(url, export_type.name, body),
        python=as_python(url, export_type.name, body),
    )
