"""A whole service that is watched, and the faults that are put into it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import jwt
import psycopg
import redis
from cryptography.hazmat.primitives.asymmetric import rsa

from waybill.jobs.queue_name import read_queue_name
from waybill.local.ports import LOOPBACK
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack

CATALOG: Final = """
[exports.users]
table = "public.users"
key = "id"

[exports.slow]
query = "SELECT 1 AS id, pg_sleep(14)::text AS slept"
urgency = "throttled"

[exports.broken]
query = "SELECT 1 / (SELECT count(*) FROM public.nobody) AS id"

[exports.conflicting]
query = "SELECT public.conflict() AS id"
"""
_TABLES: Final = """
CREATE TABLE users AS SELECT n AS id, repeat('x', 90) AS name FROM generate_series(1, 2000) AS n;
ALTER TABLE users ADD PRIMARY KEY (id);
CREATE TABLE nobody (id int);
CREATE FUNCTION conflict() RETURNS int LANGUAGE plpgsql STABLE AS
$$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$;
"""
_UNDER_WAY: Final = "SELECT count(*) FROM export_jobs WHERE status IN ('queued', 'running')"
_REST_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.5
FALLBACK_BYTES: Final = 220_000
SETTINGS: Final = {
    "WAYBILL_QUOTA_PER_DAY": "unlimited",
    "WAYBILL_MONITOR_SECONDS": "0.5",
    "WAYBILL_RETRY_BACKOFF_SECONDS": "0.1",
    "WAYBILL_STORAGE_SWEEP_SECONDS": "1",
    "WAYBILL_LEASE_SECONDS": "6",
    "WAYBILL_HEARTBEAT_SECONDS": "1",
    "WAYBILL_FALLBACK_MAX_BYTES": str(FALLBACK_BYTES),
    "WAYBILL_FALLBACK_TOTAL_BYTES": str(FALLBACK_BYTES),
    "WAYBILL_JWT_AUDIENCES": "waybill",
}


class Issuer:
    """An issuer of tokens, whose document can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        document = json.dumps({"keys": [{**public, "kid": "one", "use": "sig"}]}).encode()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(503 if issuer.is_away else 200)
                self.end_headers()
                self.wfile.write(b"" if issuer.is_away else document)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/keys"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def token(self, key_id: str = "one", subject: str = "operator") -> str:
        claims = {
            "sub": subject, "aud": "waybill", "exp": int(time.time()) + 3600,
            "scope": "exports:request exports:admin exports:all-tenants",
        }  # fmt: skip
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": key_id})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class House:
    """What faults are put into."""

    def __init__(self, stack: LocalStack, processes: ServiceProcesses, issuer: Issuer) -> None:
        self.stack = stack
        self.processes = processes
        self.issuer = issuer
        self.dsn = stack.addresses.postgres_dsn

    def request(self, export_type: str, times: int = 1) -> None:
        """Request exports, each as somebody else: equal requests of one person are one export."""
        for _ in range(times):
            token = self.issuer.token(subject=str(uuid4()))
            answer = httpx.post(
                f"{self.processes.url}/api/{export_type}/export",
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
            )
            answer.raise_for_status()

    def rest(self) -> None:
        """Wait until no export is under way: what one fault left is the next one's backlog."""
        deadline = time.monotonic() + _REST_SECONDS
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while connection.execute(_UNDER_WAY).fetchone() != (0,):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Exports are under way after {_REST_SECONDS:g} s.")
                time.sleep(_LOOK_SECONDS)

    def knock(self) -> None:
        """Come with a key that nobody knows, so that the document is fetched again."""
        token = self.issuer.token(f"key-{uuid4()}")
        httpx.get(
            f"{self.processes.url}/api/exports",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )


def prepare(dsn: str) -> None:
    """Make the tables that the catalog names."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_TABLES.encode())


Mend = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """One fault. ``put`` breaks something for its block; ``may`` are alerts that rightly fire with
    it, ``nudge`` is done every second while the alert is waited for."""

    name: str
    alert: str
    put: Callable[[House], AbstractContextManager[None]]
    may: tuple[str, ...] = ()
    nudge: Callable[[House], None] | None = None


@contextlib.contextmanager
def _backlog(house: House) -> Iterator[None]:
    house.request("slow", 4)  # on two places
    yield


@contextlib.contextmanager
def _worker(house: House) -> Iterator[None]:
    house.processes.worker.kill()
    yield
    house.processes.start_worker()


@contextlib.contextmanager
def _scheduler(house: House) -> Iterator[None]:
    house.processes.scheduler.kill()
    yield
    house.processes.start_scheduler()


@contextlib.contextmanager
def _api(house: House) -> Iterator[None]:
    house.processes.api.kill()
    yield
    house.processes.start_api()


@contextlib.contextmanager
def _storage(house: House) -> Iterator[None]:
    house.stack.seaweedfs.kill()
    yield
    house.stack.seaweedfs.start()


@contextlib.contextmanager
def _fallback(house: House) -> Iterator[None]:
    house.stack.seaweedfs.kill()
    house.request("users")
    yield
    house.stack.seaweedfs.start()


@contextlib.contextmanager
def _broker(house: House) -> Iterator[None]:
    house.stack.valkey.kill()
    yield
    house.stack.valkey.start()


@contextlib.contextmanager
def _issuer(house: House) -> Iterator[None]:
    house.issuer.is_away = True
    yield
    house.issuer.is_away = False


@contextlib.contextmanager
def _stuck(house: House) -> Iterator[None]:
    """A lease that ended, on a row that somebody holds, so that the sweeper cannot free it."""
    identity = uuid4()
    with psycopg.connect(house.dsn) as connection:
        connection.execute(
            "INSERT INTO export_jobs (id, export_type, format, requested_by, status, attempt,"
            " max_attempts, lease_token, lease_expires_at, started_at) VALUES"
            " (%s, 'users', 'csv', 'operator', 'running', 1, 3, %s, now() + interval '2 s', now())",
            [identity, uuid4()],
        )
        connection.execute(
            "INSERT INTO export_attempts (lease_token, export_id, attempt, worker)"
            " SELECT lease_token, id, 1, 'nobody' FROM export_jobs WHERE id = %s",
            [identity],
        )
        connection.commit()
        connection.execute("SELECT FROM export_jobs WHERE id = %s FOR UPDATE", [identity])
        yield
        connection.rollback()


@contextlib.contextmanager
def _requested(house: House, export_type: str, times: int) -> Iterator[None]:
    house.request(export_type, times)
    yield


@contextlib.contextmanager
def _foreign(house: House) -> Iterator[None]:
    with redis.Redis.from_url(house.stack.addresses.redis_url) as client:
        client.lpush(read_queue_name(house.dsn), *["not ours"] * 3)
    yield


FAULTS: Final[tuple[Fault, ...]] = (
    Fault("more exports than places", "WaybillQueueBacklog", _backlog),
    Fault("worker killed", "WaybillWorkerDown", _worker),
    Fault("scheduler killed", "WaybillSchedulerDown", _scheduler),
    Fault("API killed", "WaybillApiDown", _api),
    Fault("storage away", "WaybillStorageAway", _storage),
    Fault(
        "room for files in the database used up", "WaybillFallbackFills", _fallback,
        ("WaybillStorageAway",),
    ),
    Fault("broker away", "WaybillBrokerAway", _broker),
    Fault("lease over, row held", "WaybillExportsStuck", _stuck),
    Fault("exports that can't be done", "WaybillDeadLetters",
          lambda house: _requested(house, "broken", 4)),
    Fault("standby that cancels", "WaybillStandbyConflicts",
          lambda house: _requested(house, "conflicting", 2)),
    Fault("issuer's keys away", "WaybillKeysUnavailable", _issuer, nudge=House.knock),
    Fault("strangers in the queue", "WaybillForeignMessages", _foreign),
)  # fmt: skip


@contextlib.contextmanager
def house(stack: LocalStack, directory: Path, ports: dict[str, int]) -> Iterator[House]:
    """A service on a running stack, with figures on ``ports``."""
    prepare(stack.addresses.postgres_dsn)
    catalog = directory / "waybill.toml"
    catalog.write_text(CATALOG, encoding="utf-8")
    with contextlib.closing(Issuer()) as issuer:
        environment = {
            **stack.as_environment(),
            **SETTINGS,
            "WAYBILL_CATALOG": str(catalog),
            "WAYBILL_JWT_JWKS_URL": issuer.url,
        }
        processes = ServiceProcesses(
            environment, log_dir=stack.log_dir, guard=stack.guard, metrics_ports=ports
        )
        try:
            # One after the other: all at once are slow to come up on a small machine.
            processes.start_worker()
            processes.start_scheduler()
            processes.start_api()
            yield House(stack, processes, issuer)
        finally:
            processes.stop()
