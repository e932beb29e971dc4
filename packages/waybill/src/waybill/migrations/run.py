"""Brings a database to this version's schema."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.migrations import indexes
from waybill.migrations.schema import pin_functions, prepare_schema
from waybill.migrations.turn import Turn
from waybill.own_database import VERSION_TABLE, connection_arguments

_FOLDER = str(Path(__file__).parent)
_ONE_AT_A_TIME = threading.Lock()
"""Alembic keeps what it works on in its modules."""


def known_revisions() -> list[str]:
    """Return this version's revisions, oldest first."""
    found = ScriptDirectory(_FOLDER).walk_revisions()
    return [each.revision for each in found][::-1]


def migrate(settings: Settings, revision: str = "head") -> str:
    """Apply the migrations up to ``revision``, in one transaction under an advisory lock; in
    several, where an index of a large table is built between them.

    Returns:
        The revision that the database is at.

    Raises:
        ConfigurationError: the database does not answer, or does not let us; a table is in use for
            longer than ``indexes.LOCK_SECONDS``; an index could not be built; the revision is none,
            or lies behind the database's.
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
        with (
            _ONE_AT_A_TIME,
            closing(Turn(arguments, where)) as turn,
            engine.connect() as connection,
        ):
            config.attributes.update(
                connection=connection,
                turn=turn,
                schema=schema,
                prepare=partial(_prepare, connection, turn, schema, revision, known),
                finish=partial(pin_functions, connection, schema),
            )
            command.upgrade(config, wanted)
    except _AtLater as exc:
        return exc.revision
    except psycopg.OperationalError as exc:  # of the connection that keeps the turn
        raise _not_let_in(where) from exc
    except DBAPIError as exc:
        raise _explained(exc, where, config.attributes) from exc
    finally:
        engine.dispose()
    return wanted


def _prepare(
    connection: Connection, turn: Turn, schema: str, revision: str, known: list[str]
) -> None:
    """Begin the first transaction.

    Raises:
        ConfigurationError, _AtLater
    """
    indexes.begin(connection, turn)
    prepare_schema(connection, schema)
    current = _current_revision(connection, schema)
    if current is not None and current not in known and revision == "head":
        raise _AtLater(current)
    _check_direction(current, known[-1] if revision == "head" else revision, known)


class _AtLater(Exception):
    """The database is at a later version's revision, whose schema serves this one too."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        super().__init__(revision)


def _explained(exc: DBAPIError, where: str, attributes: Mapping[str, Any]) -> ConfigurationError:
    """Return what there is to say of a refusal, and how it left the database."""
    kept = attributes.get("kept")
    left = "Nothing was changed." if kept is None else f"The database is at {kept}, which serves."
    if index := attributes.get("building"):
        said = str(exc.orig).partition("\n")[0].strip()
        return ConfigurationError(
            f"The index {index} could not be built: {said} (at {where}). {left} Run `waybill "
            "migrate` again: what is left of the index is dropped, and it is built anew."
        )
    if isinstance(exc.orig, psycopg.errors.LockNotAvailable):
        return ConfigurationError(
            f"Another session holds one of waybill's tables for longer than "
            f"{indexes.LOCK_SECONDS:g} s (at {where}). {left} Look for a long transaction in "
            "pg_stat_activity, and try again."
        )
    if isinstance(exc, OperationalError):
        return _not_let_in(where)
    return ConfigurationError(f"{_meaning(exc)} (at {where}) {left}")


def _not_let_in(where: str) -> ConfigurationError:
    return ConfigurationError(
        f"The database at {where} does not let us in. Check WAYBILL_DATABASE_URL."
    )


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
