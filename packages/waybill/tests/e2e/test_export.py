"""The main job through real processes: HTTP, queue, worker, S3, download, verification."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pyarrow.parquet as pq
import pytest

from waybill.client import ExportClient
from waybill.formats import ENCODERS
from waybill.formats.compress import CODECS, Decompressed
from waybill.manifest import Manifest
from waybill.results.verify import verify_file


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
