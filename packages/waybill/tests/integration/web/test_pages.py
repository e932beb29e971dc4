"""The pages as they are sent: whose they are, what is in them, and what bad names do to them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.catalog.toml import parse_catalog
from waybill.config import Settings
from waybill.own_database import SCHEMA
from waybill.sessions import tables
from waybill.web.texts import LANGUAGES

from ..urls import sqlalchemy_url
from .conftest import ADMIN, Browser

SignIn = Callable[..., Awaitable[Browser]]
AddJob = Callable[..., Awaitable[Any]]
Execute = Callable[..., list[tuple[Any, ...]]]

EVIL = "</td><script>alert(1)</script><img src=x onerror=alert(2)>"
BIDI = "invoice\u202exslx.exe"


class Parsed(HTMLParser):
    """A page's elements, as a browser finds them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def require_harmless(self) -> None:
        """Nothing in it runs but our own module, and nothing is loaded from elsewhere."""
        for tag, attributes in self.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            assert tag not in {"style", "iframe", "object", "embed", "base", "img"}
            if tag == "script":
                assert (attributes["src"] or "").startswith("/assets/pages.js?v=")
            for name in ("src", "href", "action"):
                assert re.match(r"(/(?!/)|#|$)", attributes.get(name) or ""), (tag, attributes)


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(
        """
        [exports.users]
        table = "public.users"
        key = "id"
        title = "Users <b>&</b>"
        columns = ["id", "country", { name = "email", label = "E-mail", pii = true }, "notes"]
        filters = ["country", { name = "id", type = "integer" }, { name = "email", pii = true }]
        since = { column = "created_at", pii = false }

        [exports.odd]
        query = '''SELECT 1 AS id, '</td><script>alert(1)</script><img src=x onerror=alert(2)>'
            AS cell, U&'invoice\\202Exslx.exe' AS "a\u202eb"'''
        key = "id"

        [exports.secret]
        table = "public.users"
        key = "id"
        requires = "exports:secret"
        """
    )


def test_tables_are_what_the_migrations_make(settings: Settings) -> None:
    mine = {"portal_links", "page_sessions"}
    engine = create_engine(sqlalchemy_url(settings))

    def is_mine(thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        return (name if kind == "table" else thing.table.name) in mine

    with engine.connect() as connection:
        connection.dialect.default_schema_name = SCHEMA
        connection.exec_driver_sql(f"SET search_path = {SCHEMA}")
        context = MigrationContext.configure(
            connection, opts={"include_object": is_mine, "compare_server_default": True}
        )
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


async def test_every_page_says_what_it_may_load_and_nothing_in_it_runs(
    sign_in: SignIn, add_job: AddJob
) -> None:
    browser = await sign_in("ann", scopes=ADMIN)
    job = await add_job()
    paths = ["/signin", "/new", "/new/users", "/exports", f"/exports/{job.id}", "/portal/x"]
    for path in [*paths, "/exports/none"]:
        answer = await browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        Parsed(answer.text).require_harmless()


async def test_address_that_is_none_is_a_page_for_people_and_a_problem_for_programs(
    browser: Browser,
) -> None:
    wanted = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
    for path, status in (("/export", 404), ("/exports/a/b/c", 404), ("/signout", 405)):
        page = await browser.get(path, accept=wanted)
        assert page.status_code == status
        assert "There is no page at this address" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        Parsed(page.text).require_harmless()
        problem = await browser.get(path, accept="*/*")
        assert (problem.status_code, problem.json()["status"]) == (status, status)
        assert problem.headers.get("allow") == page.headers.get("allow")
    of_the_api = await browser.get("/api/none", accept=wanted)
    assert of_the_api.headers["content-type"] == "application/problem+json"


async def test_files_of_the_pages_are_kept_by_browsers_and_no_others_are_there(
    browser: Browser,
) -> None:
    page = await browser.get("/signin")
    for path in re.findall(r'"(/assets/[^"]+)"', page.text):
        answer = await browser.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    for name in ("..%2Fpages.py", "base.html", "pages.css%00"):
        assert (await browser.get(f"/assets/{name}")).status_code == 404


async def test_page_of_anothers_export_is_like_one_of_none(
    sign_in: SignIn, add_job: AddJob
) -> None:
    job = await add_job(b"id\n1\n", owner="bob")
    browser = await sign_in("ann")
    for path in ("", "/discard", "/repeat"):
        pages = []
        for export_id in (job.id, uuid4()):
            url = f"/exports/{export_id}{path}"
            answer = await (browser.post(url) if path else browser.get(url))
            assert answer.status_code == 404
            pages.append(answer.text.replace(str(export_id), "ID"))
        assert pages[0] == pages[1]
    assert (await browser.get("/exports/not-an-id")).status_code == 404
    assert str(job.id) not in (await browser.get("/exports")).text


async def test_watching_needs_no_script(sign_in: SignIn, add_job: AddJob) -> None:
    job = await add_job(options={"columns": ["id"]})
    browser = await sign_in()
    page = await browser.get(f"/exports/{job.id}")
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.text
    assert "Waiting" in page.text
    assert (await browser.post(f"/exports/{job.id}/discard")).status_code == 303
    page = await browser.get(f"/exports/{job.id}")
    assert "refresh" not in page.text
    assert "This export was cancelled" in page.text


async def test_failed_export_says_what_happened_and_what_to_do_in_both_languages(
    sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    job = await add_job()
    execute(
        "UPDATE export_jobs SET status = 'failed', next_attempt_at = NULL, finished_at = now(),"
        " error_code = 'deadline_exceeded', error_message = 'x', error_cause = 'permanent'"
    )
    browser = await sign_in()
    english = await browser.get(f"/exports/{job.id}")
    assert "took longer than it may" in english.text
    german = await browser.get(f"/exports/{job.id}", **{"accept-language": "de-AT, en;q=0.5"})
    assert german.headers["content-language"] == "de"
    assert '<html lang="de">' in german.text
    assert "dauerte länger, als er darf" in german.text


async def test_columns_that_one_may_not_see_are_counted_and_not_named(
    sign_in: SignIn, add_job: AddJob
) -> None:
    job = await add_job(
        options={"columns": [{"name": "id", "label": ""}], "filters": {"country": {"eq": EVIL}}}
    )
    page = Parsed((await (await sign_in()).get(f"/exports/{job.id}")).text)
    page.require_harmless()
    assert "Columns that were not chosen: country, notes." in page.text
    assert "1 more column that you may not see." in page.text
    assert "E-mail" not in page.text
    assert f"country = {EVIL}" in page.text
    assert "Rows that were not asked for." in page.text
    assert "Nothing was left out." not in page.text
    personal = await sign_in(scopes=[*ADMIN])
    assert "E-mail" in (await personal.get(f"/exports/{job.id}")).text


async def test_type_that_one_may_not_use_is_like_one_of_none(sign_in: SignIn) -> None:
    browser = await sign_in()
    assert "/new/secret" not in (await browser.get("/new")).text
    pages = [(await browser.get(f"/new/{name}")) for name in ("secret", "nothing")]
    assert [page.status_code for page in pages] == [404, 404]
    assert pages[0].text == pages[1].text
    form = (await browser.get("/new/users")).text
    assert "email" not in form.lower().replace("e-mail", "email").replace("data-", "")


async def test_request_is_what_the_form_says(
    sign_in: SignIn, services: Services, execute: Execute
) -> None:
    browser = await sign_in()
    answer = await browser.post(
        "/new/users",
        {
            "action": "request",
            "format": "ndjson",
            "compression": "gzip",
            "order": ["notes", "id", "country"],
            "column": ["notes", "id"],
            "label:id": "Number",
            "operator:country": "in",
            "value:country": "DE, FR",
            "operator:id": "lt",
            "value:id": "100",
        },
    )
    assert answer.status_code == 303, answer.text
    ((made, options),) = execute("SELECT format, options FROM export_jobs")
    assert made == "ndjson"
    assert options["columns"] == [{"name": "notes", "label": ""}, {"name": "id", "label": "Number"}]
    assert options["filters"] == {"country": {"in": ["DE", "FR"]}, "id": {"lt": 100}}
    assert options["compression"] == "gzip"
    # The same again, by one click, is the same unfinished export.
    path = answer.headers["location"]
    again = await browser.post(f"{path}/repeat")
    assert again.headers["location"] == path


async def test_form_that_does_not_fit_says_so_and_keeps_what_was_typed(
    sign_in: SignIn, execute: Execute
) -> None:
    browser = await sign_in()
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"operator:id": "lt", "value:id": "many"}, 422, "must be a whole number"),
        ({"format": "parquet", "compression": "gzip"}, 422, "compressed inside"),
        ({"format": "exe"}, 422, "exe"),
        ({"since": "yesterday"}, 422, "since"),
        ({"order": "email", "column": "email"}, 403, "exports:pii"),
        ({"order": "id", "column": "id", "label:id": "=1+1"}, 422, "formula"),
        ({"order": EVIL, "column": EVIL}, 422, "no column"),
        ({"column": []}, 422, LANGUAGES["en"]["refused.no_columns"]),
    ]
    one = {"action": "request", "format": "csv", "order": "id", "column": "id"}
    for form, status, said in wrong:
        answer = await browser.post("/new/users", one | form)
        page = Parsed(answer.text)
        assert (answer.status_code, said.lower() in page.text.lower()) == (status, True), form
        page.require_harmless()
        for value in form.values():
            assert not value or value in page.text or value in str(page.tags)
    # In German what it is about is said in German; the service's own words are marked as English.
    answer = await browser.post("/new/users", one | wrong[0][0], **{"accept-language": "de"})
    page = Parsed(answer.text)
    assert LANGUAGES["de"]["unfit.invalid_filter"] in page.text
    assert ("p", {"lang": "en"}) in page.tags
    # Nor does what is said of it turn the words around.
    turned = "\u202eevil"
    for form in (
        {"order": turned, "column": turned},
        {"order": "id", "column": "id", "label:id": turned},
        {"operator:country": turned, "value:country": "x"},
        {"operator:id": "eq", "value:id": turned},
        {"format": turned},
        {"since": turned},
    ):
        answer = await browser.post("/new/users", {"action": "request", "format": "csv"} | form)
        assert answer.status_code == 422, form
        assert "\u202e" not in Parsed(answer.text).text, form
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]


async def test_what_is_filled_in_by_half_is_never_passed_over(
    sign_in: SignIn, execute: Execute
) -> None:
    browser = await sign_in()
    sent: dict[str, Any] = {"action": "request", "format": "csv", "order": "id", "column": "id"}
    whole = {"operator:country": "eq", "value:country": "DE", "operator:id": "", "value:id": ""}
    halves = [
        ("id", "lt", "", "value"),
        ("id", "eq", " ", "value"),
        ("id", "in", "1,,2", "item"),
        ("id", "", "7", "comparison"),
        ("country", "in", "DE, ", "item"),
        ("country", "is_null", "", "value"),
        ("country", "prefix", "", "value"),
        ("country", "", "DE", "comparison"),
    ]
    for name, operator, value, lacks in halves:
        half = {f"operator:{name}": operator, f"value:{name}": value}
        for action in ("request", "preview"):
            answer = await browser.post("/new/users", sent | whole | half | {"action": action})
            page = Parsed(answer.text)
            assert answer.status_code == 422, half
            assert LANGUAGES["en"]["refused.form_unfinished"] in page.text
            assert LANGUAGES["en"][f"request.lacks.{lacks}"] in page.text, half
            fields = {a.get("name"): a for tag, a in page.tags if tag in {"input", "select"}}
            assert fields[f"value:{name}"]["value"] == value.strip() or name == "country"
            wrong = [field for field, a in fields.items() if "aria-invalid" in a]
            assert wrong == [f"{'operator' if lacks == 'comparison' else 'value'}:{name}"]
            # Nor is it said how a program would ask for more.
            assert "curl -X" not in page.text
    others = [
        ({"operator:gone": "eq", "value:gone": "1"}, 422, "has no filter"),
        ({"value:gone": "1"}, 422, LANGUAGES["en"]["request.lacks.comparison"]),
        ({"operator:(rows)": "eq"}, 400, "not a form"),
        ({"operator:id": ["gte", "lt"], "value:id": "1"}, 400, "not a form"),
        ({"operator:id": "gte", "value:id": ["1", "2"]}, 400, "not a form"),
        ({"since": ["", "2026-05-01T00:00:00Z"]}, 400, "not a form"),
        ({"filters": "{}"}, 400, "not a form"),
    ]
    for form, status, said in others:
        answer = await browser.post("/new/users", sent | form)
        assert (answer.status_code, said in Parsed(answer.text).text) == (status, True), form
    # Of a type that lists no columns, those of its source that a preview named: none is not all.
    none = await browser.post("/new/odd", {"action": "request", "format": "csv", "order": "id"})
    assert none.status_code == 422
    assert execute("SELECT count(*) FROM export_jobs") == [(0,)]
    empty = {"operator:country": "", "value:country": " ", "since": " ", "compression": ""}
    texts = {"operator:country": "eq", "value:country": ""}
    blanks = {"operator:country": "prefix", "value:country": " D"}
    for form in (empty, texts, blanks):
        assert (await browser.post("/new/users", sent | form)).status_code == 303
    assert execute("SELECT options -> 'filters' FROM export_jobs ORDER BY created_at") == [
        ({},), ({"country": {"eq": ""}},), ({"country": {"prefix": " D"}},),
    ]  # fmt: skip


async def test_columns_are_moved_without_script(sign_in: SignIn) -> None:
    browser = await sign_in()
    order = {"order": ["id", "country", "notes"], "column": ["id", "notes"]}
    page = Parsed((await browser.post("/new/users", {"action": "up:notes", **order})).text)
    lines = [a["value"] for tag, a in page.tags if tag == "input" and a.get("name") == "order"]
    assert lines == ["id", "notes", "country"]
    chosen = [a["value"] for tag, a in page.tags if a.get("name") == "column" and "checked" in a]
    assert chosen == ["id", "notes"]


async def test_preview_shows_data_and_runs_none_of_it(sign_in: SignIn) -> None:
    browser = await sign_in()
    answer = await browser.post("/new/odd", {"action": "preview", "format": "csv"})
    assert answer.status_code == 200, answer.text
    page = Parsed(answer.text)
    page.require_harmless()
    assert EVIL in page.text
    # What turns the direction around is shown for what it is, in cells and in headers.
    assert "invoice⟨U+202E⟩xslx.exe" in page.text
    assert "a⟨U+202E⟩b" in page.text
    assert "\u202e" not in page.text


async def test_quota_that_is_used_up_is_said_on_the_form(
    services: Services, sign_in: SignIn, add_job: AddJob
) -> None:
    services.settings = services.settings.model_copy(update={"quota_per_day": 1})
    browser = await sign_in()
    assert "1 of 1 export left" in (await browser.get("/new/users")).text
    columns = ["id", "country", "notes"]
    form = {"action": "request", "format": "csv", "order": columns, "column": columns}
    assert (await browser.post("/new/users", form)).status_code == 303
    refused = await browser.post("/new/users", form | {"format": "json"})
    assert refused.status_code == 429
    assert "You have used up your exports for today. The next is possible in" in refused.text


async def test_history_is_narrowed_and_paged(
    sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    for number in range(27):
        await add_job(format="json" if number else "xlsx")
    await add_job(owner="bob", format="parquet")
    execute("UPDATE export_jobs SET created_at = now() - interval '3 days' WHERE format = 'xlsx'")
    browser = await sign_in()
    first = (await browser.get("/exports")).text
    assert first.count('class="badge') == 25
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = (await browser.get(following[1].replace("&amp;", "&"))).text
    assert second.count('class="badge') == 2
    assert "PARQUET" not in first + second
    day = execute("SELECT (now() - interval '3 days')::date::text")[0][0]
    found = (await browser.get(f"/exports?since={day}&until={day}&status=queued")).text
    assert found.count('class="badge') == 1
    for query in ("status=failed", "type=%3Cscript%3E", f"until=1999-01-01&type={EVIL}"):
        page = await browser.get(f"/exports?{query}")
        assert "Nothing matches" in page.text
        Parsed(page.text).require_harmless()
    assert (await browser.get("/exports?status=' OR 1&since=x&until=9999-12-31")).status_code == 200


async def test_days_of_the_history_are_those_of_the_readers_zone(
    sign_in: SignIn, add_job: AddJob, execute: Execute
) -> None:
    for at in ("2026-03-28 22:59Z", "2026-03-28 23:00Z", "2026-03-29 21:59Z", "2026-03-29 22:00Z"):
        execute("UPDATE export_jobs SET created_at = %s WHERE id = %s", at, (await add_job()).id)
    browser = await sign_in()
    # In Berlin that day has 23 hours.
    for zone, expected in {
        "Europe/Berlin": ["21:59", "23:00"],
        "": ["22:00", "21:59"],
        "Asia/Tokyo": ["23:00", "22:59"],
    }.items():
        page = await browser.get(f"/exports?since=2026-03-29&until=2026-03-29&zone={zone}")
        times = re.findall(r'datetime="2026-03-2[89]T(\d\d:\d\d)', page.text)
        assert times == expected, zone
    for zone in ("Nowhere/None", "../../etc/passwd", "America", "%00", "%ED%A0%80", "x" * 64):
        page = await browser.get(f"/exports?since=0001-01-01&until=2026-03-29&zone={zone}")
        assert page.text.count('class="badge') == 4, zone


async def test_form_is_read_within_bounds(sign_in: SignIn) -> None:
    browser = await sign_in()
    for form in ({"action": "x" * 70_000}, {f"a{n}": "" for n in range(6_001)}):
        assert (await browser.post("/new/users", form)).status_code == 400
