"""What is measured: the service's own ways to deliver, and its peers.

Every work delivers all columns of one table of sample users. A registry by name; each has one
function that runs it once and returns its ``Measurement``.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import before
import httpx
import turns
from house import House
from many_jobs import JOBS, many_jobs
from measure import Measurement, PeakMemory, largest_process_mib, run_process
from psycopg.conninfo import conninfo_to_dict

from waybill.client import ExportClient
from waybill.jobs.job import ExportStatus

HERE = Path(__file__).parent
_ZSTD_MAGIC = bytes.fromhex("28b52ffd")
_PEER_SECONDS = 1200.0
_SMALL_ROWS = 5_000  # below it a look at memory would disturb what it looks at


class NotAvailable(Exception):
    """This version of the service does not offer the work."""


@dataclass(frozen=True)
class Work:
    """``seconds_per_million`` and ``fixed_seconds`` are rough, for the progress bar alone."""

    name: str
    label: str
    run: Callable[[House, int], Measurement]
    seconds_per_million: float
    fixed_seconds: float = 0.3


# -- the service --------------------------------------------------------------------------------


def _request(house: House, rows: int, body: dict[str, Any]) -> str:
    response = house.client().post(f"/api/users-{rows}/export", json=body)
    if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        raise NotAvailable(response.json().get("detail", "refused"))
    response.raise_for_status()
    return str(response.json()["id"])


def job(
    format: str, compression: str | None = None, *, download: bool = False
) -> Callable[[House, int], Measurement]:
    """POST to ``completed`` as the client sees it, through API, queue, worker and S3."""

    def run(house: House, rows: int) -> Measurement:
        house.table(rows)
        endpoint = house.service().endpoint
        body = {"format": format} | ({"compression": compression} if compression else {})
        with ExportClient(endpoint.url, endpoint.token) as client, _memory(house, rows) as memory:
            house.client()
            cpu = house.meter()
            started = time.perf_counter()
            job = client.wait(_request(house, rows, body))
            seconds = time.perf_counter() - started
            used = cpu.stop()
            extra: dict[str, float] = {}
            if download:
                target = house.files / "downloaded"
                client.download(job.id, target)
                extra["downloaded_seconds"] = time.perf_counter() - started
                target.unlink()
            manifest = client.manifest(job.id)
            head = _first_bytes(house, str(job.id)) if compression else b""
            client.discard(job.id)
        if job.status is not ExportStatus.COMPLETED or manifest["rows"] != rows:
            raise RuntimeError(f"The manifest says {manifest['rows']} rows, not {rows}.")
        if compression == "zstd" and head != _ZSTD_MAGIC:
            raise NotAvailable("the service took the request but did not compress")
        return Measurement(
            seconds,
            cpu=used,
            peak_mib=memory.mib or None,
            largest_process_mib=largest_process_mib(house.worker_pid),
            bytes=job.bytes,
            extra=extra,
        )

    return run


def _first_bytes(house: House, export_id: str) -> bytes:
    endpoint = house.service().endpoint
    response = httpx.get(
        f"{endpoint.url}/api/exports/{export_id}/download",
        headers={"Authorization": f"Bearer {endpoint.token}", "Range": "bytes=0-3"},
        follow_redirects=True,
        timeout=30,
    )
    return response.content[:4]


def _memory(house: House, rows: int) -> PeakMemory:
    return PeakMemory(*([house.worker_pid] if rows > _SMALL_ROWS else []))


def _stream(format: str) -> Callable[[House, int], Measurement]:
    """The streaming endpoint: to the last byte, and to the first."""

    def run(house: House, rows: int) -> Measurement:
        house.table(rows)
        processes = house.service().processes
        endpoint = house.service().endpoint
        with PeakMemory(processes.api.pid) as memory:
            cpu = house.meter()
            received, first = 0, 0.0
            started = time.perf_counter()
            with httpx.stream(
                "GET",
                f"{endpoint.url}/api/users-{rows}/export/stream?format={format}",
                headers={"Authorization": f"Bearer {endpoint.token}"},
                timeout=600,
            ) as response:
                if response.status_code == httpx.codes.NOT_FOUND:
                    raise NotAvailable("the service has no streaming endpoint")
                response.raise_for_status()
                for chunk in response.iter_raw(256 * 1024):
                    first = first or time.perf_counter() - started
                    received += len(chunk)
            seconds = time.perf_counter() - started
        return Measurement(
            seconds,
            cpu=cpu.stop(),
            peak_mib=memory.mib,
            bytes=received,
            extra={"first_byte_seconds": first},
        )

    return run


def _throughput(concurrency: int) -> Callable[[House, int], Measurement]:
    """Many small jobs at once: jobs per second, all requested before the first is waited for."""

    def run(house: House, rows: int) -> Measurement:
        house.table(rows)
        measured = many_jobs(house, rows, concurrency)
        seconds = measured["seconds"]
        return Measurement(seconds, cpu=measured["cpu"], extra={"jobs_per_second": JOBS / seconds})

    return run


# -- what the specification's first row would have been ------------------------------------------


def _sync_rest(house: House, rows: int) -> Measurement:
    """A naive endpoint in an application of its own: the whole answer built, then sent."""
    spec = {"dsn": house.stack.addresses.postgres_dsn, "table": house.table(rows)}
    return _peer_process(house, "sync_rest", spec, rows=rows, to_s3=False)


# -- peers --------------------------------------------------------------------------------------


def _peer(script: str, format: str, *, to_s3: bool = True) -> Callable[[House, int], Measurement]:
    def run(house: House, rows: int) -> Measurement:
        spec: dict[str, Any] = {
            "dsn": house.stack.addresses.postgres_dsn,
            "table": house.table(rows),
            "format": format,
            "directory": str(house.files),
            "psql": str(house.stack.client_binary("psql")),
        }
        return _peer_process(house, script, spec, rows=rows, to_s3=to_s3)

    return run


def _libpq_environment(dsn: str) -> dict[str, str]:
    """Return a DSN as psql's variables: no password on a command line."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
             "dbname": "PGDATABASE"}  # fmt: skip
    return {names[key]: str(value) for key, value in conninfo_to_dict(dsn).items() if key in names}


def _peer_process(
    house: House, script: str, spec: dict[str, Any], *, rows: int, to_s3: bool
) -> Measurement:
    key = f"peers/{secrets.token_hex(4)}"
    path = house.files / secrets.token_hex(4)
    spec |= {"s3": house.s3_spec(key), "path": str(path), "rows": rows}
    env = {**os.environ, "BENCH_PEER": json.dumps(spec), **_libpq_environment(spec["dsn"])}
    try:
        measured, output = run_process(
            [sys.executable, str(HERE / "peers" / f"{script}.py")],
            env,
            meter=house.meter,
            timeout=_PEER_SECONDS,
        )
        figures = json.loads(output.strip().splitlines()[-1]) if output.strip() else {}
        # A peer that serves rather than writes says itself how long that took.
        measured.seconds = figures.pop("seconds", measured.seconds)
        measured.bytes = figures.pop("bytes", None)
        measured.extra |= figures
        if to_s3:
            measured.bytes = house.size_of(key)
            house.s3().delete_object(Bucket=spec["s3"]["bucket"], Key=key)
        elif path.exists():
            measured.bytes = path.stat().st_size
    finally:
        path.unlink(missing_ok=True)
    return measured


WORKS: dict[str, Work] = {
    work.name: work
    for work in (
        Work("job_csv", "waybill job, CSV", job("csv"), 6),
        Work("job_csv_zstd", "waybill job, CSV + zstd", job("csv", "zstd"), 5),
        Work("job_ndjson", "waybill job, NDJSON", job("ndjson"), 8),
        Work("job_parquet", "waybill job, Parquet", job("parquet"), 8),
        Work("job_download", "waybill job, and download", job("csv", download=True), 8),
        Work("stream_csv", "waybill stream, CSV", _stream("csv"), 8),
        Work("sync_rest", "naive synchronous endpoint", _sync_rest, 30, 2.0),
        Work("psql_file_csv", "psql \\copy to a file, CSV", _peer("psql_file", "csv", to_s3=False),
             3, 0.1),
        Work("psql_s3_csv", "psql | boto3, CSV", _peer("psql_s3", "csv"), 6, 0.6),
        Work("psql_s3_ndjson", "psql row_to_json | boto3, NDJSON", _peer("psql_s3", "ndjson"),
             9, 0.6),
        Work("adbc_parquet", "ADBC + pyarrow, Parquet", _peer("adbc_parquet", "parquet"), 6, 1.0),
        Work("duckdb_csv", "DuckDB, CSV", _peer("duckdb_csv", "csv"), 8, 1.0),
        Work("polars_csv", "polars + ConnectorX, CSV", _peer("polars_csv", "csv"), 10, 1.2),
        Work("pandas_csv", "pandas in chunks, CSV", _peer("pandas_csv", "csv"), 40, 1.5),
        Work("sqlalchemy_csv", "SQLAlchemy + csv", _peer("sqlalchemy_csv", "csv"), 25, 1.2),
        Work("django_csv", "django-import-export, CSV", _peer("django_import_export", "csv"),
             250, 1.5),
        Work("throughput_1", "60 small jobs, 1 worker process", _throughput(1), 0, 6.0),
        Work("throughput_2", "60 small jobs, 2 worker processes", _throughput(2), 0, 12.0),
        Work("small_jobs_now", "60 small jobs, a stack of their own",
             before.small_jobs(is_previous=False), 0, 40.0),
        Work("small_jobs_before", "60 small jobs of the release before",
             before.small_jobs(is_previous=True), 0, 40.0),
        Work("floor_csv", "libpq loop, one SHA-256, bare upload", _peer("floor_csv", "csv"),
             5, 0.6),
        Work("fair_wait", "one job behind another tenant's 10,000", turns.waiting, 0, 10.0),
        Work("claim_100", "one claim, 100 jobs queued", turns.claims(100), 0, 0.5),
        Work("claim_100000", "one claim, 100,000 jobs queued", turns.claims(100_000), 0, 30.0),
        Work("served_in_turn", "80 queued jobs, claimed in turn", turns.served(in_turn=True),
             0, 8.0),
        Work("served_as_named", "80 queued jobs, each claimed by its own message",
             turns.served(in_turn=False), 0, 8.0),
    )
}  # fmt: skip
