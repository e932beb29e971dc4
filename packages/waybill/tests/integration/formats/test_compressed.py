"""A compressed export is the plain one, compressed, and is proven like it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waybill.catalog.model import TableSource
from waybill.formats.compress import CODECS, Decompressed
from waybill.results.unguard import restore_unguarded
from waybill.results.verify import verify_file
from waybill.storage.s3.storage import S3Storage

THINGS = TableSource("public", "things")
Export = Callable[..., Any]
RunSql = Callable[..., list[tuple[Any, ...]]]


def content(data: bytes, codec: str, folder: Path) -> bytes:
    file = folder / "compressed"
    file.write_bytes(data)
    with Decompressed(file, codec) as opened:
        return io.BufferedReader(opened).read()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("format_name", "extension"), [("csv", "csv"), ("json", "json")])
def test_content_is_that_of_the_plain_export(
    run_sql: RunSql,
    export: Export,
    storage: S3Storage,
    tmp_path: Path,
    codec: str,
    format_name: str,
    extension: str,
) -> None:
    run_sql(
        "CREATE TABLE things AS SELECT i AS id, md5(i::text) AS v FROM generate_series(1,30000) i"
    )
    run_sql("INSERT INTO things VALUES (0, E'two\\nlines, \"quoted\"')")

    plain = export(THINGS, format_name, key=("id",))
    packed = export(THINGS, format_name, key=("id",), compression=codec)

    assert content(packed.data, codec, tmp_path) == plain.data
    manifest = packed.manifest
    assert manifest.compression == codec
    assert manifest.rows == 30_001
    assert manifest.uncompressed_bytes == len(plain.data)
    assert manifest.bytes == len(packed.data) < len(plain.data)
    assert manifest.media_type == CODECS[codec].media_type
    assert manifest.file_name.endswith(f".{extension}{CODECS[codec].suffix}")
    head = storage.client.call("head_object", packed.completion.stored.key)
    assert head["ContentType"] == CODECS[codec].media_type
    # The file itself is compressed: a client that is told an encoding would unpack it unasked.
    assert "ContentEncoding" not in head


def test_parts_are_sized_after_compression(run_sql: RunSql, export: Export) -> None:
    run_sql(
        "CREATE TABLE things AS SELECT i AS id, "
        "(SELECT string_agg(md5(i * 50 + j::text::int + random()::int || ''), '') "
        "FROM generate_series(1, 40) j) AS v FROM generate_series(1, 12000) i"
    )
    packed = export(THINGS, key=("id",), compression="zstd", part_bytes=5 * 1024 * 1024)
    sizes = [part.bytes for part in packed.manifest.parts]
    assert len(sizes) > 1
    assert all(size == 5 * 1024 * 1024 for size in sizes[:-1])


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_to_export_is_still_a_file_of_its_kind(
    run_sql: RunSql, export: Export, tmp_path: Path, codec: str
) -> None:
    run_sql("CREATE TABLE things (id int PRIMARY KEY)")
    packed = export(THINGS, "ndjson", key=("id",), compression=codec)
    assert packed.manifest.rows == 0
    assert packed.data
    assert content(packed.data, codec, tmp_path) == b""


@pytest.mark.parametrize("codec", CODECS)
def test_the_guard_is_taken_off_through_the_compression(
    run_sql: RunSql, export: Export, tmp_path: Path, codec: str
) -> None:
    run_sql("CREATE TABLE things AS SELECT i AS id, '=' || i AS v FROM generate_series(1,9000) i")
    plain = export(THINGS, key=("id",))
    packed = export(THINGS, key=("id",), compression=codec, options={"formula_guard": True})
    file, target = tmp_path / "guarded", tmp_path / "plain.csv"
    file.write_bytes(packed.data)

    assert restore_unguarded(file, packed.manifest, target) == 9_000
    assert target.read_bytes() == plain.data


def test_rows_are_counted_through_the_compression(
    run_sql: RunSql, export: Export, tmp_path: Path
) -> None:
    run_sql("CREATE TABLE things AS SELECT i AS id FROM generate_series(1,100) i")
    packed = export(THINGS, key=("id",), compression="zstd")
    file = tmp_path / "file"
    file.write_bytes(packed.data)

    for changed in ({"rows": 99}, {"uncompressed_bytes": 5}):
        report = verify_file(file, packed.manifest.model_copy(update=changed))
        assert not report.is_whole
