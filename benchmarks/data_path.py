"""CPU seconds of each step of the data path, apart: the figures of ADR-0008 and ADR-0009.

python benchmarks/data_path.py [--users 1000000] [--runs 3] [--only server,client,storage,compress]

Wall-clock time says little on a machine that others use, so CPU seconds of the process that does
the work are reported: the backend for what PostgreSQL prints (sent to /dev/null), this process
for what the client takes, SeaweedFS for what storage costs. The least of all runs counts.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psutil
import psycopg
from isal import isal_zlib

from waybill.catalog.model import ExportType, TableSource
from waybill.formats import get_encoder, read_options
from waybill.formats.compress import CODECS, FRAME_BYTES
from waybill.formats.plan import ExportPlan
from waybill.local.sample import create_users
from waybill.local.stack import LocalStack
from waybill.source.source import PostgresSource

USERS = ExportType("users", TableSource("public", "users"), key=("id",))
PART_BYTES = 8 * 1024 * 1024

# The sample users with each value rendered by its type and ``to_json`` left to texts and arrays:
# the alternative to ``row_to_json`` that came nearest (ADR-0009).
ASSEMBLED = r"""
SELECT '{"id":' || id || ',"public_id":"' || public_id || '","email":' || to_json(email)
  || ',"full_name":' || to_json(full_name) || ',"phone":' || coalesce(to_json(phone)::text, 'null')
  || ',"country":' || to_json(country) || ',"city":' || coalesce(to_json(city)::text, 'null')
  || ',"birth_date":' || coalesce('"' || birth_date || '"', 'null') || ',"balance":' || balance
  || ',"is_active":' || is_active || ',"tags":' || to_json(tags) || ',"preferences":'
  || preferences || ',"notes":' || coalesce(to_json(notes)::text, 'null') || ',"created_at":"'
  || replace(created_at::text, ' ', 'T') || ':00","last_login_at":'
  || coalesce('"' || replace(last_login_at::text, ' ', 'T') || ':00"', 'null') || '}'
FROM users ORDER BY id"""
RAW_CSV = r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="server,client,storage,compress")
    arguments = parser.parse_args()
    steps = {"server": _server, "client": _client, "storage": _storage, "compress": _compress}
    with (
        tempfile.TemporaryDirectory(prefix="waybill-path-") as directory,
        LocalStack(Path(directory) / "stack") as stack,
    ):
        create_users(stack.addresses.postgres_dsn, arguments.users)
        for name in arguments.only.split(","):
            steps[name](stack, arguments.runs)


def _report(step: str, what: str, seconds: float, extra: str = "") -> None:
    print(f"{step:9} {what:48} {seconds:7.2f} CPU s {extra}", flush=True)


def _statement(dsn: str, format_name: str, **options: object) -> str:
    with (
        PostgresSource(dsn).open_snapshot(lambda: None) as snapshot,
        psycopg.connect(dsn) as connection,
    ):
        plan = ExportPlan(
            USERS,
            snapshot.resolve(USERS),
            get_encoder(format_name),
            read_options(format_name, options),
        )
        return get_encoder(format_name).open(plan).statement.as_string(connection)


def _server(stack: LocalStack, runs: int) -> None:
    dsn = stack.addresses.postgres_dsn
    statements = {
        "COPY of the table as CSV": "COPY users TO STDOUT (FORMAT csv)",
        "CSV in key order": "COPY (SELECT * FROM users ORDER BY id) TO STDOUT (FORMAT csv)",
        "CSV as exported, without the guard": _statement(dsn, "csv", formula_guard=False),
        "CSV as exported": _statement(dsn, "csv"),
        "COPY of row_to_json": "COPY (SELECT row_to_json(u) FROM users u) TO STDOUT",
        "NDJSON as exported": _statement(dsn, "ndjson"),
        "JSON assembled by type": f"COPY ({ASSEMBLED}) TO STDOUT {RAW_CSV}",
        "json_build_object": (
            "COPY (SELECT json_build_object('id', id, 'public_id', public_id, 'email', email, "
            "'full_name', full_name, 'phone', phone, 'country', country, 'city', city, "
            "'birth_date', birth_date, 'balance', balance, 'is_active', is_active, 'tags', tags, "
            "'preferences', preferences, 'notes', notes, 'created_at', created_at, "
            f"'last_login_at', last_login_at) FROM users ORDER BY id) TO STDOUT {RAW_CSV}"
        ),
        "row_to_json, string_agg of 500": (
            "COPY (SELECT string_agg(row_to_json(u)::text, E'\\n' ORDER BY id) FROM users u "
            f"GROUP BY id / 500) TO STDOUT {RAW_CSV}"
        ),
    }
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET jit = off; SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'")
        connection.execute("SET max_parallel_workers_per_gather = 0")
        backend = psutil.Process(connection.info.backend_pid)
        for what, statement in statements.items():
            to_nowhere = statement.replace("TO STDOUT", "TO '/dev/null'").encode()
            _report(
                "server", what, _least(runs, backend, lambda s=to_nowhere: connection.execute(s))
            )


def _client(stack: LocalStack, runs: int) -> None:
    dsn, me = stack.addresses.postgres_dsn, psutil.Process()
    psql = ["psql", "--quiet", dsn, "--command", r"\copy users to stdout with (format csv)"]
    psql[0] = str(stack.client_binary("psql"))

    def run_psql() -> None:
        subprocess.run(psql, check=True, stdout=subprocess.DEVNULL)

    _report("client", "psql \\copy to /dev/null", _least(runs, me, run_psql))

    def read(*, is_encoding: bool, is_large: bool = True) -> None:
        with PostgresSource(dsn).open_snapshot(lambda: None) as snapshot:
            plan = ExportPlan(
                USERS, snapshot.resolve(USERS), get_encoder("csv"), read_options("csv", {})
            )
            encoding = get_encoder("csv").open(plan)
            for chunk in snapshot.copy(encoding.statement, is_large=is_large):
                if is_encoding:
                    encoding.encode(chunk)

    def read_by_cursor() -> None:
        with (
            psycopg.connect(dsn) as connection,
            connection.cursor() as cursor,
            cursor.copy("COPY users TO STDOUT (FORMAT csv)") as copy,
        ):
            for _ in copy:
                pass

    _report("client", "psycopg cursor.copy()", _least(runs, me, read_by_cursor))
    as_it_comes = _least(runs, me, lambda: read(is_encoding=False, is_large=False))
    _report("client", "rows read as they come", as_it_comes)
    _report("client", "rows read in batches", _least(runs, me, lambda: read(is_encoding=False)))
    _report("client", "rows read and encoded", _least(runs, me, lambda: read(is_encoding=True)))
    data = _csv(dsn)

    def digest() -> None:
        hashlib.sha256(data)

    _report("client", "SHA-256, each time", _least(runs, me, digest), f"{len(data) / 1e6:.0f} MB")


def _storage(stack: LocalStack, runs: int) -> None:
    data = _csv(stack.addresses.postgres_dsn)
    client: Any = stack.seaweedfs.client()
    weed = psutil.Process(_child("weed"))
    bucket = stack.addresses.s3_bucket

    for part_type in (None, "application/octet-stream", "binary/octet-stream"):

        def name_type(params: dict[str, Any], part_type: str | None = part_type, **_: Any) -> None:
            if part_type:
                params["headers"]["Content-Type"] = part_type

        def upload() -> None:
            key = "data-path"
            begun = client.create_multipart_upload(
                Bucket=bucket, Key=key, ContentType="text/csv; charset=utf-8"
            )["UploadId"]
            parts = []
            for number, start in enumerate(range(0, len(data), PART_BYTES), start=1):
                answer = client.upload_part(
                    Bucket=bucket,
                    Key=key,
                    UploadId=begun,
                    PartNumber=number,
                    Body=data[start : start + PART_BYTES],
                )
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=begun, MultipartUpload={"Parts": parts}
            )
            client.delete_object(Bucket=bucket, Key=key)

        client.meta.events.register("before-call.s3.UploadPart", name_type, unique_id="type")
        what = f"SeaweedFS, parts of type {part_type or '(none)'}"
        _report("storage", what, _least(runs, weed, upload), f"{len(data) / 1e6:.0f} MB")
        client.meta.events.unregister("before-call.s3.UploadPart", unique_id="type")


def _compress(stack: LocalStack, runs: int) -> None:
    data = _csv(stack.addresses.postgres_dsn)[: 100 * 1024 * 1024]
    me = psutil.Process()
    ways: dict[str, Callable[[bytes], bytes]] = {
        name: cast("Callable[[bytes], bytes]", codec.compress) for name, codec in CODECS.items()
    }
    ways["gzip, isal level 3"] = lambda frame: isal_zlib.compress(frame, 3, 31)
    for name, compress in ways.items():
        sizes: list[int] = []

        def run(compress: Callable[[bytes], bytes] = compress, sizes: list[int] = sizes) -> None:
            frames = range(0, len(data), FRAME_BYTES)
            sizes.append(sum(len(compress(data[at : at + FRAME_BYTES])) for at in frames))

        seconds = _least(runs, me, run)
        ratio = f"{len(data) / sizes[0]:.2f} times smaller, {len(data) / seconds / 1e6:.0f} MB/s"
        _report("compress", name, seconds, ratio)


def _csv(dsn: str) -> bytes:
    with (
        psycopg.connect(dsn) as connection,
        connection.cursor() as cursor,
        cursor.copy("COPY users TO STDOUT (FORMAT csv)") as copy,
    ):
        return b"".join(copy)


def _least(runs: int, process: psutil.Process, work: Callable[[], object]) -> float:
    least = float("inf")
    for _ in range(runs):
        before = _cpu(process)
        work()
        time.sleep(0.1)
        least = min(least, _cpu(process) - before)
    return least


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def _child(name: str) -> int:
    for child in psutil.Process().children(recursive=True):
        if child.name() == name:
            return child.pid
    sys.exit(f"no process {name} of this stack")


if __name__ == "__main__":
    main()
