"""From a ``QuerySet`` to a job: what the admin does, and what views of a project can do too."""

from __future__ import annotations

from typing import Any

from waybill.django.host import Host, get_host
from waybill.errors import InvalidOption, UnknownExportType
from waybill.jobs.job import ExportJob
from waybill.requests.request import ExportRequest


def request_export(
    request: Any, queryset: Any, *, format: str = "csv", name: str | None = None
) -> ExportJob:
    """Request an export of a ``QuerySet``'s rows, for the user of ``request``.

    The query is kept, not the rows: which they are is decided when the export runs. The file has
    the columns of the export type that the user may have; the type's rights and row scope hold,
    whatever the query says.

    Args:
        request: Django's, with a user.
        queryset: which rows, and nothing else.
        format: csv, json, ndjson, parquet or xlsx.
        name: the export type's; the first of the model's by default.

    Raises:
        RequestError: it cannot be had; the text says why.
        PermissionDenied: nobody is signed in.
    """
    host = get_host()
    principal = host.principal(request)
    name = name or type_name(host, queryset.model)
    export_type = host.parts.access.find_type(principal, name)
    columns = host.parts.access.usable(principal, export_type).columns
    if export_type.columns and not columns:
        raise InvalidOption("columns", f"you may have no column of {name!r}")
    wanted = ExportRequest(
        name,
        format=format,
        columns=columns,
        selection=host.catalog.select_rows(name, queryset, using=host.database),
    )
    return host.run(host.parts.exports.request(principal, wanted)).job


def type_name(host: Host, model: Any) -> str:
    """Return the name of a model's export type.

    Raises:
        UnknownExportType: it has none.
    """
    export_type = host.type_of(model)
    if export_type is None:
        raise UnknownExportType(model._meta.label_lower, tuple(sorted(host.catalog)))
    return export_type.name
