from __future__ import annotations

import pytest

from adrkit.checks import Level, Verdict, make_context, run_checks
from adrkit.config import load_config
from adrkit.record import Record
from adrkit.testing import GitProject, house

from .conftest import Checked

HOLDS = "[[path-exists]]\npath = 'docs'"
BROKEN = "[[path-exists]]\npath = 'gone'"
IMPOSSIBLE = "[[regex]]\nfiles = 'docs/**'\npattern = '(x+x+)+y'"


@pytest.mark.parametrize(
    ("status", "holds", "broken"),
    [
        ("Accepted", "none", "error"),
        ("Proposed", "none", "note"),
        ("Superseded by ADR-0002", "warning", "none"),
        ("superceded by ADR-0002", "warning", "none"),
        ("Deprecated", "warning", "none"),
        ("Rejected", "warning", "none"),
    ],
)
def test_verdicts_weigh_by_the_status_of_the_record(
    check: Checked, status: str, holds: str, broken: str
) -> None:
    assert check.one(HOLDS, status).level.value == holds
    assert check.one(BROKEN, status).level.value == broken


def test_status_that_is_not_known_does_not_switch_checks_off(check: Checked) -> None:
    status, result = check(BROKEN, "Acepted")
    assert (status.kind, status.verdict, status.level) == ("status", Verdict.ERROR, Level.ERROR)
    assert "'Acepted'" in status.message
    assert result.level is Level.ERROR


def test_code_that_follows_a_superseded_decision_is_reported_unless_its_successor_asks_for_it(
    project: GitProject,
) -> None:
    both = "```adr-check\n[[path-exists]]\npath = 'docs'\n"
    old = house(1, "Old", "Superseded by ADR-0002") + f"\n{both}[[path-exists]]\npath='src'\n```\n"
    new = house(2, "New") + f"\n{both}```\n"
    project.write("src/x.py", "")
    records = [
        Record.read(project.write("docs/adr/0001-old.md", old)),
        Record.read(project.write("docs/adr/0002-new.md", new)),
    ]
    run = run_checks(make_context(load_config(project.root), None), records)
    assert [(r.number, r.level.value) for r in run.results] == [
        (1, "none"), (1, "warning"), (2, "none"),
    ]  # fmt: skip
    assert "the code still follows it" in run.results[1].message
    alone = run_checks(
        make_context(load_config(project.root), None), records[:1], all_records=records
    )
    assert [r.level.value for r in alone.results] == ["none", "warning"]


def test_revisit_trigger_advises_when_it_comes_and_never_fails(check: Checked) -> None:
    trigger = "\nwhen = 'revisit'\nalternative = 'nothing'"
    come = check.one(HOLDS + trigger)
    assert (come.verdict, come.level) == (Verdict.PASS, Level.NOTE)
    assert come.message.startswith("time to look at this decision again: nothing; ")
    assert check.one(BROKEN + trigger).level is Level.NONE
    gone = check.one("[[config]]\nfile='a.json'\npointer='/a'\nvalue=1" + trigger)
    assert (gone.verdict, gone.level) == (Verdict.MISSING, Level.NOTE)
    assert check.one(HOLDS + trigger, "Superseded by ADR-0002").level is Level.NONE


def test_claim_about_the_runner_up_fails_when_it_no_longer_holds(check: Checked) -> None:
    result = check.one(BROKEN + "\nalternative = 'Nothing'")
    assert result.level is Level.ERROR
    assert result.message.startswith("what was said of Nothing no longer holds; ")
