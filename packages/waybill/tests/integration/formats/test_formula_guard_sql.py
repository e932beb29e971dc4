"""The formula guard in SQL decides as the one in Python does, and a guarded file can be restored
to the very bytes that PostgreSQL writes without it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from waybill.formats.csv_unguard import unguard_csv
from waybill.formats.formula_guard import (
    HEAD_CHARACTERS,
    INTACT_TYPES,
    guard,
    guard_expression,
)
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database

BPCHAR, NAME, JSON, CHAR = 1042, 19, 114, 18

# PostgreSQL's text holds every character but NUL and surrogates.
characters = st.sampled_from(
    "'=+-@＝＋－＠\t\r\n \u00a0\u200b\ufeff0123456789.,;|()/eE%aé漢\"\\"
) | st.characters(exclude_characters="\0", codec="utf-8")
texts = st.text(characters, max_size=80)
many = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def connection(local_stack: LocalStack) -> Iterator[psycopg.Connection[Any]]:
    with temporary_database(local_stack) as dsn, psycopg.connect(dsn, autocommit=True) as opened:
        yield opened


def guarded_in_sql(
    connection: psycopg.Connection[Any], values: Sequence[str | None]
) -> list[str | None]:
    statement = sql.SQL("SELECT {} FROM unnest(%s::text[]) WITH ORDINALITY AS t(v, n) ORDER BY n")
    expression = guard_expression(sql.Identifier("v"))
    return [row[0] for row in connection.execute(statement.format(expression), [list(values)])]


@many
@given(st.lists(texts, min_size=1, max_size=40))
@example(["'" * n + "=1" for n in range(HEAD_CHARACTERS + 3)])
@example([" " * n + "=1" for n in range(HEAD_CHARACTERS + 3)])
@example(["-" + "1" * n for n in range(HEAD_CHARACTERS + 3)])
@example(["'" * n + "+15551234567" + " " * m for n in (0, 1, 52, 53) for m in (0, 1, 20)])
@example(["+1-555-123-4567", "+1-2", "-1e", "-１", "+15551234567\n", "-5\n", "", "'", "\\", "-"])
def test_sql_and_python_decide_alike(
    connection: psycopg.Connection[Any], values: list[str]
) -> None:
    assert guarded_in_sql(connection, values) == [guard(value) for value in values]


@many
@given(st.lists(texts, min_size=1, max_size=40))
@example(
    ["A", "~", "\x7f=1", "@", "'=1", "", " =1", "É", "+15551234567", "=1" + " " * 70, "-" * 80]
)
def test_padded_text_is_decided_alike(
    connection: psycopg.Connection[Any], values: list[str]
) -> None:
    statement = sql.SQL(
        "SELECT {} FROM (SELECT v::char(80) AS v, n FROM unnest(%s::text[]) WITH ORDINALITY "
        "AS u(v, n)) AS t ORDER BY n"
    ).format(guard_expression(sql.Identifier("v"), BPCHAR))
    found = [row[0] for row in connection.execute(statement, [values])]
    assert found == [guard(value.ljust(80)) for value in values]


def test_every_single_character_is_decided_alike(connection: psycopg.Connection[Any]) -> None:
    every = [chr(c) for c in range(1, 0x11000) if not 0xD800 <= c < 0xE000]
    for suffix in ("", "=1", "5"):
        values = [character + suffix for character in every]
        assert guarded_in_sql(connection, values) == [guard(value) for value in values]


def test_null_stays_null(connection: psycopg.Connection[Any]) -> None:
    assert guarded_in_sql(connection, [None, "=1", ""]) == [None, "'=1", ""]


def test_an_intact_type_is_named_as_postgresql_names_it(
    connection: psycopg.Connection[Any],
) -> None:
    rows = connection.execute(
        "SELECT oid::int, typname FROM pg_type WHERE oid = ANY (%s)", [list(INTACT_TYPES)]
    )
    assert dict(rows.fetchall()) == INTACT_TYPES


@pytest.mark.parametrize(
    ("type_name", "oid", "literal", "expected"),
    [
        ("varchar(9)", 1043, "=1", b"'=1\n"),
        ("char(6)", BPCHAR, "=1", b"'=1    \n"),
        ("char(6)", BPCHAR, "a", b"a     \n"),
        ("name", NAME, "=1", b"'=1\n"),
        ('"char"', CHAR, "-", b"'-\n"),
        ("json", JSON, "\t-5", b"'\t-5\n"),
        ("json", JSON, "-5", b"-5\n"),
        ("hue", 0, "-red", b"'-red\n"),
        ("hue", 0, "blue", b"blue\n"),
        ("pair", 0, "(=1,)", b'"(=1,)"\n'),
        ("pair", 0, "(,)", b'"(,)"\n'),
        ("text[]", 1009, "{=1}", b"{=1}\n"),
        ("text", 25, None, b"\n"),
        ("char(6)", BPCHAR, None, b"\n"),
        ("pair", 0, None, b"\n"),
    ],
)
def test_each_type_is_guarded_as_copy_prints_it(
    connection: psycopg.Connection[Any],
    type_name: str,
    oid: int,
    literal: str | None,
    expected: bytes,
) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("CREATE TYPE hue AS ENUM ('-red', 'blue')")
        connection.execute("CREATE TYPE pair AS (a text, b text)")
        connection.execute(sql.SQL("CREATE TABLE t (v {})").format(sql.SQL(type_name)))
        connection.execute("INSERT INTO t VALUES (%s)", [literal])
        expression = guard_expression(sql.Identifier("v"), oid)
        copy = sql.SQL("COPY (SELECT {} FROM t) TO STDOUT (FORMAT csv)").format(expression)
        assert copied(connection, copy) == expected


def copied(connection: psycopg.Connection[Any], statement: sql.Composed) -> bytes:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(copy)


def with_crlf(data: bytes) -> bytes:
    """Replace the LF that end records; a line break inside quotes is data."""
    pieces = data.split(b'"')
    return b'"'.join(
        piece.replace(b"\n", b"\r\n") if index % 2 == 0 else piece
        for index, piece in enumerate(pieces)
    )


def export(
    connection: psycopg.Connection[Any],
    rows: Sequence[Sequence[str | None]],
    guarded: frozenset[int],
    *,
    delimiter: str,
    null_text: str,
    force_quote: bool,
) -> bytes:
    width = len(rows[0])
    names = [f"c{index}" for index in range(width)]
    values = [
        guard_expression(sql.Identifier(name)) if index in guarded else sql.Identifier(name)
        for index, name in enumerate(names)
    ]
    arrays = [[row[index] for row in rows] for index in range(width)]
    source = sql.SQL("unnest({}) WITH ORDINALITY AS t({}, n)").format(
        sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal(array)) for array in arrays),
        sql.SQL(", ").join(map(sql.Identifier, names)),
    )
    return copied(
        connection,
        sql.SQL(
            "COPY (SELECT {} FROM {} ORDER BY n) TO STDOUT "
            "(FORMAT csv, DELIMITER {}, NULL {}, ENCODING 'UTF8' {})"
        ).format(
            sql.SQL(", ").join(values),
            source,
            sql.Literal(delimiter),
            sql.Literal(null_text),
            sql.SQL(", FORCE_QUOTE *" if force_quote else ""),
        ),
    )


cells = texts | st.sampled_from(["=x", "'=x", "''=x", "=", "'=", "NULL", "\\.", "\\N", ""])


@many
@given(
    rows=st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.lists(st.none() | cells, min_size=width, max_size=width), min_size=1, max_size=12
        )
    ),
    guarded=st.frozensets(st.integers(0, 2)),
    delimiter=st.sampled_from(",;\t|"),
    null_text=st.sampled_from(["", "NULL", "=x", "'=x", "''=x", "'", "="]),
    force_quote=st.just(False),
    crlf=st.booleans(),
    bom=st.booleans(),
)
@example([["\ufeff=1"]], frozenset({0}), ",", "", False, False, False)
@example([["=1"]], frozenset({0}), ",", "", False, True, True)
@example([["=1", "Ada, =2", None], ["\\.", "", "=x"]], frozenset({0, 2}), ",", "", True, True, True)
@example([["=" + "x" * 200_000 + '"\r\n,'] * 2] * 2, frozenset({0}), ",", "", False, True, False)
@example([["=" + '"' * 1_000, "=" + "漢" * 1_000]], frozenset({0, 1}), ";", "", False, True, False)
@example(
    [["'" * 70_000 + "=1", "-" + "1" * 70_000]], frozenset({0, 1}), ",", "", False, True, False
)
def test_a_guarded_file_is_restored_to_the_bytes_of_the_unguarded_export(
    connection: psycopg.Connection[Any],
    rows: list[list[str | None]],
    guarded: frozenset[int],
    delimiter: str,
    null_text: str,
    force_quote: bool,
    crlf: bool,
    bom: bool,
) -> None:
    how: dict[str, Any] = {
        "delimiter": delimiter,
        "null_text": null_text,
        "force_quote": force_quote,
    }
    files = []
    for columns in (frozenset[int](), guarded):
        data = export(connection, rows, columns, **how)
        data = with_crlf(data) if crlf else data
        files.append(b"\xef\xbb\xbf" + data if bom else data)
    original, defended = files
    target = io.BytesIO()
    unguard_csv(
        io.BytesIO(defended),
        target,
        guarded,
        delimiter=delimiter,
        null_text=null_text,
        header=False,
        bom=bom,
    )
    assert target.getvalue() == original


def test_a_long_column_of_formulas_is_guarded_and_restored(
    connection: psycopg.Connection[Any],
) -> None:
    connection.execute(
        "CREATE TEMP TABLE people AS SELECT i AS id, "
        "CASE i % 4 WHEN 0 THEN '=cmd|'' /C calc''!A' || i WHEN 1 THEN '+1555' || (1000000 + i) "
        "WHEN 2 THEN E'O''Brien,\\n\"' || i ELSE '-' || i END AS v FROM generate_series(1, 20000) i"
    )
    statement = sql.SQL("COPY (SELECT id, {} FROM people ORDER BY id) TO STDOUT (FORMAT csv)")
    original = copied(connection, statement.format(sql.Identifier("v")))
    defended = copied(connection, statement.format(guard_expression(sql.Identifier("v"))))
    assert defended.count(b"\n4,'=cmd") == 1
    assert len(defended) - len(original) == 5_000
    target = io.BytesIO()
    restored = unguard_csv(io.BytesIO(defended), target, [1], header=False)
    assert restored == 5_000
    assert target.getvalue() == original
