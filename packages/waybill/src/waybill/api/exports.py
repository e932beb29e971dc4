"""Routes of exports: request, watch, fetch, discard."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from waybill.api.auth import CurrentPrincipal
from waybill.api.client_gone import CLIENT_GONE, ClientGone, until_client_leaves
from waybill.api.cursor import Cursor, cut_page, read_cursor
from waybill.api.documents import PreviewDocument
from waybill.api.events import POLLING_HEADERS, progress_headers
from waybill.api.instants import Moment
from waybill.api.json_body import require_unambiguous_json
from waybill.api.rate_limit import limited
from waybill.api.request_headers import (
    REQUEST_HEADERS,
    IdempotencyKey,
    Prefer,
    idempotency_key,
    preference_headers,
    quota_headers,
)
from waybill.api.request_schemas import ExportBody
from waybill.api.responses import AppServices, api_base, problem_responses
from waybill.api.schemas import ExportDocument, ExportList
from waybill.bootstrap.api import ApiParts
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.job_filter import JobFilter
from waybill.manifest import Manifest
from waybill.principal import Principal

POLL_SECONDS = 1
PAGE_ITEMS = 50

router = APIRouter(prefix="/api", tags=["exports"])


def _document(
    request: Request, services: ApiParts, principal: Principal, job: ExportJob
) -> ExportDocument:
    return ExportDocument.of(
        job,
        now=services.clock.now(),
        base=api_base(request, services),
        may_have_file=services.access.may_have_file(principal, job),
    )


@router.post(
    "/{export_type}/export",
    status_code=202,
    summary="Request an export",
    dependencies=[Depends(limited("request")), Depends(require_unambiguous_json)],
    response_model=ExportDocument,
    responses={
        200: {
            "description": "An unfinished export of yours that is the same (nothing was made), or, "
            "with `dry_run`, what the export would be.",
            "model": ExportDocument | PreviewDocument,
            "headers": REQUEST_HEADERS,
        },
        202: {"description": "The export was accepted.", "headers": REQUEST_HEADERS},
        **problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 503),
    },
)
async def request_export(
    export_type: str,
    request: Request,
    response: Response,
    principal: CurrentPrincipal,
    services: AppServices,
    body: ExportBody | None = None,
    idempotency_header: IdempotencyKey = None,
    prefer: Prefer = None,
) -> ExportDocument | Response:
    """Create a job and answer at once. Watch it at ``Location``.

    A request that equals an unfinished one of yours gets that one, with 200.
    """
    wanted = (body or ExportBody()).request(export_type)
    if body is not None and body.dry_run:
        try:
            preview, quota = await until_client_leaves(
                request, services.exports.preview(principal, wanted)
            )
        except ClientGone:
            return Response(status_code=CLIENT_GONE)
        return JSONResponse(
            PreviewDocument.of(wanted, preview, quota).model_dump(mode="json"),
            headers={"Cache-Control": "no-store", **quota_headers(quota)},
        )
    admitted = await services.exports.request(
        principal,
        wanted,
        idempotency_key=idempotency_key(
            idempotency_header, is_required=services.settings.require_idempotency_key
        ),
    )
    document = ExportDocument.of(
        admitted.job,
        # A repeated answer tells what was so when it was first given.
        now=admitted.answered_at or services.clock.now(),
        base=api_base(request, services),
    )
    response.status_code = 202 if admitted.is_new else 200
    response.headers.update(
        {
            "Location": document.links.self,
            "Retry-After": str(POLL_SECONDS),
            "Cache-Control": "no-store",
            **preference_headers(prefer),
            **quota_headers(admitted.quota),
        }
    )
    return document


@router.get("/exports", summary="List your exports", responses=problem_responses(401, 403, 422))
async def list_exports(
    request: Request,
    principal: CurrentPrincipal,
    services: AppServices,
    status: Annotated[ExportStatus | None, Query()] = None,
    type: Annotated[str | None, Query(min_length=1, max_length=255, pattern=r"^[^\x00]*$")] = None,
    since: Annotated[Moment | None, Query(description="Only exports created at or after.")] = None,
    before: Annotated[Moment | None, Query(description="Only exports created before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_ITEMS)] = PAGE_ITEMS,
    cursor: Cursor = None,
) -> ExportList:
    """Return your exports that match every filter given, newest first."""
    wanted = JobFilter(
        status=status,
        export_type=type,
        created_since=since,
        created_until=before,
        before=read_cursor(cursor),
    )
    jobs = await services.exports.list(principal, wanted, limit=limit + 1)
    page, following = cut_page(jobs, limit, request, f"{api_base(request, services)}/exports")
    return ExportList(
        items=[_document(request, services, principal, job) for job in page], next=following
    )


@router.get(
    "/exports/{export_id}",
    summary="Look at an export",
    responses={200: {"headers": POLLING_HEADERS}, **problem_responses(401, 403, 404, 429)},
)
async def get_export(
    export_id: UUID,
    request: Request,
    response: Response,
    principal: CurrentPrincipal,
    services: AppServices,
) -> ExportDocument:
    """Return a job's status and progress."""
    job = await services.exports.get(principal, export_id)
    response.headers.update(progress_headers(job, services.clock.now()))
    return _document(request, services, principal, job)


@router.get(
    "/exports/{export_id}/manifest",
    summary="Get the manifest",
    response_model=Manifest,
    responses=problem_responses(401, 403, 404, 409, 410),
)
async def get_manifest(
    export_id: UUID, principal: CurrentPrincipal, services: AppServices
) -> JSONResponse:
    """Return the manifest that proves the file whole: ``waybill verify FILE MANIFEST``."""
    manifest = await services.delivery.read_manifest(principal, export_id)
    return JSONResponse(manifest, headers={"Cache-Control": "no-store"})


@router.delete(
    "/exports/{export_id}",
    summary="Cancel, or delete the file",
    responses=problem_responses(401, 403, 404),
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
    return _document(request, services, principal, job)
