"""Whether every format can have what a catalog declares: the second half of ``waybill check``.

Each type is planned as for a request and run in every format, for no rows, so that what a request
would stumble over is found by what would stumble.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from waybill.catalog import Catalog, ExportType
from waybill.catalog.check import DATA_CHECK_SECONDS, UNREADABLE_NOW, check_catalog
from waybill.catalog.computed import load_functions
from waybill.catalog.findings import Finding, Severity
from waybill.catalog.sources import DEFAULT_SOURCE
from waybill.errors import (
    ConfigurationError,
    DeadlineExceeded,
    RequestError,
    RunError,
    SourceUnavailable,
)
from waybill.formats import get_encoder, installed
from waybill.formats.computed import with_computed
from waybill.formats.plan import ExportPlan
from waybill.requests.plan import Requester, open_plan
from waybill.requests.request import ExportRequest
from waybill.source.source import PostgresSnapshot, PostgresSource

_NOBODY: Final = Requester(tenant=None, subject="")
_SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")


def check_everything(
    catalog: Catalog, dsn: str, *, data_check_seconds: float = DATA_CHECK_SECONDS
) -> list[Finding]:
    """Return what does not fit between ``catalog``, the database and the formats, errors first.

    Raises:
        ConfigurationError, SourceUnavailable: as ``check_catalog``.
    """
    findings = check_catalog(catalog, dsn, data_check_seconds=data_check_seconds)
    broken = {
        finding.export_type
        for finding in findings
        if finding.severity == "error" or finding.code in UNREADABLE_NOW
    }
    source = PostgresSource(dsn)
    for export_type in catalog.values():
        if export_type.name not in broken:  # else the same would be told again
            findings += check_formats(source, export_type, seconds=data_check_seconds)
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))


def check_sources(
    catalog: Catalog, dsns: Mapping[str, str], *, data_check_seconds: float = DATA_CHECK_SECONDS
) -> list[Finding]:
    """Hold each type against the database that it is read from, as ``check_everything`` does.

    Args:
        catalog: what may be exported.
        dsns: the sources' addresses by name (``source.named.source_dsns``).

    Raises:
        ConfigurationError, SourceUnavailable: as ``check_catalog``.
    """
    findings: list[Finding] = []
    for name in catalog.sources_read() or (DEFAULT_SOURCE,):
        found = check_everything(
            catalog.of_source(name), dsns[name], data_check_seconds=data_check_seconds
        )
        findings += found if name == DEFAULT_SOURCE else [_of_source(name, each) for each in found]
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))


def _of_source(name: str, finding: Finding) -> Finding:
    """Return a finding that says whose it is, where it is of no type."""
    if finding.export_type:
        return finding
    return replace(finding, message=f"[sources.{name}] {finding.message}")


def check_formats(
    source: PostgresSource, export_type: ExportType, *, seconds: float = DATA_CHECK_SECONDS
) -> Iterator[Finding]:
    """Yield what keeps a type, whose source is known to be readable, out of a format."""
    ends_at = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() >= ends_at:
            raise DeadlineExceeded(seconds)

    try:
        load_functions(export_type)
    except ConfigurationError as exc:
        yield Finding("error", export_type.name, "function_missing", str(exc))
        return
    request = ExportRequest(export_type.name, "json")
    try:
        with open_plan(
            source,
            request,
            export_type,
            _NOBODY,
            check,
            application_name="waybill check",
            statement_timeout_seconds=seconds,
        ) as (snapshot, plan):
            yield from _labels(plan)
            yield from _formats(snapshot, plan)
    except DeadlineExceeded:
        yield Finding(
            "note", export_type.name, "formats_unchecked",
            f"Whether the formats can have it could not be found out within {seconds:g} s.",
        )  # fmt: skip
    except SourceUnavailable as exc:  # a lock, for one: no reason not to start
        yield Finding("warning", export_type.name, "unreadable_now", str(exc))
    except (RunError, RequestError) as exc:
        yield Finding("error", export_type.name, "unreadable", str(exc))


def _labels(plan: ExportPlan) -> Iterator[Finding]:
    name = plan.export_type.name
    seen: dict[str, str] = {}
    for column in plan.columns:
        folded = column.header.casefold()
        if folded in seen:
            yield Finding(
                "warning", name, "labels_alike",
                f"The labels {seen[folded]!r} and {column.header!r} differ in case alone: DuckDB, "
                "Spark and pandas' SQL take them for one and rename or refuse a Parquet file.",
                "Give one of them another label.",
            )  # fmt: skip
        seen.setdefault(folded, column.header)
        if not column.header.isprintable():
            yield Finding(
                "warning", name, "label_unprintable",
                f"The label {column.header!r} holds a line break or characters that do not show; "
                "not every program finds the column by it.",
                "Give it a label in columns.",
            )  # fmt: skip


def _formats(snapshot: PostgresSnapshot, plan: ExportPlan) -> Iterator[Finding]:
    refusals: dict[str, list[str]] = {}
    for name in installed():
        encoder = get_encoder(name)
        options = encoder.parse_options({})
        try:
            empty = replace(plan, encoder=encoder, options=options, limit=0)
            for _ in with_computed(empty, snapshot.copy(encoder.open(empty).statement)):
                pass
        except RequestError as exc:
            refusals.setdefault(getattr(exc, "reason", str(exc)), []).append(name)
    for reason, formats in refusals.items():
        yield Finding(
            "error", plan.export_type.name, "format_refuses",
            f"{' and '.join(formats)}: {reason}.",
            "A label is set in columns: { name = …, label = … }.",
        )  # fmt: skip
