from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.testing import GitProject, house

runner = CliRunner()

BLOCK = """
```adr-check
[[setting]]
file = "config.py"
attribute = "RETRIES"
value = 3
reason = "the specification says so"
```
"""


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = runner.invoke(app, ["-C", str(project.root), *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def checked(project: GitProject) -> GitProject:
    project.write("docs/adr/0001-a.md", house(1, "A") + BLOCK)
    project.write("config.py", "RETRIES = 3\n")
    return project


def test_check_that_holds_exits_with_zero_and_says_what_was_looked_at(checked: GitProject) -> None:
    code, out, err = adr(checked, "check")
    assert (code, err) == (0, "")
    assert out == "1 checks in 1 records: 1 pass; 0 citations in 1 files\n"
    assert "RETRIES is 3" in adr(checked, "check", "--verbose")[1]


def test_drift_exits_with_one_and_names_record_line_and_code(checked: GitProject) -> None:
    checked.write("config.py", "\nRETRIES = 5\n")
    code, out, _ = adr(checked, "check")
    assert code == 1
    assert out.splitlines()[:2] == [
        "docs/adr/0001-a.md:23: ADR-0001 setting: violated: RETRIES is 5, must be == 3 "
        "[config.py:2]",
        "    because: the specification says so",
    ]


def test_formats_agree_on_the_finding(checked: GitProject) -> None:
    checked.write("config.py", "RETRIES = 5\n")
    code, out, _ = adr(checked, "check", "--format", "json")
    (result,) = json.loads(out)["results"]
    assert (code, result["verdict"], result["line"]) == (1, "violated", 23)
    assert result["evidence"] == {"path": "config.py", "line": 1}
    code, out, _ = adr(checked, "check", "-f", "sarif")
    (found,) = json.loads(out)["runs"][0]["results"]
    assert (code, found["ruleId"], found["level"]) == (1, "adr-check/violated", "error")
    code, out, _ = adr(checked, "check", "-f", "github")
    assert code == 1
    assert out.startswith("::error file=docs/adr/0001-a.md,line=23,title=adr-check/violated::")
    assert adr(checked, "check", "-f", "xml")[0] == 2


def test_malformed_block_and_unreadable_record_exit_with_two(checked: GitProject) -> None:
    checked.write("docs/adr/0002-b.md", house(2) + "\n```adr-check\n[[x]]\n```\n")
    code, out, _ = adr(checked, "check")
    assert code == 2
    assert "docs/adr/0002-b.md:23: ADR-0002 adr-check: error: unknown kind" in out
    assert adr(checked, "check", "1")[0] == 0
    (checked.root / "docs/adr/0002-b.md").write_bytes(b"# ADR-0002: \xff\n")
    assert adr(checked, "check")[0] == 2


def test_proposed_record_advises_and_citations_fail(checked: GitProject) -> None:
    checked.write("config.py", "RETRIES = 5\n")
    checked.write("docs/adr/0001-a.md", house(1, "A", "Proposed") + BLOCK)
    code, out, _ = adr(checked, "check")
    assert code == 0
    assert "violated (note): RETRIES is 5" in out
    checked.write("x.py", "# ADR-0042\n")
    code, out, _ = adr(checked, "check")
    assert code == 1
    assert "x.py:1: ADR-0042 citation: missing" in out
    assert adr(checked, "check", "--no-citations")[0] == 0


def test_records_without_checks_are_not_passed_in_silence(project: GitProject) -> None:
    assert adr(project, "check")[0] == 2  # no records at all
    project.record(1, "a")
    code, _, err = adr(project, "check")
    assert code == 0
    assert "nothing was held against the code" in err


def test_commands_run_only_when_allowed(checked: GitProject) -> None:
    text = house(2, "B") + "\n```adr-check\n[[command]]\nrun = ['true']\n```\n"
    checked.write("docs/adr/0002-b.md", text)
    assert adr(checked, "check")[0] == 1
    assert adr(checked, "check", "--allow-commands")[0] == 0
    code, out, _ = adr(checked, "check", "--skip-commands")
    assert code == 0
    assert "1 commands left out" in out
    assert adr(checked, "check", "--skip-commands", "--allow-commands")[0] == 2


def test_check_works_outside_of_git(tmp_path: Path) -> None:
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "docs/adr/0001-a.md").write_text(house(1) + BLOCK)
    (tmp_path / "config.py").write_text("RETRIES = 4\n")
    result = runner.invoke(app, ["-C", str(tmp_path), "--dir", "docs/adr", "check"])
    assert result.exit_code == 1
    assert "RETRIES is 4" in result.stdout


def test_why_lists_governing_records_and_exits_with_one_without_any(checked: GitProject) -> None:
    checked.write("config.py", "RETRIES = 3  # ADR-0001\n")
    code, out, _ = adr(checked, "why", "config.py")
    assert code == 0
    assert out.splitlines() == [
        "ADR-0001 A (Accepted)",
        "  docs/adr/0001-a.md:23: checks setting: RETRIES == 3",
        "  cited on line 1: ADR-0001",
    ]
    code, out, _ = adr(checked, "why", "config.py", "--json")
    assert [item["number"] for item in json.loads(out)] == [1]
    assert adr(checked, "why", "nowhere.py")[0] == 1
    assert adr(checked, "why", "..")[0] == 2
