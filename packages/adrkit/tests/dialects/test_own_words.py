"""A project's own words for statuses, headings and fields hold wherever a record is read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

import adrkit
from adrkit.cli.commands import app
from adrkit.git import Git
from adrkit.review import review
from adrkit.testing import GitProject, house

OWN_STATUSES = 'statuses = { "Umgesetzt" = "Accepted", "In Kraft" = "Accepted" }\n'
CHECKED = """
## Confirmation

```adr-check
[[path-exists]]
path = "src/queue.py"
```
"""


def adr(project: GitProject, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["-C", str(project.root), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def german(project: GitProject) -> GitProject:
    """A record with a check, in force by the project's own word; HEAD is on branch work."""
    project.write("adrkit.toml", OWN_STATUSES)
    project.write("src/queue.py", "class Queue: ...\n")
    project.write("docs/adr/0001-use-queues.md", house(1, status="Umgesetzt") + CHECKED)
    project.commit("start")
    project("checkout", "-q", "-b", "work")
    return project


def test_number_supersedes_records_whose_status_is_the_project_s_own_word(
    german: GitProject,
) -> None:
    adr(german, "new", "Use Logs", "--draft", "--supersedes", "1", "--status", "Accepted")
    (draft,) = german.records.glob("draft-*.md")
    text = draft.read_text()
    draft.write_text(text.replace("**Status:** Accepted", "**Status:** In Kraft"))
    told = adr(german, "number")
    assert "superseded docs/adr/0001-use-queues.md" in told
    assert (
        "**Status:** Superseded by ADR-0002" in (german.records / "0001-use-queues.md").read_text()
    )
    assert "**Status:** In Kraft" in (german.records / "0002-use-logs.md").read_text()


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        pytest.param(OWN_STATUSES, "Umgesetzt", id="settings stay"),
        pytest.param('statuses = { "Gilt" = "Accepted" }\n', "Gilt", id="settings go with it"),
        pytest.param("", "Accepted", id="settings are emptied"),
    ],
)
def test_check_taken_out_of_a_record_that_an_own_word_puts_in_force_is_found(
    german: GitProject, settings: str, status: str
) -> None:
    german.write("adrkit.toml", settings)
    german.record(1, "use-queues", status)
    german.commit("without its check")
    found = review(Git(german.root), german.root, "main", "HEAD")
    assert [finding.rule for finding in found.findings] == ["check-removed"]


def test_related_section_is_put_before_an_appendix_of_another_name(project: GitProject) -> None:
    project.write("adrkit.toml", 'headings = { "Anhang" = "appendix" }\n')
    old = "# ADR-0001: A\n\n**Status:** Accepted\n\n## Decision\n\nd\n\n## Anhang\n\nx\n"
    project.write("docs/adr/0001-a.md", old)
    project.record(2, "use-logs")
    adr(project, "supersede", "1", "--by", "2")
    text = (project.records / "0001-a.md").read_text()
    assert text.index("## Related") < text.index("## Anhang")


#: What reads records, and how many arguments it has when the project's words are among them.
_READERS = {
    "Record": 2, "Record.read": 2, "Record.from_text": 3, "named_section": 2, "read_status": 4,
}  # fmt: skip


def test_no_part_of_adrkit_reads_a_record_without_the_project_s_words() -> None:
    """The words have a default for users of the library; in adrkit it would be a mistake."""
    forgotten, seen = [], set()
    for path in Path(adrkit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name not in _READERS:
                continue
            seen.add(name)
            given = len(node.args) >= _READERS[name]
            if not given and "reading" not in {keyword.arg for keyword in node.keywords}:
                forgotten.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert forgotten == []
    assert seen == set(_READERS)
