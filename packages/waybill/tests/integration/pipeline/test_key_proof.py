"""An index is held to the comparison that it was built with, wherever that one's operators lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from waybill.catalog.model import ExportType, TableSource
from waybill.pipeline.key_proof import is_index_in_order
from waybill.source.source import PostgresSource, Reads

RunSql = Callable[..., list[tuple[Any, ...]]]

KEYS = {
    # As text, by its bytes, every capital would come first.
    "citext of another schema": (
        'away.citext COLLATE "C"',
        ("CREATE SCHEMA away", "CREATE EXTENSION citext SCHEMA away"),
    ),
    "operator of somebody else's": (
        'varchar COLLATE "C"',
        (
            "CREATE FUNCTION public.never(varchar, varchar) RETURNS bool LANGUAGE sql AS"
            " 'SELECT false'",
            "CREATE OPERATOR public.>"
            " (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.never)",
        ),
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_index_in_its_own_order_is_in_order(name: str, run_sql: RunSql, dsn: str) -> None:
    type_name, before = KEYS[name]
    for statement in (
        *before,
        f"CREATE TABLE things (name {type_name} PRIMARY KEY)",
        "INSERT INTO things SELECT CASE WHEN i % 2 = 0 THEN upper(md5(i::text)) ELSE md5(i::text)"
        " END FROM generate_series(1, 300) AS i",
    ):
        run_sql(statement)
    # The path of an operator's own text, in which others may create.
    things = ExportType(
        "things", TableSource("public", "things"), key=("name",), search_path=("public",)
    )
    source = PostgresSource(dsn)
    with source.open_snapshot(lambda: None, reads=Reads(things)) as snapshot:
        assert is_index_in_order(snapshot, things)
