from __future__ import annotations

import json

from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.record import Record
from adrkit.testing import GitProject, house

runner = CliRunner()
NYGARD = "# 1. Use Logs\n\n## Status\n\nAccepted\n\n## Context\n\nc\n\n## Decision\n\nd\n"


def adr(project: GitProject, *arguments: str) -> tuple[int, str, str]:
    result = runner.invoke(app, ["-C", str(project.root), *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_dry_run_names_the_files_and_writes_none(project: GitProject) -> None:
    project.write("old/0001-use-logs.md", NYGARD)
    code, out, _ = adr(project, "import", "old", "--dry-run")
    assert (code, out) == (
        0,
        "would write docs/adr/0001-use-logs.md from old/0001-use-logs.md\n",
    )
    assert not project.records.exists()


def test_import_writes_records_dated_by_their_first_commit(project: GitProject) -> None:
    project.write("old/0001-first-name.md", NYGARD)
    project.commit()
    project("mv", "old/0001-first-name.md", "old/0001-use-logs.md")
    project.commit()
    assert adr(project, "import", "old")[0] == 0
    record = Record.read(project.records / "0001-use-logs.md")
    assert record.date_value is not None
    assert record.date_value.isoformat() == project("log", "-1", "--format=%as").strip()
    assert (project.root / "old/0001-use-logs.md").read_text() == NYGARD


def test_existing_file_is_refused_and_its_neighbours_are_not_written(project: GitProject) -> None:
    project.write("old/0001-use-logs.md", NYGARD)
    project.write("old/0002-use-queues.md", NYGARD.replace("1.", "2."))
    # Not a record by its text, so that its number is free; the file is in the way all the same.
    project.write("adrkit.toml", 'exclude = ["0002-*"]\n')
    mine = project.write("docs/adr/0002-use-queues.md", "mine")
    code, _, err = adr(project, "import", "old/0001-use-logs.md", "old/0002-use-queues.md")
    assert code == 2
    assert "exists already" in err
    assert mine.read_text() == "mine"
    assert [path.name for path in project.records.iterdir()] == ["0002-use-queues.md"]


def test_numbers_of_other_branches_are_not_taken_again(project: GitProject) -> None:
    project.commit()
    project("switch", "-q", "-c", "other")
    project.record(1, "taken")
    project.commit()
    project("switch", "-q", "main")
    project.write("old/0001-use-logs.md", NYGARD)
    code, out, err = adr(project, "import", "old", "--json")
    assert code == 0, err
    (record,) = json.loads(out)["records"]
    assert record["path"] == "docs/adr/0002-use-logs.md"
    assert record["notes"][0] == "number 0001 is taken: 0002 is used"


def test_house_records_are_left_and_empty_directories_refused(project: GitProject) -> None:
    project.write("old/0001-a.md", house(1))
    assert adr(project, "import", "old")[:2] == (
        0,
        "left old/0001-a.md: it is in the house template already\n",
    )
    (project.root / "none").mkdir()
    assert adr(project, "import", "none")[0] == 2
    assert adr(project, "import", "nowhere")[0] == 2
    assert adr(project, "import", "old", "--assume-status", "perhaps")[0] == 2


def test_unreadable_source_is_reported_and_the_rest_imported(project: GitProject) -> None:
    project.write("old/0001-use-logs.md", NYGARD)
    (project.root / "old/0002-bad.md").write_bytes(b"\xff")
    code, out, err = adr(project, "import", "old")
    assert code == 2
    assert "not UTF-8" in err
    assert "wrote docs/adr/0001-use-logs.md" in out
