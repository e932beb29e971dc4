"""Portal links and sessions: one link, one sign-in, one person; and what strangers try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from waybill.api.app import create_app
from waybill.api.auth import current_principal
from waybill.bootstrap.everything import Services
from waybill.principal import PORTAL, READ, REQUEST, Principal
from waybill.web.origin import HOME, is_target, target_of

from .conftest import ADMIN, ORIGIN, Browser, Mint

Execute = Callable[..., list[tuple[Any, ...]]]
SignIn = Callable[..., Awaitable[Browser]]


async def test_link_signs_its_person_in_once_and_leads_to_its_page(
    mint: Mint, new_browser: Callable[[], Browser]
) -> None:
    url = (await mint("ann", next="/new/users")).json()["url"]
    assert url.startswith(f"{ORIGIN}/portal/")
    first, second = new_browser(), new_browser()
    # Mail scanners, previews and the back button: looking uses nothing up.
    for _ in range(2):
        page = await first.get(url)
        assert page.status_code == 200
        assert "ann" not in page.text
    answer = await first.open(url)
    assert (answer.status_code, answer.headers["location"]) == (303, "/new/users")
    assert (await second.open(url)).status_code == 410
    assert "waybill" not in second.http.cookies
    assert (await first.get("/api/exports")).status_code == 200
    assert (await second.get("/api/exports")).status_code == 401


async def test_of_two_who_open_a_link_at_once_one_gets_in(
    mint: Mint, new_browser: Callable[[], Browser]
) -> None:
    url = (await mint()).json()["url"]
    answers = await asyncio.gather(*(new_browser().open(url) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [303, *[410] * 7]


async def test_link_that_is_too_old_opens_nothing(
    mint: Mint, browser: Browser, execute: Execute
) -> None:
    url = (await mint()).json()["url"]
    execute("UPDATE portal_links SET expires_at = now() - interval '1 second'")
    assert (await browser.open(url)).status_code == 410


async def test_database_holds_neither_link_nor_cookie(
    mint: Mint, sign_in: SignIn, execute: Execute
) -> None:
    secret = (await mint()).json()["url"].rpartition("/")[2]
    browser = await sign_in("bob")
    kept = execute(
        "SELECT t::text FROM portal_links t UNION ALL SELECT s::text FROM page_sessions s"
    )
    assert len(kept) == 2
    assert not [row for row in kept if secret in str(row) or browser.secret in str(row)]


async def test_what_is_over_is_forgotten_with_whom_it_was_for(
    services: Services, mint: Mint, sign_in: SignIn, execute: Execute
) -> None:
    await mint()
    await sign_in("bob")
    await services.sweeper.clean()
    kept = "SELECT person FROM portal_links UNION ALL SELECT person FROM page_sessions"
    assert len(execute(kept)) == 2

    execute("UPDATE portal_links SET expires_at = now() - interval '1 second'")
    execute("UPDATE page_sessions SET seen_at = now() - interval '3 hours'")
    await services.sweeper.clean()

    assert execute(kept) == []


LINKS: list[tuple[set[str], dict[str, Any], int, str | None]] = [
    ({REQUEST, READ}, {}, 403, "permission_denied"),
    ({PORTAL, READ}, {"scopes": [REQUEST]}, 403, "permission_denied"),
    ({PORTAL, READ}, {"scopes": ["exports:admin"]}, 403, "permission_denied"),
    ({PORTAL, READ}, {"scopes": [PORTAL]}, 422, "invalid_option"),
    ({PORTAL, READ}, {"scopes": [READ], "tenant": "globex"}, 403, "permission_denied"),
    ({PORTAL, READ}, {"scopes": [READ], "tenant": None}, 403, "permission_denied"),
    ({PORTAL, READ}, {"scopes": [READ], "roles": ["vip"]}, 422, "invalid_option"),
    ({PORTAL, READ}, {"scopes": [READ], "next": "//evil.example"}, 422, "invalid_option"),
    ({PORTAL, READ}, {"scopes": [READ], "subject": "a\u200bnn"}, 422, "invalid_request"),
    ({PORTAL, READ}, {"scopes": [READ], "admin": True}, 422, "invalid_request"),
    ({PORTAL, READ}, {"scopes": [READ], "email": "a\0@x.example"}, 422, "invalid_request"),
    ({PORTAL, READ}, {"scopes": [READ, "a\0"]}, 422, "invalid_request"),
    ({PORTAL, READ}, {"scopes": [READ], "roles": ["clerk\0"]}, 422, "invalid_request"),
    ({PORTAL, READ}, {"scopes": [READ], "next": "/exports?type=\0"}, 422, "invalid_request"),
    ({PORTAL, READ}, {"scopes": [READ]}, 201, None),
    ({PORTAL, READ}, {"scopes": [READ], "roles": ["clerk"], "tenant": "acme"}, 201, None),
    ({PORTAL, READ, "exports:all-tenants"}, {"scopes": [READ], "tenant": "x"}, 201, None),
]


async def test_link_gives_nobody_more_than_its_maker_has(app: Any, mint: Mint) -> None:
    for maker, body, status, code in LINKS:
        host = Principal("host", tenant="acme", scopes=frozenset(maker), roles=frozenset({"clerk"}))
        app.dependency_overrides[current_principal] = lambda host=host: host
        answer = await mint(**body)
        assert (answer.status_code, answer.json().get("code")) == (status, code), (maker, body)


async def test_session_has_the_rights_of_the_link_and_cannot_make_links(sign_in: SignIn) -> None:
    browser = await sign_in("ann", scopes=[READ])
    own = {"sec-fetch-site": "same-origin"}
    asked = await browser.http.post("/api/users/export", json={}, headers=own)
    assert (asked.status_code, asked.json()["code"]) == (403, "permission_denied")
    made = await browser.http.post("/api/portal-links", json={"subject": "eve"}, headers=own)
    assert made.status_code == 403
    assert (await browser.get("/operate")).status_code in {403, 404}


FOREIGN: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "http://other.waybill.test"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://waybill.test.evil.example"},
    {},
]


async def test_other_site_changes_nothing_with_somebodys_cookie(
    sign_in: SignIn, add_job: Callable[..., Awaitable[Any]]
) -> None:
    browser = await sign_in()
    job = await add_job()
    for headers in FOREIGN:
        for path in (f"/exports/{job.id}/discard", f"/exports/{job.id}/repeat", "/signout"):
            assert (await browser.http.post(path, headers=headers)).status_code == 403
        for method, path in (("DELETE", f"/api/exports/{job.id}"), ("POST", "/api/users/export")):
            asked = await browser.http.request(method, path, headers=headers)
            assert (asked.status_code, asked.json()["code"]) == (400, "foreign_request")
    assert (await browser.get(f"/api/exports/{job.id}")).json()["status"] == "queued"
    assert len((await browser.get("/api/exports")).json()["items"]) == 1


async def test_other_site_reads_nothing_and_spends_nothing_with_somebodys_cookie(
    sign_in: SignIn,
) -> None:
    browser = await sign_in()
    for path in ("/api/exports", "/api/users/export/stream"):
        answer = await browser.get(path, **{"sec-fetch-site": "cross-site"})
        assert answer.json()["code"] == "foreign_request"
    # A mail is another site too: its link opens the page.
    assert (await browser.get("/exports", **{"sec-fetch-site": "cross-site"})).status_code != 403


async def test_cookie_without_https_and_with_it_are_two(
    app: Any, mint: Mint, sign_in: SignIn
) -> None:
    plain = await sign_in()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="https://waybill.test"
    ) as http:
        url = (await mint()).json()["url"]
        answer = await http.post(
            "/portal",
            data={"link": url.rpartition("/")[2]},
            headers={"sec-fetch-site": "same-origin"},
        )
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-waybill=")
        for word in ("; Secure", "; HttpOnly", "; Path=/", "; SameSite=lax"):
            assert word in cookie
        assert "Domain" not in cookie
        assert "expires" not in cookie.lower()
        # The name that any network could set is not taken where there is https.
        http.cookies.clear()
        http.cookies.set("waybill", plain.secret)
        assert (await http.get("/api/exports")).status_code == 401


async def test_secret_changes_and_the_one_before_holds_a_minute(
    sign_in: SignIn, execute: Execute, new_browser: Callable[[], Browser]
) -> None:
    browser, other_tab = await sign_in(), new_browser()
    before = browser.secret
    other_tab.http.cookies.set("waybill", before)
    execute("UPDATE page_sessions SET rotated_at = now() - interval '16 minutes'")
    assert (await browser.get("/signin")).status_code == 200
    assert (await browser.get("/exports/00000000-0000-0000-0000-000000000000")).status_code == 404
    assert (await browser.get("/new")).status_code == 200
    assert browser.secret != before
    assert (await other_tab.get("/api/exports")).status_code == 200
    assert other_tab.secret == before
    execute("UPDATE page_sessions SET rotated_at = now() - interval '61 seconds'")
    # Somebody has a copy: nobody goes on with either.
    assert (await other_tab.get("/api/exports")).status_code == 401
    assert (await browser.get("/api/exports")).status_code == 401


ENDS = [
    "UPDATE page_sessions SET expires_at = now() - interval '1 second'",
    "UPDATE page_sessions SET seen_at = now() - interval '61 minutes'",
    "DELETE FROM page_sessions",
]


async def test_session_that_is_over_leads_to_signing_in_and_back(
    sign_in: SignIn, execute: Execute
) -> None:
    for ends in ENDS:
        browser = await sign_in()
        execute(ends)
        answer = await browser.get("/exports?status=failed")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/signin?next=%2Fexports%3Fstatus%3Dfailed&why=over"
        assert "waybill" not in browser.http.cookies
        page = await browser.get(answer.headers["location"])
        assert "Your session is over" in page.text


@pytest.mark.parametrize(
    ("sent_to", "page"),
    [
        ("/exports/0b7e/discard", "/exports/0b7e"),
        ("/exports/0b7e/repeat", "/exports/0b7e"),
        ("/operate/replay", "/operate"),
        ("/operate/notifications/replay", "/operate"),
        ("/new/replay", "/new/replay"),
    ],
)
async def test_button_of_a_page_whose_session_is_over_leads_back_to_the_page(
    sign_in: SignIn, execute: Execute, sent_to: str, page: str
) -> None:
    browser = await sign_in("ann", scopes=ADMIN)
    execute("DELETE FROM page_sessions")
    answer = await browser.post(sent_to)
    target = urlencode({"next": page, "why": "over"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/signin?{target}")


async def test_signing_out_ends_the_session_on_the_server(
    sign_in: SignIn, new_browser: Callable[[], Browser]
) -> None:
    browser, thief = await sign_in(), new_browser()
    thief.http.cookies.set("waybill", browser.secret)
    assert (await browser.post("/signout")).headers["location"] == "/signin?why=out"
    assert "waybill" not in browser.http.cookies
    assert (await thief.get("/api/exports")).status_code == 401


async def test_signing_in_again_takes_no_secret_on_and_ends_the_one_before(
    sign_in: SignIn, mint: Mint, execute: Execute
) -> None:
    browser = await sign_in("ann")
    before = browser.secret
    await browser.open((await mint("bob")).json()["url"])
    assert browser.secret != before
    assert execute("SELECT person ->> 'subject' FROM page_sessions") == [("bob",)]


async def test_trail_knows_who_made_a_link_and_who_came_by_it(
    sign_in: SignIn, execute: Execute
) -> None:
    browser = await sign_in("ann")
    await browser.post("/signout")
    assert execute(
        "SELECT actor, action FROM audit_events WHERE action IN ('linked', 'signed_in',"
        " 'signed_out') ORDER BY id"
    ) == [("local-developer", "linked"), ("ann", "signed_in"), ("ann", "signed_out")]


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/exports",
        "//evil.example/exports",
        "/\\evil.example",
        "/exports/../../evil",
        "/exports//evil.example",
        "/exports\r\nSet-Cookie: x=y",
        "/exports\n",
        "/portal/abc",
        "/signout",
        "/api/users/export/stream",
        "javascript:alert(1)",
        "/exportsevil",
        "exports",
        "/exports?next=" + "a" * 2_000,
        "",
    ],
)
def test_after_signing_in_nobody_is_led_elsewhere(text: str) -> None:
    assert not is_target(text)
    assert target_of(text) == HOME


def test_own_pages_are_led_to() -> None:
    for text in ("/exports", "/exports/0b7e", "/new/users", "/operate?window=day", "/exports?a=b"):
        assert target_of(text) == text


async def test_host_page_is_told_where_to_go_next(services: Services) -> None:
    settings = services.settings.model_copy(
        update={"sign_in_url": "https://app.example.com/sso?via=exports"}
    )
    services.settings = settings
    app = create_app(services)
    from waybill.web.pages import install

    install(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN) as http:
        page = (await http.get("/signin?next=/new/users")).text
        assert 'href="https://app.example.com/sso?via=exports&amp;next=%2Fnew%2Fusers"' in page
        page = (await http.get("/signin?next=//evil.example")).text
        assert "evil" not in page
