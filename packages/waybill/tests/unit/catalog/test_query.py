"""Operator-written queries: what is one statement, and what may stand around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.catalog.model import QuerySource
from waybill.catalog.query import normalise_query
from waybill.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("SELECT 1", "SELECT 1"),
        ("  select 1 ;\n", "select 1"),
        ("SELECT 1;;", "SELECT 1"),
        ("SELECT 1 -- the end", "SELECT 1"),
        ("SELECT 1; -- the end\n", "SELECT 1"),
        ("SELECT 1 /* a /* nested */ ; end */ ;", "SELECT 1"),
        ("-- first\nSELECT 1", "SELECT 1"),
        ("(SELECT 1) UNION (SELECT 2)", "(SELECT 1) UNION (SELECT 2)"),
        ("WITH a AS (SELECT 1) TABLE a", "WITH a AS (SELECT 1) TABLE a"),
        ("VALUES (1), (2)", "VALUES (1), (2)"),
        ("TABLE users", "TABLE users"),
        ("SELECT ';--' AS a", "SELECT ';--' AS a"),
        ("SELECT 'it''s ;' AS a", "SELECT 'it''s ;' AS a"),
        (r"SELECT E'\';' AS a", r"SELECT E'\';' AS a"),
        ('SELECT 1 AS ";--"', 'SELECT 1 AS ";--"'),
        ('SELECT 1 AS "a"";"', 'SELECT 1 AS "a"";"'),
        ("SELECT $$ ; -- ' $$", "SELECT $$ ; -- ' $$"),
        ("SELECT $é$ $$ ; $é$", "SELECT $é$ $$ ; $é$"),
        ("SELECT a$b$ FROM t; ", "SELECT a$b$ FROM t"),
        ("SELECT '(' ", "SELECT '('"),
        ("SELECT 1 -- ; SELECT 2\n, 3", "SELECT 1 -- ; SELECT 2\n, 3"),
    ],
)
def test_single_query_is_kept_without_what_surrounds_it(written: str, kept: str) -> None:
    assert normalise_query(written) == kept
    assert QuerySource(written).sql == kept


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "empty"),
        (" ; -- nothing\n", "empty"),
        ("SELECT 1; SELECT 2", "second statement on line 1"),
        ("SELECT 1;\nDROP TABLE users", "second statement on line 2"),
        ("SELECT $$a$$;\n\n$$b$$", "second statement on line 3"),
        ("DELETE FROM users", "begins with 'DELETE'"),
        ("COPY users TO STDOUT", "begins with 'COPY'"),
        ("SELECT 1) AS a; DROP TABLE users; --", "closes a parenthesis"),
        ("SELECT 1) UNION (SELECT 2", "closes a parenthesis"),
        ("SELECT (1", "leaves a parenthesis open"),
        ("SELECT 'a", "opens a ' on line 1"),
        ('SELECT\n"a', 'opens a " on line 2'),
        ("SELECT /* /* */ 1", "comment"),
        ("SELECT $a$ b", "opens $a$"),
        ("SELECT E'a\\'", "opens a '"),
        ("SELECT 'a\0b'", "NUL"),
        ("SELECT\u00a01", "begins with"),
    ],
)
def test_anything_but_one_query_is_refused(written: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        QuerySource(written)
    assert says in str(caught.value)


@given(st.lists(st.sampled_from(["'", '"', "$$", "$a$", "--", "/*", "*/", "\n", ";", "(", ")",
                                 "\\", "E'", "a", " "]), max_size=12))  # fmt: skip
def test_normalising_ends_and_is_stable_for_any_tokens(tokens: list[str]) -> None:
    try:
        once = normalise_query("SELECT " + "".join(tokens))
    except ConfigurationError:
        return
    assert normalise_query(once) == once
    assert not once.endswith(";")
