"""Whose turn it is: what a tenant waits behind another's crowd, and what claims in turn cost."""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from house import House
from measure import Measurement

from waybill.client import ExportClient

_CROWD = 10_000
_MANY = 80
_CROWD_SECONDS = 300.0
_QUEUE_MANY = """
INSERT INTO export_jobs (id, export_type, format, requested_by, tenant, max_attempts, created_at)
SELECT gen_random_uuid(), %s, 'csv', 'p' || mod(n, 1000), %s || mod(n, %s),
    3, now() + n * interval '1 microsecond'
FROM generate_series(1, %s) AS n
"""
_CLAIM = (
    "claim_fairest_export(uuid, uuid, text, interval, integer, integer, jsonb, jsonb, text, text)"
)
# The claim that there was before: the job that the message names, and no list of who waits.
_NAMED = """
CREATE OR REPLACE FUNCTION claim_fairest_export(
    notified uuid, token uuid, holder text, lease interval,
    per_tenant integer, per_person integer, per_type jsonb, per_source jsonb,
    waiting_code text, waiting_message text
) RETURNS SETOF export_jobs LANGUAGE plpgsql AS $$
DECLARE
    claimed export_jobs%ROWTYPE;
BEGIN
    UPDATE export_jobs SET
        status = 'running', attempt = attempt + 1, lease_token = token,
        lease_expires_at = clock_timestamp() + lease, started_at = clock_timestamp(),
        next_attempt_at = NULL, updated_at = clock_timestamp(), is_stream = false,
        rows_done = 0, bytes_done = 0, rows_expected = NULL, rows_expected_exact = false,
        error_code = NULL, error_message = NULL, error_cause = NULL
    WHERE id = notified AND status = 'queued' AND next_attempt_at <= clock_timestamp()
        AND attempt < max_attempts
    RETURNING * INTO claimed;
    IF FOUND THEN
        INSERT INTO export_attempts (lease_token, export_id, attempt, worker)
        VALUES (token, claimed.id, claimed.attempt, holder);
        RETURN NEXT claimed;
    END IF;
END
$$
"""


def waiting(house: House, rows: int) -> Measurement:
    """How long one job waits behind 10,000 of another tenant, and how many of those go first."""
    house.table(rows)
    endpoint = house.service().endpoint
    crowd = f"crowd-{secrets.token_hex(4)}-"
    with _database(house) as database:
        database.execute(_QUEUE_MANY.encode(), (f"users-{rows}", crowd, 1, _CROWD))
        of_crowd = b"FROM export_jobs WHERE tenant = %s || '0' AND started_at IS NOT NULL"
        try:
            _wait(lambda: _one(database, b"SELECT count(*) >= 8 " + of_crowd, crowd))
            with ExportClient(endpoint.url, endpoint.token) as client:
                # Told apart by an option: equal requests of one person would be one job.
                export_id = client.request(
                    f"users-{rows}", options={"null_text": secrets.token_hex(8)}
                ).id
                client.wait(export_id)
                asked, started = database.execute(
                    b"SELECT created_at, started_at FROM export_jobs WHERE id = %s", (export_id,)
                ).fetchone() or (None, None)
                client.discard(export_id)
            before = _one(
                database,
                b"SELECT count(*) " + of_crowd + b" AND started_at BETWEEN %s AND %s",
                crowd, asked, started,
            )  # fmt: skip
            service = _one(
                database,
                b"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY finished_at - started_at) "
                + of_crowd + b" AND status = 'completed'",
                crowd,
            )  # fmt: skip
        finally:
            _end(database, crowd)
    wait: dt.timedelta = started - asked
    return Measurement(
        wait.total_seconds(),
        extra={
            "jobs_before": float(before),
            "queued": float(_CROWD),
            "service_seconds": service.total_seconds(),
            "service_times": wait / service,
        },
    )


def claims(queued: int) -> Callable[[House, int], Measurement]:
    """One claim by the database's own time, with so many jobs queued; nothing of it is kept."""

    def run(house: House, rows: int) -> Measurement:
        house.service()
        times = []
        with psycopg.connect(house.stack.addresses.postgres_dsn) as database:
            database.execute(_QUEUE_MANY.encode(), (f"users-{rows}", "claims-", 100, queued))
            for _ in range(60):
                began = time.perf_counter()
                database.execute(
                    b"SELECT id FROM claim_fairest_export(gen_random_uuid(), gen_random_uuid(),"
                    b" 'w/1/f', '1 min', NULL, NULL, '{}', '[]', NULL, NULL)"
                ).fetchone()
                times.append(time.perf_counter() - began)
            database.rollback()
        # The first ones make plans.
        return Measurement(statistics.median(times[10:]), extra={"queued": float(queued)})

    return run


def served(*, in_turn: bool) -> Callable[[House, int], Measurement]:
    """Many queued jobs of ten tenants, from the first that starts to the last that ends: with
    claims in turn, or with each message's own job taken, as it was before."""

    def run(house: House, rows: int) -> Measurement:
        house.table(rows)
        house.service()
        crowd = f"served-{secrets.token_hex(4)}-"
        with _database(house) as database, _claims_as(database, in_turn=in_turn):
            cpu = house.meter()
            database.execute(_QUEUE_MANY.encode(), (f"users-{rows}", crowd, 10, _MANY))
            mine = b"FROM export_jobs WHERE starts_with(tenant, %s)"
            try:
                _wait(
                    lambda: _one(
                        database, b"SELECT bool_and(status NOT IN ('queued', 'running')) " + mine,
                        crowd,
                    )
                )  # fmt: skip
                used = cpu.stop()
                seconds = float(
                    _one(
                        database,
                        b"SELECT extract(epoch FROM max(finished_at) - min(started_at)) " + mine,
                        crowd,
                    )
                )
            finally:
                _end(database, crowd)
        return Measurement(
            seconds,
            cpu=used,
            extra={"jobs_per_second": _MANY / seconds, "cpu_seconds": sum(used.values())},
        )

    return run


@contextlib.contextmanager
def _claims_as(database: psycopg.Connection[Any], *, in_turn: bool) -> Iterator[None]:
    """For the block, have claims as they are, or as they were; no worker has work meanwhile."""
    if in_turn:
        yield
        return
    kept = _one(database, b"SELECT pg_get_functiondef(%s::regprocedure)", _CLAIM)
    triggers = ("export_jobs_keep_turns_on_insert", "export_jobs_keep_turns_on_update")
    database.execute(_NAMED.encode())
    for each in triggers:
        database.execute(f"ALTER TABLE export_jobs DISABLE TRIGGER {each}".encode())
    try:
        yield
    finally:
        database.execute(kept.encode())
        for each in triggers:
            database.execute(f"ALTER TABLE export_jobs ENABLE TRIGGER {each}".encode())


def _database(house: House) -> psycopg.Connection[Any]:
    return psycopg.connect(house.stack.addresses.postgres_dsn, autocommit=True)


def _one(database: psycopg.Connection[Any], query: bytes, *values: Any) -> Any:
    row = database.execute(query, values).fetchone()
    return None if row is None else row[0]


def _wait(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _CROWD_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def _end(database: psycopg.Connection[Any], crowd: str) -> None:
    database.execute(
        b"UPDATE export_jobs SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL"
        b" WHERE starts_with(tenant, %s) AND status = 'queued'",
        (crowd,),
    )
    _wait(lambda: not _one(database, b"SELECT count(*) FROM export_jobs WHERE status = 'running'"))
