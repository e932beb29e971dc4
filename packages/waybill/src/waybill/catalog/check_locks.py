"""What a type reads that cannot be locked before its snapshot: other servers' rows, and tables that
functions hide."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from psycopg import sql

from waybill.catalog.findings import Finding
from waybill.catalog.model import ExportType
from waybill.catalog.relation_sql import from_source
from waybill.catalog.relations import Connection
from waybill.catalog.where import where_clause

_CALLED: Final = re.compile(r'(?:("[^"]+"|[\w$]+)\.)?("[^"]+"|[\w$]+)\(')

# A function in SQL that PostgreSQL writes into the statement is none any more, and its tables are
# locked with the others. One in C is taken to read nothing unless its results change by themselves.
_HIDING: Final = sql.SQL("""
    SELECT DISTINCT pg_catalog.concat(n.nspname, '.', p.proname)
    FROM pg_catalog.json_to_recordset({}::pg_catalog.json)
      AS c (schema pg_catalog.text, name pg_catalog.text)
    JOIN pg_catalog.pg_proc AS p ON p.proname::pg_catalog.text OPERATOR(pg_catalog.=) c.name
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid OPERATOR(pg_catalog.=) p.prolang
    WHERE n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) c.schema
      AND CASE WHEN n.nspname OPERATOR(pg_catalog.=) 'pg_catalog'
               THEN p.proname::pg_catalog.text OPERATOR(pg_catalog.~) '_to_xml'
               WHEN l.lanname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (
                   '{{c,internal}}'::pg_catalog.text[])
               THEN p.provolatile OPERATOR(pg_catalog.=) 'v' ELSE true END
    ORDER BY 1""")


def check_locks(connection: Connection, export_type: ExportType) -> Iterator[Finding]:
    """Yield what of a readable type no lock of ours covers, by PostgreSQL's own plan for it."""
    where = where_clause(scope=export_type.scope, principal={})
    # What an export reads alone: the role may have no right to the other columns.
    names = dict.fromkeys(name for column in export_type.columns for name in column.reads)
    columns = [sql.Identifier(name) for name in names]
    question = sql.SQL("EXPLAIN (FORMAT JSON, VERBOSE, COSTS OFF) SELECT {} {}").format(
        sql.SQL(", ").join(columns) if columns else sql.SQL("*"),
        from_source(export_type.source, where),
    )
    row = connection.execute(question, prepare=True).fetchone()
    texts = list(_texts(row[0] if row else []))
    foreign = sorted({text for kind, text in texts if kind == "Foreign Scan"})
    if foreign:
        yield Finding(
            "warning", export_type.name, "foreign_rows",
            f"Rows come from another server ({', '.join(foreign)}): no lock and no snapshot of "
            "this one covers them. A change there while they are read is not noticed.",
            "Export from that server, or from a materialized view of the foreign table.",
        )  # fmt: skip
    schemas = ("pg_catalog", *export_type.search_path)
    called = [
        {"schema": schema, "name": match[2].strip('"')}
        for _, text in texts
        for match in _CALLED.finditer(text)
        for schema in ([match[1].strip('"')] if match[1] else schemas)
    ]
    found = connection.execute(_HIDING.format(sql.Literal(json.dumps(called)))).fetchall()
    if found:
        yield Finding(
            "note", export_type.name, "tables_hidden",
            f"Functions may read tables of their own ({', '.join(name for (name,) in found)}), "
            "which are locked only when they are called. An attempt whose tables were replaced "
            "meanwhile (TRUNCATE, ALTER, REFRESH) fails and is tried again; what they read of "
            "other servers (dblink) is not noticed.",
            "Name the tables in the query itself, or write the function in SQL, without SET.",
        )  # fmt: skip


def _texts(plan: Any) -> Iterator[tuple[str, str]]:
    """Yield all texts of a plan; of a scan of another server's rows, the relation's name too."""
    if isinstance(plan, dict):
        if plan.get("Node Type") == "Foreign Scan":
            names = (plan.get("Schema"), plan.get("Relation Name"))
            shown = ".".join(name for name in names if name) or plan.get("Relations", "a join")
            yield "Foreign Scan", str(shown)
        for key, value in plan.items():
            if key not in {"Schema", "Relation Name", "Alias"}:
                yield from _texts(value)
    elif isinstance(plan, list):
        for value in plan:
            yield from _texts(value)
    elif isinstance(plan, str):
        yield "", plan
