"""The main job through real processes: HTTP, queue, worker, S3, download, verification."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

import openpyxl
import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from waybill.client import ExportClient
from waybill.formats import ENCODERS
from waybill.formats.compress import CODECS, Decompressed
from waybill.manifest import Manifest
from waybill.results.verify import verify_file

from ..unit.cli.test_mistakes import _nothing, end_of


@pytest.fixture
def client(running: Any) -> Any:
    with ExportClient(running.url, running.token) as client:
        yield client


def _rows(path: Path, format: str) -> list[dict[str, Any]]:
    if format == "parquet":
        return pq.read_table(path).to_pylist()
    if format == "xlsx":
        with path.open("rb") as file:
            sheet = openpyxl.load_workbook(file, read_only=True).active
            header, *rows = sheet.iter_rows(values_only=True)
        return [dict(zip(header, row, strict=False)) for row in rows]
    text = path.read_text(encoding="utf-8")
    if format == "csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    if format == "json":
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("format", ENCODERS)
def test_export_of_users_arrives_whole_and_equal(
    client: ExportClient, running: Any, tmp_path: Path, format: str
) -> None:
    job = client.wait(client.request("users", format=format).id)
    target = client.download(job.id, tmp_path / "users")
    manifest = Manifest.load(client.manifest(job.id))
    assert verify_file(target, manifest).is_whole
    with psycopg.connect(running.dsn) as connection:
        expected = connection.execute(
            "SELECT id::text, email, full_name FROM users ORDER BY users.id"
        ).fetchall()
    found = [(str(row["id"]), row["email"], row["full_name"]) for row in _rows(target, format)]
    assert found == expected
    assert manifest.rows == job.progress.rows == len(expected)


@pytest.mark.parametrize("compression", CODECS)
def test_compressed_export_arrives_whole_and_holds_the_plain_one(
    client: ExportClient, tmp_path: Path, compression: str
) -> None:
    plain = client.wait(client.request("users").id)
    packed = client.wait(client.request("users", compression=compression).id)
    target = client.download(packed.id, tmp_path / "users")
    manifest = Manifest.load(client.manifest(packed.id))
    report = verify_file(target, manifest)
    assert report.is_whole
    assert report.rows == manifest.rows == plain.progress.rows
    with Decompressed(target, compression) as content:
        assert content.readall() == client.download(plain.id, tmp_path / "plain").read_bytes()


@pytest.mark.parametrize(("format", "content"), [("csv", b"id,name\r\n"), ("ndjson", b"")])
def test_export_of_an_empty_table_is_an_empty_file(
    client: ExportClient, tmp_path: Path, format: str, content: bytes
) -> None:
    job = client.wait(client.request("nobody", format=format).id)
    assert client.download(job.id, tmp_path / "nobody").read_bytes() == content


def test_export_of_an_empty_table_as_json_is_an_empty_array(
    client: ExportClient, tmp_path: Path
) -> None:
    job = client.wait(client.request("nobody", format="json").id)
    assert json.loads(client.download(job.id, tmp_path / "nobody").read_text()) == []


def test_columns_come_as_chosen_and_ordered(client: ExportClient, tmp_path: Path) -> None:
    job = client.wait(client.request("users", columns=["email", "id"]).id)
    target = client.download(job.id, tmp_path / "users.csv")
    assert target.read_bytes().splitlines()[0] == b"email,id"


def test_broken_download_goes_on_where_it_stopped(client: ExportClient, tmp_path: Path) -> None:
    job = client.wait(client.request("users").id)
    whole = client.download(job.id, tmp_path / "whole").read_bytes()
    part = tmp_path / f"again.{job.id}.part"
    part.write_bytes(whole[:1000])
    seen: list[int] = []
    again = client.download(
        job.id, tmp_path / "again", on_bytes=lambda done, _size: seen.append(done)
    )
    assert again.read_bytes() == whole
    assert seen[0] > 1000
    assert not part.exists()


def test_command_line_requests_as_it_was_told(running: Any, tmp_path: Path) -> None:
    url, token = running.url, running.token

    def waybill(*arguments: str) -> tuple[int, str, str]:
        return end_of(list(arguments), {}, _nothing, tmp_path)

    asked = ("--compression", "gzip", "--url", url, "--token", token)
    once = str(tmp_path)
    first = waybill("export", "users", "--idempotency-key", once, "--output", "a.gz", *asked)
    again = waybill("export", "users", "--idempotency-key", once, "--output", "b.gz", *asked)
    assert first[0] == again[0] == 0, first
    assert first[2].splitlines()[0] == again[2].splitlines()[0]  # the same export
    with Decompressed(tmp_path / "a.gz", "gzip") as content:
        assert content.readall().startswith(b"id,")
    status, out, _ = waybill(
        "export", "users", "--dry-run", "--compression", "gzip", "--url", url, "--token", token
    )
    assert (status, json.loads(out)["type"]) == (0, "users")
    # The type has no column for it, which the service says.
    since = waybill("export", "users", "--since", "2026-05-01T00:00:00Z", *asked)
    assert (since[0], "since" in since[2]) == (64, True)


def test_command_line_looks_after_exports_as_it_was_told(
    client: ExportClient, running: Any, tmp_path: Path
) -> None:
    url, token = running.url, running.token

    def waybill(*arguments: str) -> Any:
        status, out, said = end_of(list(arguments), {}, _nothing, tmp_path)
        assert status == 0, said
        return json.loads(out) if "--json" in arguments else out

    job = client.wait(client.request("nobody").id)
    offered = waybill("types", "--json", "--url", url, "--token", token)
    assert "nobody" in {each["name"] for each in offered["types"]}
    since = job.created_at.isoformat()
    (mine,) = waybill("list", "--type", "nobody", "--since", since, "--json", "--url", url,
                      "--token", token)  # fmt: skip
    assert mine["id"] == str(job.id)
    shown = waybill("status", str(job.id), "--json", "--url", url, "--token", token)
    assert shown["status"] == "completed"
    assert waybill("quota", "--json", "--url", url, "--token", token)["items"]
    waybill("download", str(job.id), "--output", "n.csv", "--via", "stream", "--url", url,
            "--token", token)  # fmt: skip
    assert (tmp_path / "n.csv").read_bytes() == b"id,name\r\n"
    assert "verified" in waybill("verify", "n.csv", "--unguard", "plain.csv")
    assert (tmp_path / "plain.csv").read_bytes() == b"id,name\r\n"
    assert "deleted" in waybill("cancel", str(job.id), "--url", url, "--token", token)


def test_catalog_is_written_and_checked_as_it_was_told(database: str, tmp_path: Path) -> None:
    def waybill(*arguments: str) -> str:
        status, out, said = end_of(list(arguments), {}, _nothing, tmp_path)
        assert status == 0, said
        return out

    (tmp_path / "dsn").write_text(database)
    (tmp_path / "mine.toml").write_text("# an earlier one")
    waybill("init", "--dsn-file", "dsn", "--schema", "public", "--output", "mine.toml", "--force")
    assert 'table = "public.users"' in (tmp_path / "mine.toml").read_text()
    parts = conninfo_to_dict(database)
    password = parts.pop("password")
    with mock.patch("waybill.cli.source_dsn.typer.prompt", return_value=password):
        waybill("init", "--dsn", make_conninfo("", **parts), "--ask-password")
    assert "0 errors" in waybill("check", "--catalog", "mine.toml", "--dsn-file", "dsn")


def test_capacity_counts_the_days_that_were_given(
    database: str, execute: Any, tmp_path: Path
) -> None:
    execute(
        "WITH job AS (INSERT INTO export_jobs (id, export_type, format, requested_by, status,"
        " max_attempts, finished_at, expires_at, object_key, manifest, sha256) VALUES"
        " (gen_random_uuid(), 'users', 'csv', 'ann', 'completed', 3, now(), now(), 'k', '{}', 'x')"
        " RETURNING id) INSERT INTO export_attempts (export_id, attempt, worker, lease_token,"
        " started_at, ended_at, outcome) SELECT id, 1, 'w', gen_random_uuid(),"
        " now() - interval '9 days', now() - interval '8 days', 'completed' FROM job"
    )
    environment = {"WAYBILL_DATABASE_URL": database, "WAYBILL_REDIS_URL": "redis://127.0.0.1:1",
                   "WAYBILL_SOURCE_DSN": database, "WAYBILL_S3_BUCKET": "none"}  # fmt: skip
    rate = ["--rate", "1/h", "--slo", "99h"]
    week = end_of(["capacity", "--json", "--days", "7", *rate], environment, _nothing, tmp_path)
    fortnight = end_of(
        ["capacity", "--json", "--days", "14", *rate], environment, _nothing, tmp_path
    )
    assert (week[0], fortnight[0]) == (78, 0), (week, fortnight)
    assert json.loads(fortnight[1])["workers"] >= 1
