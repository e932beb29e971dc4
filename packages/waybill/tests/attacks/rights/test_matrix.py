"""Every operation of the served document by every role: what is answered is what is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from waybill.jobs.job import ExportJob

from .conftest import FILE, House, State
from .matrix import BEGIN, END, GUIDE, HIDDEN, MATRIX, ROLES, SHOWN, as_markdown

_METHODS = {"get", "head", "post", "put", "patch", "delete"}

# What state the export is in, where it is not completed.
_STATES: dict[str, State] = {
    "POST /api/admin/exports/{export_id}/cancel": "queued",
    "GET /api/admin/queue": "failed",
    "GET /metrics": "failed",
    "GET /api/admin/dead-letters": "failed",
    "GET /api/admin/dead-letters/{export_id}": "failed",
    "POST /api/admin/dead-letters/{export_id}/replay": "failed",
    "POST /api/admin/dead-letters/replay": "failed",
}
_BODIES: dict[str, Any] = {
    "POST /api/{export_type}/export": {},
    "POST /api/admin/dead-letters/replay": {"type": "orders"},
    "POST /api/portal-links": {"subject": "ann", "scopes": ["exports:read"]},
    "POST /api/admin/notifications/replay": {"target": "crm"},
}

GIVEN_UP = """INSERT INTO notifications
    (id, event_id, event, export_id, channel, target, payload, status, settled_at)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'export.completed', %s, 'webhook', 'crm', '{}',
     'dead', now())"""


async def _operations(house: House) -> set[str]:
    document = (await house.http.get("/openapi.json")).json()
    return {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in _METHODS
    }


async def test_every_operation_has_a_row_and_every_row_an_operation(house: House) -> None:
    assert set(MATRIX) == await _operations(house)


def test_every_row_has_an_answer_for_every_role() -> None:
    assert len(ROLES) >= 10
    assert [operation for operation, row in MATRIX.items() if set(row) != set(ROLES)] == []


def test_guide_shows_this_matrix() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    shown = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert shown == as_markdown(), "run: python packages/waybill/tests/attacks/rights/matrix.py"


@pytest.mark.parametrize("operation", MATRIX)
async def test_role_is_answered_as_written(
    house: House, operation: str, execute: Callable[..., Any]
) -> None:
    method, path = operation.split(" ")
    changes_something = method in {"POST", "DELETE"}
    job: ExportJob | None = None
    found = {}
    for role, (_, claims) in ROLES.items():
        if job is None or changes_something:
            job = await house.job(_STATES.get(operation, "completed"))
        if operation == "GET /api/audit" and not found:
            # Something that the trail can tell of the export.
            await house.ask(ROLES["colleague"][1], "GET", f"/api/exports/{job.id}")
        if "notifications" in operation:
            # Each time: an earlier role may have had it sent again.
            execute(GIVEN_UP, job.id)
        response = await house.ask(
            claims,
            method,
            path.format(export_type="orders", export_id=job.id),
            json=_BODIES.get(operation),
        )
        found[role] = str(response.status_code)
        if " " in MATRIX[operation]["admin"] + MATRIX[operation]["owner"] and response.is_success:
            found[role] += f" {SHOWN if _tells_of(operation, response, job) else HIDDEN}"
        if not response.is_success and response.status_code >= 400:
            _reveals_nothing(response, role)
    assert found == MATRIX[operation]


def _tells_of(operation: str, response: httpx.Response, job: ExportJob) -> bool:
    if operation == "GET /api/catalog":
        return "email" in response.text
    if operation == "GET /metrics":
        return "waybill_exports_dead_letters 1\n" in response.text
    if operation == "GET /api/admin/queue":
        return bool(response.json()["dead_letters"])
    return str(job.id) in response.text


def _reveals_nothing(response: httpx.Response, role: str) -> None:
    told = response.text + str(response.headers)
    assert "secret-of-acme" not in told, role
    assert hashlib.sha256(FILE).hexdigest() not in told, role
    if response.request.method != "HEAD":
        assert response.headers["content-type"] == "application/problem+json", role
