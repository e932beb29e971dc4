"""Whether a file is what the writer committed: one state, or one state per segment."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from waybill.local.faults.whole.sources import NOTE_REPEATS, Scenario, State
from waybill.manifest import Manifest

Row = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``problem`` is ``None`` for a file that is whole."""

    problem: str | None
    segments: int = 1


def judge(data: bytes, manifest: Manifest, scenario: Scenario, states: Sequence[State]) -> Verdict:
    """Hold a completed export's file against the states that there were."""
    rows = list(_rows(data, manifest.format))
    if len(rows) != manifest.rows:
        return Verdict(f"the file holds {len(rows)} rows and its manifest says {manifest.rows}")
    if not manifest.segments:
        return Verdict(_misfit(rows, states))
    with scenario.connect() as connection:
        start = possible = 0
        for segment in manifest.segments:
            part = rows[start : start + segment.rows]
            start += segment.rows
            inside = _between(connection, scenario, segment.after_key, segment.last_key)
            # Each snapshot is of a later state than the one before it, or of the same.
            narrowed = [{n: v for n, v in s.items() if n in inside} for s in states[possible:]]
            if (problem := _misfit(part, narrowed)) is not None:
                return Verdict(f"a segment behind {segment.after_key}: {problem}")
            possible += narrowed.index(dict(part))
    return Verdict(None, len(manifest.segments))


def _misfit(rows: Sequence[Row], states: Sequence[State]) -> str | None:
    found = dict(rows)
    if len(found) != len(rows):
        return f"{len(rows) - len(found)} rows are in it twice"
    if found in states:
        return None
    nearest = min(states, key=lambda state: len(state.items() ^ found.items()))
    missing = len(nearest.keys() - found.keys())
    surplus = len(found.keys() - nearest.keys())
    other = sum(1 for n, v in found.items() if n in nearest and nearest[n] != v)
    return (
        f"of {len(nearest)} rows {missing} are missing, {surplus} should not be there, "
        f"{other} are of another moment"
    )


def _rows(data: bytes, format_name: str) -> Iterator[Row]:
    records: Iterator[tuple[str, str, str]]
    if format_name == "csv":
        csv.field_size_limit(sys.maxsize)
        reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        next(reader)
        records = ((n, v, note) for n, v, note in reader)
    else:
        lines = json.loads(data) if format_name == "json" else map(json.loads, data.splitlines())
        records = ((line["n"], line["v"], line["note"]) for line in lines)
    for n, v, note in records:
        # A row that is half old and half new would be no row at all.
        if note != hashlib.md5(f"{n}:{v}".encode()).hexdigest() * NOTE_REPEATS:  # noqa: S324
            yield int(n), -1
        else:
            yield int(n), int(v)


def _between(
    connection: psycopg.Connection,
    scenario: Scenario,
    after: Sequence[str] | None,
    last: Sequence[str] | None,
) -> set[int]:
    """Return the numbers whose key lies behind ``after`` and not behind ``last``.

    The table has no index: each key is compared, with the type's own operator.
    """
    conditions = [sql.SQL("true")]
    columns = sql.SQL(", ").join(map(sql.Identifier, scenario.key))
    for key, operator in ((after, ">"), (last, "<=")):
        if key is not None:
            values = sql.SQL(", ").join(map(sql.Literal, key))
            conditions.append(
                sql.SQL("({}) {} ({})").format(columns, sql.SQL(operator), values)  # type: ignore[arg-type]
            )
    statement = sql.SQL("SELECT n FROM judge WHERE {}").format(sql.SQL(" AND ").join(conditions))
    return {int(n) for (n,) in connection.execute(statement).fetchall()}
