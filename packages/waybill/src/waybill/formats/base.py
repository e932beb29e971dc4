"""The encoder port: how a format asks for rows and what it makes of them.

The server formats the values (one COPY, no value is touched in Python). A text format passes the
rows on; a typed one (Parquet, XLSX) holds them back in ``encode``, has Arrow parse them by the
block (``encoders.blocks``) and writes the rest in ``footer``. Compression of text formats is a
later stage over the bytes given out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final, Protocol, runtime_checkable

from psycopg import sql
from pydantic import ValidationError

from waybill.clock import instant_text
from waybill.errors import InvalidOption
from waybill.formats.computed import RowForm
from waybill.formats.formula_guard import needs_guard
from waybill.formats.plan import ExportPlan, FormatOptions
from waybill.source.copy_chunk import CopyChunk

_READ_BYTES: Final = 1024 * 1024


class Encoding(Protocol):
    """One file being written. Used by one thread; ``header``, ``encode``…, ``footer``, in order."""

    @property
    def statement(self) -> sql.Composed:
        """The COPY … TO STDOUT to run."""
        ...

    @property
    def rows(self) -> int:
        """Rows found in what ``encode`` was given: counted in the data, not believed."""
        ...

    def header(self) -> bytes: ...

    def encode(self, chunk: CopyChunk) -> bytes | bytearray:
        """Return the file's next bytes, perhaps none yet.

        Raises:
            IncompleteExport: the chunk does not hold the rows it claims.
        """
        ...

    def footer(self) -> bytes: ...


@runtime_checkable
class ResumableEncoding(Encoding, Protocol):
    """An encoding that can resume a file that another process began."""

    def resume_after(self, rows: int) -> None:
        """Behave as if ``rows`` rows (1 or more) were already encoded. Before ``encode``; no
        ``header`` is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file may say of its own origin, where its format has a place for that."""

    export_id: str
    export_type: str
    snapshot_id: str
    taken_at: datetime

    def to_json(self) -> dict[str, str]:
        """Return the facts by name, as the manifest spells them."""
        return {
            "export_id": self.export_id,
            "export_type": self.export_type,
            "snapshot": self.snapshot_id,
            "taken_at": instant_text(self.taken_at),
        }


class RowCounter(Protocol):
    """Counts the rows of a finished file, fed in pieces cut anywhere."""

    def feed(self, data: bytes) -> None: ...

    @property
    def rows(self) -> int: ...


class Encoder(Protocol):
    """A format. Stateless; a file in the making is an ``Encoding``."""

    @property
    def name(self) -> str:
        """The registry name (``csv``)."""
        ...

    @property
    def media_type(self) -> str: ...

    @property
    def extension(self) -> str:
        """Without the dot."""
        ...

    @property
    def options_model(self) -> type[FormatOptions]: ...

    is_compressed: bool = False
    """Whether files of this format are compressed inside; a second time gains nothing."""

    needs: tuple[str, ...] = ()
    """Modules that the extra of this format's name brings (``pip install 'waybill[parquet]'``)."""

    def parse_options(self, raw: Mapping[str, Any]) -> FormatOptions:
        """Return the options from their JSON form, defaults filled in.

        Raises:
            InvalidOption: an option is unknown to the format or does not hold.
        """
        return parse_options(self.name, self.options_model, raw)

    def check_columns(self, headers: Mapping[str, str], options: FormatOptions) -> None:
        """Make sure that a file can have columns of these headers (by column, in order).

        Raises:
            InvalidOption: it cannot, with these options.
        """
        return

    def open(self, plan: ExportPlan, facts: FileFacts | None = None) -> Encoding: ...

    def row_form(self, options: FormatOptions) -> RowForm:
        """Return how a row lies in what ``open``'s statement sends: computed columns are put in
        there (``formats.computed``)."""
        ...

    def row_counter(self, options: FormatOptions) -> RowCounter | None:
        """Return a counter, or ``None`` where only the whole file tells: then ``count_rows``."""
        return None

    def check_rows(self, rows: int, options: FormatOptions) -> None:
        """Raise ``FileTooLarge`` if a file cannot hold so many rows with these options."""
        return

    def count_rows(self, file: BinaryIO, options: FormatOptions) -> int:
        """Return the rows of a finished file that can be read anywhere.

        Raises:
            UnreadableFile: it is no file of this format.
        """
        if (counter := self.row_counter(options)) is None:
            raise NotImplementedError(f"format {self.name!r} has to count by itself")
        while data := file.read(_READ_BYTES):
            counter.feed(data)
        return counter.rows


def parse_options(
    format_name: str, model: type[FormatOptions], raw: Mapping[str, Any]
) -> FormatOptions:
    """See ``Encoder.parse_options``."""
    try:
        return model.model_validate(dict(raw))
    except ValidationError as exc:
        first = exc.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "options"
        if first["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields) or "none"
            reason = f"format {format_name!r} has no such option; it has: {known}"
        else:
            reason = first["msg"].removeprefix("Value error, ")
        raise InvalidOption(name, reason) from exc


def check_labels(headers: Mapping[str, str]) -> None:
    """Refuse headers that a spreadsheet would run; the guard leaves them as they are.

    Raises:
        InvalidOption: there is one.
    """
    for name, header in headers.items():
        if needs_guard(header):
            raise InvalidOption(
                "columns",
                f"the header of column {name!r} begins like a formula; give the column another "
                "label, or turn the option formula_guard off",
            )


def join_header(cells: Sequence[str], *, delimiter: str, terminator: bytes) -> bytes:
    """Return an RFC 4180 record of ``cells``, quoted only where it must be, as COPY does."""
    special = (delimiter, '"', "\r", "\n")
    quoted = (
        '"' + cell.replace('"', '""') + '"' if any(s in cell for s in special) else cell
        for cell in cells
    )
    return delimiter.join(quoted).encode() + terminator
