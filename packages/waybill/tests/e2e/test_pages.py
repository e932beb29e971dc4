"""The pages in a real browser, on the real service: what a person sees, with script and without."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from waybill.manifest import Manifest
from waybill.results.verify import verify_file

USER = ["exports:request", "exports:read"]
ADMIN = [*USER, "exports:pii", "exports:admin", "exports:all-tenants"]


@pytest.fixture(scope="module")
def chromium(find_program: Callable[[str, str], str]) -> Iterator[Browser]:
    path = find_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def portal_link(running: Any) -> Callable[..., str]:
    def make(subject: str, scopes: list[str], target: str = "/exports") -> str:
        answer = httpx.post(
            f"{running.url}/api/portal-links",
            json={"subject": subject, "scopes": scopes, "next": target},
            headers={"Authorization": f"Bearer {running.token}"},
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["url"])

    return make


@pytest.fixture
def new_page(chromium: Browser, running: Any) -> Iterator[Callable[..., Page]]:
    """Open a page in a browser of its own. What the page complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(base_url=running.url, locale="en-GB", **options)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Security Policy" in said.text else None,
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


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
    new_page: Callable[..., Page], portal_link: Callable[..., str]
) -> None:
    """axe-core finds nothing serious, light and dark, at 320 and at 1,280 pixels."""
    axe = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
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
                page.evaluate(axe)
                result = page.evaluate("axe.run()")
                found += [
                    (path, scheme, width, each["id"], [n["target"] for n in each["nodes"]][:3])
                    for each in result["violations"]
                    if each["impact"] in {"serious", "critical"}
                ]
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    found.append((path, scheme, width, "wider than the window", []))
    assert found == []
