"""Front matter in JSON: read as it is, and never damaged by an edit."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.document.front_matter import read_front_matter
from adrkit.testing import GitProject


@pytest.mark.parametrize(
    "text",
    ["{{ title }}\n\n# T\n", "{}\n# T\n", '{"a": 1} is text\n', "{" * 5000, '{"a": }\n',
     '{"a": "\\ud83d"}\n', "{: .note }\n# T\n"],
)  # fmt: skip
def test_text_that_begins_with_a_brace_is_no_front_matter(text: str) -> None:
    assert read_front_matter(text) is None


def test_json_that_does_not_parse_is_said() -> None:
    front = read_front_matter(';;;\n{"status": accepted}\n;;;\n# T\n')
    assert front is not None
    assert (front.data, front.entries) == (None, ())
    assert "Expecting value" in (front.problem or "")


def test_status_is_changed_in_place_and_what_has_no_place_is_refused(project: GitProject) -> None:
    text = '{\n\t"status": "accepted",\n\t"date": "2024-03-01"\n}\n\n# Use X\n\n## Decision\n\nX.\n'
    path = project.write("docs/adr/0001-use-x.md", text)
    project.record(2, "use-y")
    project.commit()
    refused = CliRunner().invoke(app, ["-C", str(project.root), "deprecate", "1", "--reason", "r"])
    assert (refused.exit_code, path.read_text("utf-8")) == (2, text)
    assert "by hand" in refused.stderr
    done = CliRunner().invoke(app, ["-C", str(project.root), "supersede", "1", "--by", "2"])
    assert done.exit_code == 0, done.stderr
    front = read_front_matter(path.read_text("utf-8"))
    assert front is not None
    assert json.loads(front.text)["status"].casefold().startswith("superseded")
    assert "\n}\n\n# Use X\n\n## Decision\n\nX.\n" in path.read_text("utf-8")
