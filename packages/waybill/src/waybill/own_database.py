"""How waybill connects to its own database: directly, through a pooler, or to one of several hosts.

A pooler that lends a server's connection per transaction refuses what is said at the start of a
connection (``options``), gives what is set for a session to other clients, and knows nothing of
statements that were prepared on another connection. So nothing of ours lasts longer than a
transaction: bounds and the search path are ``SET LOCAL``, and nothing is prepared; but where the
server itself has accepted the connection (``bootstrap.own_engine``).

All that is ours lies in one schema, so that it can live in a database that others have too: what
begins a transaction says where its names are found, and what runs outside one is qualified.
"""

from __future__ import annotations

import re
from typing import Any, Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from waybill.errors import ConfigurationError
from waybill.keep_alive import keep_alive

SCHEMA: Final = "waybill"
"""The schema of what is ours, unless ``WAYBILL_DATABASE_SCHEMA`` names another."""
VERSION_TABLE: Final = "waybill_migrations"
"""Where Alembic keeps our revision: not its own default, which an application may use already."""
TABLES: Final = frozenset(
    {
        VERSION_TABLE,
        "audit_events",
        "disabled_webhooks",
        "dry_runs",
        "export_attempts",
        "export_checkpoint_parts",
        "export_checkpoints",
        "export_downloads",
        "export_jobs",
        "idempotency_keys",
        "notification_contacts",
        "notifications",
        "page_sessions",
        "person_turns",
        "portal_links",
        "service_identity",
        "stored_chunks",
        "stored_objects",
        "tenant_turns",
    }
)
"""All tables of ours. A test holds them equal to what the migrations make."""

# Never to be quoted, and short enough for the channels that are called after it.
_SCHEMA_NAME: Final = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,39}")
_SEARCH_PATH: Final = re.compile(r"\bsearch_path\s*=\s*((?:\\.|[^\\\s])+)")
_SCHEMES: Final = frozenset({"postgresql", "postgres"})


def read_dsn(url: str) -> str:
    """Return a URL as libpq reads it, which may name a driver of SQLAlchemy's.

    Raises:
        ConfigurationError: it is none of PostgreSQL's. Quotes no part of it.
    """
    scheme, _, rest = url.partition("://")
    dsn = f"postgresql://{rest}"
    if scheme.split("+")[0] not in _SCHEMES or not _is_readable(dsn):
        raise ConfigurationError(
            "WAYBILL_DATABASE_URL must be a PostgreSQL URL: postgresql://user:…@host:5432/name, "
            "with several hosts postgresql://user:…@a:5432,b:5432/name?target_session_attrs="
            "read-write. Letters such as '@', '/' and '%' in a password are written as %40, %2F "
            "and %25."
        )
    return dsn


def _is_readable(dsn: str) -> bool:
    try:
        conninfo_to_dict(dsn)
    except ProgrammingError:
        return False
    return True


def connection_arguments(dsn: str, **ours: Any) -> dict[str, Any]:
    """Return the arguments of ``psycopg.connect``: those of the URL, before ours."""
    return {
        "connect_timeout": 5,
        **keep_alive(),
        **ours,
        **conninfo_to_dict(dsn),
        # A role or database that has another one could not be told every name.
        "client_encoding": "UTF8",
        "prepare_threshold": None,
    }


def check_schema(name: str) -> str:
    """Return ``name`` if it can be that of our schema.

    Raises:
        ValueError: it cannot; says which can.
    """
    if not _SCHEMA_NAME.fullmatch(name):
        raise ValueError(
            "a schema is called by 1 to 40 small letters, digits and '_', not beginning with a "
            "digit or pg_, like waybill"
        )
    return name


def change_channel(schema: str) -> str:
    """Return where a schema's changes of jobs are notified; each has its own."""
    return f"{check_schema(schema)}_export_jobs"


def schema_of(dsn: str) -> str | None:
    """Return the schema that a ``search_path`` in the URL's ``options`` begins with, which was how
    our tables were kept apart before; ``None`` if there is none, or none that can be ours."""
    found = _SEARCH_PATH.search(_options(dsn))
    if found is None:
        return None
    try:
        return check_schema(found[1].split(",")[0].strip().strip('"'))
    except ValueError:
        return None


def opening(
    dsn: str,
    schema: str,
    *,
    statement_timeout_ms: int,
    lock_timeout_ms: int,
    is_local: bool = True,
) -> str:
    """Return what begins a transaction (or, unless ``is_local``, a session): what is relied
    on, where names are found, and ``bounds``."""
    limits = bounds(
        dsn,
        statement_timeout_ms=statement_timeout_ms,
        lock_timeout_ms=lock_timeout_ms,
        is_local=is_local,
    )
    # pg_temp is named so that it is searched last; pg_catalog is first unless it is named.
    path = f"SET {_scope(is_local)} search_path = {check_schema(schema)}, pg_temp"
    if _SEARCH_PATH.search(_options(dsn)) and schema == schema_of(dsn):
        path = ""  # the URL says so already
    return "; ".join(filter(None, (_relied_on(is_local=is_local), path, limits)))


def _relied_on(*, is_local: bool) -> str:
    """Return what a role or database may have otherwise (``ALTER ROLE … SET``): whoever waited for
    a row's lock must see the row as it is then, and the driver reads times of one style."""
    isolation = (
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
        if is_local
        else "SET SESSION default_transaction_isolation = 'read committed'"
    )
    scope = _scope(is_local)
    return f"{isolation}; SET {scope} DateStyle = 'ISO'; SET {scope} IntervalStyle = 'postgres'"


def sets(dsn: str, name: str) -> bool:
    """Whether the URL's ``options`` set this, so that we do not."""
    return name in _options(dsn)


def _options(dsn: str) -> str:
    return str(conninfo_to_dict(dsn).get("options") or "")


def _scope(is_local: bool) -> str:
    return "LOCAL" if is_local else "SESSION"


def bounds(
    dsn: str, *, statement_timeout_ms: int, lock_timeout_ms: int, is_local: bool = True
) -> str:
    """Return what begins a transaction (or, unless ``is_local``, a session): bounds for its
    statements, unless the URL's ``options`` set them."""
    scope = _scope(is_local)
    values = {"statement_timeout": statement_timeout_ms, "lock_timeout": lock_timeout_ms}
    return "; ".join(
        f"SET {scope} {name} = {value:d}" for name, value in values.items() if not sets(dsn, name)
    )
