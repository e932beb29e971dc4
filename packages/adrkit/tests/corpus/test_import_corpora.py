"""170 real records imported: every line of every source stands in the result."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adrkit.cli.commands import app
from adrkit.importing import ImportPlan, plan_import
from adrkit.record import Record
from adrkit.repository import RecordRepository


def plan(corpora: Path, project: str) -> ImportPlan:
    # Next to the sources, so that links to files that are not imported stay as they are.
    return plan_import(
        RecordRepository(corpora / project).list(),
        corpora / "imported",
    )


def said(line: str) -> str:
    """A line without the marks of headings, lists and table cells, and without link targets."""
    line = re.sub(r"^\s*(?:#+|[-*+](?=\s))\s*", "", line)
    line = re.sub(r"\]\([^()\s]*", "](", line.replace("\\|", "|"))
    return " ".join(line.split()).strip("| ")


@pytest.mark.parametrize(("project", "count"), [("govuk-aws", 38), ("jabref", 70)])
def test_every_line_of_every_record_is_in_its_import(
    corpora: Path, project: str, count: int
) -> None:
    found = plan(corpora, project)
    assert len(found.records) == count
    assert found.skipped == ()
    for record in found.records:
        text = record.content.decode()
        lines = Counter(said(line) for line in text.splitlines())
        cells = {
            said(cell).strip("* ")
            for line in text.splitlines()
            if line.startswith("| ")
            for cell in re.split(r"(?<!\\)\|", line)
        }
        wanted = Counter(
            said(line)
            for line in record.source.document.text.splitlines()
            if re.search(r"\w", said(line))
        )
        lost = [
            line
            for line, times in wanted.items()
            if lines[line] < times and line.strip("* ") not in cells
        ]
        assert lost == [], record.source.path


def test_imported_records_are_house_records_with_their_numbers_and_statuses(
    corpora: Path,
) -> None:
    for project in ("govuk-aws", "jabref"):
        for done in plan(corpora, project).records:
            record = Record.from_text(done.content.decode(), done.path)
            assert record.dialect.name == "house"
            assert record.number == done.source.number
            assert record.name == done.source.name
            if done.source.status_kind:
                assert record.status_kind is done.source.status_kind
                assert record.superseded_by == done.source.superseded_by
            assert [o.raw_cell_count for o in record.alternatives] == [
                o.column_count for o in record.alternatives
            ]
            chosen = [option.approach for option in done.source.chosen]
            if chosen and done.source.dialect.name == "madr":
                assert len(record.chosen) == len(chosen), done.path


def test_links_between_records_still_find_their_files(corpora: Path, tmp_path: Path) -> None:
    for project in ("govuk-aws", "jabref"):
        source = corpora / project
        target = tmp_path / project
        result = CliRunner().invoke(
            app, ["-C", str(tmp_path), "import", str(source), "-o", str(target)]
        )
        assert result.exit_code == 0, result.stderr
        for before in RecordRepository(source).list():
            for link in before.document.links:
                assert before.path is not None
                led = re.fullmatch(r"(\d{4}-[\w-]+\.md)(#.*)?", link.target)
                if led and (source / led.group(1)).exists():
                    after = RecordRepository(target).get(int(led.group(1)[:4]))
                    assert after.path is not None
                    assert after.path.exists()
                    own = RecordRepository(target).get(before.number or 0)
                    assert after.path.name + (led.group(2) or "") in own.document.text


def test_records_of_the_house_template_are_left(corpora: Path) -> None:
    found = plan(corpora, "abicheck")
    assert len(found.skipped) >= 50
    assert len(found.records) + len(found.skipped) == 59
