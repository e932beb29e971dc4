"""Every route of the pages by every role, forged by every other site, and in every frame: the pages
have no door of their own, and none that is forgotten here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from fastapi.routing import APIRoute

from waybill.jobs.job import ExportJob
from waybill.principal import Principal
from waybill.web import pages

from .conftest import House, State
from .matrix import HIDDEN, PAGES, ROLES, SHOWN

OWN = {"sec-fetch-site": "same-origin"}
FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "https://sibling.waybill.test"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {},
]
_STATES: dict[str, State] = {
    "GET /operate": "failed",
    "POST /operate/replay": "failed",
}
_ASSET = "pages.css"


def forms(operation: str, job: ExportJob) -> dict[str, Any]:
    """Return what the page's form would send."""
    every = ["id", "total", "email"]
    return {
        "POST /portal": {"link": "never-was"},
        "POST /new/{export_type}": {
            "action": "request",
            "format": "ndjson",
            "order": every,
            "column": every,
        },
        "POST /operate/replay": {"export": str(job.id)},
    }.get(operation, {})


def path_of(operation: str, job: ExportJob) -> str:
    """Return the address of a route, about ``job``."""
    path = operation.partition(" ")[2]
    return path.format(export_type="orders", export_id=job.id, name=_ASSET, secret="never-was")


async def signed_in(house: House, role: str) -> dict[str, str]:
    """Return the header of a browser in which somebody of ``role`` is signed in."""
    claims = ROLES[role][1]
    if claims is None:
        return {}
    person = Principal(
        claims["sub"], tenant=claims["org"], scopes=frozenset(claims["scope"].split())
    )
    return {"Cookie": f"waybill={await house.services.sessions.begin(person)}"}


def routes() -> Iterator[APIRoute]:
    for router in (*pages.ROUTERS, pages.assets.router, pages.element.router):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            yield route


def test_every_page_has_a_row_and_every_row_a_page() -> None:
    # HEAD is held to GET's row, below.
    served = {f"{method} {route.path}" for route in routes() for method in route.methods - {"HEAD"}}
    assert set(PAGES) == served
    assert [each for each, row in PAGES.items() if not {"nobody", "owner"} <= set(row)] == []


async def test_every_role_gets_the_pages_that_are_written(house: House) -> None:
    """In one service: a row each would be a database each."""
    found: dict[str, dict[str, str]] = {}
    for operation, row in PAGES.items():
        method = operation.partition(" ")[0]
        job: ExportJob | None = None
        found[operation] = {}
        for role in row:
            if job is None or method == "POST":
                job = await house.job(_STATES.get(operation, "completed"))
            if operation == "GET /operate/audit" and role == "nobody":
                # Something that the trail can tell of the export.
                await house.ask(ROLES["colleague"][1], "GET", f"/api/exports/{job.id}")
            cookie = await signed_in(house, role)
            answer = await house.http.request(
                method, path_of(operation, job), headers=OWN | cookie, data=forms(operation, job)
            )
            said = _said(answer, operation, job)
            found[operation][role] = said if " " in row[role] else said.partition(" ")[0]
            _is_kept_apart(answer, operation)
            if answer.status_code >= 400:
                assert "secret-of-acme" not in answer.text
            if method == "GET":
                await _head_is_alike(house, operation, job, OWN | cookie, answer)
    assert found == PAGES


async def _head_is_alike(
    house: House, operation: str, job: ExportJob, headers: dict[str, str], page: httpx.Response
) -> None:
    """What opens no page for a role says nothing of it by HEAD either, and bears no body."""
    head = await house.http.request("HEAD", path_of(operation, job), headers=headers)
    if operation == "GET /signin/callback":
        assert head.status_code == 405  # looking would use it up
        return
    alike = ("location", "content-type", "cache-control", "content-security-policy")
    assert (head.status_code, head.content) == (page.status_code, b""), operation
    assert [head.headers.get(each) for each in alike] == [page.headers.get(each) for each in alike]


def _said(answer: httpx.Response, operation: str, job: ExportJob) -> str:
    if answer.is_redirect:
        target = urlsplit(answer.headers["location"])
        assert (target.scheme, target.netloc) == ("", "")
        shown = target.path.replace(str(job.id), "{export_id}")
        known = shown in {"/signin", "/exports", "/exports/{export_id}", "/operate"}
        return f"{answer.status_code} to {shown if known else '/exports/NEW'}"
    word = {"GET /new": "3 columns", "GET /new/{export_type}": 'value="email"'}
    is_shown = word.get(operation, str(job.id)) in answer.text
    return f"{answer.status_code} {SHOWN if is_shown else HIDDEN}"


def _is_kept_apart(answer: httpx.Response, operation: str) -> None:
    """No frame shows it, nothing foreign runs in it, and no cache keeps what is somebody's."""
    headers = answer.headers
    assert headers["x-frame-options"] == "DENY", operation
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    if not operation.startswith(("GET /assets", "GET /elements")):
        assert headers["cache-control"] == "no-store", operation


async def test_no_other_site_has_anything_done_with_somebodys_cookie(house: House) -> None:
    """Neither by a page's form nor by an operation of the API, however it is sent."""
    cookie = await signed_in(house, "all admin")
    document = (await house.http.get("/openapi.json")).json()
    unsafe = {each for each in PAGES if not each.startswith("GET ")} | {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in {"post", "put", "patch", "delete"}
    }
    assert len(unsafe) >= 12
    job = await house.job("failed")
    for operation in sorted(unsafe):
        method = operation.partition(" ")[0]
        for headers in FOREIGN:
            answer = await house.http.request(
                method,
                path_of(operation, job),
                headers=headers | cookie,
                data=forms(operation, job),
            )
            expected = 400 if "/api/" in operation else 403
            assert answer.status_code == expected, (operation, headers)
            assert "foreign_request" in answer.text or expected == 403
    after = await house.services.repository.find(job.id)
    assert after == job
    # Nobody was signed out or in by it either.
    assert (await house.http.get("/exports", headers=cookie)).status_code == 200


async def test_names_and_addresses_of_nobodys_are_pages_of_their_own(house: House) -> None:
    """An address that is somebody's and one that is nobody's are answered alike, to the letter."""
    job = await house.job("completed")
    cookie = await signed_in(house, "colleague")
    for operation in PAGES:
        if "{export_id}" not in operation:
            continue
        method = operation.partition(" ")[0]
        told = []
        for export_id in (str(job.id), str(uuid4())):
            path = operation.partition(" ")[2].format(export_id=export_id)
            answer = await house.http.request(method, path, headers=OWN | cookie)
            told.append((answer.status_code, answer.text.replace(export_id, "ID")))
        assert told[0] == told[1], operation
