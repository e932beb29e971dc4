"""For the Alembic of an application whose database waybill shares.

Autogenerate compares what is in the database with the application's metadata, and proposes to drop
what it does not know. In the application's ``env.py``::

    from waybill.alembic import include_name

    context.configure(..., include_name=include_name)
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_settings import BaseSettings, SettingsConfigDict

from waybill.own_database import SCHEMA, TABLES, read_dsn, schema_of

__all__ = ["include_name"]


class _Place(BaseSettings):
    """The one setting that matters here: an application's migrations may know no other."""

    model_config = SettingsConfigDict(env_prefix="WAYBILL_", env_file=".env", extra="ignore")

    database_schema: str | None = None
    database_url: str = ""


def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:
    """Return whether autogenerate is to look at something: at everything that is not waybill's.

    As Alembic's ``include_name`` hook has it. Where an application has a hook of its own, it is
    ``theirs(...) and include_name(...)``.
    """
    place = _Place()
    ours = place.database_schema or (
        schema_of(read_dsn(place.database_url)) if place.database_url else None
    )
    ours = ours or SCHEMA
    is_shared = ours == "public"
    if type_ == "schema":
        return is_shared or name != ours
    # None is the connection's default schema.
    schema = parent_names.get("schema_name") or "public"
    table = name if type_ == "table" else parent_names.get("table_name")
    return schema != ours or table not in TABLES
