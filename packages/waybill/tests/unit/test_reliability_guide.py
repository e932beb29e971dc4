"""docs/reliability.md under test: the faults it lists have tests, and the events it names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TESTS = ROOT / "packages" / "waybill" / "tests"
SOURCE = ROOT / "packages" / "waybill" / "src"


def _between(name: str) -> str:
    return TEXT.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0]


def _functions(folder: Path) -> set[str]:
    return {
        name
        for file in folder.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.M)
    }


def test_every_fault_has_its_row_and_every_row_its_tests() -> None:
    rows = re.findall(r"^\| (\d+) \| .* \| (`test_.*`) \|$", _between("fault-table"), re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 29))
    listed = {test: int(number) for number, tests in rows for test in re.findall(r"`(\w+)`", tests)}
    for test, number in listed.items():
        assert test.startswith(f"test_{number:02}_")
    numbered = {name for name in _functions(TESTS / "faults") if re.match(r"test_\d\d_", name)}
    assert set(listed) == numbered


def test_short_form_names_tests_that_exist() -> None:
    text = (TESTS / "faults" / "conftest.py").read_text("utf-8")
    named = set(re.findall(r'^        "(test_\w+)(?:\[\w+\])?",$', text, re.M))
    assert len(named) > 10
    assert named <= _functions(TESTS / "faults")


def test_tests_of_bad_input_exist() -> None:
    section = TEXT.split("### Bad input")[1].split("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", section))
    assert len(named) >= 8
    assert named <= _functions(TESTS)


def test_events_are_ones_that_waybill_logs_at_that_level() -> None:
    code = "\n".join(file.read_text("utf-8") for file in SOURCE.rglob("*.py"))
    logged = {
        (event, level) for level, event in re.findall(r'log\.(\w+)\(\s*(?:#.*\s*)?"([\w.]+)"', code)
    }
    listed = re.findall(r"^\| `([\w.]+)` \| (\w+) \|", _between("events"), re.M)
    assert len(listed) > 10
    assert set(listed) <= logged


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?:adr/)?[\w-]+\.md)", TEXT))))
def test_pages_it_refers_to_exist(target: str) -> None:
    assert (ROOT / "docs" / target).is_file()
