"""Photographs every page at 320 and 1,280 pixels, light and dark: ``make screenshots``.

A service of its own with a morning's worth of exports; the picture of each page is looked at by
people, not compared by a program. Needs Debian's ``chromium``.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import psycopg
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from waybill.local.sample import create_users
from waybill.local.service_stack import RunningService, running_service
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack

from ..integration.web.openid import CLIENT, SECRET, OpenidProvider

WIDTHS: Final = (320, 1_280)
SCHEMES: Final = ("light", "dark")
_WEBP_QUALITY: Final = 80
# What docs/pages.md shows, at half the size.
SHOWN: Final = (
    "request-1280-light",
    "running-320-dark",
    "ready-1280-light",
    "operate-1280-dark",
    "element-320-light",
    "failed-1280-light",
    "history-320-light",
)

CATALOG = """
[exports.users]
table = "public.users"
key = "id"
title = "Users"
columns = ["id", "country", { name = "email", label = "E-mail", pii = true },
  { name = "full_name", pii = true }, "notes", "created_at"]
filters = ["country", { name = "id", type = "integer" }]
since = { column = "created_at", pii = false }

[exports.monthly_statements_of_account_with_all_positions]
query = "SELECT id, country, created_at FROM public.users"
key = "id"
title = "Monthly statements of account, with all positions and their tax"

[exports.countries]
query = "SELECT country, count(*) AS users, 'مرحبا' AS greeting FROM public.users GROUP BY 1"
key = "country"
title = "Countries"
"""
HISTORY = """
INSERT INTO waybill.export_jobs (id, export_type, format, requested_by, tenant, status, attempt,
  max_attempts, created_at, started_at, finished_at, next_attempt_at, error_code, error_message,
  error_cause, rows_done, bytes_done, object_key, object_bytes, sha256, manifest, expires_at)
SELECT gen_random_uuid(), (ARRAY['users', 'countries',
    'monthly_statements_of_account_with_all_positions'])[1 + n % 3],
  (ARRAY['csv', 'parquet', 'xlsx'])[1 + n % 3], CASE WHEN n < 9 THEN 'ann' ELSE 'p' || n % 17 END,
  CASE WHEN n < 9 THEN 'acme' ELSE (ARRAY['acme', 'globex', 'initech'])[1 + n % 3] END,
  CASE WHEN n % 6 = 4 THEN 'failed' WHEN n = 7 THEN 'expired' ELSE 'completed' END, 1, 3,
  at, at, at + n % 50 * interval '1 second', NULL,
  CASE WHEN n % 6 = 4 THEN (ARRAY['deadline_exceeded', 'worker_lost'])[1 + n / 6 % 2] END,
  CASE WHEN n % 6 = 4 THEN 'x' END, CASE WHEN n % 6 = 4 THEN 'permanent' END,
  n * 7919 % 100000, n * 479001 % 90000000, 'none', n * 479001 % 90000000,
  repeat('0', 64), '{}', now() + n * interval '5 hours'
FROM (SELECT n, now() - n * n * interval '11 seconds' AS at FROM generate_series(1, 90) AS n) AS m
"""
WAITING = """
INSERT INTO waybill.export_jobs (id, export_type, format, requested_by, tenant, max_attempts,
  next_attempt_at) VALUES (%s, 'users', 'csv', 'ann', 'acme', 3, now())
"""
RUNNING = """
INSERT INTO waybill.export_jobs (id, export_type, format, requested_by, tenant, max_attempts,
  attempt, status, started_at, lease_token, lease_expires_at, rows_done, rows_expected,
  rows_expected_exact, bytes_done) VALUES (%s, 'users', 'csv', 'ann', 'acme', 3, 1, 'running',
  now() - interval '21 seconds', gen_random_uuid(), now() + interval '1 day', 61234, 100000, true,
  4123456)
"""
SHOP = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A shop</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body {{ font-family: system-ui; margin: 2rem 1rem; }}</style>
<script type="module" src="{url}/elements/waybill-export.js"></script>
<script type="module">document.querySelector("waybill-export").token = () => "{token}";</script>
</head><body><main><h1>A shop's own page</h1>
<waybill-export type="users"></waybill-export></main></body></html>
"""


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path(".waybill/screenshots"))
    parser.add_argument("--docs", type=Path, help="where those go that the guide shows")
    parser.add_argument("--only", default="", help="part of a name")

    given = parser.parse_args()
    shutil.rmtree(given.to, ignore_errors=True)
    given.to.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="waybill-screenshots-") as directory:
        here = Path(directory)
        (here / "waybill.toml").write_text(CATALOG, encoding="utf-8")
        site = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=here))
        threading.Thread(target=site.serve_forever, daemon=True).start()
        origin = f"http://localhost:{site.server_port}"
        with (
            _environment(WAYBILL_ELEMENT_ORIGINS=origin, WAYBILL_QUOTA_PER_DAY="20"),
            LocalStack(here / "stack", fast=True) as stack,
        ):
            create_users(stack.addresses.postgres_dsn, 2_000)
            with running_service(stack, catalog=str(here / "waybill.toml")) as service:
                (here / "shop.html").write_text(
                    SHOP.format(url=service.endpoint.url, token=service.endpoint.token),
                    encoding="utf-8",
                )
                with _beside(service, str(here / "waybill.toml"), here) as beside:
                    names = _take_all(service, f"{origin}/shop.html", beside, given.to, given.only)
        site.shutdown()
    for name in SHOWN if given.docs else ():
        picture = Image.open(given.to / f"{name}.webp")
        height = min(picture.height, picture.width * 2)
        picture = picture.crop((0, 0, picture.width, height))
        if picture.width > 640:
            picture = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))
        picture.save(given.docs / f"pages-{name}.webp", quality=_WEBP_QUALITY, method=6)
    size = sum(path.stat().st_size for path in given.to.iterdir())
    print(f"{names} pictures, {size / 1e6:.1f} MB, in {given.to}")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@contextmanager
def _beside(service: RunningService, catalog: str, logs: Path) -> Iterator[str]:
    """Run another API of the service, where people sign in at a provider. Gives its address."""
    provider = OpenidProvider()
    provider.refusal = "access_denied"
    environment = {
        **service.stack.as_environment(),
        "WAYBILL_CATALOG": catalog,
        "WAYBILL_PAGES": "true",
        "WAYBILL_OIDC_ISSUER": provider.issuer,
        "WAYBILL_OIDC_CLIENT_ID": CLIENT,
        "WAYBILL_OIDC_CLIENT_SECRET": SECRET,
        "WAYBILL_OIDC_NAME": "Acme",
    }
    processes = ServiceProcesses(environment, log_dir=logs, guard=service.stack.guard)
    processes.start_api()
    try:
        yield processes.url
    finally:
        processes.api.stop()
        provider.close()


def _environment(**values: str) -> Any:
    from unittest.mock import patch

    return patch.dict("os.environ", values)


def _take_all(service: RunningService, shop: str, beside: str, to: Path, only: str) -> int:
    url = service.endpoint.url
    headers = {"Authorization": f"Bearer {service.endpoint.token}"}
    ann = ["exports:request", "exports:read", "exports:pii"]
    boss = [*ann, "exports:admin", "exports:all-tenants"]

    def link(subject: str, scopes: list[str], tenant: str | None = "acme") -> str:
        body = {"subject": subject, "tenant": tenant, "scopes": scopes}
        made = httpx.post(f"{url}/api/portal-links", json=body, headers=headers)
        return str(made.raise_for_status().json()["url"])

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = _signed_in(browser, url, link("ann", ann), "light")
        done = _request(page)
        shop_page = browser.new_page()
        shop_page.goto(shop)
        shop_page.get_by_role("button", name="Request the export").click()
        shop_page.get_by_text("Ready:").wait_for()
        # From here on nothing moves.
        service.processes.scheduler.stop()
        service.processes.worker.stop()
        waiting, running = str(uuid4()), str(uuid4())
        with psycopg.connect(service.stack.addresses.postgres_dsn, autocommit=True) as connection:
            connection.execute(HISTORY)
            connection.execute(WAITING, (waiting,))
            connection.execute(RUNNING, (running,))
            (failed,) = connection.execute(
                "SELECT id FROM waybill.export_jobs"
                " WHERE status = 'failed' AND requested_by = 'ann'"
            ).fetchone() or ("",)
        pages: dict[str, tuple[str, str, Callable[[Page], None]]] = {
            "signin": ("nobody", "/signin", _nothing),
            "signin-provider": ("nobody", f"{beside}/signin?why=over", _nothing),
            "signin-refused": ("nobody", f"{beside}/signin/oidc", _nothing),
            "types": ("ann", "/new", _nothing),
            "request": ("ann", "/new/users", _nothing),
            "preview": ("ann", "/new/users", _preview),
            "waiting": ("ann", f"/exports/{waiting}", _nothing),
            "running": ("ann", f"/exports/{running}", _nothing),
            "ready": ("ann", f"/exports/{done}", _nothing),
            "failed": ("ann", f"/exports/{failed}", _nothing),
            "history": ("ann", "/exports", _nothing),
            "empty": ("zoe", "/exports", _nothing),
            "operate": ("boss", "/operate", _nothing),
            "audit": ("boss", "/operate/audit", _nothing),
            "missing": ("ann", "/exports/none", _nothing),
            "element": ("nobody", shop, lambda page: page.get_by_text("Recent").wait_for()),
        }
        taken = 0
        for scheme in SCHEMES:
            people = {
                "nobody": browser.new_context(base_url=url, color_scheme=scheme).new_page(),
                "ann": _signed_in(browser, url, link("ann", ann), scheme),
                "zoe": _signed_in(browser, url, link("zoe", ann), scheme),
                "boss": _signed_in(browser, url, link("boss", boss, None), scheme),
            }
            for name, (who, path, prepare) in pages.items():
                for width in WIDTHS:
                    if only not in name:
                        continue
                    page = people[who]
                    page.set_viewport_size({"width": width, "height": 800})
                    page.goto(path)
                    prepare(page)
                    _keep(page.screenshot(full_page=True), to / f"{name}-{width}-{scheme}.webp")
                    taken += 1
        browser.close()
    return taken


def _signed_in(browser: Browser, url: str, link: str, scheme: Any) -> Page:
    page = browser.new_context(base_url=url, color_scheme=scheme, locale="en-GB").new_page()
    page.goto(link)
    page.wait_for_url("**/exports")
    return page


def _request(page: Page) -> str:
    page.goto("/new/users")
    page.get_by_role("button", name="Request the export").click()
    page.get_by_role("link", name="Download the file").wait_for()
    return page.url.rpartition("/")[2]


def _nothing(_page: Page) -> None:
    pass


def _preview(page: Page) -> None:
    page.get_by_role("button", name="Preview").click()
    page.locator("#preview").wait_for()


def _keep(picture: bytes, path: Path) -> None:
    Image.open(io.BytesIO(picture)).save(path, quality=_WEBP_QUALITY, method=6)


if __name__ == "__main__":
    main()
