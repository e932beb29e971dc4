"""A real relational database through `waybill init` and the whole service, value by value."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from waybill.catalog.inspect import inspect_database
from waybill.catalog.render import render_toml
from waybill.client import ExportClient
from waybill.local.service_stack import running_service
from waybill.local.stack import LocalStack
from waybill.manifest import Manifest
from waybill.results.verify import verify_file

TABLES = ("customer", "film", "payment", "film_actor")
FORMATS = ("csv", "json", "ndjson")

# What PostgreSQL itself says of a row, with no code of ours between.
_EXPECTED = "SELECT row_to_json(t)::text FROM {table} AS t ORDER BY {key}"


@pytest.fixture(scope="module")
def pagila(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ExportClient, str, Path]]:
    dump = Path(__file__).parents[5] / "shared" / "data" / "pagila.sql.gz"
    if not dump.is_file():
        pytest.skip(f"needs the Pagila dump at {dump}")
    with LocalStack(tmp_path_factory.mktemp("pagila"), fast=True) as stack:
        dsn = stack.postgres.create_database("pagila")
        subprocess.run(
            [stack.client_binary("psql"), "--quiet", "--set", "ON_ERROR_STOP=1", dsn],
            input=gzip.decompress(dump.read_bytes()),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        catalog = stack.data_dir / "waybill.toml"
        catalog.write_text(render_toml(inspect_database(dsn)), encoding="utf-8")
        environment = {**stack.as_environment(), "WAYBILL_SOURCE_DSN": dsn}
        stack.as_environment = lambda: environment  # type: ignore[method-assign]
        with (
            running_service(stack, catalog=str(catalog)) as service,
            ExportClient(service.endpoint.url, service.endpoint.token) as client,
        ):
            yield client, dsn, stack.data_dir


def _expected(dsn: str, table: str, key: tuple[str, ...]) -> list[dict[str, Any]]:
    statement = sql.SQL(_EXPECTED).format(
        table=sql.Identifier("public", table),
        key=sql.SQL(", ").join(sql.Identifier("t", name) for name in key),
    )
    with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
        # parse_float=str: 4.99 must be the digits 4.99, not a float near it.
        return [
            json.loads(row[0], parse_float=str) for row in connection.execute(statement).fetchall()
        ]


def _as_text(dsn: str, table: str, key: tuple[str, ...]) -> list[dict[str, str | None]]:
    """Every value as PostgreSQL's own text, timestamps in ISO 8601 as JSON has them."""
    with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
        columns = connection.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [f"public.{table}"],
        ).fetchall()
        values = sql.SQL(", ").join(
            (
                sql.SQL("to_json({0}) #>> '{{}}' AS {1}")
                if type_name.startswith("timestamp")
                else sql.SQL("{0}::text AS {1}")
            ).format(sql.Identifier("t", name), sql.Identifier(name))
            for name, type_name in columns
        )
        rows = connection.execute(
            sql.SQL("SELECT {} FROM {} AS t ORDER BY {}").format(
                values,
                sql.Identifier("public", table),
                sql.SQL(", ").join(sql.Identifier("t", name) for name in key),
            )
        ).fetchall()
    return [dict(zip([name for name, _ in columns], row, strict=True)) for row in rows]


def _read(path: Path, format: str) -> list[dict[str, Any]]:
    if format == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    text = path.read_text(encoding="utf-8")
    if format == "json":
        return json.loads(text, parse_float=str)
    return [json.loads(line, parse_float=str) for line in text.splitlines()]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("table", TABLES)
def test_export_of_pagila_equals_what_postgresql_returns(
    pagila: tuple[ExportClient, str, Path], tmp_path: Path, table: str, format: str
) -> None:
    client, dsn, _ = pagila
    job = client.wait(client.request(table, format=format).id)
    target = client.download(job.id, tmp_path / "file")
    manifest = Manifest.load(client.manifest(job.id))
    assert verify_file(target, manifest).is_whole
    found = _read(target, format)
    if format == "csv":
        expected_text = _as_text(dsn, table, manifest.key)
        # Python's csv module cannot tell NULL from the empty string; the unit suites can.
        assert found == [{k: v or "" for k, v in row.items()} for row in expected_text]
    else:
        assert found == _expected(dsn, table, manifest.key)
    assert manifest.rows == len(found) > 0
