"""What keeps a type from being read for a while is told apart from what does for good."""

from __future__ import annotations

import pytest

from waybill.catalog.model import ExportType, TableSource
from waybill.errors import RunError, SourceRejected, SourceUnavailable
from waybill.requests import check_formats
from waybill.source.libpq import error_from_sqlstate

_USERS = ExportType("users", TableSource("public", "users"), key=("id",))


@pytest.mark.parametrize(
    ("error", "severity", "code"),
    [
        (SourceUnavailable("locked"), "warning", "unreadable_now"),
        (SourceRejected("no"), "error", "unreadable"),
        (error_from_sqlstate("HV00N"), "warning", "unreadable_now"),
    ],
    ids=["locked", "refused", "foreign server"],
)
def test_what_may_pass_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, error: RunError, severity: str, code: str
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(check_formats, "open_plan", refuse)

    (finding,) = check_formats.check_formats(None, _USERS)  # type: ignore[arg-type]

    assert (finding.severity, finding.code) == (severity, code)
