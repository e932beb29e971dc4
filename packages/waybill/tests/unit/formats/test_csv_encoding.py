from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from waybill.catalog.model import ExportType, TableSource
from waybill.catalog.resolved import ResolvedColumn
from waybill.formats import get_encoder, read_options
from waybill.formats.base import join_header
from waybill.formats.plan import ExportPlan
from waybill.source.copy_chunk import CopyChunk


def write(messages: list[bytes], headers: list[str], **options: object) -> bytes:
    plan = ExportPlan(
        ExportType("things", TableSource("public", "t")),
        tuple(ResolvedColumn(f"c{n}", h, "text", 25, 25) for n, h in enumerate(headers)),
        get_encoder("csv"),
        read_options("csv", options),
    )
    encoding = get_encoder("csv").open(plan)
    return encoding.header() + encoding.encode(CopyChunk(messages)) + encoding.footer()


def test_header_is_quoted_where_it_must_be() -> None:
    assert join_header(["a", "b,c", 'd"e', "f\r\ng"], delimiter=",", terminator=b"\r\n") == (
        b'a,"b,c","d""e","f\r\ng"\r\n'
    )


def test_bom_delimiter_and_missing_header() -> None:
    assert write([b"1;2\n"], ["ä", "b;c"], bom=True, delimiter=";") == (
        '\ufeffä;"b;c"\r\n1;2\r\n'.encode()
    )
    assert write([b"1\n"], ["a"], bom=True, header=False) == b"\xef\xbb\xbf1\r\n"


_CELLS = st.text(st.sampled_from('ab,"\r\n'), max_size=6)


@given(rows=st.lists(st.lists(_CELLS, min_size=2, max_size=2), min_size=1, max_size=12))
def test_terminators_change_and_cells_do_not(rows: list[list[str]]) -> None:
    # Quoted as COPY quotes, and ended by LF as COPY ends its records.
    messages = [join_header(row, delimiter=",", terminator=b"\n") for row in rows]

    data = write(messages, ["a", "b"], header=False)

    assert list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True)) == rows
    assert data == b"".join(message[:-1] + b"\r\n" for message in messages)
