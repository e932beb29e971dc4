"""What ``json`` and ``ndjson`` share: one JSON object per line, made by the server.

How values are written (PostgreSQL's ``to_json``): json and jsonb stay nested, arrays and composites
become arrays and objects; numerics are exact JSON numbers of any length (read them with a decimal
parser); ``NaN`` and ``Infinity``, which JSON has no numbers for, are the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"``; ``timestamptz`` is an ISO 8601 string in UTC, ``interval`` an
ISO 8601 duration; all other types are strings of PostgreSQL's text. NULL is ``null``.
"""

from __future__ import annotations

from waybill.errors import IncompleteExport
from waybill.pipeline.encoders.base import CopyChunk
from waybill.pipeline.statement import JSON_QUOTE

_TO_BLANKS = bytes.maketrans(b"\r\n", b"  ")


def to_lines(chunk: CopyChunk) -> bytes:
    """Return the chunk with exactly one LF per row.

    A ``json`` column (unlike jsonb) keeps the white space it came with, line breaks included.
    COPY quotes a row that holds one, so such rows show by the quote byte, and a line break there
    is white space between tokens: a blank says the same.

    Raises:
        IncompleteExport: the lines are not the rows.
    """
    data = chunk.data
    if JSON_QUOTE in data:
        segments = data.split(JSON_QUOTE)
        segments[1::2] = [segment.translate(_TO_BLANKS) for segment in segments[1::2]]
        data = b"".join(segments)
    if data.count(b"\n") != chunk.rows or not data.endswith(b"\n"):
        raise IncompleteExport("PostgreSQL's rows do not parse as lines of JSON.")
    return data
