"""Formula-injection defence: text that a spreadsheet would calculate gets a leading ``'``.

Sources: OWASP CSV Injection and WSTG "Testing for CSV Injection" (``= + - @``, TAB, CR, LF and the
full-width ``＝ ＋ － ＠``, which Japanese Excel takes as formulas: OWASP/www-community issue 1088);
ASVS 5.0 1.2.10 (a single quote before the value). ASVS also lists NUL, which PostgreSQL's text
cannot hold. Blanks before the sign do not defuse it, since importers strip them (csv-safe pull
request 25), so whatever shows as nothing is looked through.

The rule, the same in Python (``needs_guard``) and in SQL (``guard_expression``). Take the leading
apostrophes off a value. What remains is dangerous if it begins with TAB, CR or LF, or with one of
the eight signs, perhaps behind invisible characters; unless all of it is a signed number or a
telephone number, which hold nothing but digits and separators. A dangerous value gets one ``'``
*more*, whatever number it had. So ``'=1`` becomes ``''=1``, and ``unguard`` is exact: it takes one
``'`` from what is dangerous and leaves all else.

Only the first 64 characters are looked at, to keep the cost of a 1 GB value at that of a short
one. A value whose first 64 are apostrophes and invisible characters is dangerous.

One thing no cell prefix can stop: a reader that splits by another delimiter than the file's (a
comma file in an Excel whose list separator is ``;``) makes cells that begin inside ours. Choose
the delimiter that the readers' locale expects, or XLSX.
"""

from __future__ import annotations

import re
from typing import Final

from psycopg import sql

from waybill.catalog.resolved import ResolvedColumn

MODE: Final = "apostrophe"
"""What the manifest records. A change of the rule below needs another name: files that were made
under the old one are restored by the old one."""

HEAD_CHARACTERS: Final = 64

# The patterns are written in what Python's ``re`` and PostgreSQL's ARE have in common, escapes
# included, so that the one string is compiled by both. No ``%`` in them nor in the SQL below:
# psycopg would take it for a placeholder when the statement has parameters.
_INVISIBLE_RANGES: Final = (
    (0x0001, 0x0020),  # C0 controls, among them TAB, LF and CR, and the space
    (0x007F, 0x00A0),  # DEL, C1 controls, no-break space
    (0x00AD, 0x00AD),  # soft hyphen
    (0x1680, 0x1680),  # Ogham space
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x2000, 0x200F),  # spaces, zero-width characters, direction marks
    (0x2028, 0x202F),  # line and paragraph separator, embeddings, narrow no-break space
    (0x205F, 0x206F),  # mathematical space, invisible operators, isolates
    (0x3000, 0x3000),  # ideographic space
    (0xFEFF, 0xFEFF),  # byte order mark: a decoder takes it off the first cell of a file
)
_SIGNS: Final = "=+-@＝＋－＠"
_INVISIBLE: Final = "[" + "".join(rf"\u{a:04x}-\u{b:04x}" for a, b in _INVISIBLE_RANGES) + "]"
_SIGN: Final = "[" + "".join(rf"\u{ord(sign):04x}" for sign in _SIGNS) + "]"

_STARTS_FORMULA: Final = rf"\A'*(?:[\t\r\n]|{_INVISIBLE}*{_SIGN})"
_SHOWS_NOTHING: Final = rf"\A'*{_INVISIBLE}*\Z"

# -5, +3.14, -1,234.56, -1.234,56, -1 234, -1'000, -.5, -1e-9, +12%, +15551234567
_NUMBER: Final = (
    r"\A'* *[-+](?:[0-9]+(?:[.,' \u00a0\u202f][0-9]+)*|[.,][0-9]+)"
    r"(?:[eE][-+]?[0-9]+)?\u0025? *\Z"
)
# International notation: + and seven digits or more, grouped as people group them:
# +1 (555) 123-4567, +44 (0)20 7946 0958, +49 30/1234567. The seven are spelt out, because
# PostgreSQL takes several times as long for (...){6,14}.
_MORE_DIGITS: Final = r"(?:[-./() \u00a0\u2010\u2011]*[0-9])"
_TELEPHONE: Final = rf"\A'* *\+ ?[(]?[0-9]{_MORE_DIGITS * 6}{_MORE_DIGITS}* *\Z"

# The commonest of both, decided at a third of the price: +15551234567, -5.
_SIGNED_DIGITS: Final = r"\A[-+][0-9]+\Z"

_starts_formula = re.compile(_STARTS_FORMULA)
_shows_nothing = re.compile(_SHOWS_NOTHING)
_number = re.compile(_NUMBER)
_telephone = re.compile(_TELEPHONE)

# Neither a number nor a telephone number begins with these.
_ALWAYS_FORMULA: Final = frozenset({*"\t\r\n", *_SIGNS} - {"+", "-"})
# Both end with one of these, and little else does: what ends otherwise needs no look at the rest.
_NUMBER_ENDS: Final = frozenset("0123456789% ")
_FIRST_CHARACTERS: Final = frozenset(
    {"'", *_SIGNS}.union(*({chr(c) for c in range(a, b + 1)} for a, b in _INVISIBLE_RANGES))
)


def needs_guard(text: str) -> bool:
    """Whether a text cell must be given a ``'`` in a file that a spreadsheet may open."""
    if text[:1] not in _FIRST_CHARACTERS or not text:
        return False
    head = text[:HEAD_CHARACTERS]
    if len(head) < HEAD_CHARACTERS:
        return bool(
            _starts_formula.match(head) and not _number.match(head) and not _telephone.match(head)
        )
    return bool(_starts_formula.match(head) or _shows_nothing.match(head))


def guard(text: str) -> str:
    """Return the text as it stands in a guarded file."""
    return f"'{text}" if needs_guard(text) else text


def unguard(text: str) -> str:
    """Return the text that ``guard`` was given: ``unguard(guard(x)) == x`` for every ``x``."""
    return text[1:] if text.startswith("'") and needs_guard(text[1:]) else text


# -- which columns -----------------------------------------------------------------------------

_TEXT_OID: Final = 25
_BPCHAR_OID: Final = 1042
_VARCHAR_OID: Final = 1043

INTACT_TYPES: Final = {
    16: "bool",
    17: "bytea",
    20: "int8",
    21: "int2",
    23: "int4",
    26: "oid",
    27: "tid",
    28: "xid",
    29: "cid",
    600: "point",
    601: "lseg",
    602: "path",
    603: "box",
    604: "polygon",
    628: "line",
    650: "cidr",
    700: "float4",
    701: "float8",
    718: "circle",
    774: "macaddr8",
    790: "money",
    829: "macaddr",
    869: "inet",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamptz",
    1186: "interval",
    1266: "timetz",
    1560: "bit",
    1562: "varbit",
    1700: "numeric",
    2950: "uuid",
    2970: "txid_snapshot",
    3220: "pg_lsn",
    3614: "tsvector",
    3802: "jsonb",
    3904: "int4range",
    3906: "numrange",
    3908: "tsrange",
    3910: "tstzrange",
    3912: "daterange",
    3926: "int8range",
    5038: "pg_snapshot",
    5069: "xid8",
}
"""Built-in types (``pg_type.oid``: ``typname``) whose output is no free text: a number, a date, or
something that cannot begin with a sign. They are never guarded, so ``-5`` and ``-1 days`` stay."""


def is_guarded_type(base_type_oid: int) -> bool:
    """Whether a column of this type (domains taken off) is guarded.

    All but ``INTACT_TYPES``: what is not known to be harmless counts as text, so that a type of an
    extension is guarded too. Composites begin with a bracket; for them it changes nothing.
    """
    return base_type_oid not in INTACT_TYPES


def is_guarded_column(column: ResolvedColumn) -> bool:
    """Whether a column's cells may get the guard: a guarded type, and no array, whose text always
    begins with a bracket: a look at each would cost, and find nothing."""
    return is_guarded_type(column.base_type_oid) and not column.type_name.endswith("[]")


# -- the same in SQL -----------------------------------------------------------------------------


def guard_expression(value: sql.Composable, base_type_oid: int = _TEXT_OID) -> sql.Composed:
    """Return an SQL expression that COPY prints as ``guard`` of what it would print of ``value``.

    NULL stays NULL. ``value`` is repeated in the expression, so let it be a column. The database
    must be encoded in UTF8 (``ascii`` gives code points only there).

    Most values are decided by one look-up of the first character in a constant hashed array, which
    costs a fraction of a regular expression or of ``strpos``. Regular expressions run for values
    that begin with a sign, a blank or an apostrophe, and those for numbers only where the last
    character may end one (ADR-0008). ``left`` reads a slice of a TOASTed value instead of all of
    it, and ``octet_length`` only its header.
    """
    guarded = _GUARD.format(
        text=_printed(value, base_type_oid),
        first=_code_points(_FIRST_CHARACTERS),
        always=_code_points(_ALWAYS_FORMULA),
        ends=_code_points(_NUMBER_ENDS),
        digits=sql.Literal(_SIGNED_DIGITS),
        size=sql.Literal(HEAD_CHARACTERS),
        number=sql.Literal(_NUMBER),
        telephone=sql.Literal(_TELEPHONE),
        starts_formula=sql.Literal(_STARTS_FORMULA),
        shows_nothing=sql.Literal(_SHOWS_NOTHING),
    )
    if base_type_oid != _BPCHAR_OID:
        return guarded
    return _GUARD_BPCHAR.format(
        value=value, guarded=guarded, start=sql.Literal("A"), end=sql.Literal("\x7f")
    )


def _code_points(characters: frozenset[str]) -> sql.Literal:
    return sql.Literal("{" + ",".join(str(ord(c)) for c in sorted(characters)) + "}")


# COLLATE "C": code points decide, and the patterns also run on a column with a nondeterministic
# collation, which regular expressions refuse. Operators are written with their schema, as all is
# that runs on a source (catalog/foreign.py).
#
# The first branch is for nearly all values, NULL among them: as one operand of an AND it had the
# others looked at for every NULL, which was a fifth of what the guard costs (docs/benchmarks.md).
_GUARD: Final = sql.SQL(
    "CASE WHEN (pg_catalog.ascii(pg_catalog.left({text}, 1)) "
    "OPERATOR(pg_catalog.=) ANY ({first}::pg_catalog.int4[])) IS NOT TRUE THEN {text} "
    "WHEN pg_catalog.octet_length({text}) OPERATOR(pg_catalog.<) {size} "
    'AND {text} COLLATE "C" OPERATOR(pg_catalog.~) {digits} THEN {text} '
    "WHEN pg_catalog.ascii(pg_catalog.left({text}, 1)) "
    "OPERATOR(pg_catalog.=) ANY ({always}::pg_catalog.int4[]) OR "
    "CASE WHEN pg_catalog.length(pg_catalog.left({text}, {size})) OPERATOR(pg_catalog.<) {size} "
    'THEN {text} COLLATE "C" OPERATOR(pg_catalog.~) {starts_formula} AND NOT ('
    "pg_catalog.ascii(pg_catalog.right({text}, 1)) "
    "OPERATOR(pg_catalog.=) ANY ({ends}::pg_catalog.int4[]) "
    'AND ({text} COLLATE "C" OPERATOR(pg_catalog.~) {number} '
    'OR {text} COLLATE "C" OPERATOR(pg_catalog.~) {telephone})) '
    'ELSE pg_catalog.left({text}, {size}) COLLATE "C" OPERATOR(pg_catalog.~) {starts_formula} '
    'OR pg_catalog.left({text}, {size}) COLLATE "C" OPERATOR(pg_catalog.~) {shows_nothing} END '
    "THEN '''' OPERATOR(pg_catalog.||) {text} ELSE {text} END"
)

# ``char(n)``, whose text has to be made by ``concat`` for each look at it: not for those between A
# and DEL, where nothing dangerous begins. (The operators compare bytes, whatever the collation.)
_GUARD_BPCHAR: Final = sql.SQL(
    "CASE WHEN {value} OPERATOR(pg_catalog.~>=~) {start}::pg_catalog.bpchar "
    "AND {value} OPERATOR(pg_catalog.~<~) {end}::pg_catalog.bpchar "
    "THEN {value}::pg_catalog.bpchar ELSE ({guarded})::pg_catalog.bpchar END"
)


def _printed(value: sql.Composable, base_type_oid: int) -> sql.Composed:
    if base_type_oid in (_TEXT_OID, _VARCHAR_OID):
        return sql.SQL("{}::pg_catalog.text").format(value)
    # ``concat`` calls the type's output function, as COPY does. A cast may not: ``char(5)`` loses
    # its padding. ``IS DISTINCT FROM NULL``, because ``IS NOT NULL`` looks into a composite.
    return sql.SQL(
        "(CASE WHEN {value} IS DISTINCT FROM NULL THEN pg_catalog.concat({value}) END)"
    ).format(value=value)
