"""What ``json`` and ``ndjson`` share: one JSON object per line, made by the server.

How values are written (PostgreSQL's ``to_json``): json and jsonb stay nested, arrays and composites
become arrays and objects; numerics are exact JSON numbers of any length (read them with a decimal
parser); ``NaN`` and ``Infinity``, which JSON has no numbers for, are the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"``; ``timestamptz`` is an ISO 8601 string in UTC, ``interval`` an
ISO 8601 duration; all other types are strings of PostgreSQL's text. NULL is ``null``. A value in
which ``json`` escapes half of a surrogate pair is a string of its text (see ``half_pairs``).
"""

from __future__ import annotations

from waybill.errors import IncompleteExport
from waybill.formats.half_pairs import as_texts, may_hold_half_a_pair
from waybill.source.copy_chunk import CopyChunk

_TO_BLANKS = bytes.maketrans(b"\r\n", b"  ")


def to_lines(chunk: CopyChunk) -> bytes:
    """Return the chunk's values with exactly one LF behind each.

    A ``json`` column (unlike jsonb) keeps the white space it came with, line breaks included. They
    stand between tokens, as inside of strings JSON has them escaped (RFC 8259, section 7, which
    PostgreSQL's json input enforces): a blank says the same.

    Raises:
        IncompleteExport: the values are not whole objects.
    """
    values = chunk.messages
    joined = b"".join(values)
    if not (joined.startswith(b"{") and joined.endswith(b"}")):
        raise IncompleteExport("PostgreSQL's rows are no JSON objects.")
    if may_hold_half_a_pair(joined):
        values = [as_texts(bytes(value)) for value in values]
    # Looking for a byte that is not there is far faster than counting those that are.
    if b"\n" in joined or b"\r" in joined:
        values = [bytes(value).translate(_TO_BLANKS) for value in values]
    return b"\n".join([*values, b""])
