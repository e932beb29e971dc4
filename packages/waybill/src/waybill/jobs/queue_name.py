"""How a service's queue is called: after its database, so that services share a Redis unnoticed.

Whoever publishes and whoever works read the name from where the jobs themselves are. A name of the
settings' would have to be the same in each process, and different in each environment.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Final

import psycopg
from psycopg import sql

from waybill.jobs.messages import QUEUE_NAME
from waybill.log import get_logger
from waybill.own_database import SCHEMA, connection_arguments

log = get_logger(__name__)

_PAUSE_SECONDS: Final = 1.0
_NAMELESS: Final = frozenset({SCHEMA, "public"})
"""The default, and what it was before: queues keep their names when tables move."""


def read_queue_name(dsn: str, schema: str = SCHEMA) -> str:
    """Return the name of the queue of the service whose database this is.

    Raises:
        psycopg.Error: the database does not answer, or is not migrated.
    """
    with psycopg.connect(**connection_arguments(dsn, application_name="waybill")) as connection:
        # A copy of a database, on the same server under another name, is another service.
        found = connection.execute(
            sql.SQL("SELECT id::text, current_database()::text FROM {}.service_identity").format(
                sql.Identifier(schema)
            )
        )
        identity = found.fetchone() or ("", "")
    if schema not in _NAMELESS:
        # A copy in another schema is another service, too.
        identity = (*identity, schema)
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()
    return f"{QUEUE_NAME}.{digest[:16]}"


def wait_for_queue_name(dsn: str, schema: str = SCHEMA) -> str:
    """Return the name as soon as the database says it; for processes with nothing else to do."""
    reported = None
    while True:
        try:
            return read_queue_name(dsn, schema)
        except psycopg.Error as exc:
            error = type(exc).__name__
            if error != reported:
                log.warning("worker.waits_for_database", error=error)
                reported = error
            threading.Event().wait(_PAUSE_SECONDS)
