"""A run that fails, wherever it fails, leaves no object, no upload, no thread, no session."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from waybill.catalog.model import QuerySource
from waybill.errors import (
    DeadlineExceeded,
    LeaseLost,
    SourceRejected,
    SourceUnavailable,
    StorageCorrupted,
    ValueNotRepresentable,
)
from waybill.storage.s3.storage import S3Storage

MANY = QuerySource("SELECT n AS id, repeat('x', 1000) AS a FROM generate_series(1, 200000) AS n")
FIVE_MIB = 5 * 1024 * 1024


def waybill_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("waybill-")]


@pytest.fixture
def nothing_left(storage: S3Storage, run_sql: Any) -> Callable[[], None]:
    def check() -> None:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        assert list(storage.list_keys("")) == []
        assert list(storage.stale_uploads(older_than=tomorrow)) == []
        assert waybill_threads() == []
        assert run_sql(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'waybill export' "
            "AND state IS DISTINCT FROM 'idle' AND backend_start < now() - interval '5 s'"
        ) == [(0,)]

    return check


@pytest.mark.parametrize(
    ("reason", "format_name"),
    [(LeaseLost("lost"), "csv"), (DeadlineExceeded(1), "parquet"), (LeaseLost("lost"), "xlsx")],
)
def test_run_that_is_stopped_midway_leaves_nothing(
    reason: Exception, format_name: str, export: Any, control: Any, nothing_left: Any
) -> None:
    control.progress = lambda rows, _bytes: setattr(
        control, "reason", reason if rows > 50_000 else None
    )

    with pytest.raises(type(reason)):
        export(MANY, format_name, part_bytes=FIVE_MIB)

    nothing_left()


@pytest.mark.parametrize("format_name", ["csv", "parquet", "xlsx"])
def test_row_that_fails_midway_leaves_nothing(
    format_name: str, export: Any, nothing_left: Any
) -> None:
    query = QuerySource(
        "SELECT n AS id, repeat('x', 1000) AS a, 1 / (n - 90000) AS b "
        "FROM generate_series(1, 100000) AS n"
    )

    with pytest.raises(SourceRejected, match="22012 DivisionByZero"):
        export(query, format_name, part_bytes=FIVE_MIB)

    nothing_left()


def test_value_that_a_format_cannot_hold_leaves_nothing(export: Any, nothing_left: Any) -> None:
    query = QuerySource(
        "SELECT n AS id, repeat('x', 1000) AS a, CASE n WHEN 90000 THEN timestamp 'infinity' END "
        "AS b FROM generate_series(1, 100000) AS n"
    )

    with pytest.raises(ValueNotRepresentable, match="Column 'b'"):
        export(query, "parquet", part_bytes=FIVE_MIB)

    nothing_left()


def test_source_that_dies_midway_leaves_nothing(
    export: Any, control: Any, dsn: str, nothing_left: Any
) -> None:
    killed = threading.Event()

    def kill(rows: int, _bytes: int) -> None:
        if rows > 20_000 and not killed.is_set():
            killed.set()
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND application_name = 'waybill export'"
                )

    control.progress = kill

    with pytest.raises(SourceUnavailable):
        export(MANY, part_bytes=FIVE_MIB)

    assert killed.is_set()
    nothing_left()


def test_upload_that_fails_midway_stops_the_reading(
    export: Any,
    storage: S3Storage,
    proxy: Any,
    nothing_left: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    through_proxy = S3Storage(dataclasses.replace(storage.options, endpoint_url=proxy.url))
    monkeypatch.setattr(storage, "client", through_proxy.client)
    monkeypatch.setattr(storage, "continuation", through_proxy.continuation)
    proxy.on_request = lambda data: (
        data if len(data) < 4096 or b"HTTP/1.1" in data else data[:-1] + bytes([data[-1] ^ 1])
    )

    with pytest.raises(StorageCorrupted):
        export(MANY, part_bytes=FIVE_MIB)

    proxy.on_request = lambda data: data
    nothing_left()
