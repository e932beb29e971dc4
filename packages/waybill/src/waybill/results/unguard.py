"""Takes the formula guard off a verified CSV or XLSX file, by what its manifest says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, Final

from waybill.errors import ConfigurationError
from waybill.formats import get_encoder, read_options
from waybill.formats.compress import CODECS, Decompressed
from waybill.formats.csv import CsvOptions
from waybill.formats.csv_unguard import unguard_csv
from waybill.manifest import Manifest
from waybill.private_files import private_opener

_READ_BYTES: Final = 256 * 1024


def restore_unguarded(file: Path, manifest: Manifest, target: Path) -> int:
    """Write the bytes that the export would have had without the guard; returns how many cells
    were restored. ``target`` appears only when it is complete. Of a compressed file it is the
    content: plain CSV.

    Raises:
        ConfigurationError: the file was exported without a guard, or its compression is unknown.
        UnreadableFile: it cannot be decompressed (verify it first).
        TruncatedCsv: the file ends inside a cell (verify it first).
    """
    if manifest.formula_guard is None:
        raise ConfigurationError(
            "This file carries no formula guard: its bytes are the original ones already."
        )
    if manifest.compression not in (None, *CODECS):
        raise ConfigurationError(
            f"This version cannot read {manifest.compression}: decompress the file first."
        )
    if manifest.format not in _RESTORERS:
        raise ConfigurationError(
            f"This version cannot take the guard off {manifest.format}: use a later one."
        )
    get_encoder(manifest.format)  # says so if it is not installed
    beside = target.with_name(f".{target.name}.new")
    with (
        _open(file, manifest) as source,
        open(beside, "wb", opener=private_opener) as restored,
    ):
        cells = _RESTORERS[manifest.format](source, restored, manifest)
    beside.replace(target)
    return cells


def _restore_csv(source: BinaryIO, target: BinaryIO, manifest: Manifest) -> int:
    options = CsvOptions.model_validate(
        read_options(manifest.format, manifest.options), from_attributes=True
    )
    return unguard_csv(
        source,
        target,
        _guarded(manifest),
        delimiter=options.delimiter,
        null_text=options.null_text,
        header=options.header,
        bom=options.bom,
    )


def _restore_xlsx(source: BinaryIO, target: BinaryIO, manifest: Manifest) -> int:
    # It reads cells with Arrow's help; see ``encoders.parquet`` for why not at the top.
    from waybill.formats.xlsx_unguard import unguard_xlsx

    return unguard_xlsx(source, target, _guarded(manifest))


_RESTORERS: Final = {"csv": _restore_csv, "xlsx": _restore_xlsx}


def _guarded(manifest: Manifest) -> list[int]:
    return [position for position, column in enumerate(manifest.columns) if column.is_guarded]


def _open(file: Path, manifest: Manifest) -> BinaryIO:
    if manifest.compression is None:
        return file.open("rb")
    return io.BufferedReader(Decompressed(file, manifest.compression), _READ_BYTES)
