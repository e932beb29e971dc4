"""Keysets: the rows behind a key, and the key of a row found by its number.

A key is PostgreSQL's own text of its columns. It goes back as untyped constants, so that each is
read as the type of the column it is compared with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from psycopg import sql

from waybill.catalog.comparisons import KeyComparisons
from waybill.catalog.relation_sql import from_source, source_column
from waybill.formats.plan import ExportPlan
from waybill.source.source import PostgresSnapshot, PostgresSource, SharedSnapshot

_AND = sql.SQL(" AND ")
_CURSOR = sql.Identifier("waybill_keys")


def rows_behind(
    where: sql.Composable | None, order: KeyComparisons, key: Sequence[str]
) -> sql.Composable:
    """Return ``where`` narrowed to the rows behind ``key`` in the source's order."""
    return _narrowed(where, order.behind(key))


def rows_up_to(
    where: sql.Composable | None, order: KeyComparisons, key: Sequence[str]
) -> sql.Composable:
    """Return ``where`` narrowed to the rows before and at ``key``; see ``rows_behind``."""
    return _narrowed(where, order.up_to(key))


def _narrowed(where: sql.Composable | None, condition: sql.Composable) -> sql.Composable:
    return condition if where is None else _AND.join([sql.SQL("({})").format(where), condition])


class KeyLookup:
    """Finds keys in a snapshot while a COPY of it runs, on a second connection.

    That connection is made at the first look; small exports never need it.

    Args:
        source: where the rows come from.
        plan: which rows.
        order: how they follow each other (``PostgresSnapshot.key_comparisons``).
        exported: the snapshot (``PostgresSnapshot.export``).
        check: called while waiting.
    """

    def __init__(
        self,
        source: PostgresSource,
        plan: ExportPlan,
        order: KeyComparisons,
        exported: SharedSnapshot,
        check: Callable[[], None],
    ) -> None:
        self._source = source
        self._plan = plan
        self._order = order
        self._exported = exported
        self._check = check
        self._stack = contextlib.ExitStack()
        self._snapshot: PostgresSnapshot | None = None
        self._row = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._stack.close()

    def find(self, row: int) -> tuple[str, ...] | None:
        """Return the key of the plan's ``row``-th row (from 1); a later row with every call.

        A cursor over the key's index goes through the rows once, beside the COPY. ``None`` if
        there is no such row, or if its key's text does not find it again (a type whose text says
        less than its value): then there is no going on behind it.

        Raises:
            SourceUnavailable, SourceRejected: by the source.
        """
        if self._row == 0:
            self._declare()
        if row - 1 > self._row:
            self._fetch(sql.SQL("MOVE {} IN {}").format(sql.Literal(row - 1 - self._row), _CURSOR))
        found = self._fetch(sql.SQL("FETCH 1 FROM {}").format(_CURSOR))
        self._row = row
        if not found:
            return None
        key = tuple(text or "" for text in found[0])
        same = self._order.at(key)
        again = self._fetch(
            sql.SQL("SELECT 1 {}").format(from_source(self._plan.export_type.source, same))
        )
        if self._snapshot is not None:
            self._snapshot.prove_unmoved()
        return key if len(again) == 1 else None

    def _declare(self) -> None:
        columns = [source_column(name) for name in self._plan.export_type.key]
        self._fetch(
            sql.SQL(
                "DECLARE {cursor} NO SCROLL CURSOR FOR SELECT {texts} {source} ORDER BY {columns}"
            ).format(
                cursor=_CURSOR,
                # By the type's output function: a cast to text may be anybody's who owns the type.
                texts=sql.SQL(", ").join(
                    sql.SQL("pg_catalog.concat({})").format(column) for column in columns
                ),
                source=from_source(self._plan.export_type.source, self._plan.where),
                columns=sql.SQL(", ").join(columns),
            )
        )

    def _fetch(self, query: sql.Composable) -> list[tuple[str | None, ...]]:
        if self._snapshot is None:
            self._snapshot = self._stack.enter_context(
                self._source.open_snapshot(
                    self._check, application_name="waybill keys", exported=self._exported
                )
            )
        return self._snapshot.fetch(query)
