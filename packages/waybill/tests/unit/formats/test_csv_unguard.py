"""Restoring a guarded CSV file, on bytes written by hand (PostgreSQL's own are compared in
``integration/formats/test_formula_guard_sql.py``)."""

from __future__ import annotations

import io
import tracemalloc

import pytest

from waybill.errors import InvalidOption
from waybill.formats.csv_unguard import TruncatedCsv, unguard_csv


def restore(data: bytes, *columns: int, **options: object) -> bytes:
    target = io.BytesIO()
    unguard_csv(io.BytesIO(data), target, columns, **options)  # type: ignore[arg-type]
    return target.getvalue()


def test_only_the_guarded_columns_are_restored() -> None:
    data = b"a,b\r\n'=1,'=1\r\n"
    assert restore(data, 1) == b"a,b\r\n'=1,=1\r\n"


def test_the_header_is_passed_through() -> None:
    assert restore(b"'=a\n'=1\n", 0) == b"'=a\n=1\n"
    assert restore(b"'=a\n'=1\n", 0, header=False) == b"=a\n=1\n"


def test_a_header_with_a_line_break_is_one_record() -> None:
    assert restore(b"\"a\n'=b\"\n'=1\n", 0) == b'"a\n\'=b"\n=1\n'


def test_a_bom_is_not_part_of_the_first_field() -> None:
    data = b"\xef\xbb\xbf'=1\n"
    assert restore(data, 0, header=False, bom=True) == b"\xef\xbb\xbf=1\n"
    # Without a BOM the same bytes are a value that begins with U+FEFF and an apostrophe.
    assert restore(data, 0, header=False) == data


def test_quoted_fields_keep_their_quotes_and_line_ends() -> None:
    data = b'x,"\'=HYPERLINK(""a"",""b"")\r\n",y\r\n'
    expected = b'x,"=HYPERLINK(""a"",""b"")\r\n",y\r\n'
    assert restore(data, 0, 1, 2, header=False) == expected


def test_cells_of_several_lines_are_counted_as_the_columns_they_are() -> None:
    data = b'"1\n2","3\n4","\'=x,y"\n'
    assert restore(data, 2, header=False) == b'"1\n2","3\n4","=x,y"\n'


def test_an_unquoted_null_text_is_null_whatever_it_looks_like() -> None:
    assert restore(b"'=x,a\n", 0, header=False, null_text="'=x") == b"'=x,a\n"


def test_a_value_that_reads_like_the_null_text_gets_its_quotes_back() -> None:
    assert restore(b"'=x,a\n", 0, header=False, null_text="=x") == b'"=x",a\n'


def test_quotes_that_only_told_the_guarded_value_from_null_are_dropped() -> None:
    assert restore(b'"\'=x",a\n', 0, header=False, null_text="'=x") == b"=x,a\n"


def test_a_last_line_without_an_end_is_restored() -> None:
    assert restore(b"a,'=1", 1, header=False) == b"a,=1"


def test_an_empty_file_stays_empty() -> None:
    assert restore(b"", 0) == b""


def test_the_number_of_restored_fields_is_returned() -> None:
    source, target = io.BytesIO(b"h\n'=1\nx\n'@a\n"), io.BytesIO()
    assert unguard_csv(source, target, [0]) == 2


def test_a_file_cut_inside_a_quoted_field_is_refused() -> None:
    with pytest.raises(TruncatedCsv, match="ends inside a quoted field"):
        restore(b"a,\"'=1", 1, header=False)


@pytest.mark.parametrize("delimiter", ["'", '"', "=", "@", "\n", "", ",,", "é"])
def test_a_delimiter_that_the_guard_cannot_work_with_is_refused(delimiter: str) -> None:
    with pytest.raises(InvalidOption, match="delimiter"):
        restore(b"", 0, delimiter=delimiter)


class _EndlessField(io.RawIOBase):
    """A source of one field of ``size`` bytes, which never exists as a whole."""

    def __init__(self, head: bytes, filler: bytes, size: int, tail: bytes) -> None:
        self._head, self._filler, self._left, self._tail = head, filler, size, tail

    def readline(self, size: int | None = -1, /) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        if self._left:
            take = min(self._left, size or 0)
            self._left -= take
            return self._filler * take
        tail, self._tail = self._tail, b""
        return tail


class _Counter(io.RawIOBase):
    written = 0
    first = b""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self.first = self.first or bytes(data[:8])
        self.written += len(data)
        return len(data)


@pytest.mark.parametrize(
    ("head", "tail", "expected"),
    [(b"'=", b"\n", b"=xxxxxxx"), (b"\"'=,", b'"\n', b'"=,xxxxx'), (b"'", b"\n", b"'xxxxxxx")],
)
def test_memory_does_not_grow_with_a_field(head: bytes, tail: bytes, expected: bytes) -> None:
    size = 50_000_000
    source, target = _EndlessField(head, b"x", size, tail), _Counter()
    tracemalloc.start()
    restored = unguard_csv(source, target, [0], header=False)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert target.first == expected
    assert target.written == len(head) + size + len(tail) - restored
