"""Databases, waybill's own and those that are read, that are broken on purpose; see ``broken``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .broken import _READER, Break, House, Settings, after, as_role
from .more_broken import asking, own_role, with_parameter

_INVALID = (
    "UPDATE pg_index SET indisvalid = {} WHERE indexrelid = 'waybill.ix_export_jobs_due'::regclass"
)


def nobody_connects(variable: str) -> Break:
    """A role that may not connect to the database."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        closed = after(
            'REVOKE CONNECT ON DATABASE "{db}" FROM PUBLIC',
            undo=('GRANT CONNECT ON DATABASE "{db}" TO PUBLIC',),
        )
        with closed(house), as_role(variable=variable)(house) as settings:
            yield settings

    return broken


@contextlib.contextmanager
def closed_schema(house: House) -> Iterator[Settings]:
    closed = after(
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
        undo=("GRANT USAGE ON SCHEMA public TO PUBLIC",),
    )
    with closed(house), as_role("GRANT SELECT ON users TO doctor_role")(house) as settings:
        yield settings


def users_are(*statements: str, undo: str) -> Break:
    """A source whose ``users`` is another thing than it was."""

    @contextlib.contextmanager
    def broken(house: House) -> Iterator[Settings]:
        aside = after(
            "ALTER TABLE public.users RENAME TO users_was",
            *statements,
            undo=(undo, "ALTER TABLE public.users_was RENAME TO users"),
        )
        with aside(house):
            yield {}

    return broken


DATABASES: dict[str, tuple[str, str, Break]] = {
    "database whose role may not connect": (
        "database.reachable", "error", nobody_connects("WAYBILL_DATABASE_URL"),
    ),
    "address of the database that ends statements at once": (
        "database.bounds", "error",
        asking(with_parameter("options=-c%20statement_timeout%3D5"), "WAYBILL_DATABASE_URL"),
    ),
    "column of ours that is gone": (
        "database.columns", "error",
        after(
            "ALTER TABLE waybill.dry_runs RENAME COLUMN rows TO was_rows",
            undo=("ALTER TABLE waybill.dry_runs RENAME COLUMN was_rows TO rows",),
        ),
    ),
    "table of ours whose rows are hidden": (
        "database.row_security", "error",
        own_role(
            "ALTER TABLE waybill.export_jobs ENABLE ROW LEVEL SECURITY",
            undo=("ALTER TABLE waybill.export_jobs DISABLE ROW LEVEL SECURITY",),
        ),
    ),
    "table of ours whose triggers are off": (
        "database.triggers", "error",
        after(
            "ALTER TABLE waybill.audit_events DISABLE TRIGGER USER",
            undo=("ALTER TABLE waybill.audit_events ENABLE TRIGGER USER",),
        ),
    ),
    "role whose triggers are off": (
        "database.triggers", "error",
        own_role("ALTER ROLE doctor_role SET session_replication_role = 'replica'"),
    ),
    "index of ours that was not finished": (
        "database.indexes", "warning",
        after(_INVALID.format("false"), undo=(_INVALID.format("true"),)),
    ),
    "database with too few connections for all": (
        "database.connections", "error", own_role("ALTER ROLE doctor_role CONNECTION LIMIT 3"),
    ),
    "source whose role may not connect": (
        "source.reachable", "error", nobody_connects("WAYBILL_SOURCE_DSN"),
    ),
    "source with few connections": (
        "source.connections", "warning",
        as_role(*_READER, "ALTER ROLE doctor_role CONNECTION LIMIT 5"),
    ),
    "source whose role may sort little": (
        "source.temp_files", "warning",
        as_role(*_READER, "ALTER ROLE doctor_role SET temp_file_limit = '1MB'"),
    ),
    "source whose role has no room for a question": (
        "source.answers", "error",
        as_role(
            *_READER,
            "ALTER ROLE doctor_role SET temp_file_limit = 0",
            "ALTER ROLE doctor_role SET work_mem = '64kB'",
        ),
    ),
    "source whose role may not use the schema": (
        "catalog.schema_denied", "error",
        closed_schema,
    ),
    "source whose role may not read one column": (
        "catalog.select_denied", "error",
        as_role(_READER[0], "GRANT SELECT (id) ON users TO doctor_role"),
    ),
    "source whose foreign server is away": (
        "catalog.foreign_away", "warning",
        users_are(
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
            "CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw"
            " OPTIONS (host '127.0.0.1', port '9')",
            "CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user 'a', password 'b')",
            "CREATE FOREIGN TABLE public.users (id bigint NOT NULL) SERVER elsewhere",
            undo="DROP SERVER elsewhere CASCADE",
        ),
    ),
    "materialized view that was never filled": (
        "catalog.not_populated", "error",
        users_are(
            "CREATE MATERIALIZED VIEW public.users AS TABLE public.users_was WITH NO DATA",
            undo="DROP MATERIALIZED VIEW public.users",
        ),
    ),
}  # fmt: skip
