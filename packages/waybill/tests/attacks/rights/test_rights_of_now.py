"""Keeping a file after the right to it is gone."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import pytest

from .conftest import CATALOG, House, Reopen

ANN = {
    "sub": "ann",
    "org": "acme",
    "scope": "exports:request exports:read exports:orders exports:pii",
}
NO_PII = ANN | {"scope": "exports:request exports:read exports:orders"}
NO_TYPE = ANN | {"scope": "exports:request exports:read exports:pii"}
ADMIN_NO_PII = NO_PII | {"sub": "boss", "scope": NO_PII["scope"] + " exports:admin"}

FILE_PATHS = ("/download", "/download?via=stream", "/manifest", "/events")


async def _is_denied(house: House, who: dict[str, Any], export_id: object) -> None:
    """The file is out of reach by every way, and the export is still there to be seen."""
    here = f"/api/exports/{export_id}"
    for path in FILE_PATHS:
        answer = await house.ask(who, "GET", here + path)
        assert (answer.status_code, answer.json()["code"]) == (403, "file_denied"), path
        assert answer.json()["type"] == "urn:waybill:problem:file_denied"
    for headers in ({"Range": "bytes=0-3"}, {"If-None-Match": "*"}, {"If-Match": '"x"'}):
        answer = await house.ask(who, "GET", f"{here}/download?via=stream", headers=headers)
        assert answer.status_code == 403, headers
    head = await house.ask(who, "HEAD", f"{here}/download")
    assert head.status_code == 403
    assert {"etag", "repr-digest"}.isdisjoint(head.headers)
    shown = (await house.ask(who, "GET", here)).raise_for_status().json()
    assert shown["status"] == "completed"
    # A digest would prove a guess at the content.
    assert (shown["sha256"], shown["bytes"]) == (None, None)
    assert (shown["links"]["download"], shown["links"]["manifest"]) == (None, None)


async def _is_given(house: House, who: dict[str, Any], export_id: object) -> None:
    answer = await house.ask(who, "GET", f"/api/exports/{export_id}/download?via=stream")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("who", [NO_PII, NO_TYPE, ADMIN_NO_PII])
async def test_scope_that_was_lost_closes_the_file(
    house: House, execute: Any, who: dict[str, Any]
) -> None:
    job = await house.job("completed")
    await _is_given(house, ANN, job.id)
    await _is_denied(house, who, job.id)
    assert ("refused", "file_denied", "acme") in execute(
        "SELECT outcome, code, export_tenant FROM audit_events"
    )
    challenge = (await house.ask(who, "GET", f"/api/exports/{job.id}/download")).headers[
        "www-authenticate"
    ]
    assert 'error="insufficient_scope"' in challenge
    # Deleting is not reading.
    assert (await house.ask(who, "DELETE", f"/api/exports/{job.id}")).status_code == 200


async def test_file_without_personal_columns_needs_no_scope_for_them(house: House) -> None:
    job = await house.job(
        "completed",
        columns=("id", "total"),
        options={"columns": [{"name": "id", "label": ""}, {"name": "total", "label": ""}]},
    )
    await _is_given(house, NO_PII, job.id)
    await _is_given(house, ADMIN_NO_PII, job.id)


async def test_column_that_became_personal_closes_files_that_hold_it(
    house: House, reopen: Reopen
) -> None:
    open_to_all = CATALOG.replace(", pii = true", "")
    before = await reopen(open_to_all)
    job = await before.job("completed")
    await _is_given(before, NO_PII, job.id)
    await _is_denied(house, NO_PII, job.id)
    await _is_given(house, ANN, job.id)


@pytest.mark.parametrize(
    "edited",
    [
        # No longer declared, no longer personal: the file holds what it holds.
        CATALOG.replace(', { name = "email", pii = true }', ""),
        CATALOG.replace(", pii = true", ""),
    ],
)
async def test_column_that_was_personal_when_requested_stays_so(
    house: House, reopen: Reopen, edited: str
) -> None:
    accepted = await house.ask(ANN, "POST", "/api/orders/export")
    export_id = accepted.json()["id"]
    await house.services.runner.run(UUID(accepted.json()["id"]))
    after = await reopen(edited)
    await _is_denied(after, NO_PII, export_id)
    await _is_given(after, ANN, export_id)


async def test_type_that_left_the_catalog_takes_its_files_along(
    house: House, reopen: Reopen
) -> None:
    job = await house.job("completed")
    without = await reopen('[exports.users]\ntable = "users"\nkey = "id"\n')
    await _is_denied(without, ANN, job.id)
    deleted = await without.ask(ANN, "DELETE", f"/api/exports/{job.id}")
    assert deleted.json()["status"] == "deleted"


async def test_rows_that_a_type_gives_out_no_more_are_not_in_files_either(
    house: House, reopen: Reopen
) -> None:
    unscoped = await reopen(CATALOG.replace('scope = "tenant_id = :principal.tenant"', ""))
    accepted = (await unscoped.ask(ANN, "POST", "/api/orders/export")).json()
    await unscoped.services.runner.run(UUID(accepted["id"]))
    await _is_given(unscoped, ANN, accepted["id"])
    await _is_denied(house, ANN, accepted["id"])


async def test_filter_by_personal_data_marks_the_file(house: House, reopen: Reopen) -> None:
    filtering = await reopen(CATALOG + '\n[exports.some]\ntable = "orders"\nkey = "id"\n'
        'columns = ["id", { name = "email", pii = true }]\nfilters = ["email"]\n'
    )  # fmt: skip
    body = {"columns": ["id"], "filters": {"email": {"prefix": "secret"}}}
    accepted = (await filtering.ask(ANN, "POST", "/api/some/export", json=body)).json()
    await filtering.services.runner.run(UUID(accepted["id"]))
    await _is_denied(filtering, NO_PII, accepted["id"])
    # Even when the filter is gone.
    gone = await reopen(CATALOG + '\n[exports.some]\ntable = "orders"\nkey = "id"\n'
        'columns = ["id"]\n'
    )  # fmt: skip
    await _is_denied(gone, NO_PII, accepted["id"])


class TestSignIn:
    RECENT = CATALOG.replace(
        "[exports.users]", "[exports.users]\nrequires_recent_login_seconds = 300"
    )

    @pytest.mark.parametrize("seconds", [-301, 60, 3_600, 10**9])
    async def test_long_ago_or_still_to_come_is_not_recent(
        self, reopen: Reopen, seconds: int
    ) -> None:
        house = await reopen(self.RECENT)
        job = await house.job("completed", export_type="users", columns=("id",))
        who = ANN | {"auth_time": time.time() + seconds}
        for path in FILE_PATHS:
            answer = await house.ask(who, "GET", f"/api/exports/{job.id}{path}")
            assert (answer.status_code, answer.json()["code"]) == (401, "recent_login_required")
        for body in ({}, {"dry_run": True}):
            asked = await house.ask(who, "POST", "/api/users/export", json=body)
            assert asked.status_code == 401
        stream = await house.ask(who, "GET", "/api/users/export/stream")
        assert stream.status_code == 401
        assert (await house.ask(who, "GET", f"/api/exports/{job.id}")).status_code == 200

    @pytest.mark.parametrize("seconds", [-10, 5])
    async def test_clocks_may_differ_a_little(self, reopen: Reopen, seconds: int) -> None:
        house = await reopen(self.RECENT)
        job = await house.job("completed", export_type="users", columns=("id",))
        await _is_given(house, ANN | {"auth_time": time.time() + seconds}, job.id)


async def test_stream_of_events_ends_with_the_token(house: House) -> None:
    job = await house.job("queued")
    soon = ANN | {"exp": time.time() + 2}
    answer = await house.ask(soon, "GET", f"/api/exports/{job.id}/events")
    # It ended though the export did not.
    assert "event: progress" in answer.text
    assert "event: finished" not in answer.text
    assert (await house.ask(soon, "GET", f"/api/exports/{job.id}/events")).status_code == 401
