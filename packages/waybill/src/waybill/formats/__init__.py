"""The formats. A new one is a file here and a line in ``ENCODERS``; the contract suite does the
rest (``tests/contracts``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waybill.errors import UnknownFormat, UnreadableFile
from waybill.formats.base import (
    Encoder,
    Encoding,
    FileFacts,
    RowCounter,
)
from waybill.formats.csv import CsvEncoder
from waybill.formats.json import JsonEncoder
from waybill.formats.ndjson import NdjsonEncoder
from waybill.formats.parquet import ParquetEncoder
from waybill.formats.plan import FormatOptions
from waybill.formats.xlsx import XlsxEncoder

ENCODERS: dict[str, Encoder] = {
    encoder.name: encoder
    for encoder in (CsvEncoder(), JsonEncoder(), NdjsonEncoder(), ParquetEncoder(), XlsxEncoder())
}


def get_encoder(name: str) -> Encoder:
    """Return the encoder called ``name``; raises ``UnknownFormat``."""
    try:
        return ENCODERS[name]
    except KeyError:
        raise UnknownFormat(name, tuple(ENCODERS)) from None


def read_options(format_name: str, raw: Mapping[str, Any]) -> FormatOptions:
    """Return a format's options; raises ``UnknownFormat`` or ``InvalidOption``."""
    return get_encoder(format_name).parse_options(raw)


__all__ = [
    "ENCODERS",
    "Encoder",
    "Encoding",
    "FileFacts",
    "RowCounter",
    "UnreadableFile",
    "get_encoder",
    "read_options",
]
