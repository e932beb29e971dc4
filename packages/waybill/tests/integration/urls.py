"""Where SQLAlchemy finds a test's database: waybill itself gives its driver no URL."""

from __future__ import annotations

from waybill.config import Settings


def sqlalchemy_url(settings: Settings) -> str:
    """Return the database's URL with the driver SQLAlchemy needs for psycopg 3."""
    return settings.database_dsn.replace("://", "+psycopg://", 1)
