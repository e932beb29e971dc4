"""What exports took, from waybill's own history."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import psycopg

from waybill.capacity.simulation import Load
from waybill.errors import ConfigurationError
from waybill.own_database import connection_arguments

_MOST: Final = 10_000

_QUESTION: Final = """
    SELECT j.export_type, j.format,
           extract(epoch FROM a.ended_at - a.started_at)::float8
    FROM export_attempts AS a JOIN export_jobs AS j ON j.id = a.export_id
    WHERE a.outcome = 'completed' AND NOT j.is_stream
      AND a.started_at > now() - make_interval(days => %s)
    ORDER BY a.started_at DESC LIMIT %s
"""


def measured_loads(dsn: str, *, days: int) -> list[Load]:
    """Return the loads of the last days, each by type and format, with the shares they had.

    Raises:
        ConfigurationError: the database lets nobody in, or has no history.
    """
    try:
        with psycopg.connect(**connection_arguments(dsn)) as connection:
            rows = connection.execute(_QUESTION, [days, _MOST]).fetchall()
    except psycopg.Error as exc:
        raise ConfigurationError(
            "waybill's database could not be asked for what exports took "
            f"({type(exc).__name__}). `waybill doctor --only database` says more."
        ) from exc
    seconds: dict[str, list[float]] = defaultdict(list)
    for export_type, file_format, took in rows:
        seconds[f"{export_type}.{file_format}"].append(max(took, 0.001))
    if not seconds:
        raise ConfigurationError(
            f"No export has completed within {days} days: give --mix with seconds of your own, "
            "such as users.csv=3@4.5 (a share of 3, 4.5 s each)."
        )
    return [Load(name, len(each) / len(rows), tuple(each)) for name, each in seconds.items()]
