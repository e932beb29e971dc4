"""The element's module as it is served, and which pages of other origins may call the API."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

import waybill
from waybill.config import Settings
from waybill.web import element

from .conftest import Browser

SHOP = "https://shop.example"
DSN = "postgresql://nobody@localhost/none"
TOKEN = {"authorization": "Bearer test-token"}
FOLDER = Path(element.__file__).parent / "element"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"pages": True, "element_origins": (SHOP, "http://localhost:3000")}
    )


def test_module_says_what_the_pages_say_in_every_language() -> None:
    source = (FOLDER / element.MODULE).read_text(encoding="utf-8")
    assert source == element.with_texts(source), "run: python -m waybill.web.element"
    texts = element.element_texts()
    assert set(texts["en"]) == set(texts["de"])
    for key in ("says.queued", "status.failed", "explain.worker_lost", "element.ready"):
        assert key in texts["de"]


def test_module_needs_nothing_and_writes_no_markup() -> None:
    source = (FOLDER / element.MODULE).read_text(encoding="utf-8")
    code = source.partition("/* texts:end */")[2]
    assert "\nimport " not in source
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "Function(", ".style"):
        assert word not in code
    asked = {each.partition('"')[0] for each in code.split('#t("')[1:]}
    assert asked - set(element.element_texts()["en"]) == set()


def test_folder_is_a_package_of_npm_with_all_that_it_names() -> None:
    package = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    named = {package["main"], package["types"], *package["files"]}
    assert named <= {path.name for path in FOLDER.iterdir()}
    assert package["version"] == waybill.__version__
    assert "dependencies" not in package
    project = tomllib.loads((FOLDER.parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    assert package["license"] == project["project"]["license"]


async def test_module_is_served_to_every_origin(browser: Browser) -> None:
    answer = await browser.get("/elements/waybill-export.js", origin="https://anywhere.example")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.content == (FOLDER / element.MODULE).read_bytes()


ORIGINS = {
    SHOP: True,
    "http://localhost:3000": True,
    "http://shop.example": False,
    "https://shop.example:8443": False,
    "https://shop.example.evil.example": False,
    "https://evil-shop.example": False,
    "https://SHOP.example": False,
    "http://localhost:30001": False,
    "null": False,
    "*": False,
    "": False,
}


async def test_listed_origins_are_answered_and_no_other(browser: Browser) -> None:
    for origin, is_listed in ORIGINS.items():
        asked = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        before = await browser.http.options("/api/users/export", headers=asked)
        answers = [
            await browser.http.get("/api/exports", headers={"origin": origin} | TOKEN),
            # Errors too: the element says what was wrong.
            await browser.http.get("/api/exports", headers={"origin": origin}),
            await browser.http.get("/api/exports?colour=red", headers={"origin": origin} | TOKEN),
        ]
        assert [each.status_code for each in answers] == [200, 401, 422]
        assert before.status_code == (204 if is_listed else 403), origin
        for answer in (before, *answers):
            allowed = answer.headers.get("access-control-allow-origin")
            assert allowed == (origin if is_listed else None)
            # No cookie of a session crosses origins, whoever is listed.
            assert "access-control-allow-credentials" not in answer.headers
            assert "origin" in answer.headers["vary"].lower()


async def test_listed_origin_has_neither_pages_nor_somebodys_session(
    sign_in: Callable[..., Awaitable[Browser]],
) -> None:
    browser = await sign_in()
    foreign = {"origin": SHOP, "sec-fetch-site": "cross-site"}
    page = await browser.http.get("/exports", headers=foreign)
    assert "access-control-allow-origin" not in page.headers
    for method, path in (("POST", "/api/users/export"), ("GET", "/api/exports")):
        answer = await browser.http.request(method, path, headers=foreign)
        assert (answer.status_code, answer.json()["code"]) == (400, "foreign_request")
    form = await browser.http.post("/new/users", headers=foreign, data={"action": "request"})
    assert form.status_code == 403


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://App.example.com",
        "https://app.example.com:443",
        "http://app.example.com:80",
        "https://somebody@app.example.com",
        "ftp://app.example.com",
        "app.example.com",
        "https://",
    ],
)
def test_origin_that_no_browser_sends_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="as browsers send them"):
        Settings(database_url=DSN, element_origins=text)  # type: ignore[arg-type]


def test_origins_are_listed_with_commas() -> None:
    text = f"{SHOP}, http://localhost:3000,http://[::1]:8080"
    given = Settings(database_url=DSN, element_origins=text)  # type: ignore[arg-type]
    assert given.element_origins == (SHOP, "http://localhost:3000", "http://[::1]:8080")
