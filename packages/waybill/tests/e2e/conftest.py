"""A real browser, and a second API beside the running service, with bounds of its own."""

from __future__ import annotations

import importlib.resources
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt as pyjwt
import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

import waybill.web
from waybill.local.services import ServiceProcesses

from ..integration.web.openid import CLIENT, OpenidProvider
from ..integration.web.openid import SECRET as CLIENT_SECRET
from ..neighbours import place_of

SECRET = "a secret that is long enough to sign with"
CATALOG = """
[exports.users]
table = "public.users"
key = "id"
title = "Everybody's <b>users</b>"

[exports.doubled]
table = "public.doubled"
key = "id"

[exports.odd]
title = "in\u202evoice</title><script>alert(3)</script>"
query = '''SELECT 1 AS id, '</td><script>alert(1)</script><img src=x onerror=alert(2)>'
    AS "<i>cell</i>", U&'invoice\\202Exslx.exe' AS "a\u202eb"'''
key = "id"
"""


def bearer(subject: str, scopes: list[str]) -> str:
    """Return a token that ``strict_api`` takes."""
    claims = {"sub": subject, "aud": "waybill", "exp": time.time() + 3_600}
    return pyjwt.encode(claims | {"scope": " ".join(scopes)}, SECRET, "HS256")


@pytest.fixture(scope="module")
def troubles() -> Callable[[Page], list[Any]]:
    """Return what keeps people out of a page as it is: what axe-core finds serious or critical, and
    whether the page is wider than its window."""
    files = importlib.resources.files("axe_playwright_python")
    axe = (files / "axe.min.js").read_text("utf-8")

    def find(page: Page) -> list[Any]:
        page.evaluate(axe)
        found: list[Any] = [
            (each["id"], [node["target"] for node in each["nodes"]][:3])
            for each in page.evaluate("axe.run()")["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append("wider than the window")
        return found

    return find


@pytest.fixture(scope="module")
def chromium(find_program: Callable[[str, str], str]) -> Iterator[Browser]:
    path = find_program("chromium", "chromium")
    with sync_playwright() as playwright:
        # As long as pages wait: five seconds are little on a busy machine.
        expect.set_options(timeout=60_000)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def portal_link(running: Any) -> Callable[..., str]:
    def make(
        subject: str,
        scopes: list[str],
        target: str = "/exports",
        *,
        url: str = running.url,
        token: str = running.token,
    ) -> str:
        answer = httpx.post(
            f"{url}/api/portal-links",
            json={"subject": subject, "scopes": scopes, "next": target},
            headers={"Authorization": f"Bearer {token}"},
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
        given = {"base_url": running.url, "locale": "en-GB"} | options
        context = chromium.new_context(**given)
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Security Policy" in said.text else None,
        )
        # What a script of a cell or a name would do.
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


class Stock(SimpleHTTPRequestHandler):
    """Files of a directory, and not a word about them."""

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def stock_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Somebody else's site: its origin, and the directory that it shows."""
    directory = tmp_path_factory.mktemp("stock")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Stock, directory=directory)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        # Another host than the service's: another site, and not only another port.
        yield f"http://localhost:{server.server_port}", directory
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def bundle(find_neighbour: Callable[[str, str], str]) -> Callable[[Path], None]:
    """Build ``main.jsx`` of a directory, with React and the element's package, into ``main.js``."""
    esbuild = find_neighbour("esbuild", "esbuild")
    element = Path(waybill.web.__file__).parent / "element"

    def build(directory: Path) -> None:
        modules = directory / "node_modules"
        modules.mkdir()
        (modules / "waybill-export").symlink_to(element)
        for name in ("react", "react-dom", "scheduler"):
            (modules / name).symlink_to(place_of(name) / "package")
        subprocess.run(
            [
                esbuild, "main.jsx", "--bundle", "--format=esm", "--jsx=automatic",
                "--preserve-symlinks", '--define:process.env.NODE_ENV="production"',
                "--outfile=main.js", "--log-level=warning",
            ],
            cwd=directory,
            check=True,
        )  # fmt: skip

    return build


@pytest.fixture(scope="module")
def openid() -> Iterator[OpenidProvider]:
    """Who signs people in to ``strict_api``."""
    provider = OpenidProvider()
    provider.asks = True
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def strict_api(
    running: Any,
    stock_site: tuple[str, Path],
    openid: OpenidProvider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of another API of the same service: one export a day for each person, a catalog
    of bad names, people of ``openid``, and ``stock_site`` among those that may embed the
    element."""
    catalog = tmp_path_factory.mktemp("strict") / "waybill.toml"
    catalog.write_text(CATALOG, encoding="utf-8")
    stack = running.service.stack
    environment = {
        **stack.as_environment(),
        "WAYBILL_CATALOG": str(catalog),
        "WAYBILL_JWT_SECRETS": SECRET,
        "WAYBILL_JWT_AUDIENCES": "waybill",
        "WAYBILL_PAGES": "true",
        "WAYBILL_QUOTA_PER_DAY": "1",
        "WAYBILL_ELEMENT_ORIGINS": stock_site[0],
        "WAYBILL_OIDC_ISSUER": openid.issuer,
        # The tokens of these tests are by a secret of their own.
        "WAYBILL_OIDC_SAME_SUBJECTS": "true",
        "WAYBILL_OIDC_CLIENT_ID": CLIENT,
        "WAYBILL_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "WAYBILL_OIDC_NAME": "Acme's <b>people</b>",
    }
    directory = tmp_path_factory.mktemp("strict-logs")
    processes = ServiceProcesses(environment, log_dir=directory, guard=stack.guard)
    processes.start_api()
    yield processes.url
    processes.api.stop()


@pytest.fixture
def waiting_job(running: Any) -> Callable[[str], str]:
    """Insert somebody's export that no worker takes: it is due in a year. Returns its id."""

    def insert(owner: str) -> str:
        export_id = str(uuid4())
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO waybill.export_jobs (id, export_type, format, requested_by,"
                " max_attempts, next_attempt_at) VALUES (%s, 'users', 'csv', %s, 3,"
                " now() + interval '1 year')",
                (export_id, owner),
            )
        return export_id

    return insert
