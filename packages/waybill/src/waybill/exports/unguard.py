"""Takes the formula guard off a verified CSV file, by what its manifest says."""

from __future__ import annotations

from pathlib import Path

from waybill.errors import ConfigurationError
from waybill.exports.manifest import Manifest
from waybill.pipeline.csv_unguard import unguard_csv
from waybill.pipeline.encoders import read_options
from waybill.pipeline.encoders.csv import CsvOptions


def restore_unguarded(file: Path, manifest: Manifest, target: Path) -> int:
    """Write the bytes that the export would have had without the guard; returns how many cells
    were restored. ``target`` appears only when it is complete.

    Raises:
        ConfigurationError: the file was exported without a guard, or is compressed.
        TruncatedCsv: the file ends inside a cell (verify it first).
    """
    if manifest.formula_guard is None or manifest.format != "csv":
        raise ConfigurationError(
            "This file carries no formula guard: its bytes are the original ones already."
        )
    if manifest.compression is not None:
        raise ConfigurationError(
            f"Decompress the file first ({manifest.compression}); the guard is in its content."
        )
    options = CsvOptions.model_validate(
        read_options(manifest.format, manifest.options), from_attributes=True
    )
    beside = target.with_name(f".{target.name}.new")
    with file.open("rb") as source, beside.open("wb") as restored:
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
