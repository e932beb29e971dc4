from __future__ import annotations

import json
from pathlib import Path

import pytest

from adrkit.errors import ConfigError
from adrkit.lint import Baseline, Finding, Severity


def finding(
    code: str = "ADR1", text: str = "a line", name: str = "0001-a.md", line: int = 1
) -> Finding:
    return Finding(
        code, "rule", Severity.WARNING, "m", "r", Path("/records") / name, line, 1, 1, text
    )


def lines(findings: list[Finding]) -> list[int]:
    return [each.line for each in findings]


ROOT = Path("/records")
KNOWN = [finding(), finding(line=2), finding("ADR2", line=3)]


def test_known_findings_are_hidden_and_as_many_as_are_known() -> None:
    fresh, smaller, gone = Baseline.of(KNOWN, ROOT).split(KNOWN, ROOT)
    assert (fresh, gone, smaller.known) == ([], 0, Baseline.of(KNOWN, ROOT).known)

    third = finding(line=9)  # of a kind that is known twice
    fresh, _, gone = Baseline.of(KNOWN, ROOT).split([*KNOWN, third], ROOT)
    assert (lines(fresh), gone) == ([9], 0)


@pytest.mark.parametrize(
    "other",
    [finding("ADR9"), finding(text="another line"), finding(name="0002-b.md")],
    ids=["code", "text", "file"],
)
def test_finding_that_differs_is_new(other: Finding) -> None:
    fresh, _, _ = Baseline.of(KNOWN, ROOT).split([*KNOWN, other], ROOT)

    assert fresh == [other]


def test_line_number_and_spacing_do_not_make_a_finding_new() -> None:
    moved = [finding(line=70, text="  a \t line "), finding(line=71), finding("ADR2", line=90)]

    assert Baseline.of(KNOWN, ROOT).split(moved, ROOT)[0] == []


def test_findings_that_are_gone_are_counted_and_new_again_afterwards() -> None:
    fresh, smaller, gone = Baseline.of(KNOWN, ROOT).split(KNOWN[1:2], ROOT)
    assert (fresh, gone, smaller.known.total()) == ([], 2, 1)

    fresh, _, gone = smaller.split(KNOWN, ROOT)
    assert (lines(fresh), gone) == ([2, 3], 0)


def test_empty_baseline_hides_nothing() -> None:
    assert Baseline.of([], ROOT).split(KNOWN, ROOT)[0] == KNOWN


def test_counts_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    known = Baseline.of(KNOWN, ROOT)
    known.write(path, tmp_path)

    assert json.loads(path.read_text()) == {
        "version": 1,
        "findings": [
            {"path": "0001-a.md", "code": "ADR1", "text": "a line", "count": 2},
            {"path": "0001-a.md", "code": "ADR2", "text": "a line", "count": 1},
        ],
    }
    again = Baseline.read(path)
    assert again is not None
    assert again.known == known.known
    assert Baseline.read(tmp_path / "none.json") is None


def test_entry_without_a_count_stands_for_one(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    entry = {"path": "0001-a.md", "code": "ADR1", "text": "a line"}
    path.write_text(json.dumps({"version": 1, "findings": [entry]}))
    known = Baseline.read(path)
    assert known is not None
    assert lines(known.split(KNOWN, ROOT)[0]) == [2, 3]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "findings": []}', '{"version": 1, "findings": [1]}']
)
def test_file_that_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        Baseline.read(path)

    assert caught.value.remedy == "write it anew: adr lint --write-baseline"
