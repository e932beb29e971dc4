from __future__ import annotations

import xml.etree.ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waybill.catalog.resolved import ResolvedColumn
from waybill.formats.xlsx_cells import (
    cell_column,
    column_letters,
    escape,
    row_numbers,
    unescape,
)

_TEXT = st.text(
    st.one_of(
        st.sampled_from("_x0041F<>&\r\n\t'\u0001\u001f\ufffe\uffff"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    )
)


@settings(deadline=None)  # no test of speed
@given(_TEXT)
def test_escaped_text_is_xml_and_reads_back(text: str) -> None:
    escaped = escape(text.encode()).decode()

    # What an XML parser gives has the escapes of SpreadsheetML left, and nothing else changed.
    element = ET.fromstring(f'<t xml:space="preserve">{escaped}</t>')  # noqa: S314 - ours
    parsed = element.text or ""
    assert unescape(parsed.replace("&", "&amp;")) == text
    assert unescape(escaped) == text


@pytest.mark.parametrize(
    ("index", "letters"),
    [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16383, "XFD")],
)
def test_columns_have_excels_names(index: int, letters: str) -> None:
    assert column_letters(index) == letters


def cell(oid: int, text: str, type_name: str = "") -> str:
    column = cell_column(ResolvedColumn("a", "a", type_name, oid, oid), 0, formula_guard=False)
    return str(column.cells(pa.array([text]), row_numbers(2, 1), 0)[0])


@settings(deadline=None)  # no test of speed
@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20
    )
)
def test_a_number_is_a_number_only_if_fifteen_digits_tell_it(value: object) -> None:
    text = f"{value:f}"
    written = cell(1700, text)

    if "<v>" in written:
        assert f"<v>{text}</v>" in written
        assert float(f"{float(text):.15g}") == float(text)
        digits = text.lstrip("-").replace(".", "").lstrip("0")
        assert len(digits.rstrip("0") if "." in text else digits) <= 15
    else:
        assert f">{text}</t>" in written


@settings(deadline=None)  # no test of speed
@given(st.floats(allow_nan=False))
def test_a_double_is_a_number_where_excel_holds_it(value: float) -> None:
    text = {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(value, repr(value))
    is_number = value == 0 or 2.2250738585072014e-308 <= abs(value) < 1e308

    assert ("<v>" in cell(701, text)) is is_number
