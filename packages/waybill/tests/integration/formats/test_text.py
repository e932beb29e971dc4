"""Any text PostgreSQL can hold comes back as it was, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waybill.catalog.model import TableSource

# PostgreSQL's text holds every character but NUL; surrogates are no characters.
_TEXT = st.text(
    st.one_of(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
        st.sampled_from(
            "\"'\\,;|\t\r\n\v\f\x01\x02\x1a\x1b\x7f\x85\u2028\u2029\ufeff\uffff\U0010ffff."
        ),
    )
)
_ROWS = st.lists(st.tuples(st.none() | _TEXT, st.none() | _TEXT), max_size=20)
_PROFILE = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def fill(run_sql: Callable[..., list[tuple[Any, ...]]]) -> Callable[[list[Any]], TableSource]:
    run_sql("CREATE TABLE texts (id int PRIMARY KEY, a text, b text)")

    def fill(rows: list[Any]) -> TableSource:
        run_sql("TRUNCATE texts")
        for number, (a, b) in enumerate(rows):
            run_sql("INSERT INTO texts VALUES (%s, %s, %s)", number, a, b)
        return TableSource("public", "texts")

    return fill


@given(rows=_ROWS)
@_PROFILE
def test_any_text_survives_csv(rows: list[Any], fill: Any, export: Any) -> None:
    # A text that looks like the NULL marker is quoted, which csv.reader does not tell: so the
    # marker is one that Hypothesis does not write.
    exported = export(fill(rows), "csv", key=("id",), options={"null_text": "<no value>"})

    parsed = list(csv.reader(io.StringIO(exported.data.decode(), newline=""), strict=True))

    assert parsed[0] == ["id", "a", "b"]
    assert parsed[1:] == [
        [str(n), *("<no value>" if cell is None else cell for cell in row)]
        for n, row in enumerate(rows)
    ]


@given(rows=_ROWS)
@_PROFILE
def test_any_text_survives_both_json_formats(rows: list[Any], fill: Any, export: Any) -> None:
    table = fill(rows)
    wanted = [{"id": n, "a": a, "b": b} for n, (a, b) in enumerate(rows)]

    assert json.loads(export(table, "json", key=("id",)).data) == wanted
    lines = export(table, "ndjson", key=("id",)).data.split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line) for line in lines] == wanted
