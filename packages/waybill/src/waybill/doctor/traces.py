"""The collector of traces: reachable, and willing to take spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx

from waybill import tracing
from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError

AREA: Final = "traces"
_SECONDS: Final = 5.0

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Send the collector no span, in a request as those with spans are."""
    endpoint = patient.settings.traces_endpoint
    if endpoint is None:
        return
    try:
        tracing.require_installed()
    except ConfigurationError as exc:
        yield _report.error("installed", f"{exc}.", "Install it, or unset the variable.")
        return
    try:
        # An empty message is one without spans.
        answer = httpx.post(
            str(endpoint),
            content=b"",
            headers={"content-type": "application/x-protobuf"},
            timeout=_SECONDS,
        )
    except httpx.HTTPError as exc:
        yield _report.away(
            "collector",
            f"The collector of traces does not answer ({type(exc).__name__}). Exports go on.",
            "Start it, or correct WAYBILL_TRACES_ENDPOINT.",
        )
        return
    if answer.is_success:
        yield _report.ok("collector", "The collector takes traces.")
    else:
        yield _report.error(
            "collector",
            f"The collector answers {answer.status_code} to traces in OTLP over HTTP.",
            "WAYBILL_TRACES_ENDPOINT is the whole address (http://collector:4318/v1/traces); "
            "OTEL_EXPORTER_OTLP_HEADERS has what it wants of us.",
        )
