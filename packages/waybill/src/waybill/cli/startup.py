"""What must hold before a process of the service starts: found here in one line, or by everybody
who asks for an export later.

What does not answer is no reason to stay down: databases and storages come back. What answers, and
cannot work, is.
"""

from __future__ import annotations

import difflib
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from waybill.apart import hold_apart
from waybill.cli.exits import DEBUG_VARIABLE
from waybill.config import Settings, is_named_dsn, load_settings
from waybill.errors import ConfigurationError, StorageRejected, WaybillError
from waybill.log import configure_logging, get_logger
from waybill.own_database import VERSION_TABLE, connection_arguments

log = get_logger(__name__)

_PREFIX = "WAYBILL_"
_OF_THE_CLIENT = frozenset({"WAYBILL_URL", "WAYBILL_TOKEN", DEBUG_VARIABLE})
_STORAGE_SECONDS = 5.0


def settings_to_start(
    *, reads_sources: bool = True, forks: bool = False, **overrides: object
) -> Settings:
    """Return the settings, if a process can start with them; sets up the log too.

    Args:
        reads_sources: whether it reads what is exported, and needs to know where that is.
        forks: whether it is to be the parent of the processes that do the work, and hold little.
        overrides: settings from the command line.

    Raises:
        ConfigurationError: a variable is unknown, missing or malformed, the catalog does not hold,
            a source of it has no address, or the database is not migrated.
        StorageRejected: the storage answers, and will not do.
    """
    settings = load_settings(**overrides)
    configure_logging(settings.log_level)

    def check() -> None:
        refuse_unknown_variables()
        _check_catalog(settings, reads_sources=reads_sources)
        _check_database(settings)
        _check_storage(settings)

    if forks:
        hold_apart(check)
    else:
        check()
    return settings


def refuse_unknown_variables() -> None:
    """Refuse variables of ours that are none: a misspelt limit is no limit.

    Raises:
        ConfigurationError: names each, with the nearest that there is.
    """
    unknown = unknown_variables()
    if unknown:
        raise ConfigurationError(
            f"There is no setting {'; and none '.join(unknown)}. `waybill settings` lists all."
        )


_NEAR = 0.8


def unknown_variables() -> list[str]:
    """Return variables of ours that are none, each with the nearest that there is."""
    from waybill.cli.settings import reference

    known = {variable for variable, _, _ in reference()} | _OF_THE_CLIENT
    given = _given()
    ours = {name for name in given if name.startswith(_PREFIX) and not is_named_dsn(name)}
    # A prefix that is misspelt: what follows it is a setting's, to the letter.
    nearly = {name for name in given - ours if _misses_prefix(name, known)}
    return [_with_nearest(name, known) for name in sorted((ours - known) | nearly)]


def _misses_prefix(name: str, known: Iterable[str]) -> bool:
    if name.startswith(_PREFIX):
        return False
    prefix, _, rest = name.partition("_")
    is_near = difflib.SequenceMatcher(None, prefix, _PREFIX.rstrip("_")).ratio() > _NEAR
    return is_near and f"{_PREFIX}{rest}" in known


def _given() -> set[str]:
    from dotenv import dotenv_values

    names = {name.upper() for name in os.environ}
    if Path(".env").is_file():
        names |= {name.upper() for name in dotenv_values(".env")}
    return names


def _with_nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"{name} (did you mean {nearest[0]}?)" if nearest else name


def _check_catalog(settings: Settings, *, reads_sources: bool) -> None:
    from waybill.catalog import load
    from waybill.source.named import source_dsns

    catalog = load(settings.catalog)
    if reads_sources:
        source_dsns(catalog, settings)


def _check_database(settings: Settings) -> None:
    # Its import tells of its plugins, in the log of every process.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    import psycopg
    from psycopg import sql

    from waybill.migrations.run import known_revisions

    try:
        with psycopg.connect(**connection_arguments(settings.database_dsn)) as connection:
            found = connection.execute(
                sql.SQL("SELECT version_num FROM {}").format(
                    sql.Identifier(settings.own_schema, VERSION_TABLE)
                )
            ).fetchone()
    except psycopg.errors.UndefinedTable:
        found = None
    except psycopg.Error as exc:
        log.warning("start.database_unavailable", error=type(exc).__name__)
        return
    known = known_revisions()
    if found is None or (found[0] in known and found[0] != known[-1]):
        at = "has no tables of waybill" if found is None else f"is at {found[0]}, not {known[-1]}"
        raise ConfigurationError(f"waybill's database {at}. Run `waybill migrate` first.")
    if found[0] not in known:
        # A later version is being rolled out; its schema serves this one too.
        log.warning("start.database_is_newer", revision=found[0], ours=known[-1])


def _check_storage(settings: Settings) -> None:
    """Ask the storage; one that takes its time is left to say so later."""
    from waybill.storage.registry import create_storages

    found: list[WaybillError] = []

    def ask() -> None:
        try:
            create_storages(settings)[settings.storage].check()
        except WaybillError as exc:
            found.append(exc)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_STORAGE_SECONDS)
    if found and isinstance(found[0], StorageRejected | ConfigurationError):
        raise found[0]
    if found or asking.is_alive():
        log.warning("start.storage_unavailable")
