"""``make whole`` in its short form, and with a fault planted: it has to find it."""

from __future__ import annotations

import random
import re
import secrets
from pathlib import Path

import pytest
from rich.console import Console

from waybill.local.faults.whole.judge import judge
from waybill.local.faults.whole.kinds import KINDS
from waybill.local.faults.whole.rounds import Tally, fuzz
from waybill.local.faults.whole.sources import TRAPS, Scenario
from waybill.local.stack import LocalStack
from waybill.manifest import Manifest, ManifestSegment


def test_some_rounds_of_random_tables_find_no_file_that_is_wrong(
    fault_stack: LocalStack, server_directory: Path
) -> None:
    tally = fuzz(
        fault_stack, server_directory, minutes=4, seed=3, rounds=3, console=Console(quiet=True)
    )
    assert tally.completed
    assert re.fullmatch(
        r"whole: [1-9]\d* exports, [1-9]\d* completed, \d+ refused, 0 wrong", str(tally)
    ), tally.findings
    assert tally.exit_status == 0


@pytest.mark.parametrize("plant", ["gap", "lock", "segment"])
def test_fault_that_is_planted_is_found(
    fault_stack: LocalStack, server_directory: Path, plant: str
) -> None:
    tally = fuzz(
        fault_stack, server_directory, minutes=4, seed=3, console=Console(quiet=True), plant=plant
    )
    assert tally.wrong
    assert tally.exit_status == 1
    assert "are missing" in tally.findings[0]


def test_long_run_that_resumes_nothing_shows_nothing() -> None:
    assert Tally(exports=100, completed=100).exit_status == 1
    assert Tally(exports=100, completed=100, resumed=1).exit_status == 0
    assert Tally(exports=4, completed=4).exit_status == 0


def _in_order(scenario: Scenario) -> list[tuple[str, str]]:
    """Return a line of CSV and the key's text of each row, in the order of the key."""
    with scenario.connect() as connection:
        found = connection.execute("SELECT n, v, note, k0::text FROM t ORDER BY t.k0").fetchall()
    return [(f"{n},{v},{note}\n", key) for n, v, note, key in found]


def _judged(scenario: Scenario, rows: list[tuple[str, str]], *, cut: int, lost: int = 0) -> str:
    """Judge a file of two segments, of which the second lacks its first rows."""
    key = (rows[cut - 1][1],)
    segments = (
        ManifestSegment.model_construct(rows=cut, last_key=key),
        ManifestSegment.model_construct(rows=len(rows) - cut - lost, after_key=key),
    )
    kept = rows[:cut] + rows[cut + lost :]
    manifest = Manifest.model_construct(format="csv", rows=len(kept), segments=segments)
    data = "n,v,note\n" + "".join(line for line, _ in kept)
    verdict = judge(data.encode(), manifest, scenario, scenario.states)
    assert verdict.segments == 2
    return verdict.problem or ""


@pytest.mark.parametrize("ends", [(None, None), ("a", None), ("a", "b")])
def test_segments_that_do_not_meet_are_wrong(ends: tuple[str | None, str | None]) -> None:
    last_key, after_key = ((key,) if key else None for key in ends)
    segments = (
        ManifestSegment.model_construct(rows=0, after_key=None, last_key=last_key),
        ManifestSegment.model_construct(rows=0, after_key=after_key, last_key=None),
    )
    manifest = Manifest.model_construct(format="csv", rows=0, segments=segments)
    scenario = Scenario("", KINDS[0], "table", 0, random.Random(1))  # noqa: S311
    verdict = judge(b"n,v,note\n", manifest, scenario, [{}])
    assert verdict.problem == "the manifest does not say where its segments end"


@pytest.mark.parametrize("name", ["varchar", "int array", "name"])
def test_segments_are_judged_by_the_keys_own_order(fault_stack: LocalStack, name: str) -> None:
    """By no operator of ``public``, and not by the key's text."""
    (kind,) = (each for each in KINDS if each.name == name)
    dsn = fault_stack.postgres.create_database(f"judge_{secrets.token_hex(6)}")
    scenario = Scenario(dsn, kind, "table", 300, random.Random(1))  # noqa: S311
    scenario.make()
    assert scenario.export_type("resumable").scope_of_column("k0") == ""  # else it is left out
    with scenario.connect() as connection:
        for statement in TRAPS:
            connection.execute(statement.encode())
    rows = _in_order(scenario)
    assert _judged(scenario, rows, cut=100) == ""
    assert "of 200 rows 1 are missing" in _judged(scenario, rows, cut=100, lost=1)
