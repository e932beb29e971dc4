"""Write an inspected database as a ``waybill.toml`` that works, and that teaches its own format."""

from __future__ import annotations

from waybill.catalog.inspect import InspectedTable, Inspection, may_be_personal
from waybill.catalog.model import Column, ExportType, TableSource
from waybill.catalog.names import is_plain, quote_identifier, sql_name, visible
from waybill.catalog.relations import RelationColumn

READER_ROLE = "waybill_reader"

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f",
            "\r": "\\r"}  # fmt: skip

_HEADER = """\
# waybill.toml: what can be exported.
#
# Each [exports.NAME] table is one export type; NAME is its address: POST /api/NAME/export.
#   table             "schema.table"; names are exact, as PostgreSQL stores them
#   query             instead of table: one SELECT, for joins, filters and computed columns
#   key               the columns that identify a row; the file is ordered by them
#   columns           what is exported and in which order; "name", or { name = …, label = … }
#                     where label is the header in the file. Without it: every column.
#   title             what people see instead of NAME
#   order             "key" (default), or "none": faster, but rows come in any order
#   deadline_seconds  bounds one attempt (default 60)
#   consistency       "snapshot" (default): every row of one moment; "resumable": a large export
#                     goes on where a dead worker stopped
#
# Delete what nobody should export, columns marked "personal data?" (a guess by name) first:
# what is not here cannot be asked for.
# `waybill check` compares this file with the database.
"""

_EXAMPLE = """
# A query, for example (remove the # to use it):
# [exports.active_users]
# query = \"\"\"
# SELECT id, email, created_at FROM public.users WHERE is_active
# \"\"\"
# key = "id"
"""


def toml_string(text: str) -> str:
    """Return ``text`` as a TOML basic string on one line, invisible characters escaped."""
    return '"' + "".join(_toml_character(ch) for ch in text) + '"'


def _toml_character(ch: str) -> str:
    if ch in _ESCAPES:
        return _ESCAPES[ch]
    if ch.isprintable():
        return ch
    return f"\\u{ord(ch):04X}" if ord(ch) <= 0xFFFF else f"\\U{ord(ch):08X}"


def render_toml(inspection: Inspection) -> str:
    """Return the text of a catalog file that loads as ``inspection.catalog``."""
    parts = [_HEADER]
    if inspection.notes:
        parts.append("#\n# Notes:\n" + "".join(f"# - {visible(n)}\n" for n in inspection.notes))
    if inspection.tables:
        parts.append(_grants(inspection))
    parts.extend(_table(table) for table in inspection.tables)
    parts.append(_EXAMPLE)
    return "".join(parts)


def reader_grants(inspection: Inspection) -> list[str]:
    """Return the SQL statements of a role that may read these tables and nothing else."""
    role = quote_identifier(READER_ROLE)
    sources = [t.relation.source for t in inspection.tables]
    schemas = sorted({source.schema for source in sources})
    return [
        f"CREATE ROLE {role} LOGIN PASSWORD 'choose-one';",
        f"ALTER ROLE {role} SET default_transaction_read_only = on;",
        f"GRANT CONNECT ON DATABASE {quote_identifier(inspection.database)} TO {role};",
        *(f"GRANT USAGE ON SCHEMA {quote_identifier(s)} TO {role};" for s in schemas),
        *(_grant_select(table, role) for table in inspection.tables),
    ]


def _grant_select(table: InspectedTable, role: str) -> str:
    columns = ""
    if len(table.export_type.columns) < len(table.relation.columns):
        names = ", ".join(quote_identifier(c.name) for c in table.export_type.columns)
        columns = f" ({names})"
    return f"GRANT SELECT{columns} ON {sql_name(table.relation.source)} TO {role};"


def _grants(inspection: Inspection) -> str:
    lines = "".join(f"#   {statement}\n" for statement in reader_grants(inspection))
    return (
        "#\n# waybill only reads. Give it a role of its own that can do nothing else, and put\n"
        f"# that role into WAYBILL_SOURCE_DSN:\n{lines}"
    )


def _table(table: InspectedTable) -> str:
    relation, export_type = table.relation, table.export_type
    facts: list[str] = [relation.kind]
    if relation.size_bytes is not None:
        rows = relation.estimated_rows
        facts.append("rows unknown before ANALYZE" if rows is None else f"about {rows:,} rows")
        facts.append(_size(relation.size_bytes))
    lines = ["", "# " + ", ".join(facts)]
    lines += [f"# Note: {visible(note)}" for note in table.notes]
    lines += [f"[exports.{export_type.name}]", *_source_lines(relation.source)]
    if export_type.key:
        lines.append(f"key = [{', '.join(map(toml_string, export_type.key))}]")
    else:
        lines.append(
            "# key: no unique index on NOT NULL columns. Name the columns that identify a row, so"
        )
        lines.append('# that equal data give equal files: key = ["…"]')
    if export_type.title:
        lines.append(f"title = {toml_string(export_type.title)}")
    lines += _column_lines(export_type, relation.columns)
    return "\n".join(lines) + "\n"


def _source_lines(source: TableSource) -> list[str]:
    if is_plain(source.schema) and is_plain(source.table):
        return [f"table = {toml_string(f'{source.schema}.{source.table}')}"]
    return [f"schema = {toml_string(source.schema)}", f"table = {toml_string(source.table)}"]


def _column_lines(export_type: ExportType, columns: tuple[RelationColumn, ...]) -> list[str]:
    assert isinstance(export_type.source, TableSource)  # noqa: S101 - inspection finds tables
    types = {column.name: column for column in columns}
    entries = [(_column(column), types[column.name]) for column in export_type.columns]
    width = min(max(len(text) for text, _ in entries), 60)
    lines = ["columns = ["]
    for text, column in entries:
        remark = visible(column.type_name) + (", not null" if column.not_null else "")
        if may_be_personal(export_type.source.table, column.name):
            remark += "; personal data?"
        lines.append(f"  {text:<{width}} # {remark}")
    return [*lines, "]"]


def _column(column: Column) -> str:
    if not column.label:
        return f"{toml_string(column.name)},"
    return f"{{ name = {toml_string(column.name)}, label = {toml_string(column.label)} }},"


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
