"""How every transaction on somebody else's database begins, so that what runs there is ours alone.

Whoever may create functions in a schema that is searched can stand in for PostgreSQL's own: an
overload that fits better than ``pg_catalog``'s is taken, wherever ``pg_catalog`` stands in the
path. So no schema of theirs is searched (``search_path``), and what we write is qualified even so:
``pg_catalog.left(…)``, ``OPERATOR(pg_catalog.=)``. An operator's own text can have schemas of
its choice (``search_path`` of its export type).

Everything is set by ``SET LOCAL``, inside of a read-only transaction that is never committed: a
pooler that lends a server's connection per transaction gives the same bytes, and the next client
finds it as it was. What an earlier one left there (``SET ROLE``, ``SET app.tenant``) does not count
meanwhile. ``BEGIN``, ``SET``, ``RESET`` and ``LOCK`` look up no function and take no snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from psycopg import sql

OWN_PATH: Final = ("pg_catalog", "pg_temp")
"""``pg_temp`` last, and named: unnamed, it would be searched first for tables and types."""

TEXT_SETTINGS: Final[Mapping[str, str]] = {
    # What makes a value's text depend on the data alone and not on the server's configuration.
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",  # the shortest text that reads back as the same float
    "bytea_output": "hex",
    "xmlbinary": "base64",
    # How statements are read: strings, and ``tenant = NULL``, which is to be true of no row.
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
}
"""Read back by every snapshot: a file in other bytes than its manifest says must not come about."""

_OTHER_SETTINGS: Final[Mapping[str, str]] = {
    # A sequential scan would else begin where another one is, and the order would vary.
    "synchronize_seqscans": "off",
    # Compiling pays off for arithmetic, not for printing; with 1,600 columns it costs seconds.
    "jit": "off",
    # A connection that only holds a snapshot or locks waits for others of ours.
    "idle_in_transaction_session_timeout": "0",
}

# Settings that came with a version: the version, the name and what it is set to.
_LATER_SETTINGS: Final = (
    # A transaction lasts as long as its export, whose deadline is ours.
    (170_000, "transaction_timeout", "0"),
)

OLDEST_VERSION: Final = 120_000
NEWEST_VERSION: Final = 189_999

THEIRS: Final = ("lc_monetary", "lc_numeric", "lc_time", "xmloption")
"""What a value's text depends on and role or database decide: by themselves, connections of one
file may have it otherwise, as one that a pooler keeps goes by what they said when it was made."""

# What another client of a pooler left on its connection (``SET``, ``SET ROLE``): row security may
# go by it. Rolled back with the transaction, like all that is set in it.
_AS_IT_WAS_MADE: Final = sql.SQL(
    "SET LOCAL session_authorization TO DEFAULT; SET LOCAL role TO DEFAULT; RESET ALL"
)


def opening(
    begin: sql.SQL,
    *,
    server_version: int,
    lock_timeout_seconds: float,
    statement_timeout_seconds: float,
    application_name: str | None = None,
) -> sql.Composed:
    """Return the statements, joined by ``;``, with which a transaction begins.

    Args:
        begin: ``BEGIN … READ ONLY``, with the isolation it needs.
        server_version: as libpq has it (170004).
        lock_timeout_seconds, statement_timeout_seconds: 0 means none.
        application_name: for a connection that has another name besides.
    """
    values = {
        **TEXT_SETTINGS,
        **_OTHER_SETTINGS,
        **{name: value for since, name, value in _LATER_SETTINGS if server_version >= since},
        "lock_timeout": str(round(lock_timeout_seconds * 1000)),
        "statement_timeout": str(round(statement_timeout_seconds * 1000)),
        **({} if application_name is None else {"application_name": application_name}),
    }
    return sql.SQL("; ").join(
        [
            begin,
            set_path(()),
            _AS_IT_WAS_MADE,
            set_path(()),  # which RESET took back
            *(
                sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in values.items()
            ),
        ]
    )


def set_path(schemas: Sequence[str]) -> sql.Composed:
    """Return the statement that has these schemas searched, behind ``pg_catalog``."""
    path = [OWN_PATH[0], *schemas, *OWN_PATH[1:]]
    return sql.SQL("SET LOCAL search_path = {}").format(sql.SQL(", ").join(map(sql.Literal, path)))


def set_theirs(values: Sequence[str]) -> list[sql.Composed]:
    """Return the statements that give ``THEIRS`` these values, as another connection has them."""
    return [
        sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in zip(THEIRS, values, strict=True)
    ]


def expected_settings() -> dict[str, str]:
    """Return what ``current_setting`` answers once a transaction has begun."""
    return {**TEXT_SETTINGS, "search_path": ", ".join(OWN_PATH)}
