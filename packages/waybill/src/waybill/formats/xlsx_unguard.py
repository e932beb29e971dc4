"""Restores an unguarded XLSX export from a guarded one, as a stream.

Only the texts of guarded cells change; every other byte of the archive's entries stays, and the
entries are packed as the export packed them. So the result is the file that the same export would
have been without the guard, byte for byte as far as deflate is the same (isal's version).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator
from typing import IO, BinaryIO, Final

from waybill.errors import UnreadableFile
from waybill.formats.formula_guard import HEAD_CHARACTERS, needs_guard
from waybill.formats.xlsx_cells import column_letters, unescape
from waybill.formats.zip_stream import ZipStream

_PIECE_BYTES: Final = 1024 * 1024
_ROW_END: Final = b"</row>\n"
# Of a text only what decides is looked at: the head, each character at most "_x005F_" long.
_HEAD_BYTES: Final = 8 * (HEAD_CHARACTERS + 2)


def unguard_xlsx(source: BinaryIO, target: BinaryIO, columns: Collection[int]) -> int:
    """Write to ``target`` what the export would have been without the formula guard.

    ``columns`` are the guarded columns' positions, from 0.

    Returns:
        The number of restored cells.

    Raises:
        UnreadableFile: ``source`` is no whole ZIP archive.
    """
    restored = 0
    letters = "|".join(sorted(map(column_letters, columns)))
    cell = re.compile(
        rf'(<c r="(?:{letters})\d+" t="inlineStr"><is><t xml:space="preserve">)'
        rf"'([^<]{{0,{_HEAD_BYTES}}})".encode()
    )

    def restore(found: re.Match[bytes]) -> bytes:
        nonlocal restored
        if not needs_guard(unescape(found[2].decode(errors="ignore"))):
            return found[0]
        restored += 1
        return found[1] + found[2]

    archive = ZipStream()
    try:
        with zipfile.ZipFile(source) as guarded:
            for entry in guarded.infolist():
                target.write(archive.open_entry(entry.filename))
                is_sheet = bool(columns) and entry.filename.startswith("xl/worksheets/")
                with guarded.open(entry) as content:
                    for piece in _rows(content) if is_sheet else _pieces(content):
                        target.write(archive.write(cell.sub(restore, piece) if is_sheet else piece))
                target.write(archive.close_entry())
    except (zipfile.BadZipFile, EOFError) as exc:
        raise UnreadableFile("This is no XLSX file: it is no whole ZIP archive.") from exc
    target.write(archive.finish())
    return restored


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: content.read(_PIECE_BYTES), b"")


def _rows(content: IO[bytes]) -> Iterator[bytes]:
    """Yield a sheet in pieces of whole rows, so that no cell is cut in two."""
    rest = b""
    for data in _pieces(content):
        rest += data
        end = rest.rfind(_ROW_END)
        if end >= 0:
            yield rest[: end + len(_ROW_END)]
            rest = rest[end + len(_ROW_END) :]
    yield rest
