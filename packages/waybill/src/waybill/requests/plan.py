"""What exactly a request exports. The one place where a plan is made, row scope included: jobs,
streams and dry runs take it as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from waybill.catalog import ExportType
from waybill.formats import get_encoder
from waybill.formats.compress import get_codec
from waybill.formats.plan import ExportPlan
from waybill.requests.request import ExportRequest
from waybill.source.source import PostgresSnapshot, PostgresSource, Reads


@dataclass(frozen=True, slots=True)
class Requester:
    """Whose rows are exported: what a type's row scope may name. The principal who asks, or who a
    job says has asked."""

    tenant: str | None
    subject: str


@contextmanager
def open_plan(
    source: PostgresSource,
    request: ExportRequest,
    export_type: ExportType,
    requester: Requester,
    check: Callable[[], None],
    *,
    application_name: str,
    statement_timeout_seconds: float,
    sharers: Callable[[], int] = lambda: 1,
) -> Iterator[tuple[PostgresSnapshot, ExportPlan]]:
    """Lock what the request reads, take one snapshot of it for the block, and plan on that.

    Args:
        source: where rows come from.
        request: a canonical one, or one read back from a job; then the catalog may have changed.
        export_type: as the catalog has it now.
        requester: whose rows.
        check: called while waiting for PostgreSQL; stops the wait by raising.
        application_name: by which the server's administrators know the session.
        statement_timeout_seconds: the server ends a statement that takes longer by itself.
        sharers: how many exports read the source at the moment, this one among them.

    Raises:
        RequestError: the catalog no longer has what the request asks for.
        RunError: by the source.
    """
    encoder = get_encoder(request.format)
    options = encoder.parse_options(request.format_options)
    codec = None if request.compression is None else get_codec(request.compression)
    columns = export_type.select(request.columns) if request.columns else ()
    with source.open_snapshot(
        check,
        application_name=application_name,
        statement_timeout_seconds=statement_timeout_seconds,
        reads=Reads(export_type, columns, request.selection),
        sharers=sharers,
    ) as snapshot:
        resolved = snapshot.resolve(export_type, columns)
        where = request.where(
            export_type,
            {"tenant": requester.tenant, "subject": requester.subject},
            snapshot.comparisons(export_type),
        )
        yield snapshot, ExportPlan(export_type, resolved, encoder, options, where, codec=codec)
