"""A service in processes of its own beside somebody's application: PgBouncer, which lends
connections per transaction, in front of both databases, and Flask, which signs people in."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import flask
import httpx
import jwt as pyjwt
import psycopg
import pytest

from waybill.client import ExportClient
from waybill.local.faults.poolers import pgbouncer
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.manifest import Manifest
from waybill.results.verify import verify_file

SECRET = "a secret that is long enough to sign with"
ROWS = 200_000  # which several connections read
CATALOG = """
[exports.orders]
table = "public.orders"
key = "id"

[exports.lines]
table = "public.lines"
key = "id"
consistency = "resumable"
"""


@dataclass(frozen=True)
class House:
    url: str
    source: str
    """The source itself, without a pooler."""


def token_of(person: str) -> str:
    claims = {"sub": person, "aud": "waybill", "exp": time.time() + 300}
    return pyjwt.encode(claims | {"scope": "exports:request exports:read"}, SECRET, "HS256")


@pytest.fixture(scope="module")
def house(local_stack: LocalStack, template: str) -> Iterator[House]:
    directory = Path(tempfile.mkdtemp(prefix="waybill-servers-", dir="/var/tmp"))
    directory.chmod(0o755)
    catalog = directory / "waybill.toml"
    catalog.write_text(CATALOG, encoding="utf-8")
    with (
        temporary_database(local_stack, template) as own,
        temporary_database(local_stack) as source,
        pgbouncer(own, directory, pool_size=5) as pooled_own,
        pgbouncer(source, directory, pool_size=10) as pooled_source,
    ):
        with psycopg.connect(source, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE orders AS SELECT n AS id, md5(n::text) AS code"
                f" FROM generate_series(1, {ROWS}) n"
            )
            connection.execute("ALTER TABLE orders ADD PRIMARY KEY (id)")
            connection.execute("CREATE TABLE lines AS SELECT * FROM orders WHERE id <= 5000")
            connection.execute("ALTER TABLE lines ADD PRIMARY KEY (id)")
            connection.execute("ANALYZE")
        environment = {
            **local_stack.as_environment(),
            "WAYBILL_DATABASE_URL": pooled_own,
            "WAYBILL_SOURCE_DSN": pooled_source,
            "WAYBILL_SOURCE_READERS": "3",
            # Not that of ``running``, whose worker has another catalog.
            "WAYBILL_REDIS_URL": local_stack.valkey.url(7),
            "WAYBILL_S3_PREFIX": directory.name,
            "WAYBILL_CATALOG": str(catalog),
            "WAYBILL_QUOTA_PER_DAY": "unlimited",
            "WAYBILL_JWT_SECRETS": SECRET,
            "WAYBILL_JWT_AUDIENCES": "waybill",
            "WAYBILL_TRUSTED_PROXIES": "127.0.0.1",
        }
        processes = ServiceProcesses(
            environment, log_dir=directory, guard=local_stack.guard, concurrency=1
        )
        try:
            processes.start_api()
            processes.start_worker()
            yield House(processes.url, source)
        finally:
            processes.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("export_type", ["orders", "lines"])  # in one snapshot, and resumable
def test_export_through_poolers_of_both_databases_arrives_whole(
    house: House, tmp_path: Path, export_type: str
) -> None:
    with ExportClient(house.url, token_of("ann")) as client:
        job = client.wait(client.request(export_type).id)
        target = client.download(job.id, tmp_path / "orders.csv")
        manifest = Manifest.load(client.manifest(job.id))
    # The table is called as its type.
    statement = f"COPY (SELECT * FROM {export_type} ORDER BY id) TO STDOUT (FORMAT csv)"
    with (
        psycopg.connect(house.source) as connection,
        connection.cursor().copy(statement.encode()) as rows,
    ):
        expected = b"".join(rows).replace(b"\n", b"\r\n")
    assert verify_file(target, manifest).is_whole
    assert manifest.rows == job.progress.rows == expected.count(b"\n")
    assert target.read_bytes() == b"id,code\r\n" + expected


def test_people_of_flask_ask_a_service_in_a_process_of_its_own(house: House) -> None:
    shop = flask.Flask("shop")
    shop.secret_key = "secret"

    @shop.post("/sign-in/<person>")
    def sign_in(person: str) -> str:
        flask.session["user"] = person
        return "welcome"

    @shop.get("/data-token")
    def data_token() -> str:
        if "user" not in flask.session:
            flask.abort(401)
        return token_of(flask.session["user"])

    def visitor(person: str) -> httpx.Client:
        browser = shop.test_client()
        assert browser.get("/data-token").status_code == 401
        browser.post(f"/sign-in/{person}")
        return httpx.Client(
            base_url=house.url,
            headers={
                "Authorization": f"Bearer {browser.get('/data-token').text}",
                # Of the proxy that both stand behind.
                "X-Forwarded-Prefix": "/data",
            },
        )

    with visitor("bob") as bob, visitor("eve") as eve:
        made = bob.post("/api/orders/export")
        assert made.status_code == 202, made.text
        link = httpx.URL(made.headers["location"])
        assert link.path == f"/data/api/exports/{made.json()['id']}"
        there = link.path.removeprefix("/data")
        assert bob.get(there).json()["links"]["self"].endswith(link.path)
        assert eve.get(there).status_code == 404
        assert bob.delete(there).status_code == 200
