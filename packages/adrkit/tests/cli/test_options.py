"""Options that no other test gives; each with what it changes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.lint.catalogue import rules_markdown
from adrkit.testing import GitProject, house


def adr(project: GitProject, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["-C", str(project.root), *arguments])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.stdout


def test_moves_tell_programs_what_they_did(project: GitProject) -> None:
    for number in (1, 2, 3):
        project.record(number, f"r{number}", "Proposed")
    moves = [
        adr(project, "accept", "1", "--json"),
        adr(project, "reject", "2", "--json"),
        adr(project, "deprecate", "1", "--json"),
        adr(project, "supersede", "1", "--by", "3", "--force", "--json"),
    ]
    assert [code for code, _ in moves] == [0, 0, 0, 0]
    told = [json.loads(out) for _, out in moves]
    assert [(t["number"], t["before"], t["after"], t["successor"]) for t in told] == [
        (1, "Proposed", "Accepted", None),
        (2, "Proposed", "Rejected", None),
        (1, "Accepted", "Deprecated", None),
        (1, "Deprecated", "Superseded", "ADR-0003"),
    ]


@pytest.mark.parametrize("format", ["house", "madr", "nygard"])
def test_new_follows_the_format_of_the_records(project: GitProject, format: str) -> None:
    assert adr(project, "new", "Use X", "--format", format)[0] == 0
    assert adr(project, "new", "Use Y", "--supersedes", "1", "--force")[0] == 0  # auto
    for number in ("1", "2"):
        assert json.loads(adr(project, "show", number, "--json")[1])["format"] == format
    assert json.loads(adr(project, "show", "1", "--json")[1])["superseded_by"] == [2]
    assert json.loads(adr(project, "show", "2", "--json")[1])["supersedes"] == [1]
    assert adr(project, "new", "Use Z", "--format", "word")[0] == 2


def test_renumber_takes_the_number_that_is_asked_for(project: GitProject) -> None:
    project.record(1, "a")
    assert adr(project, "renumber", "1", "--to", "7")[0] == 0
    assert (project.records / "0007-a.md").is_file()


def test_list_is_limited_by_date_and_title(project: GitProject) -> None:
    project.write("docs/adr/0001-a.md", house(1, "Use Queues").replace("2026-01-31", "2025-01-31"))
    project.write("docs/adr/0002-b.md", house(2, "Use Logs"))
    assert adr(project, "list", "--until", "2025-12-31")[1].split("\t")[0] == "0001"
    assert adr(project, "list", "--title", "LOGS")[1].split("\t")[0] == "0002"
    assert adr(project, "list", "--until", "soon")[0] == 2


def test_show_raw_gives_the_bytes(project: GitProject) -> None:
    path = project.record(1, "a")
    assert adr(project, "show", "1", "--raw") == (0, path.read_text())


def test_lint_leaves_out_what_it_is_told_to(project: GitProject) -> None:
    project.write("docs/adr/0001-a.md", house(1).replace("2026-01-31", "soon"))
    found = json.loads(adr(project, "lint", "--format", "json")[1])["findings"]
    codes = {finding["code"] for finding in found}
    (wrong,) = {f["code"] for f in found if f["severity"] == "error" and "date" in f["name"]}
    left = json.loads(adr(project, "lint", "--ignore", wrong, "--format", "json")[1])["findings"]
    assert {finding["code"] for finding in left} == codes - {wrong}
    adr(project, "lint", "--write-baseline")
    assert json.loads(adr(project, "lint", "--baseline", "-f", "json")[1])["findings"] == []
    again = json.loads(adr(project, "lint", "--no-baseline", "-f", "json")[1])["findings"]
    assert again == found


def test_rules_print_the_page(project: GitProject) -> None:
    assert adr(project, "rules", "--markdown") == (0, rules_markdown())


def test_check_looks_at_citations_unless_told_not_to(project: GitProject) -> None:
    project.record(1, "a")
    project.write("src/app.py", "# ADR-0099\n")
    project.commit()
    assert adr(project, "check", "--citations")[0] == 1
    assert adr(project, "check", "--no-citations")[0] == 0


def test_graph_draws_mentions_links_and_directions_as_asked(project: GitProject) -> None:
    project.record(1, "a")
    project.write("docs/adr/0002-b.md", house(2) + "\nSee ADR-0001.\n")
    assert "-.->" in adr(project, "graph", "--mentions")[1]
    assert "-.->" not in adr(project, "graph", "--no-mentions")[1]
    assert "click" not in adr(project, "graph", "--no-links")[1]
    assert adr(project, "graph", "--direction", "TB")[1].startswith("flowchart TB\n")


def test_index_has_the_columns_that_are_asked_for(project: GitProject) -> None:
    project.record(1, "a")
    assert adr(project, "index", "--column", "number", "--column", "format")[0] == 0
    assert "| Number | Format |" in (project.records / "README.md").read_text()
    assert adr(project, "index", "--column", "colour")[0] == 2


def test_template_of_the_house_is_shown_beside_an_own_one(project: GitProject) -> None:
    project.write("t.md.j2", "# ADR-{{ number_text }}: {{ title }}\n")
    project.write("adrkit.toml", 'template = "t.md.j2"\n')
    own, house_text = adr(project, "template", "show"), adr(project, "template", "show", "--house")
    assert own[0] == house_text[0] == 0
    assert len(own[1]) < 100 < len(house_text[1])
