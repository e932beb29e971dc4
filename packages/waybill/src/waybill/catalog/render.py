"""Write an inspected database as a ``waybill.toml`` that works, and that teaches its own format."""

from __future__ import annotations

import textwrap

from waybill.catalog.file_model import (
    ColumnTable,
    ExportTable,
    FilterTable,
    PoliteTable,
    SinceTable,
    SourceTable,
    TogetherTable,
)
from waybill.catalog.inspect import InspectedTable, Inspection
from waybill.catalog.model import Column, ExportType, TableSource
from waybill.catalog.names import is_plain, quote_identifier, safe_label, sql_name, visible
from waybill.catalog.relations import RelationColumn
from waybill.catalog.sources import DEFAULT_SOURCE, variable_of

READER_ROLE = "waybill_reader"

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f",
            "\r": "\\r"}  # fmt: skip

_INTRODUCTION = """\
# waybill.toml: what can be exported.
#
# Each [exports.NAME] table is one export type; NAME is its address: POST /api/NAME/export.
# Delete what nobody should export: what is not here cannot be asked for. `pii = true` marks what
# looks like personal data, by its name: reading it needs the scope exports:pii. Columns that look
# like secrets are left out; where that is wrong, the comment at their table says what to write.
# `waybill check` compares this file with the database.
"""

_WIDTH = 98

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


def header() -> str:
    """Return the file's first lines: what it is, and every key that it may hold.

    The keys are those of the file's own models, so none is missing and none is unknown.
    """
    sections = (
        ("Keys of an [exports.NAME] table:", ExportTable),
        ("columns hold names, or tables ({ name = …, label = … }) with these keys:", ColumnTable),
        ("filters hold names, or tables with these keys:", FilterTable),
        ("since is a column's name, or a table with these keys:", SinceTable),
        ("polite is a table with these keys:", PoliteTable),
        ("Keys of a [sources.NAME] table, a database to export from:", SourceTable),
        ("together is a table with these keys:", TogetherTable),
    )
    lines: list[str] = []
    for title, model in sections:
        fields = {each.alias or name: each for name, each in model.model_fields.items()}
        width = max(map(len, fields))
        lines += ["#", f"# {title}"]
        for key, field in fields.items():
            # No line ends with a semicolon: those that do are SQL to be run.
            lines += textwrap.wrap(
                (field.description or "").replace("; ", ";\u00a0"),
                _WIDTH,
                initial_indent=f"#   {key:<{width}}  ",
                subsequent_indent="#" + " " * (width + 5),
                break_on_hyphens=False,
            )
    return _INTRODUCTION + "".join(f"{line}\n" for line in lines).replace("\u00a0", " ")


def render_toml(inspection: Inspection, *, source_name: str = DEFAULT_SOURCE) -> str:
    """Return the text of a catalog file that loads as ``inspection.catalog``, its types read from
    the source called so."""
    parts = [header()]
    if inspection.notes:
        parts.append("#\n# Notes:\n" + "".join(f"# - {visible(n)}\n" for n in inspection.notes))
    if inspection.tables:
        parts.append(_grants(inspection, source_name))
        if source_name != DEFAULT_SOURCE:
            parts.append(f"\n[sources.{source_name}]\n")
    parts.extend(_table(table, source_name) for table in inspection.tables)
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
    needed = {column.name for column in table.export_type.columns} | set(table.export_type.key)
    if len(needed) < len(table.relation.columns):
        names = [each.name for each in table.relation.columns if each.name in needed]
        columns = f" ({', '.join(map(quote_identifier, names))})"
    return f"GRANT SELECT{columns} ON {sql_name(table.relation.source)} TO {role};"


def _grants(inspection: Inspection, source_name: str) -> str:
    lines = "".join(f"#   {statement}\n" for statement in reader_grants(inspection))
    return (
        "#\n# waybill only reads. Give it a role of its own that can do nothing else, and put\n"
        f"# that role into {variable_of(source_name)}:\n{lines}"
    )


def _table(table: InspectedTable, source_name: str) -> str:
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
    if source_name != DEFAULT_SOURCE:
        lines.append(f"source = {toml_string(source_name)}")
    if export_type.title:
        lines.append(f"title = {toml_string(export_type.title)}")
    lines += _secret_lines(table.secrets)
    lines += _column_lines(export_type, relation.columns)
    return "\n".join(lines) + "\n"


def _source_lines(source: TableSource) -> list[str]:
    if is_plain(source.schema) and is_plain(source.table):
        return [f"table = {toml_string(f'{source.schema}.{source.table}')}"]
    return [f"schema = {toml_string(source.schema)}", f"table = {toml_string(source.table)}"]


def _secret_lines(secrets: tuple[RelationColumn, ...]) -> list[str]:
    if not secrets:
        return []
    return [
        "# Left out, as they look like secrets. To export one, put its line into columns, and let",
        "# the role read it (GRANT SELECT):",
        *(f"#   {_column(Column(s.name, safe_label(s.name, s.name)))}" for s in secrets),
    ]


def _column_lines(export_type: ExportType, columns: tuple[RelationColumn, ...]) -> list[str]:
    assert isinstance(export_type.source, TableSource)  # noqa: S101 - inspection finds tables
    types = {column.name: column for column in columns}
    entries = [(_column(column), types[column.name]) for column in export_type.columns]
    width = min(max(len(text) for text, _ in entries), 60)
    lines = ["columns = ["]
    for text, column in entries:
        remark = visible(column.type_name) + (", not null" if column.not_null else "")
        lines.append(f"  {text:<{width}} # {remark}")
    return [*lines, "]"]


def _column(column: Column) -> str:
    if not column.label:
        return f"{toml_string(column.name)},"
    pii = ", pii = true" if column.pii else ""
    return f"{{ name = {toml_string(column.name)}, label = {toml_string(column.label)}{pii} }},"


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
