"""The pages and the element in a real browser, against names, people and moments of the worst
kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import bearer
from .test_pages import ADMIN, USER

SCRIPT = "<img src=x onerror=alert(6)>\"'</td><script>alert(7)</script>{{ 7 * 7 }}"
# Turned around, invisible, joined to what is before it, and of another direction.
ODD = f"\u202e\u3164e\u0301\U000e0061مرحبا{SCRIPT}"
LONG = f"{ODD}{'W' * 150}"
OUTSIDE = """
[...document.querySelectorAll("main *")].filter((each) => {
  const { left, right, width } = each.getBoundingClientRect();
  const scrolls = each.closest("[tabindex], .scroll, pre, table, svg, .hidden, .visually-hidden");
  return width > 1 && !scrolls && (left < -1 || right > innerWidth + 1);
}).map((each) => `${each.tagName}.${each.className}`)
"""
ROWS = """
INSERT INTO export_jobs (id, export_type, format, requested_by, tenant, status, attempt,
  max_attempts, started_at, finished_at, next_attempt_at, error_code, error_message, error_cause)
VALUES ('00000000-0000-4000-8000-00000000bad0', 'users', 'csv', %(long)s, %(long)s, 'failed', 1, 3,
  now(), now(), NULL, %(odd)s, %(odd)s, 'permanent');
INSERT INTO export_attempts (lease_token, export_id, attempt, worker, started_at, ended_at, outcome,
  error_code, message)
VALUES (gen_random_uuid(), '00000000-0000-4000-8000-00000000bad0', 1, %(long)s, now(), now(),
  'failed', %(odd)s, %(odd)s);
INSERT INTO notifications (id, event_id, event, export_id, channel, target, payload, status,
  attempts, settled_at, last_error_code)
VALUES (gen_random_uuid(), gen_random_uuid()::text, 'export.failed',
  '00000000-0000-4000-8000-00000000bad0', 'webhook', %(long)s, '{}', 'dead', 8, now(), %(odd)s)
"""


@pytest.fixture
def odd_rows(running: Any) -> Iterator[str]:
    """An export that failed, whose every text is somebody's worst. Gives its id."""
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute("SET search_path = waybill")
        for statement in ROWS.split(";"):
            connection.execute(statement.encode(), {"long": LONG, "odd": ODD})
        yield "00000000-0000-4000-8000-00000000bad0"
        connection.execute("DELETE FROM export_jobs WHERE requested_by = %s", (LONG,))


def test_texts_of_the_worst_kind_run_nothing_and_keep_their_place(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    odd_rows: str,
    troubles: Callable[[Page], list[Any]],
) -> None:
    page = new_page(viewport={"width": 320, "height": 900})
    page.goto(portal_link("W" * 255, ADMIN, "/operate"))
    page.wait_for_url("**/operate")
    found = []
    for path in ("/operate", "/operate/audit", f"/exports/{odd_rows}", "/exports", "/new/users"):
        page.goto(path)
        shown = page.locator("main").inner_text()
        assert not {"\u202e", "\u3164", "\U000e0061"} & set(shown)
        found += [(path, each) for each in troubles(page)]
        assert page.locator("main img, main script").count() == 0
        # As a reader from right to left has it: nothing falls off either side.
        page.evaluate("document.documentElement.dir = 'rtl'")
        found += [(path, "rtl", each) for each in [*troubles(page), *page.evaluate(OUTSIDE)]]
    assert found == []
    page.goto("/operate")
    expect(page.get_by_text("⟨U+202E⟩⟨U+3164⟩e\u0301⟨U+E0061⟩مرحبا<img").first).to_be_visible()
    # By the link of its cause, which holds all of that.
    page.locator("#dead ~ .cause a").filter(has_text="Show").or_(
        page.locator(".plain-list a").filter(has_text="⟨U+202E⟩")
    ).first.click()
    page.wait_for_url(re.compile("code="))
    expect(page.locator("#dead ~ .cause")).to_have_count(1)
    assert troubles(page) == []


def test_form_that_was_stopped_is_sent_again_and_keys_do_what_a_pointer_does(
    new_page: Callable[..., Page], portal_link: Callable[..., str]
) -> None:
    page = new_page()
    page.clock.install()
    page.goto(portal_link("browser-sue", USER, "/new/nobody"))
    page.wait_for_url("**/new/nobody")
    sent: list[str] = []

    def stop(route: Any) -> None:
        if route.request.method != "POST" or sent:
            route.continue_()
            return
        sent.append(route.request.url)
        route.abort("aborted")

    page.route("**/new/nobody", stop)
    request = page.get_by_role("button", name="Request the export")
    request.click()
    expect(request).to_be_visible()
    page.clock.fast_forward(10_000)
    request.press("Enter")
    page.wait_for_url("**/exports/*-*")
    expect(page.get_by_role("link", name="Download the file")).to_be_visible()
    assert len(sent) == 1
    # Each stop of the tab key is seen.
    page.locator(".skip").focus()
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    assert set(seen) == {"solid"}
    sure = page.get_by_text("Delete the file …")
    sure.press("Enter")
    expect(page.get_by_text("The file is gone for good then.")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_text("The file is gone for good then.")).to_be_hidden()
    expect(sure).to_be_focused()


def test_who_watches_a_stream_that_says_nothing_is_told_all_the_same(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    waiting_job: Callable[[str], str],
) -> None:
    job = waiting_job("browser-sil")
    page = new_page()
    # A language by the name that a system has for it, which no formatter takes.
    page.add_init_script(
        "Object.defineProperty(navigator, 'languages', {value: ['en-US@posix', 'en-GB']})"
    )
    page.clock.install()
    page.route("**/events", lambda _route: None)  # a proxy that holds it back for good
    page.goto(portal_link("browser-sil", USER, f"/exports/{job}"))
    page.wait_for_url(f"**/exports/{job}")
    expect(page.get_by_text("It waits for its turn.")).to_be_visible()
    expect(page.locator("time").first).not_to_contain_text("UTC")
    page.request.post(f"/exports/{job}/discard", headers={"Sec-Fetch-Site": "same-origin"})
    page.clock.run_for(11_000)
    expect(page.get_by_text("This export was cancelled. No file was made.")).to_be_visible()


def test_nothing_of_who_signed_out_is_shown_by_going_back(
    chromium: Browser,
    find_program: Callable[[str, str], str],
    running: Any,
    portal_link: Callable[..., str],
) -> None:
    """In a browser that keeps pages for going back, as those of people do."""
    browser = chromium.browser_type.launch(
        executable_path=find_program("chromium", "chromium"),
        args=["--no-sandbox"],
        ignore_default_args=["--disable-back-forward-cache"],
    )
    try:
        page = browser.new_context(base_url=running.url, locale="en-GB").new_page()
        page.set_default_timeout(60_000)
        page.goto(portal_link("browser-gone", USER))
        page.wait_for_url("**/exports")
        page.goto("/new/users")
        # Another tab shows nothing of them either, and sends no form again.
        other = page.context.new_page()
        other.set_default_timeout(60_000)
        other.goto("/new/users")
        other.get_by_role("button", name="Preview").click()
        other.locator("#preview").wait_for()
        page.get_by_role("button", name="Sign out").click()
        other.wait_for_url("**/signin?next=%2Fnew%2Fusers*")
        expect(page.get_by_role("status")).to_have_text("You are signed out.")
        page.go_back()
        page.wait_for_url("**/signin?next=%2Fnew%2Fusers*")
        assert "browser-gone" not in page.content()
    finally:
        browser.close()


def test_colours_that_a_reader_forces_still_tell_what_colours_tell(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    troubles: Callable[[Page], list[Any]],
) -> None:
    page = new_page(forced_colors="active", reduced_motion="reduce")
    page.goto(portal_link("browser-hal", ADMIN, "/operate"))
    page.wait_for_url("**/operate")
    paints = page.evaluate(
        """[...document.querySelectorAll('.key'), document.body].map((each) =>
          getComputedStyle(each, each === document.body ? null : '::before').backgroundColor)"""
    )
    assert len(set(paints)) == 3, paints
    chosen, other = page.evaluate(
        """[...document.querySelectorAll('.tabs a')].map((each) => [each.hasAttribute(
          'aria-current'), getComputedStyle(each).borderTopWidth]).sort().reverse().slice(0, 2)"""
    )
    assert chosen[1] != other[1]
    assert troubles(page) == []


OWN = """async () => {
  const { WaybillExport } = await import("/elements/waybill-export.js");
  window.streams = [];
  const ask = window.fetch;
  window.held = null;
  window.asked = 0;
  window.fetch = async (...given) => {
    if (String(given[0]).endsWith("/events")) streams.push(given[0]);
    asked += 1;
    if (held === null || given[1]?.method !== "POST") {
      return ask(...given).finally(() => { asked -= 1; });
    }
    // The list is read anew while the answer is on its way.
    await one.refresh();
    return ask(`/api/exports/${held}`);
  };
  for (const name of ["one", "two"]) {
    const element = document.createElement("waybill-export");
    element.id = name;
    element.setAttribute("type", name === "one" ? "users" : "nobody");
    document.querySelector("main").append(element);
  }
}"""


def test_element_on_its_own_origin_lives_with_another_moves_and_says_when_a_session_is_over(
    new_page: Callable[..., Page],
    portal_link: Callable[..., str],
    running: Any,
    waiting_job: Callable[[str], str],
    troubles: Callable[[Page], list[Any]],
) -> None:
    page = new_page()
    page.goto(portal_link("browser-two", USER, "/exports/none"))
    page.wait_for_url("**/exports/none")
    page.evaluate(OWN)
    one, two = page.locator("#one"), page.locator("#two")
    request = one.get_by_role("button", name="Request the export")
    expect(request).to_have_attribute("aria-disabled", "false")
    # Its list may be slower: it would show the job that comes next, and no button.
    page.evaluate("async () => { while (asked) await new Promise((go) => setTimeout(go, 20)); }")
    page.evaluate("id => { window.held = id; }", waiting_job("browser-two"))
    request.click()
    expect(one.get_by_role("progressbar", name="Progress")).to_be_visible()
    page.evaluate("window.held = null")
    # Whatever asks anew, one export is listened to once.
    page.evaluate("async () => { for (let n = 0; n < 3; n += 1) await one.refresh(); }")
    assert len(page.evaluate("streams")) == 1
    two.get_by_role("button", name="Request the export").click()
    expect(two.get_by_role("status").filter(has_text="Ready: 0 rows")).to_be_visible()
    expect(one.get_by_role("progressbar", name="Progress")).to_be_visible()
    # Taken away and put elsewhere, it goes on there.
    page.evaluate("() => { const e = one; e.remove(); document.querySelector('main').prepend(e); }")
    expect(one.get_by_role("progressbar", name="Progress")).to_be_visible()
    assert troubles(page) == []
    with page.expect_download():
        two.get_by_role("button", name="Download").click()
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute(
            "DELETE FROM waybill.page_sessions WHERE person ->> 'subject' = 'browser-two'"
        )
    two.get_by_role("button", name="Download").click()
    over = two.get_by_role("status").filter(has_text="You are not signed in any more.")
    expect(over).to_be_visible()


# Styles of a page that resets all, its own direction, and a name of a language as a system has it.
RESET = """<!doctype html>
<html lang="ar" dir="rtl"><head><meta charset="utf-8"><title>A shop</title>
<meta name="viewport" content="width=device-width"><style>
* {all: unset} head {display: none} html {text-transform: uppercase; letter-spacing: 1em}</style>
<script>Object.defineProperty(navigator, "languages", {value: ["en-US@posix", "en-GB"]});</script>
<script type="module" src="{url}/elements/waybill-export.js"></script>
<script type="module">document.querySelector("waybill-export").token = () => "{token}";</script>
</head><body><waybill-export type="users"></waybill-export></body></html>
"""


# Without a window, as where pages are rendered on a server.
IMPORTED = """url => new Promise((go) => {
  const source = `import(${JSON.stringify(url)}).then(
    (module) => postMessage(Object.keys(module)), (error) => postMessage(String(error)))`;
  const script = new Blob([source], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(script), { type: "module" });
  worker.onmessage = (event) => go(event.data);
  worker.onerror = (event) => go(event.message);
})"""


def test_element_lives_in_a_page_of_resets_and_asks_again_what_got_no_answer(
    new_page: Callable[..., Page],
    strict_api: str,
    stock_site: tuple[str, Path],
    troubles: Callable[[Page], list[Any]],
) -> None:
    origin, directory = stock_site
    text = RESET.replace("{url}", strict_api)
    text = text.replace("{token}", bearer("element-rae", USER))
    (directory / "reset.html").write_text(text, encoding="utf-8")
    page = new_page(viewport={"width": 320, "height": 700})
    keys: list[str] = []
    away = [True]

    def answer(route: Any) -> None:
        if away[0]:
            # Of a proxy whose service is being restarted.
            route.fulfill(
                status=502, body="<h1>Bad</h1>", headers={"Access-Control-Allow-Origin": origin}
            )
            return
        if route.request.method == "POST":
            keys.append(route.request.headers["idempotency-key"])
            if len(keys) == 1:
                # Made, and nobody hears of it.
                route.fetch()
                route.abort()
                return
        route.continue_()

    page.route("**/api/**", answer)
    page.goto(f"{origin}/reset.html")
    module = f"{strict_api}/elements/waybill-export.js"
    assert page.evaluate(IMPORTED, module) == ["WaybillExport"]
    again = page.get_by_role("button", name="Try again")
    expect(page.get_by_text("The export service does not answer.")).to_be_visible()
    expect(again).to_have_attribute("aria-disabled", "false")
    away[0] = False
    again.click()
    request = page.get_by_role("button", name="Request the export")
    expect(page.get_by_text("1 of 1 export left for today.")).to_be_visible()
    style = page.locator("section").evaluate(
        "each => { const { direction, textAlign, textTransform, letterSpacing } ="
        " getComputedStyle(each); return [direction, textAlign, textTransform, letterSpacing]; }"
    )
    assert style == ["rtl", "right", "none", "normal"]
    # The words themselves are from left to right: a full stop is at their end.
    assert (
        page.locator("[part=quota]").evaluate("each => getComputedStyle(each).unicodeBidi")
        == "plaintext"
    )
    request.click()
    expect(page.get_by_text("The export service does not answer.")).to_be_visible()
    request.click()
    # One export a day is all there is: it is the one that was made.
    expect(page.get_by_text("Ready: 2,000 rows")).to_be_visible()
    assert keys == [keys[0], keys[0]]
    assert troubles(page) == []
