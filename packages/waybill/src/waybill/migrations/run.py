"""Brings a database to this version's schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.own_database import connection_arguments

# Any number that nothing else of ours uses: two deploys that migrate at once take turns.
_LOCK = 0x77617962


def migrate(settings: Settings, revision: str = "head") -> None:
    """Apply the migrations up to ``revision``, in one transaction under an advisory lock.

    Raises:
        ConfigurationError: the database does not answer.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    arguments = connection_arguments(settings.database_dsn, application_name="waybill migrate")
    engine = create_engine("postgresql+psycopg://", poolclass=NullPool, connect_args=arguments)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except OperationalError as exc:
        hosts = str(arguments.get("host") or "the local socket").split(",")
        ports = str(arguments.get("port") or 5432).split(",")
        if len(ports) < len(hosts):
            ports = ports * len(hosts)
        where = ", ".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=False))
        raise ConfigurationError(
            f"The database at {where} does not let us in (database "
            f"{arguments.get('dbname')!r}, user {arguments.get('user')!r}). Check "
            "WAYBILL_DATABASE_URL."
        ) from exc
    finally:
        engine.dispose()
