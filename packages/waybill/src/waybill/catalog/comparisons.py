"""The operators by which a column's values are compared: those of its type's own btree order.

``=`` alone is whatever the search path finds: for a ``citext`` whose extension lies in another
schema that of ``text``, which tells capitals apart where the index does not; or one that somebody
put into ``public``. An index is searched by the operators of its operator class, and ``ORDER BY``
sorts by those of the type's default class. So these are looked up by their class (only superusers
make operator classes) and written with their schema: ``OPERATOR(extensions.>)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from psycopg import sql

from waybill.catalog.relation_sql import source_column
from waybill.errors import SourceRejected

FIRST_OF_THEIRS: Final = 16384
"""PostgreSQL's own types have smaller OIDs (FirstNormalObjectId), and its own operators."""

# btree's strategies (PostgreSQL documentation, "Index Method Strategies").
_STRATEGIES: Final = {"1": "<", "2": "<=", "3": "=", "4": ">=", "5": ">"}
_LIKE: Final = "~~"
_CAST: Final = "cast"

Operator = tuple[str, str]
"""A schema and a name."""

_BUILTIN: Final[Mapping[str, Operator]] = {
    meaning: ("pg_catalog", meaning) for meaning in (*_STRATEGIES.values(), _LIKE)
}


@dataclass(frozen=True, slots=True)
class Comparisons:
    """How values of one type are compared; by default with ``pg_catalog``'s operators."""

    operators: Mapping[str, Operator] = field(default_factory=lambda: _BUILTIN)
    """By what they mean: ``<``, ``<=``, ``=``, ``>=``, ``>``, and ``~~`` for LIKE."""
    diverted_to: str = ""
    """The type by which PostgreSQL would compare instead, by a cast that somebody made implicit."""

    def operator(self, meaning: str) -> sql.Composed:
        """Return ``OPERATOR(schema.name)``.

        Raises:
            SourceRejected: it would not be that of the type's own order.
        """
        if self.diverted_to:
            raise SourceRejected(
                f"Values of the column's type would not be compared as such but as "
                f"{self.diverted_to}: somebody made an implicit cast to it. Make it AS ASSIGNMENT "
                "(DROP CAST, CREATE CAST), or do without comparing this column."
            )
        schema, name = self.operators[meaning]
        # An operator's name has no quotes around it, and holds nothing but the signs below.
        assert set(name) <= set("+-*/<>=~!@#%^&|`?")  # noqa: S101 - PostgreSQL allows no others
        return sql.SQL("OPERATOR({}.{})").format(sql.Identifier(schema), sql.SQL(name))


BUILTIN: Final = Comparisons()


@dataclass(frozen=True, slots=True)
class KeyComparisons:
    """The columns of a key, and how each is compared."""

    names: tuple[str, ...]
    comparisons: tuple[Comparisons, ...]

    def behind(self, key: Sequence[str]) -> sql.Composed:
        """Return the condition for rows behind ``key``, PostgreSQL's own text of its columns."""
        return self.greater(_constants(key))

    def greater(self, than: Sequence[sql.Composable]) -> sql.Composed:
        """Return the condition for rows whose key is greater than the one of these expressions."""
        return self._side(">", ">", ">=", than)

    def up_to(self, key: Sequence[str]) -> sql.Composed:
        """Return the condition for rows before and at ``key``."""
        return self._side("<=", "<", "<=", _constants(key))

    def at(self, key: Sequence[str]) -> sql.Composed:
        """Return the condition for the row at ``key``."""
        values = _constants(key)
        return sql.SQL(" AND ").join(self._column(i, "=", values) for i in range(len(self.names)))

    def _side(
        self, whole: str, strict: str, loose: str, key: Sequence[sql.Composable]
    ) -> sql.Composed:
        # A comparison of rows is answered by one index over the columns as a range. It has one
        # operator, so where columns need different ones, it is written out.
        if len({each.operators[whole] for each in self.comparisons}) == 1:
            return sql.SQL("({}) {} ({})").format(
                sql.SQL(", ").join(map(source_column, self.names)),
                self.comparisons[0].operator(whole),
                sql.SQL(", ").join(key),
            )
        last = len(self.names) - 1
        condition = self._column(last, whole, key)
        for i in reversed(range(last)):
            condition = sql.SQL("({} AND ({} OR {}))").format(
                self._column(i, loose, key), self._column(i, strict, key), condition
            )
        return condition

    def _column(self, i: int, meaning: str, key: Sequence[sql.Composable]) -> sql.Composed:
        return sql.SQL("{} {} {}").format(
            source_column(self.names[i]), self.comparisons[i].operator(meaning), key[i]
        )


def _constants(key: Sequence[str]) -> list[sql.Composable]:
    # Untyped: each is read as the type of the column it is compared with.
    return [sql.Literal(text) for text in key]


def of_their_own(type_oids: Iterable[int]) -> list[int]:
    """Return the types whose operators have to be asked for."""
    return sorted({oid for oid in type_oids if oid >= FIRST_OF_THEIRS})


def operators_query(type_oids: Iterable[int]) -> sql.Composed:
    """Return the query for ``read_operators``.

    Args:
        type_oids: types, domains taken off.
    """
    listed = ",".join(str(oid) for oid in type_oids)
    return _OPERATORS.format(
        default_class=DEFAULT_CLASS,
        diverting_casts=DIVERTING_CASTS,
        types=sql.Literal(f"{{{listed}}}"),
    )


def read_operators(rows: Iterable[Sequence[str | None]]) -> dict[int, Comparisons]:
    """Return the comparisons of the types that have some of their own, by OID."""
    found: dict[int, dict[str, Operator]] = {}
    diverted: dict[int, str] = {}
    for oid, strategy, schema, name in rows:
        operators = found.setdefault(int(oid or 0), dict(_BUILTIN))
        if strategy == _CAST:
            diverted[int(oid or 0)] = name or ""
        else:
            operators[_STRATEGIES.get(strategy or "", _LIKE)] = (schema or "", name or "")
    return {oid: Comparisons(operators, diverted.get(oid, "")) for oid, operators in found.items()}


# As PostgreSQL itself chooses a type's class (GetDefaultOpClass): the default one of the type
# itself, else of what it is a kind of (every enum is an anyenum), else of what it can be read as
# without a conversion.
DEFAULT_CLASS: Final = sql.SQL("""
    SELECT c.opcfamily, c.opcintype
    FROM pg_catalog.pg_opclass AS c
    JOIN pg_catalog.pg_am AS m ON m.oid OPERATOR(pg_catalog.=) c.opcmethod
    JOIN pg_catalog.pg_type AS i ON i.oid OPERATOR(pg_catalog.=) c.opcintype
    WHERE m.amname OPERATOR(pg_catalog.=) 'btree' AND c.opcdefault
      AND (c.opcintype OPERATOR(pg_catalog.=) t.oid
           OR i.typname OPERATOR(pg_catalog.=) CASE
               WHEN t.typtype OPERATOR(pg_catalog.=) 'e' THEN 'anyenum'
               WHEN t.typtype OPERATOR(pg_catalog.=) 'r' THEN 'anyrange'
               WHEN t.typtype OPERATOR(pg_catalog.=) 'm' THEN 'anymultirange'
               WHEN t.typtype OPERATOR(pg_catalog.=) 'c' THEN 'record'
               WHEN t.typcategory OPERATOR(pg_catalog.=) 'A' THEN 'anyarray' END
           OR EXISTS (
               SELECT FROM pg_catalog.pg_cast AS k
               WHERE k.castsource OPERATOR(pg_catalog.=) t.oid
                 AND k.casttarget OPERATOR(pg_catalog.=) c.opcintype
                 AND k.castmethod OPERATOR(pg_catalog.=) 'b'
                 AND k.castcontext OPERATOR(pg_catalog.=) 'i'))
    ORDER BY (c.opcintype OPERATOR(pg_catalog.=) t.oid) DESC,
             (i.typtype OPERATOR(pg_catalog.=) 'p') DESC, i.typispreferred DESC, c.oid
    LIMIT 1""")
"""The btree order of the type ``t`` (a row of ``pg_type``): its family and what it takes."""

DIVERTING_CASTS: Final = sql.SQL("""
    SELECT k.casttarget
    FROM pg_catalog.pg_cast AS k
    CROSS JOIN LATERAL ({default_class}) AS class
    WHERE k.castsource OPERATOR(pg_catalog.=) t.oid
      AND k.castcontext OPERATOR(pg_catalog.=) 'i'
      AND k.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
      AND k.casttarget OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
      AND class.opcintype OPERATOR(pg_catalog.<>) t.oid
      AND class.opcintype OPERATOR(pg_catalog.<>) k.casttarget""").format(
    default_class=DEFAULT_CLASS
)
"""The casts that keep the type ``t`` (a row of ``pg_type``) from being compared by its own order.

The operators of enums, ranges, arrays and composites take any of their kind, so that none of them
fits exactly, and where the type's owner made an implicit cast to ``text``, that of ``text`` is
preferred, or none is at all. Which of them is meant cannot be written (``OPERATOR(pg_catalog.>)``
is the name of all)."""

# LIKE has no class: the operator of the type's owner, beside the type.
_OPERATORS: Final = sql.SQL("""
    SELECT t.oid::pg_catalog.text, s.amopstrategy::pg_catalog.text, n.nspname::pg_catalog.text,
           o.oprname::pg_catalog.text
    FROM pg_catalog.pg_type AS t
    CROSS JOIN LATERAL ({default_class}) AS class
    JOIN pg_catalog.pg_amop AS s
      ON s.amopfamily OPERATOR(pg_catalog.=) class.opcfamily
     AND s.amoplefttype OPERATOR(pg_catalog.=) class.opcintype
     AND s.amoprighttype OPERATOR(pg_catalog.=) class.opcintype
     AND s.amoppurpose OPERATOR(pg_catalog.=) 's'
    JOIN pg_catalog.pg_operator AS o ON o.oid OPERATOR(pg_catalog.=) s.amopopr
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
    WHERE t.oid OPERATOR(pg_catalog.=) ANY ({types}::pg_catalog.oid[])
    UNION ALL
    SELECT t.oid::pg_catalog.text, 'cast', NULL,
           pg_catalog.format_type(c.casttarget, NULL::pg_catalog.int4)
    FROM pg_catalog.pg_type AS t
    CROSS JOIN LATERAL ({diverting_casts}) AS c
    WHERE t.oid OPERATOR(pg_catalog.=) ANY ({types}::pg_catalog.oid[])
    UNION ALL
    SELECT t.oid::pg_catalog.text, 'like', n.nspname::pg_catalog.text, o.oprname::pg_catalog.text
    FROM pg_catalog.pg_type AS t
    JOIN pg_catalog.pg_operator AS o
      ON o.oprleft OPERATOR(pg_catalog.=) t.oid AND o.oprright OPERATOR(pg_catalog.=) t.oid
     AND o.oprname OPERATOR(pg_catalog.=) '~~' AND o.oprowner OPERATOR(pg_catalog.=) t.typowner
     AND o.oprnamespace OPERATOR(pg_catalog.=) t.typnamespace
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
    WHERE t.oid OPERATOR(pg_catalog.=) ANY ({types}::pg_catalog.oid[])""")
