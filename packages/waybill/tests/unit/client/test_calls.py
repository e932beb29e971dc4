"""What the client sends, without sending it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from waybill.api.problems import STATUS_OF
from waybill.client import calls
from waybill.client.calls import Answer
from waybill.client.errors import (
    Conflict,
    Gone,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    QuotaExceeded,
    ServerRefused,
    ServerUnavailable,
    TooManyRequests,
    refusal,
)
from waybill.errors import RequestError

ID = UUID("6f1f3c1e-0000-4000-8000-000000000000")


def test_request_says_what_is_wanted_as_the_api_reads_it() -> None:
    call = calls.request_export(
        "users",
        format="ndjson",
        columns=["id", ("email", "E-mail")],
        filters={"born": {"gte": date(2000, 1, 1)}, "spent": {"lt": Decimal("0.10")}},
        since=datetime(2026, 5, 1, tzinfo=UTC),
        compression="gzip",
        options={"bom": True},
    )
    assert (call.method, call.path) == ("POST", "/api/users/export")
    assert json.loads(json.dumps(call.json)) == {
        "format": "ndjson",
        "columns": ["id", {"name": "email", "as": "E-mail"}],
        "filters": {"born": {"gte": "2000-01-01"}, "spent": {"lt": "0.10"}},
        "since": "2026-05-01T00:00:00Z",
        "compression": "gzip",
        "options": {"bom": True},
    }


def test_each_request_has_a_key_of_its_own_unless_one_is_given() -> None:
    first, second = (calls.request_export("users").headers for _ in range(2))
    assert first["Idempotency-Key"] != second["Idempotency-Key"]
    given = calls.request_export("users", idempotency_key="mine").headers
    assert given["Idempotency-Key"] == "mine"


def test_option_that_does_not_exist_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="colums"):
        calls.request_export("users", colums=["id"])


@pytest.mark.parametrize("hostile", ["../audit", "a/b", "x?y=z", "x#y", "%2e%2e"])
def test_name_or_id_stays_one_segment(hostile: str) -> None:
    for call in (calls.get_export(hostile), calls.request_export(hostile)):
        assert call.path.count("/") == 3
        assert not {"?", "#"} & set(call.path)
        assert "%2e" not in call.path


def test_next_page_is_asked_of_the_same_service_whatever_its_address_says() -> None:
    call = calls.list_exports(limit=2)
    following = call.following("https://evil.test/elsewhere?limit=2&before=2026-05-01T00:00:00Z")
    assert following.path == "/api/exports"
    assert following.params == {"limit": "2", "before": "2026-05-01T00:00:00Z"}


def test_part_of_a_file_is_asked_for_on_condition_that_it_is_the_same_file() -> None:
    call = calls.download_export(ID, start=1000, etag='"abc"', via="stream")
    assert call.headers["Range"] == "bytes=1000-"
    assert call.headers["If-Range"] == '"abc"'
    assert call.params == {"via": "stream"}
    assert "Range" not in calls.download_export(ID, etag='"abc"').headers


# -- problems -----------------------------------------------------------------------------------

KIND_OF_STATUS = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: InvalidRequest,
    429: TooManyRequests,
    500: ServerUnavailable,
    503: ServerUnavailable,
    505: InvalidRequest,  # the request's own protocol
}


@pytest.mark.parametrize("error", STATUS_OF, ids=lambda error: error.code)
def test_every_problem_of_the_service_has_a_kind(error: type[RequestError]) -> None:
    status = STATUS_OF[error].value
    body = json.dumps({"code": error.code, "detail": "why", "known": ["users"]}).encode()
    refused = refusal(status, {"retry-after": "7"}, body)
    assert isinstance(refused, KIND_OF_STATUS[status])
    assert (refused.code, str(refused), refused.retry_after_seconds) == (error.code, "why", 7.0)


def test_quota_is_told_from_haste() -> None:
    assert type(refusal(429, {}, b'{"code": "quota_exceeded"}')) is QuotaExceeded
    assert type(refusal(429, {}, b'{"code": "too_many_requests"}')) is TooManyRequests


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"x"', b"\xff"])
def test_answer_of_a_proxy_in_between_is_a_refusal_all_the_same(body: bytes) -> None:
    refused = refusal(502, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, body)
    assert type(refused) is ServerUnavailable
    assert refused.code == "http_502"
    assert refused.retry_after_seconds is None


def test_names_that_would_have_fitted_are_told() -> None:
    call = calls.request_export("users", format="docx")
    body = b'{"code": "unknown_format", "known": ["csv", "json"]}'
    with pytest.raises(InvalidRequest) as refused:
        call.read(Answer(422, {}, body))
    assert refused.value.known == ("csv", "json")
    assert isinstance(refused.value, ServerRefused)
