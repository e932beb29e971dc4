"""What a job's row forgets once there is no file: the values that its rows were compared with.

They are personal data as often as not ("e-mail is …"), and of no use to anybody once the file is
gone. The names of filters stay, as rights are decided by them; so does a mark, as a request
without its values would be one for every row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from waybill.jobs.tables import FORGOTTEN, HAS_VALUES
from waybill.jobs.tables import export_jobs as jobs

__all__ = ["FORGOTTEN", "forgetful", "has_values", "is_forgotten", "without_values"]


def without_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's options without what it compared with; themselves if there is nothing."""
    filters, since = options.get("filters") or {}, options.get("since")
    if not filters and since is None:
        return dict(options)
    return {
        **options,
        "filters": {name: {} for name in filters},
        "since": None if since is None else FORGOTTEN,
        FORGOTTEN: True,
    }


def is_forgotten() -> ColumnElement[bool]:
    """Whether a row's values were forgotten."""
    return jobs.c.options.has_key(FORGOTTEN)  # type: ignore[no-any-return]


def has_values() -> ColumnElement[bool]:
    """Whether a row still has values to forget."""
    return text(HAS_VALUES)  # type: ignore[return-value]  # as the index has it, word by word


def forgetful() -> dict[str, Any]:
    """Return the values of an update that forgets, the same as ``without_values``.

    The fingerprint goes too: of a request with few possible values it tells which it was.
    """
    name = func.jsonb_object_keys(
        func.coalesce(jobs.c.options["filters"], text("'{}'::jsonb"))
    ).table_valued("name")
    empty = text("'{}'::jsonb")
    names = select(
        func.coalesce(func.jsonb_object_agg(name.c.name, empty), empty)
    ).scalar_subquery()
    mark = func.to_jsonb(text(f"'{FORGOTTEN}'::text"))
    since = case((jobs.c.options["since"].astext.is_(None), text("'null'::jsonb")), else_=mark)
    forgotten = func.jsonb_build_object(
        "filters", names, "since", since, FORGOTTEN, text("true"), type_=JSONB
    )
    return {
        "options": case((has_values(), jobs.c.options.op("||")(forgotten)), else_=jobs.c.options),
        "fingerprint": None,
    }
