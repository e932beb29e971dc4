"""How waybill connects to its own database: directly, through a pooler, or to one of several hosts.

A pooler that lends a server's connection per transaction refuses what is said at the start of a
connection (``options``), gives what is set for a session to other clients, and knows nothing of
statements that were prepared on another connection. So nothing of ours lasts longer than a
transaction: bounds are ``SET LOCAL``, and nothing is prepared.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from waybill.errors import ConfigurationError
from waybill.keep_alive import keep_alive

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
        "prepare_threshold": None,
    }


def bounds(dsn: str, *, statement_timeout_ms: int, lock_timeout_ms: int) -> str:
    """Return what begins a transaction: bounds for its statements, unless the URL's ``options`` set
    them."""
    theirs = str(conninfo_to_dict(dsn).get("options") or "")
    values = {"statement_timeout": statement_timeout_ms, "lock_timeout": lock_timeout_ms}
    return "; ".join(
        f"SET LOCAL {name} = {value:d}" for name, value in values.items() if name not in theirs
    )
