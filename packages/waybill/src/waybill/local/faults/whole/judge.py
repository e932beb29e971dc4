"""Whether a file is what the writer committed: one state, or one state per segment."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from waybill.local.faults.whole.sources import NOTE_REPEATS, Scenario, State
from waybill.manifest import Manifest, ManifestSegment

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
    if not _are_bounded(manifest.segments):
        return Verdict("the manifest does not say where its segments end", len(manifest.segments))
    numbers = _Numbers(scenario)
    start = possible = 0
    for segment in manifest.segments:
        part = rows[start : start + segment.rows]
        start += segment.rows
        inside = numbers.of(segment)
        # Each snapshot is of a later state than the one before it, or of the same.
        narrowed = [{n: v for n, v in s.items() if n in inside} for s in states[possible:]]
        if (problem := _misfit(part, narrowed)) is not None:
            return Verdict(
                f"a segment behind {segment.after_key}: {problem}", len(manifest.segments)
            )
        possible += narrowed.index(dict(part))
    return Verdict(None, len(manifest.segments))


def judge_stream(data: bytes, format_name: str, states: Sequence[State]) -> Verdict:
    """Hold an answer that ended well against the states that there were."""
    return Verdict(_misfit(list(_rows(data, format_name)), states))


def _are_bounded(segments: Sequence[ManifestSegment]) -> bool:
    """Whether each segment begins behind the key that the one before it ends with."""
    ends = [None, *(segment.last_key for segment in segments)]
    return [segment.after_key for segment in segments] == ends[:-1] and None not in ends[1:-1]


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
        records = ((n, v, note) for n, v, note, *_ in reader)
    else:
        lines = json.loads(data) if format_name == "json" else map(json.loads, data.splitlines())
        records = ((line["n"], line["v"], line["note"]) for line in lines)
    for n, v, note in records:
        # A row that is half old and half new would be no row at all.
        if note != hashlib.md5(f"{n}:{v}".encode()).hexdigest() * NOTE_REPEATS:  # noqa: S324
            yield int(n), -1
        else:
            yield int(n), int(v)


class _Numbers:
    """The numbers that rows can have, in the order of their keys.

    By ``ORDER BY`` without an index: it sorts by the type's own btree class and by nothing that has
    a name, so no operator that was made in ``public`` can stand in, and nothing of what is judged
    is used to judge.
    """

    def __init__(self, scenario: Scenario) -> None:
        # Qualified: a bare name would mean the text of it that is asked for.
        key = ", ".join(f"judge.{name}" for name in scenario.key)
        texts = ", ".join(f"pg_catalog.concat({name})" for name in scenario.key)
        with scenario.connect() as connection:
            rows = connection.execute(
                f"SELECT n, {texts} FROM judge ORDER BY {key}".encode()
            ).fetchall()
        self._numbers = [int(n) for n, *_ in rows]
        self._places = {tuple(texts): place for place, (_, *texts) in enumerate(rows)}

    def of(self, segment: ManifestSegment) -> frozenset[int]:
        """Return those whose key lies behind ``after_key`` and not behind ``last_key``."""
        first, end = 0, len(self._numbers)
        if segment.after_key is not None:
            first = self._places[tuple(segment.after_key)] + 1
        if segment.last_key is not None:
            end = self._places[tuple(segment.last_key)] + 1
        return frozenset(self._numbers[first:end])
