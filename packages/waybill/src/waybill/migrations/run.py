"""Brings a database to this version's schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from waybill.config import Settings
from waybill.errors import ConfigurationError

# Any number that nothing else of ours uses: two deploys that migrate at once take turns.
_LOCK = 0x77617962


def migrate(settings: Settings, revision: str = "head") -> None:
    """Apply the migrations up to ``revision``, in one transaction under an advisory lock.

    Raises:
        ConfigurationError: the database does not answer.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    engine = create_engine(
        settings.sqlalchemy_url, poolclass=NullPool, connect_args={"connect_timeout": 5}
    )
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except OperationalError as exc:
        url = engine.url
        raise ConfigurationError(
            f"The database at {url.host}:{url.port or 5432} does not let us in "
            f"(database {url.database!r}, user {url.username!r}). Check WAYBILL_DATABASE_URL."
        ) from exc
    finally:
        engine.dispose()
