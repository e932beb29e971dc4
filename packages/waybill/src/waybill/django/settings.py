"""A Django project's settings as waybill's: ``WAYBILL``, ``DATABASES``, ``STORAGES``."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from django.conf import settings as project
from django.db import connections

from waybill.config import Settings
from waybill.errors import ConfigurationError

OWN: Final = frozenset(
    {"CATALOG", "TENANT", "PRINCIPAL", "SCOPES", "DATABASE", "STORAGE", "BASE_TEMPLATE"}
)
"""What ``WAYBILL`` says to this application; all else are waybill's settings by their names."""

CATALOG: Final = "waybill.django.catalog:load"
"""Where waybill's processes find the project's catalog."""

_PREFIX: Final = "WAYBILL_"
_S3_BACKENDS: Final = frozenset(
    {"storages.backends.s3.S3Storage", "storages.backends.s3boto3.S3Boto3Storage"}
)
# Of django-storages: what its options are called here, and its settings beside them.
_S3_OPTIONS: Final = {
    "bucket_name": ("AWS_STORAGE_BUCKET_NAME", "s3_bucket"),
    "endpoint_url": ("AWS_S3_ENDPOINT_URL", "s3_endpoint_url"),
    "region_name": ("AWS_S3_REGION_NAME", "s3_region"),
    "access_key": ("AWS_S3_ACCESS_KEY_ID", "s3_access_key_id"),
    "secret_key": ("AWS_S3_SECRET_ACCESS_KEY", "s3_secret_access_key"),
    "addressing_style": ("AWS_S3_ADDRESSING_STYLE", "s3_addressing"),
}
_OLD_NAMES: Final = {
    "AWS_S3_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID",
    "AWS_S3_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
}


def own_settings() -> Mapping[str, Any]:
    """Return the project's ``WAYBILL``.

    Raises:
        ConfigurationError: it names something that is no setting.
    """
    given: Mapping[str, Any] = getattr(project, "WAYBILL", {})
    known = OWN | {name.upper() for name in Settings.model_fields}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), sorted(known), n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"WAYBILL names {name!r}, which is no setting.{guess}")
    if not given.get("CATALOG"):
        raise ConfigurationError(
            'WAYBILL names no catalog: WAYBILL = {"CATALOG": "shop.exports.catalog"}.'
        )
    return given


def given_settings() -> dict[str, Any]:
    """Return waybill's settings as the project gives them. The environment goes before them."""
    own = own_settings()
    given = {
        **_database(str(own.get("DATABASE", "default"))),
        **_storage(own.get("STORAGE")),
        **{name.lower(): value for name, value in own.items() if name not in OWN},
        "catalog": CATALOG,
    }
    given["source_dsns"] = {
        name: dsn
        for name, dsn in (given.get("source_dsns") or {}).items()
        if f"{_PREFIX}SOURCE_DSN_{name.upper()}" not in os.environ
    }
    return {
        name: value for name, value in given.items() if f"{_PREFIX}{name.upper()}" not in os.environ
    }


def as_environment() -> dict[str, str]:
    """Return the project's settings as waybill's own processes read them."""
    given = given_settings()
    named = {f"source_dsn_{name}": dsn for name, dsn in given.pop("source_dsns").items()}
    return {
        f"{_PREFIX}{name.upper()}": _as_text(value)
        for name, value in {**given, **named}.items()
        if value is not None
    }


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if callable(value):  # a function that other processes find by its name
        return f"{value.__module__}:{value.__qualname__}"
    try:
        return json.dumps(value)
    except TypeError as exc:
        raise ConfigurationError(
            f"WAYBILL names a {type(value).__name__}, which another process cannot be given. Name "
            "it as 'package.module:attribute'."
        ) from exc


def _database(alias: str) -> dict[str, str]:
    """Return where the project's database is: waybill's rows lie in it, and exports read it."""
    if alias not in connections:
        raise ConfigurationError(f"WAYBILL names the database {alias!r}, which is none of yours.")
    theirs = connections[alias].settings_dict
    if connections[alias].vendor != "postgresql":
        raise ConfigurationError(
            f"The database {alias!r} is {connections[alias].vendor}; waybill needs PostgreSQL. "
            "Name another of DATABASES in WAYBILL['DATABASE']."
        )
    options = theirs.get("OPTIONS") or {}
    if options.get("service") and not theirs.get("NAME"):
        raise ConfigurationError(
            f"The database {alias!r} is one of a service file; give WAYBILL_DATABASE_URL as well."
        )
    query = {
        name: str(value)
        for name, value in options.items()
        # What psycopg gives to libpq as it is.
        if name.startswith("ssl") or name in {"options", "target_session_attrs", "passfile"}
    }
    host, port = str(theirs.get("HOST") or ""), str(theirs.get("PORT") or "")
    if host.startswith("/"):
        query["host"], host = host, ""
    user = quote(str(theirs.get("USER") or ""), safe="")
    password = quote(str(theirs.get("PASSWORD") or ""), safe="")
    who = user + (f":{password}" if password else "") + ("@" if user else "")
    where = f"{host}:{port}" if port else host
    name = quote(str(theirs.get("NAME") or ""), safe="")
    url = f"postgresql://{who}{where}/{name}" + (
        f"?{urlencode(query, quote_via=quote)}" if query else ""
    )
    return {"database_url": url}


def _storage(alias: str | None) -> dict[str, str]:
    """Return the S3 of a storage of the project's, ``default`` if it is one."""
    storages: Mapping[str, Any] = getattr(project, "STORAGES", {})
    if alias is not None and alias not in storages:
        raise ConfigurationError(f"WAYBILL names the storage {alias!r}, which is none of yours.")
    theirs = storages.get(alias or "default", {})
    if theirs.get("BACKEND") not in _S3_BACKENDS:
        if alias is None:
            return {}
        raise ConfigurationError(
            f"The storage {alias!r} is no S3 of django-storages. Give waybill's own settings "
            "(S3_BUCKET, …, or STORAGE_DIRECTORY) in WAYBILL or the environment."
        )
    options = theirs.get("OPTIONS") or {}
    found: dict[str, str] = {}
    for option, (setting, ours) in _S3_OPTIONS.items():
        old = _OLD_NAMES.get(setting, setting)
        value = (
            options.get(option) or getattr(project, setting, None) or getattr(project, old, None)
        )
        if value:
            found[ours] = str(value)
    return found


def _of_project(name: str) -> Any:
    return getattr(project, name, None)
