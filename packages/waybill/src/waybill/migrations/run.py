"""Brings a database to this version's schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.migrations.schema import pin_functions, prepare_schema
from waybill.own_database import VERSION_TABLE, connection_arguments

# Any number that nothing else of ours uses: two deploys that migrate at once take turns.
_LOCK = 0x77617962

LOCK_SECONDS = 5.0
"""How long a migration waits for a table that is in use: so long, and no longer, it may hold up who
uses it."""

_FOLDER = str(Path(__file__).parent)


def known_revisions() -> list[str]:
    """Return this version's revisions, oldest first."""
    found = ScriptDirectory(_FOLDER).walk_revisions()
    return [each.revision for each in found][::-1]


def migrate(settings: Settings, revision: str = "head") -> str:
    """Apply the migrations up to ``revision``, in one transaction under an advisory lock.

    Returns:
        The revision that the database is at.

    Raises:
        ConfigurationError: the database does not answer, or does not let us; a table is in use for
            longer than ``LOCK_SECONDS``; the revision is none, or lies behind the database's.
    """
    known = known_revisions()
    wanted = known[-1] if revision == "head" else revision
    if wanted not in known:
        raise ConfigurationError(
            f"There is no revision {revision!r}. Known: {', '.join(known)}; leave it out for the "
            "last."
        )
    config = Config()
    config.set_main_option("script_location", _FOLDER)
    schema = settings.own_schema
    arguments = connection_arguments(settings.database_dsn, application_name="waybill migrate")
    engine = create_engine("postgresql+psycopg://", poolclass=NullPool, connect_args=arguments)
    where = _where(arguments)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            # Whoever waits for a table keeps everybody waiting who comes after, readers included.
            connection.execute(text(f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}"))
            prepare_schema(connection, schema)
            current = _current_revision(connection, schema)
            if current is not None and current not in known and revision == "head":
                return current  # a later version's, whose schema serves this one too
            _check_direction(current, wanted, known)
            config.attributes.update(connection=connection, schema=schema)
            command.upgrade(config, wanted)
            pin_functions(connection, schema)
    except OperationalError as exc:
        if isinstance(exc.orig, psycopg.errors.LockNotAvailable):
            raise ConfigurationError(
                f"Another session holds one of waybill's tables for longer than {LOCK_SECONDS:g} s "
                f"(at {where}). Nothing was changed. Look for a long transaction in "
                "pg_stat_activity, and try again."
            ) from exc
        raise ConfigurationError(
            f"The database at {where} does not let us in. Check WAYBILL_DATABASE_URL."
        ) from exc
    except DBAPIError as exc:
        raise ConfigurationError(f"{_meaning(exc)} (at {where}) Nothing was changed.") from exc
    finally:
        engine.dispose()
    return wanted


def _where(arguments: Mapping[str, Any]) -> str:
    hosts = str(arguments.get("host") or "the local socket").split(",")
    ports = str(arguments.get("port") or 5432).split(",")
    if len(ports) < len(hosts):
        ports = ports * len(hosts)
    servers = ", ".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=False))
    return f"{servers} (database {arguments.get('dbname')!r}, user {arguments.get('user')!r})"


def _current_revision(connection: Connection, schema: str) -> str | None:
    options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _check_direction(current: str | None, wanted: str, known: list[str]) -> None:
    if current is None:
        return
    if current not in known:
        raise ConfigurationError(
            f"The database is at {current}, which a later version of waybill made. Use that one."
        )
    if known.index(wanted) < known.index(current):
        raise ConfigurationError(
            f"The database is at {current}, and waybill does not go back to {wanted}: that would "
            "throw data away. Restore a backup of that time."
        )


def _meaning(exc: DBAPIError) -> str:
    said = str(exc.orig).partition("\n")[0].strip()
    match exc.orig:
        case psycopg.errors.InsufficientPrivilege() | psycopg.errors.InvalidSchemaName():
            return (
                f"The role may not make waybill's tables: {said}. Migrate as a role that may; or "
                "let the owner of the database run CREATE SCHEMA … AUTHORIZATION … with the name "
                "of WAYBILL_DATABASE_SCHEMA and this role."
            )
        case psycopg.errors.DuplicateTable() | psycopg.errors.DuplicateObject():
            return (
                f"Something of that name is there already: {said}. Give waybill a schema of its "
                "own with WAYBILL_DATABASE_SCHEMA."
            )
        case _:
            return f"PostgreSQL refused a migration: {said}."
