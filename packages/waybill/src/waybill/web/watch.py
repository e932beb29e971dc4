"""The page of one export, which mails link to: how far it is, what was delivered, what was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from waybill.api.auth import CurrentPrincipal
from waybill.api.rate_limit import limited
from waybill.api.responses import AppServices, api_base
from waybill.api.schemas import ExportDocument
from waybill.bootstrap.api import ApiParts
from waybill.errors import RequestError
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.principal import Principal
from waybill.requests.request import ExportRequest
from waybill.web.forms import SentForm
from waybill.web.rendering import PageRoute, render, see_other

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Extent:
    """What is in the file and what is not, as far as the reader may know.

    ``columns`` are names in the source and headers in the file; ``left_out`` the columns that the
    reader could have had; ``hidden`` how many more there are, whose names are not theirs to know.
    """

    columns: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    hidden: int
    is_scoped: bool
    filters: tuple[tuple[str, str, str], ...]
    since: str | None
    is_forgotten: bool


@router.get("/exports/{export_id}")
async def watch_page(
    export_id: UUID, request: Request, principal: CurrentPrincipal, services: AppServices
) -> Response:
    """Show the export as it is now; the script on the page keeps it so."""
    job = await services.exports.get(principal, export_id)
    may_have_file = services.access.may_have_file(principal, job)
    manifest: dict[str, Any] = {}
    refusal = ""
    if job.status is ExportStatus.COMPLETED and may_have_file:
        try:
            manifest = await services.delivery.read_manifest(principal, export_id)
        except RequestError as exc:
            refusal = exc.code
    now = services.clock.now()
    document = ExportDocument.of(
        job, now=now, base=api_base(request, services), may_have_file=may_have_file
    )
    return render(
        request,
        "watch.html",
        job=job,
        export=document,
        now=now,
        title=title_of(services, job),
        elapsed=_elapsed_seconds(job, now),
        extent=_extent(services, principal, job, manifest) if may_have_file else None,
        manifest=manifest,
        may_have_file=may_have_file,
        refusal=refusal,
        is_mine=(job.requested_by, job.tenant) == (principal.subject, principal.tenant),
    )


@router.post("/exports/{export_id}/discard")
async def discard_from_page(
    export_id: UUID,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    form: SentForm,
) -> Response:
    """Cancel an unfinished export, or delete a file."""
    job = await services.exports.discard(principal, export_id)
    if job.status is ExportStatus.DELETED:
        await services.cleanup.remove_object(job)
    return see_other(request, f"/exports/{export_id}")


@router.post("/exports/{export_id}/repeat", dependencies=[Depends(limited("request"))])
async def repeat_from_page(
    export_id: UUID,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    form: SentForm,
) -> Response:
    """Request the same again, by today's rights and quota."""
    job = await services.exports.get(principal, export_id)
    again = ExportRequest.from_job(job.export_type, job.format, job.options)
    if again.is_forgotten:
        # What it filtered by is not kept any more: the person says it anew.
        return see_other(request, f"/new/{job.export_type}")
    admitted = await services.exports.request(principal, again)
    return see_other(request, f"/exports/{admitted.job.id}")


def title_of(services: ApiParts, job: ExportJob) -> str:
    """Return what an export is called."""
    export_type = services.catalog.get(job.export_type)
    return (export_type.title if export_type is not None else "") or job.export_type


def _elapsed_seconds(job: ExportJob, now: Any) -> float | None:
    begun = job.started_at or job.created_at
    if job.status is ExportStatus.QUEUED:
        return float((now - job.created_at).total_seconds())
    return float(((job.finished_at or now) - begun).total_seconds())


def _extent(
    services: ApiParts, principal: Principal, job: ExportJob, manifest: dict[str, Any]
) -> Extent:
    asked = ExportRequest.from_job(job.export_type, job.format, job.options)
    export_type = services.catalog.get(job.export_type)
    columns = [(each["name"], each["header"]) for each in manifest.get("columns", ())]
    if not columns:
        chosen = asked.columns or (() if export_type is None else export_type.columns)
        columns = [(each.name, each.header) for each in chosen]
    exported = {name for name, _ in columns}
    left_out: tuple[str, ...] = ()
    hidden = 0
    if export_type is not None and exported:
        usable = {each.name for each in services.access.usable(principal, export_type).columns}
        others = [each for each in export_type.columns if each.name not in exported]
        left_out = tuple(each.header for each in others if each.name in usable)
        hidden = len(others) - len(left_out)
    return Extent(
        columns=tuple(columns),
        left_out=left_out,
        hidden=hidden,
        is_scoped=export_type is not None and export_type.scope is not None,
        filters=tuple(
            (name, operator, _shown(value))
            for name, each in asked.filters.items()
            for operator, value in (each or {"": ""}).items()
        ),
        since=None if asked.is_forgotten else asked.since,
        is_forgotten=asked.is_forgotten,
    )


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
