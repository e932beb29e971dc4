"""Routes of exports: request, watch, fetch, discard."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from waybill.api.auth import CurrentPrincipal
from waybill.api.download import download_response
from waybill.api.schemas import ExportBody, ExportDocument, ExportList, ProblemDocument
from waybill.bootstrap import Services
from waybill.exports.job import ExportJob, ExportStatus
from waybill.exports.request import ExportRequest

POLL_SECONDS = 1
PAGE_ITEMS = 50

router = APIRouter(prefix="/api", tags=["exports"])


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


AppServices = Annotated[Services, Depends(_services)]


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": ProblemDocument, "content": {"application/problem+json": {}}}
        for status in statuses
    }


def _base(request: Request, services: Services) -> str:
    root = services.settings.public_url or str(request.base_url)
    return f"{root.rstrip('/')}/api"


def _document(request: Request, services: Services, job: ExportJob) -> ExportDocument:
    return ExportDocument.of(job, now=services.clock.now(), base=_base(request, services))


@router.post(
    "/{export_type}/export",
    status_code=202,
    summary="Request an export",
    responses=_problems(400, 401, 403, 404, 413, 422),
)
async def request_export(
    export_type: str,
    request: Request,
    response: Response,
    principal: CurrentPrincipal,
    services: AppServices,
    body: ExportBody | None = None,
) -> ExportDocument:
    """Create a job and answer at once. Watch it at ``Location``."""
    wanted = body or ExportBody()
    job = await services.exports.request(
        principal,
        ExportRequest(
            export_type=export_type,
            format=wanted.format,
            columns=tuple(wanted.columns or ()),
            format_options=wanted.options,
        ),
    )
    document = _document(request, services, job)
    response.headers["Location"] = document.links.self
    response.headers["Retry-After"] = str(POLL_SECONDS)
    return document


@router.get("/exports", summary="List your exports", responses=_problems(401, 403, 422))
async def list_exports(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    limit: Annotated[int, Query(ge=1, le=PAGE_ITEMS)] = PAGE_ITEMS,
    before: Annotated[datetime | None, Query(description="Only exports created before.")] = None,
) -> ExportList:
    """Return your exports, newest first."""
    # One more than asked for tells whether there is a next page.
    jobs = await services.exports.list(principal, limit=limit + 1, before=before)
    page = jobs[:limit]
    following = None
    if len(jobs) > limit:
        query = urlencode({"limit": limit, "before": page[-1].created_at.isoformat()})
        following = f"{_base(request, services)}/exports?{query}"
    return ExportList(items=[_document(request, services, job) for job in page], next=following)


@router.get("/exports/{export_id}", summary="Watch an export", responses=_problems(401, 403, 404))
async def get_export(
    export_id: UUID,
    request: Request,
    response: Response,
    principal: CurrentPrincipal,
    services: AppServices,
) -> ExportDocument:
    """Return a job's status and progress."""
    job = await services.exports.get(principal, export_id)
    if not job.status.is_finished:
        response.headers["Retry-After"] = str(POLL_SECONDS)
    response.headers["Cache-Control"] = "no-store"
    return _document(request, services, job)


@router.api_route(
    "/exports/{export_id}/download",
    methods=["GET", "HEAD"],
    summary="Download the file",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
        206: {"description": "The wanted range of the file."},
        307: {"description": "A link to the file that lives for a minute."},
        **_problems(401, 403, 404, 409, 410, 503),
    },
)
async def download_export(
    export_id: UUID, request: Request, principal: CurrentPrincipal, services: AppServices
) -> Response:
    """Answer with a short-lived link to the file, or with the file itself; ranges work in both."""
    job = await services.exports.get_result(principal, export_id)
    return await download_response(request, job, services)


@router.get(
    "/exports/{export_id}/manifest",
    summary="Get the manifest",
    responses=_problems(401, 403, 404, 409, 410),
)
async def get_manifest(
    export_id: UUID, principal: CurrentPrincipal, services: AppServices
) -> JSONResponse:
    """Return the manifest that proves the file whole: ``waybill verify FILE MANIFEST``."""
    job = await services.exports.get_result(principal, export_id)
    return JSONResponse(job.manifest)


@router.delete(
    "/exports/{export_id}",
    summary="Cancel, or delete the file",
    responses=_problems(401, 403, 404),
)
async def discard_export(
    export_id: UUID,
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
) -> ExportDocument:
    """Cancel an unfinished export; take a completed one's file out of reach and delete it."""
    job = await services.exports.discard(principal, export_id)
    if job.status is ExportStatus.DELETED:
        await services.cleanup.remove_object(job)
    return _document(request, services, job)
