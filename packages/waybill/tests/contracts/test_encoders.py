"""The contract of ``Encoder``, on chunks as COPY sends them. (With a real PostgreSQL on the other
side: ``integration/pipeline``.)"""

from __future__ import annotations

import io
import json
import re

import pytest

from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.resolved import ResolvedColumn
from waybill.errors import IncompleteExport, InvalidOption
from waybill.formats import (
    ENCODERS,
    Encoder,
    Encoding,
    UnreadableFile,
    read_options,
)
from waybill.formats.plan import ExportPlan
from waybill.source.copy_chunk import CopyChunk

# What COPY sends for a column "a" of three rows.
MESSAGES = {
    "csv": [b"1\n", b'"x ""y""\nz"\n', b"\n"],
    "json": [b'{"a":1}', b'{"a":[1,\n2,\r3]}', b'{"a":null}'],
    "ndjson": [b'{"a":1}', b'{"a":[1,\n2,\r3]}', b'{"a":null}'],
    "parquet": [b"1\n", b'\x01x "y"\nz\x01\n', b"\n"],
    "xlsx": [b"1\n", b'"x ""y""\nz"\n', b"\n"],
}


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return ENCODERS[request.param]


@pytest.fixture
def encoding(encoder: Encoder) -> Encoding:
    return encoder.open(_plan(encoder.name))


def _plan(format_name: str) -> ExportPlan:
    return ExportPlan(
        ExportType("things", TableSource("public", "t"), key=("a",)),
        (ResolvedColumn("a", "a", "text", 25, 25),),
        ENCODERS[format_name],
        read_options(format_name, {}),
    )


def write(encoding: Encoding, *chunks: list[bytes]) -> bytes:
    data = bytearray(encoding.header())
    for messages in chunks:
        data += encoding.encode(CopyChunk(messages))
    return bytes(data + encoding.footer())


def test_every_format_is_registered_under_its_name() -> None:
    assert sorted(ENCODERS) == sorted(MESSAGES)
    assert all(encoder.name == name for name, encoder in ENCODERS.items())


def test_chunk_borders_do_not_show_in_the_file(encoder: Encoder) -> None:
    messages = MESSAGES[encoder.name]
    together = write(encoder.open(_plan(encoder.name)), messages)

    assert write(encoder.open(_plan(encoder.name)), *([m] for m in messages)) == together
    assert write(encoder.open(_plan(encoder.name)), messages[:2], messages[2:]) == together


def test_rows_are_counted_while_writing_and_again_in_the_file(
    encoder: Encoder, encoding: Encoding
) -> None:
    data = write(encoding, MESSAGES[encoder.name])

    assert encoding.rows == 3
    options = read_options(encoder.name, {})
    assert encoder.count_rows(io.BytesIO(data), options) == 3
    for size in (1, 2, 5, len(data)):
        if (counter := encoder.row_counter(options)) is not None:
            for start in range(0, len(data), size):
                counter.feed(data[start : start + size])
            assert counter.rows == 3


def test_no_rows_count_as_none(encoder: Encoder, encoding: Encoding) -> None:
    data = write(encoding)

    assert encoding.rows == 0
    assert encoder.count_rows(io.BytesIO(data), read_options(encoder.name, {})) == 0


def test_file_that_lost_its_end_does_not_count_as_whole(
    encoder: Encoder, encoding: Encoding
) -> None:
    data = write(encoding, MESSAGES[encoder.name])[:-2]

    try:
        rows = encoder.count_rows(io.BytesIO(data), read_options(encoder.name, {}))
    except UnreadableFile:
        rows = None
    assert rows != 3


def test_row_that_was_cut_is_refused(encoding: Encoding) -> None:
    with pytest.raises(IncompleteExport):
        encoding.encode(CopyChunk([b'{"a":1}', b'{"a":']))


def test_options_survive_the_jobs_row(encoder: Encoder) -> None:
    options = read_options(encoder.name, {})
    stored = json.loads(json.dumps(options.model_dump(mode="json")))

    assert read_options(encoder.name, stored) == options


def test_unknown_option_is_refused_by_name(encoder: Encoder) -> None:
    with pytest.raises(InvalidOption) as caught:
        read_options(encoder.name, {"colour": "red"})

    assert caught.value.option == "colour"
    assert encoder.name in caught.value.reason


def test_media_type_and_extension_are_well_formed(encoder: Encoder) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z.+-]+(; charset=utf-8)?", encoder.media_type)
    assert re.fullmatch(r"[a-z0-9.]+", encoder.extension)
