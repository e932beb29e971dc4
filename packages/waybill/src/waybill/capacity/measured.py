"""What exports took, from waybill's own history."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from waybill.capacity.simulation import Load
from waybill.errors import ConfigurationError
from waybill.own_database import SCHEMA, connection_arguments

_MOST: Final = 10_000
_SHORTEST: Final = 0.001

_QUESTION: Final = """
    SELECT j.export_type, j.format, a.worker, a.outcome = 'completed',
           extract(epoch FROM a.started_at)::float8, extract(epoch FROM a.ended_at)::float8
    FROM {own}.export_attempts AS a JOIN {own}.export_jobs AS j ON j.id = a.export_id
    WHERE a.ended_at IS NOT NULL AND NOT j.is_stream
      AND a.started_at > now() - make_interval(days => %s)
    ORDER BY a.started_at DESC LIMIT %s
"""


@dataclass(slots=True)
class _Attempt:
    """One attempt in a process. ``held``: its part of the time, shared with those beside it."""

    name: str
    is_counted: bool
    began: float
    ended: float
    held: float = 0.0


def measured_loads(dsn: str, *, days: int, schema: str = SCHEMA) -> list[Load]:
    """Return the loads of the last days, each by type and format, with the shares they had.

    Args:
        dsn: waybill's own database.
        days: how many.
        schema: where our tables lie.

    Raises:
        ConfigurationError: the database lets nobody in, or has no history.
    """
    try:
        with psycopg.connect(**connection_arguments(dsn)) as connection:
            question = sql.SQL(_QUESTION).format(own=sql.Identifier(schema))
            rows = connection.execute(question, [days, _MOST]).fetchall()
    except psycopg.Error as exc:
        raise ConfigurationError(
            "waybill's database could not be asked for what exports took "
            f"({type(exc).__name__}). `waybill doctor --only database` says more."
        ) from exc
    processes: dict[str, list[_Attempt]] = defaultdict(list)
    for export_type, file_format, process, is_counted, began, ended in rows:
        attempt = _Attempt(f"{export_type}.{file_format}", is_counted, began, began + _SHORTEST)
        attempt.ended = max(ended, attempt.ended)
        processes[process].append(attempt)
    kinds: dict[str, list[_Attempt]] = defaultdict(list)
    for attempts in processes.values():
        _share_out(attempts)
        for each in attempts:
            if each.is_counted:
                kinds[each.name].append(each)
    if not kinds:
        raise ConfigurationError(
            f"No export has completed within {days} days: give --mix with seconds of your own, "
            "such as users.csv=3@4.5 (a share of 3, 4.5 s each)."
        )
    counted = sum(map(len, kinds.values()))
    return [
        Load(
            name,
            len(each) / counted,
            tuple(one.ended - one.began for one in each),
            tuple(max(one.held, _SHORTEST) for one in each),
        )
        for name, each in kinds.items()
    ]


def _share_out(attempts: list[_Attempt]) -> None:
    """Give each attempt of a process its part of the time: half of it while there were two."""
    moments = sorted(
        [(each.began, True, n) for n, each in enumerate(attempts)]
        + [(each.ended, False, n) for n, each in enumerate(attempts)]
    )
    running: set[int] = set()
    before = 0.0
    for moment, begins, number in moments:
        for each in running:
            attempts[each].held += (moment - before) / len(running)
        before = moment
        (running.add if begins else running.discard)(number)
