"""Pages of somebody's own exports. Thin: who, which, what to show; rights are decided below.

They hold no script and no style of their own, so that they work under any Content-Security-Policy:
a page that shows an export under way asks the browser to load it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from waybill.api.problems import status_of
from waybill.api.unchanged import UNCHANGED
from waybill.django.host import Host, get_host
from waybill.errors import RequestError, ResultUnreadable, RunError
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.log import get_logger
from waybill.storage.disposition import content_disposition

log = get_logger(__name__)

_PAGE_ITEMS: Final = 50
_LOOK_AGAIN_SECONDS: Final = 2

View = Callable[..., Any]


def _page(view: View) -> View:
    """Have a view shown to people who are signed in, and its refusals in words."""

    @login_required
    @never_cache
    @wraps(view)
    def shown(request: HttpRequest, **values: Any) -> Any:
        try:
            return view(request, **values)
        except RequestError as exc:
            return refusal(request, exc)

    guarded: View = shown
    return guarded


def refusal(request: HttpRequest, exc: RequestError) -> HttpResponse:
    """Return the page that says why something cannot be had."""
    status = status_of(type(exc))
    return _render(request, "refused", status=status.value, title=status.phrase, reason=str(exc))


@require_GET
@_page
def list_exports(request: HttpRequest) -> HttpResponse:
    """List the user's own exports, newest first."""
    host = get_host()
    principal = host.principal(request)
    jobs = host.run(host.parts.exports.list(principal, limit=_PAGE_ITEMS))
    return _render(
        request, "list", title="Your exports", exports=[_shown(host, each) for each in jobs]
    )


@require_GET
@_page
def show_export(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Show how far an export is, and what can be done with it."""
    host = get_host()
    principal = host.principal(request)
    job = host.run(host.parts.exports.get(principal, export_id))
    shown = _shown(host, job)
    response = _render(
        request,
        "show",
        title=f"Export of {shown['title']}",
        export=shown,
        may_have_file=host.parts.access.may_have_file(principal, job),
    )
    if not job.status.is_finished:
        response["Refresh"] = str(_LOOK_AGAIN_SECONDS)
    return response


@require_GET
@_page
def download_export(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Send to the file by a link that lives for a minute, or pass its bytes through."""
    host = get_host()
    principal = host.principal(request)
    parts = host.parts
    job = host.run(parts.exports.get_result(principal, export_id))
    storage = parts.storage_of(job)
    host.run(parts.delivery.require_object(job, storage))
    if parts.settings.download == "redirect" and (link := _link(host, job)) is not None:
        host.run(parts.delivery.begin_download(principal, job, how="redirect"))
        return HttpResponseRedirect(link)
    host.run(parts.delivery.begin_download(principal, job, how="stream"))
    chunks = _whole(job, storage.read(job.object_key or ""))
    # Given an ordinary iterator, Django would read all of it into memory under ASGI.
    is_async = isinstance(request, ASGIRequest)
    response = StreamingHttpResponse(
        _asynchronous(chunks) if is_async else chunks,
        content_type=job.media_type or "application/octet-stream",
    )
    response["Content-Length"] = str(job.object_bytes or 0)
    # Django's GZipMiddleware leaves it alone then, with its length; the file may be compressed.
    response["Content-Encoding"] = UNCHANGED["Content-Encoding"]
    response["Content-Disposition"] = content_disposition(_file_name(job))
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_POST
@_page
def discard_export(request: HttpRequest, export_id: UUID) -> HttpResponse:
    """Cancel an export, or delete its file."""
    host = get_host()
    job = host.run(host.parts.exports.discard(host.principal(request), export_id))
    if job.status is ExportStatus.DELETED:
        host.run(host.parts.cleanup.remove_object(job))
    return redirect("waybill:show", export_id=export_id)


# -- pieces --------------------------------------------------------------------------------------


def _render(
    request: HttpRequest, page: str, *, title: str, status: int = 200, **shown: Any
) -> HttpResponse:
    host = get_host()
    context = {**_around(request), "title": title, "base_template": host.base_template, **shown}
    return render(request, f"waybill/{page}.html", context, status=status)


def _around(request: HttpRequest) -> dict[str, Any]:
    """Return what the admin's own pages show around theirs, where there is an admin."""
    from django.contrib import admin

    try:
        return dict(admin.site.each_context(request))
    except NoReverseMatch:
        return {}


def _shown(host: Host, job: ExportJob) -> dict[str, Any]:
    export_type = host.catalog.get(job.export_type)
    return {
        "job": job,
        "title": (export_type.title if export_type else "") or job.export_type,
        "is_over": job.status.is_finished,
        "is_ready": job.status is ExportStatus.COMPLETED,
        "expected": job.rows_expected,
        "failure": job.error_message,
    }


def _link(host: Host, job: ExportJob) -> str | None:
    try:
        return host.parts.storage_of(job).presign(
            job.object_key or "",
            expires_seconds=host.parts.settings.presign_seconds,
            filename=_file_name(job),
            content_type=job.media_type or "application/octet-stream",
        )
    except RunError as exc:
        raise ResultUnreadable from exc


def _file_name(job: ExportJob) -> str:
    return job.file_name or f"{job.export_type}.{job.format}"


def _whole(job: ExportJob, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give exactly as many bytes as were announced, or break the connection: a truncated file must
    never look whole."""
    left = job.object_bytes or 0
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        log.warning("download.broken_off", export_id=str(job.id))
        raise ResultUnreadable


async def _asynchronous(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk
