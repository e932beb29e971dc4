"""The formats. A new one is a file here and a line in ``ENCODERS``; the contract suite does the
rest (``tests/contracts``)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from waybill.errors import FormatNotInstalled, UnknownFormat, UnreadableFile
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


def installed() -> tuple[str, ...]:
    """Return the formats whose extra is installed, if they have one."""
    return tuple(name for name, encoder in ENCODERS.items() if _is_installed(encoder))


def missing() -> str | None:
    """Say which formats are not installed, and what brings them; ``None`` when all are."""
    names = [name for name in ENCODERS if name not in installed()]
    if not names:
        return None
    return (
        f"{' and '.join(names)} {'are' if names[1:] else 'is'} not installed here: "
        f"pip install 'waybill[{','.join(names)}]'"
    )


def get_encoder(name: str) -> Encoder:
    """Return the encoder called ``name``; raises ``UnknownFormat`` or ``FormatNotInstalled``."""
    try:
        encoder = ENCODERS[name]
    except KeyError:
        raise UnknownFormat(name, installed()) from None
    if not _is_installed(encoder):
        raise FormatNotInstalled(name)
    return encoder


def _is_installed(encoder: Encoder) -> bool:
    try:
        return all(find_spec(module) is not None for module in encoder.needs)
    except ModuleNotFoundError:
        return False


def read_options(format_name: str, raw: Mapping[str, Any]) -> FormatOptions:
    """Return a format's options; raises as ``get_encoder`` does, or ``InvalidOption``."""
    return get_encoder(format_name).parse_options(raw)


__all__ = [
    "ENCODERS",
    "Encoder",
    "Encoding",
    "FileFacts",
    "RowCounter",
    "UnreadableFile",
    "get_encoder",
    "installed",
    "missing",
    "read_options",
]
