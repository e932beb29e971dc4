"""Takes the formula guard off a verified CSV file, by what its manifest says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO, Final

from waybill.errors import ConfigurationError
from waybill.exports.manifest import Manifest
from waybill.pipeline.compress import CODECS, Decompressed
from waybill.pipeline.csv_unguard import unguard_csv
from waybill.pipeline.encoders import read_options
from waybill.pipeline.encoders.csv import CsvOptions

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
    if manifest.formula_guard is None or manifest.format != "csv":
        raise ConfigurationError(
            "This file carries no formula guard: its bytes are the original ones already."
        )
    if manifest.compression not in (None, *CODECS):
        raise ConfigurationError(
            f"This version cannot read {manifest.compression}: decompress the file first."
        )
    options = CsvOptions.model_validate(
        read_options(manifest.format, manifest.options), from_attributes=True
    )
    beside = target.with_name(f".{target.name}.new")
    with _open(file, manifest) as source, beside.open("wb") as restored:
        cells = unguard_csv(
            source,
            restored,
            [position for position, column in enumerate(manifest.columns) if column.is_guarded],
            delimiter=options.delimiter,
            null_text=options.null_text,
            header=options.header,
            bom=options.bom,
        )
    beside.replace(target)
    return cells


def _open(file: Path, manifest: Manifest) -> BinaryIO:
    if manifest.compression is None:
        return file.open("rb")
    return io.BufferedReader(Decompressed(file, manifest.compression), _READ_BYTES)
