"""Fixtures of more than one room: jobs on a real database; a table that goes in and the verified
file that comes out."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from waybill.bootstrap.everything import Services
from waybill.catalog.model import Column, ExportType, QuerySource, TableSource
from waybill.formats import get_encoder, read_options
from waybill.formats.compress import get_codec
from waybill.formats.plan import ExportPlan
from waybill.jobs.job import ExportJob
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.repository import ExportRepository
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.manifest import Manifest
from waybill.pipeline.parts import PartSizes
from waybill.pipeline.pipeline import Completion, run_pipeline
from waybill.pipeline.readers import Parallel
from waybill.results.verify import verify_file
from waybill.source.source import PostgresSource
from waybill.storage.s3.client import S3Options
from waybill.storage.s3.storage import S3Storage


@pytest.fixture
def repository(services: Services) -> ExportRepository:
    return services.repository


@pytest.fixture
def leases(services: Services) -> LeaseRepository:
    return services.leases


@pytest.fixture
def add(repository: ExportRepository) -> Callable[..., Awaitable[ExportJob]]:
    """Add a queued job of Ann's."""

    async def add(**values: Any) -> ExportJob:
        defaults: dict[str, Any] = {
            "export_type": "users",
            "format": "csv",
            "options": {},
            "requested_by": "ann",
            "tenant": None,
            "max_attempts": 3,
        }
        return await repository.add(**(defaults | values))

    return add


class RecordingControl:
    """A ``RunControl`` that keeps what it is told and stops when told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.reason: Exception | None = None
        self.checked = threading.Event()

    def progress(self, rows: int, bytes_done: int) -> None:
        self.calls.append((rows, bytes_done))

    def check(self) -> None:
        self.checked.set()
        if self.reason is not None:
            raise self.reason


@pytest.fixture
def control() -> RecordingControl:
    return RecordingControl()


@pytest.fixture
def dsn(local_stack: LocalStack) -> Iterator[str]:
    with temporary_database(local_stack) as dsn:
        yield dsn


@pytest.fixture
def run_sql(dsn: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Run a statement and return its rows, in a session set as an export's is."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET IntervalStyle = 'iso_8601'")

        def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

        yield run


@pytest.fixture
def storage(local_stack: LocalStack) -> S3Storage:
    """A storage of the test's own: nobody else's keys lie below its prefix."""
    addresses = local_stack.addresses
    return S3Storage(
        S3Options(
            bucket=addresses.s3_bucket,
            region=addresses.s3_region,
            endpoint_url=addresses.s3_endpoint_url,
            access_key_id=addresses.s3_access_key,
            secret_access_key=addresses.s3_secret_key,
            prefix=f"test-{secrets.token_hex(6)}",
        )
    )


@dataclass(frozen=True)
class Exported:
    """A finished export and its bytes as storage gives them."""

    data: bytes = field(repr=False)
    completion: Completion

    @property
    def manifest(self) -> Manifest:
        return self.completion.manifest


@pytest.fixture
def export(
    dsn: str, storage: S3Storage, control: RecordingControl, tmp_path: Path
) -> Callable[..., Exported]:
    """Export a table (by name) or a query, download the object and verify it."""

    def run(
        source: TableSource | QuerySource,
        format_name: str = "csv",
        *,
        key: tuple[str, ...] = (),
        columns: tuple[Column, ...] = (),
        options: dict[str, Any] | None = None,
        part_bytes: int = 8 * 1024 * 1024,
        compression: str | None = None,
        parallel: Parallel | None = None,
        where: sql.Composable | None = None,
    ) -> Exported:
        export_type = ExportType("things", source, key=key, columns=columns)
        # These tests compare with PostgreSQL's own text; the guard has tests of its own.
        is_guarding = "formula_guard" in get_encoder(format_name).options_model.model_fields
        unguarded = {"formula_guard": False} if is_guarding else {}
        with PostgresSource(dsn).open_snapshot(control.check) as snapshot:
            plan = ExportPlan(
                export_type,
                snapshot.resolve(export_type),
                get_encoder(format_name),
                read_options(format_name, {**unguarded, **(options or {})}),
                codec=None if compression is None else get_codec(compression),
                where=where,
            )
            snapshot.check_key(export_type)
            completion = run_pipeline(
                plan,
                snapshot,
                storage,
                f"{secrets.token_hex(6)}/file",
                control,
                export_id="11111111-2222-3333-4444-555555555555",
                created_at=datetime.now(UTC),
                part_sizes=PartSizes(first_bytes=part_bytes),
                expected_rows=snapshot.count_rows(export_type).rows,
                parallel=parallel,
            )
        data = b"".join(storage.read(completion.stored.key))
        path = tmp_path / f"{secrets.token_hex(6)}"
        path.write_bytes(data)
        report = verify_file(path, completion.manifest)
        report.raise_if_failed()
        assert report.rows == completion.manifest.rows
        return Exported(data, completion)

    return run


class S3Proxy:
    """A TCP proxy in front of S3 that spoils traffic: what the network and a bad server do.

    ``on_request`` and ``on_response`` are given each piece of traffic and return what to pass on
    instead; ``None`` cuts the connection. Signatures stay valid, since nothing else is changed.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.on_request: Callable[[bytes], bytes | None] = lambda data: data
        self.on_response: Callable[[bytes], bytes | None] = lambda data: data
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._sockets += [client, server]
                for source, sink, request in ((client, server, True), (server, client, False)):
                    thread = threading.Thread(
                        target=self._pump, args=(source, sink, request), daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                spoil = self.on_request if is_request else self.on_response
                passed = spoil(data)
                if passed is None:
                    break
                sink.sendall(passed)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(local_stack: LocalStack) -> Iterator[S3Proxy]:
    address = urlsplit(local_stack.addresses.s3_endpoint_url)
    assert address.hostname is not None
    assert address.port is not None
    proxy = S3Proxy((address.hostname, address.port))
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(storage: S3Storage, proxy: S3Proxy) -> S3Storage:
    """The test's storage, reached through ``proxy``."""
    return S3Storage(dataclasses.replace(storage.options, endpoint_url=proxy.url))
