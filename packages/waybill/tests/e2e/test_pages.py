"""The pages in a real browser, on the real service: what a person sees, with script and without."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Page, expect

from waybill.manifest import Manifest
from waybill.results.verify import verify_file

from ..integration.web.openid import OpenidProvider
from .conftest import bearer

USER = ["exports:request", "exports:read"]
ADMIN = [*USER, "exports:pii", "exports:admin", "exports:all-tenants"]


def test_from_the_link_to_the_verified_file(
    new_page: Callable[..., Page], portal_link: Callable[..., str], tmp_path: Path
) -> None:
    page = new_page()
    url = portal_link("browser-ann", ADMIN, "/new/users")
    page.goto(url)
    page.wait_for_url("**/new/users")
    page.get_by_role("button", name="Request the export").click()
    page.wait_for_url("**/exports/*-*")
    download = page.get_by_role("link", name="Download the file")
    expect(download).to_be_visible(timeout=60_000)
    with page.expect_download() as saved:
        download.click()
    file = tmp_path / saved.value.suggested_filename
    saved.value.save_as(file)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download the manifest").click()
    manifest = tmp_path / "manifest.json"
    saved.value.save_as(manifest)
    report = verify_file(file, Manifest.model_validate_json(manifest.read_bytes()))
    report.raise_if_failed()
    assert report.rows == 2_000
    # The link is used up; what it opened goes on.
    other = new_page()
    other.goto(url)
    expect(other.get_by_role("status")).to_contain_text("was used already")
    page.reload()
    expect(download).to_be_visible()


def test_person_signs_in_at_a_provider_and_goes_on_where_a_session_ended(
    new_page: Callable[..., Page],
    strict_api: str,
    openid: OpenidProvider,
    running: Any,
    troubles: Callable[[Page], list[Any]],
) -> None:
    openid.person = {"sub": "browser-olga"}
    page = new_page(base_url=strict_api)
    answers: list[str] = []
    page.on(
        "request", lambda asked: answers.append(asked.url) if "/callback" in asked.url else None
    )
    page.goto("/new/users")
    sign_in = page.get_by_role("link", name="Sign in with Acme's <b>people</b>")
    assert troubles(page) == []
    sign_in.click()
    page.get_by_role("link", name="No").click()
    expect(page.get_by_role("alert")).to_contain_text("access was denied or broken off")
    assert troubles(page) == []
    page.get_by_role("link", name="Try again").click()
    page.get_by_role("link", name="Yes").click()
    page.wait_for_url("**/new/users")
    expect(page.get_by_text("browser-olga")).to_be_visible()
    # The session ends while a form is filled in.
    page.get_by_role("button", name="Preview").click()
    label = page.get_by_label("Other header for id")
    label.fill('Nr. "<1>"')
    page.get_by_label("Format").select_option("ndjson")
    page.get_by_label("country", exact=True).uncheck()
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM waybill.page_sessions")
    page.get_by_role("button", name="Request the export").click()
    expect(page.get_by_role("status")).to_contain_text("Your session is over. Sign in again")
    sign_in.click()
    page.get_by_role("link", name="Yes").click()
    # Nothing that was filled in is lost, and nothing is done that nobody sees.
    expect(page.get_by_role("status")).to_contain_text("What you had filled in is here again.")
    expect(label).to_have_value('Nr. "<1>"')
    expect(page.get_by_label("Format")).to_have_value("ndjson")
    expect(page.get_by_label("country", exact=True)).not_to_be_checked()
    assert troubles(page) == []
    page.reload()
    page.goto("/new/users")
    expect(page.get_by_label("Format")).to_have_value("csv")
    # The answer of the provider has done its work: nobody gets in by it again.
    other = page.context.new_page()
    other.goto(answers[-1])
    expect(other.get_by_role("alert")).to_contain_text("was used already")
    assert "waybill" in {each["name"] for each in page.context.cookies()}
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign out of Acme's <b>people</b> too")).to_be_visible()
    assert troubles(page) == []


def test_every_failure_to_sign_in_has_a_page_that_keeps_nobody_out(
    new_page: Callable[..., Page],
    strict_api: str,
    openid: OpenidProvider,
    troubles: Callable[[Page], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openid, "asks", False)
    monkeypatch.setattr(openid, "person", {"sub": "browser-otto"})
    away, denied = "the sign-in service does not answer", "access was denied or broken off"
    failures: dict[str, tuple[str, Any]] = {
        away: ("broken", {"/token": 503}),
        "did not accept our request": ("broken", {"/token": 400}),
        denied: ("refusal", "access_denied"),
        "but not for this service": ("change", lambda claims: claims | {"aud": "other"}),
        "the clocks of the two services differ": ("change", lambda claims: claims | {"exp": 1}),
    }
    page = new_page(base_url=strict_api)
    found = []

    def look(what: str, *, everyhow: bool = False) -> None:
        # One template: the texts differ, and are looked at narrow and wide, light and dark.
        for scheme, width in product(("light", "dark"), (320, 1_280)):
            if everyhow or (scheme == "light") == (width == 320):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 900})
                found.extend((what, scheme, width, each) for each in troubles(page))

    for said, (name, value) in failures.items():
        with monkeypatch.context() as change:
            change.setattr(openid, name, value)
            page.goto("/signin/oidc?next=/operate")
        expect(page.get_by_role("alert")).to_contain_text(said)
        page.get_by_text("For your administrator").click()
        look(said, everyhow=said == away)
    # An answer that this browser did not ask for.
    page.goto(f"/signin/callback?state={'x' * 43}&code=y")
    expect(page.get_by_role("alert")).to_contain_text("This sign-in does not open anything")
    look("another's answer")
    # In at last, and led to what the person has no right to.
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url("**/exports")
    page.goto("/operate")
    expect(page.get_by_text("You may not see this page.")).to_be_visible()
    look("no rights")
    for why in ("over", "recent", "used"):
        page.goto(f"/signin?why={why}")
        look(why)
    assert found == []


def test_without_script_everything_works_by_buttons(
    new_page: Callable[..., Page], portal_link: Callable[..., str]
) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(portal_link("browser-bob", USER, "/new/nobody"))
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("There would be no rows in it.")).to_be_visible()
    page.get_by_role("button", name="Request the export").click()
    # The page refreshes itself until the export is over.
    expect(page.get_by_role("link", name="Download the file")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You are signed out.")


def test_nothing_on_any_page_keeps_people_out(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    troubles: Callable[[Page], list[Any]],
) -> None:
    """axe-core finds nothing serious, light and dark, at 320 and at 1,280 pixels."""
    found = []
    for scheme in ("light", "dark"):
        page = new_page(color_scheme=scheme)
        page.goto(portal_link("browser-eve", ADMIN))
        page.wait_for_url("**/exports")
        paths = [
            "/signin",
            "/new",
            "/new/users",
            "/exports",
            "/operate",
            "/operate/audit",
            "/exports/none",
        ]
        newest = page.context.request.get("/api/admin/exports?limit=1").json()["items"]
        for path in [*paths, *(f"/exports/{each['id']}" for each in newest)]:
            for width in (320, 1_280):
                page.set_viewport_size({"width": width, "height": 900})
                page.goto(path)
                found += [(path, scheme, width, each) for each in troubles(page)]
    assert found == []


def test_who_watches_outlives_a_restart_a_reload_and_another_tab(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    waiting_job: Callable[[str], str],
    running: Any,
    troubles: Callable[[Page], list[Any]],
) -> None:
    pages = {}
    jobs = {}
    for name in ("stays", "loses its job", "loses its session"):
        who = f"browser-{name.replace(' ', '-')}"
        jobs[name] = waiting_job(who)
        page = pages[name] = new_page()
        page.goto(portal_link(who, USER, f"/exports/{jobs[name]}"))
        page.wait_for_url(f"**/exports/{jobs[name]}")
        expect(page.get_by_text("It waits for its turn.")).to_be_visible()
    processes = running.service.processes
    processes.api.kill()
    try:
        lost = pages["stays"].get_by_role("status")
        expect(lost).to_contain_text("The connection is lost. The export goes on")
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute("SET search_path = waybill")
            connection.execute("DELETE FROM export_jobs WHERE id = %s", (jobs["loses its job"],))
            connection.execute(
                "DELETE FROM page_sessions WHERE person ->> 'subject' = %s",
                ("browser-loses-its-session",),
            )
    finally:
        processes.start_api()
    gone = pages["loses its job"].get_by_role("status")
    expect(gone).to_have_text("This export is not there any more.")
    over = pages["loses its session"].get_by_role("status")
    expect(over).to_contain_text("Your session is over. The export goes on.")
    again = over.get_by_role("link", name="Sign in again")
    expect(again).to_have_attribute(
        "href", f"/signin?why=over&next=/exports/{jobs['loses its session']}"
    )
    stays = pages["stays"]
    expect(stays.locator("[data-field=trouble]")).to_be_hidden()
    assert troubles(stays) == []
    stays.reload()
    expect(stays.get_by_text("It waits for its turn.")).to_be_visible()
    # Cancelled in one tab, it is over in the other too, without a word to it.
    other = stays.context.new_page()
    other.goto(f"/exports/{jobs['stays']}")
    other.get_by_role("button", name="Cancel the export").click()
    for tab in (other, stays):
        expect(tab.get_by_text("This export was cancelled. No file was made.")).to_be_visible()


def test_page_asks_where_something_holds_its_events_back(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    waiting_job: Callable[[str], str],
    running: Any,
) -> None:
    page = new_page()
    page.clock.install()
    # As behind a middleware that reads whole answers: nothing comes until all of it has.
    page.route("**/events", lambda route: None)
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url.rpartition("/")[2]))
    job = waiting_job("browser-held")
    page.goto(portal_link("browser-held", USER, f"/exports/{job}"))
    expect(page.get_by_text("It waits for its turn.")).to_be_visible()
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute("UPDATE waybill.export_jobs SET rows_done = 1234 WHERE id = %s", (job,))
    page.clock.fast_forward(10_000)
    expect(page.locator("[data-field=rows]")).to_have_text("1,234")
    # And goes on asking, of which nobody need know.
    expect(page.locator("[data-field=trouble]")).to_be_hidden()
    other = page.context.new_page()
    other.goto(f"/exports/{job}")
    other.get_by_role("button", name="Cancel the export").click()
    expect(other.get_by_text("This export was cancelled.")).to_be_visible()
    page.clock.fast_forward(10_000)
    expect(page.get_by_text("This export was cancelled. No file was made.")).to_be_visible()
    assert asked.count("events") == 1


def test_failure_says_what_to_do_and_an_administrator_replays_it(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    running: Any,
    troubles: Callable[[Page], list[Any]],
) -> None:
    page = new_page()
    page.goto(portal_link("browser-fay", USER, "/new/doubled"))
    page.wait_for_url("**/new/doubled")
    page.get_by_role("button", name="Request the export").click()
    page.wait_for_url("**/exports/*-*")
    expect(page.get_by_text("key that does not identify its rows")).to_be_visible()
    assert troubles(page) == []
    path = page.url.removeprefix(running.url)
    boss = new_page()
    boss.goto(portal_link("browser-boss", ADMIN, "/operate"))
    boss.wait_for_url("**/operate")
    letter = boss.get_by_role("listitem").filter(has=boss.locator(f'a[href="{path}"]'))
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM doubled").fetchone() or (0,)
        connection.execute("TRUNCATE doubled")
        connection.execute("INSERT INTO doubled VALUES (1)")
        try:
            letter.get_by_role("button", name="Replay").click()
            boss.wait_for_url(f"**{path}")
            expect(boss.get_by_role("link", name="Download the file")).to_be_visible()
        finally:
            connection.execute("TRUNCATE doubled")
            connection.execute("INSERT INTO doubled SELECT 1 FROM generate_series(1, %s)", (rows,))
    page.reload()
    expect(page.get_by_role("link", name="Download the file")).to_be_visible()


def test_quota_that_is_used_up_and_data_that_would_be_script_are_shown_as_such(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    strict_api: str,
    troubles: Callable[[Page], list[Any]],
) -> None:
    host = bearer("host", ["exports:portal", *USER])
    page = new_page(base_url=strict_api)
    page.goto(portal_link("browser-quinn", USER, "/new/odd", url=strict_api, token=host))
    page.wait_for_url("**/new/odd")
    page.get_by_role("button", name="Preview").click()
    preview = page.locator("#preview")
    expect(preview.get_by_role("cell", name="<script>alert(1)</script>")).to_be_visible()
    expect(preview.get_by_role("columnheader", name="<i>cell</i>")).to_be_visible()
    expect(preview.get_by_role("cell", name="invoice⟨U+202E⟩xslx.exe")).to_be_visible()
    expect(page).to_have_title(re.compile(re.escape("in⟨U+202E⟩voice</title><script>")))
    assert page.locator("main script, main img, main i").count() == 0
    assert troubles(page) == []
    page.goto("/new/users")
    expect(page.get_by_text("1 of 1 export left for today.")).to_be_visible()
    page.get_by_role("button", name="Request the export").click()
    page.wait_for_url("**/exports/*-*")
    page.goto("/new/users")
    page.get_by_label("Format").select_option("ndjson")
    page.get_by_role("button", name="Request the export").click()
    expect(page.get_by_text("You have used up your exports for today.").first).to_be_visible()
    assert troubles(page) == []


WEEK_MILLISECONDS = 7 * 86_400 * 1_000
HOSTILE = "in\u202evoice\"; touch 'x' <img src=x onerror=alert(4)>.csv"


def test_page_that_was_kept_for_a_week_and_a_file_of_a_bad_name(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    running: Any,
    troubles: Callable[[Page], list[Any]],
) -> None:
    page = new_page()
    page.clock.install()
    page.goto(portal_link("browser-wes", USER, "/new/nobody"))
    page.wait_for_url("**/new/nobody")
    page.get_by_role("button", name="Request the export").click()
    page.wait_for_url("**/exports/*-*")
    download = page.get_by_role("link", name="Download the file")
    expect(download).to_be_visible()
    export_id = page.url.rpartition("/")[2]

    def change(statement: str) -> None:
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute("SET search_path = waybill")
            connection.execute(statement.encode(), {"id": export_id, "name": HOSTILE})

    change(
        "UPDATE export_jobs SET file_name = %(name)s, manifest = jsonb_set(manifest::jsonb,"
        " '{file_name}', to_jsonb(%(name)s::text)) WHERE id = %(id)s"
    )
    page.reload()
    saved = "in_voice_; touch 'x' _img src=x onerror=alert(4)_.csv"
    with page.expect_download() as file:
        download.click()
    assert file.value.suggested_filename == saved
    with page.expect_download() as file:
        page.get_by_role("link", name="Download the manifest").click()
    assert file.value.suggested_filename == f"{saved}.manifest.json"
    # What is to be typed is one word each, whatever the name holds.
    shown = page.get_by_text("waybill verify").inner_text()
    assert shlex.split(shown) == ["waybill", "verify", saved, f"{saved}.manifest.json"]
    assert page.locator("main img").count() == 0
    assert troubles(page) == []
    # A week later nothing has happened to it.
    page.clock.fast_forward(WEEK_MILLISECONDS)
    with page.expect_download():
        download.click()
    # A week later the file is gone.
    change("UPDATE export_jobs SET status = 'expired', object_key = NULL WHERE id = %(id)s")
    download.click()
    expect(page.get_by_text("The file was kept as long as promised")).to_be_visible()
    # Another page of those days: the session is over too.
    change("UPDATE export_jobs SET status = 'completed', object_key = 'none' WHERE id = %(id)s")
    page.goto(f"/exports/{export_id}")
    page.clock.fast_forward(WEEK_MILLISECONDS)
    change("DELETE FROM page_sessions WHERE person ->> 'subject' = 'browser-wes'")
    download.click()
    expect(page.get_by_role("status")).to_contain_text("Your session is over.")
    assert page.url.endswith(f"/signin?next=%2Fexports%2F{export_id}&why=over")
    assert troubles(page) == []


SHOP = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A shop</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'self' {url}; connect-src {url}">
<script type="module" src="shop.js"></script>
<script type="module" src="{url}/elements/waybill-export.js"></script>
</head><body><main><h1>A shop</h1><waybill-export type="users"></waybill-export></main></body>
</html>
"""
SHOP_SCRIPT = """
const element = document.querySelector("waybill-export");
window.told = [];
for (const name of ["requested", "completed", "failed", "error"]) {
  addEventListener(`waybill:${name}`, (event) => {
    told.push([name, event.detail.code ?? event.detail.progress.rows]);
  });
}
element.token = async () => new URLSearchParams(location.search).get("token");
element.lang = new URLSearchParams(location.search).get("lang") ?? "";
"""


def test_element_works_on_another_site_that_is_listed(
    new_page: Callable[..., Page],
    strict_api: str,
    stock_site: tuple[str, Path],
    running: Any,
    troubles: Callable[[Page], list[Any]],
    tmp_path: Path,
) -> None:
    origin, directory = stock_site
    (directory / "shop.html").write_text(SHOP.replace("{url}", strict_api), encoding="utf-8")
    (directory / "shop.js").write_text(SHOP_SCRIPT, encoding="utf-8")
    token = bearer("element-ann", USER)
    page = new_page()
    page.goto(f"{origin}/shop.html?token={token}")
    expect(page.get_by_role("heading", name="Everybody's <b>users</b>")).to_be_visible()
    expect(page.get_by_text("1 of 1 export left for today.")).to_be_visible()
    # By keyboard, and followed by what is said to screen readers.
    page.get_by_role("button", name="Request the export").press("Enter")
    said = page.get_by_role("status").filter(has_text="Ready: 2,000 rows")
    expect(said).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download").click()
    saved.value.save_as(tmp_path / "users.csv")
    assert saved.value.suggested_filename.endswith(".csv")
    with (tmp_path / "users.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 2_001
    page.get_by_role("button", name="Request the export").click()
    refused = page.get_by_role("status").filter(has_text="You have used up your exports for today.")
    expect(refused).to_contain_text("The next is possible in")
    assert page.evaluate("told") == [
        ["requested", 0],
        ["completed", 2_000],
        ["error", "quota_exceeded"],
    ]
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (320, 1_280):
            page.set_viewport_size({"width": width, "height": 900})
            found += [(scheme, width, each) for each in troubles(page)]
    assert found == []
    # A file of a bad name in its list, and a type of one.
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE waybill.export_jobs SET file_name = %s WHERE requested_by = 'element-ann'",
            (f"in\u202evoice\r\n<script>alert(5)</script> {'very long ' * 40}.csv",),
        )
    page.reload()
    with page.expect_download() as saved:
        page.get_by_role("listitem").get_by_role("button", name="Download").click()
    begins = "in_voice_script_alert(5)_script_ very long "
    assert re.fullmatch(
        re.escape(begins) + r"[a-z ]{90,110}\.csv", saved.value.suggested_filename
    ), saved.value.suggested_filename
    page.evaluate("document.querySelector('waybill-export').setAttribute('type', 'odd')")
    title = "in⟨U+202E⟩voice</title><script>alert(3)</script>"
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.set_viewport_size({"width": 320, "height": 900})
    assert troubles(page) == []
    page.goto(f"{origin}/shop.html?lang=de&token=nonsense")
    expect(page.get_by_text("Sie sind nicht mehr angemeldet.")).to_be_visible()
    expect(page.get_by_role("button", name="Noch einmal versuchen")).to_be_visible()
    # The same page by a name that is not listed: the browser keeps the answers from it.
    page.goto(f"{origin.replace('localhost', '127.0.0.1')}/shop.html?token={token}")
    expect(page.get_by_text("whose address is not on its list.")).to_be_visible()
    assert page.evaluate("told[0]") == ["error", "origin_not_listed"]


REPOSITORY = Path(__file__).parents[4]
REACT = """
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { UserExport } from "./UserExport";

const getToken = async () => new URLSearchParams(location.search).get("token");

function Product() {
  const [isThere, setThere] = useState(true);
  return (
    <StrictMode>
      <button onClick={() => setThere(!isThere)}>Hide or show</button>
      {isThere && <UserExport getToken={getToken} />}
    </StrictMode>
  );
}

createRoot(document.getElementById("root")).render(<Product />);
"""


def test_element_asks_where_streams_are_kept_from_it_and_goes_on_after_a_reload(
    new_page: Callable[..., Page],
    strict_api: str,
    stock_site: tuple[str, Path],
    waiting_job: Callable[[str], str],
) -> None:
    origin, directory = stock_site
    (directory / "shop.html").write_text(SHOP.replace("{url}", strict_api), encoding="utf-8")
    (directory / "shop.js").write_text(SHOP_SCRIPT, encoding="utf-8")
    waiting_job("element-bob")
    page = new_page()
    page.route("**/events", lambda route: route.abort())
    for _ in range(2):
        page.goto(f"{origin}/shop.html?token={bearer('element-bob', USER)}")
        expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    page.evaluate("window.before = document.querySelector('waybill-export')")
    other = page.context.new_page()
    other.goto(f"{origin}/shop.html?token={bearer('element-bob', USER)}")
    other.get_by_role("button", name="Cancel the export").click()
    for tab in (other, page):
        said = tab.get_by_role("status").filter(has_text="This export was cancelled.")
        expect(said).to_be_visible()
        expect(tab.get_by_role("button", name="Request the export")).to_be_visible()


def test_example_of_react_runs_on_another_site(
    new_page: Callable[..., Page],
    strict_api: str,
    stock_site: tuple[str, Path],
    bundle: Callable[[Path], None],
    running: Any,
) -> None:
    """The guide's own lines, built as a product builds them."""
    origin, directory = stock_site
    guide = (REPOSITORY / "docs" / "pages.md").read_text(encoding="utf-8")
    example = guide.partition("```jsx\n")[2].partition("```")[0]
    assert "https://exports.example.com" in example
    source = directory / "react"
    source.mkdir()
    (source / "UserExport.jsx").write_text(
        example.replace("https://exports.example.com", strict_api), encoding="utf-8"
    )
    (source / "main.jsx").write_text(REACT, encoding="utf-8")
    bundle(source)
    page_text = SHOP.replace("{url}", strict_api).replace("shop.js", "react/main.js")
    element_tags = (
        f'<script type="module" src="{strict_api}/elements/waybill-export.js"></script>\n',
        '<waybill-export type="users"></waybill-export>',
    )
    for tag, instead in zip(element_tags, ("", '<div id="root"></div>'), strict=True):
        assert tag in page_text
        page_text = page_text.replace(tag, instead)
    (directory / "react.html").write_text(page_text, encoding="utf-8")
    page = new_page()
    page.goto(f"{origin}/react.html?token={bearer('react-ann', USER)}")
    page.get_by_role("button", name="Request the export").click()
    # What the element told the component, and what the component had told the element.
    expect(page.get_by_text("2000 rows are ready.")).to_be_visible()
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        made = connection.execute(
            "SELECT options -> 'columns', options ->> 'compression' FROM waybill.export_jobs"
            " WHERE requested_by = 'react-ann'"
        ).fetchall()
    assert [([each["name"] for each in columns], how) for columns, how in made] == [
        (["id", "email"], "gzip")
    ]
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download").click()
    assert saved.value.suggested_filename.endswith(".csv.gz")
    # Taken away, it is gone for good, and put back it is there again.
    page.get_by_role("button", name="Hide or show").click()
    expect(page.get_by_role("button", name="Request the export")).to_be_hidden()
    page.get_by_role("button", name="Hide or show").click()
    expect(page.get_by_role("button", name="Download")).to_be_visible()
