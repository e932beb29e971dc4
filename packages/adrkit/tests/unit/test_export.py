from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from adrkit.export import SCHEMA_ID, export_records, export_schema
from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.testing import house

ODD = [
    "",
    "# A\n# B\n",
    "no title",
    "---\nstatus: [a, 1]\ndate: 2020-01-01\n---\n# T\n\n## Considered Options\n\n* a\n\n"
    '## Decision Outcome\n\nChosen option: "a", because b.\n',
    "# 1. T\n\nDate: yesterday\n\n## Status\n\nPerhaps\n",
]


def validator() -> jsonschema.Draft202012Validator:
    schema = export_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def exported(*records: Record) -> dict[str, object]:
    value = export_records(records, Path(), Path("docs/adr"), source=True)
    text = json.dumps(value)
    loaded: dict[str, object] = json.loads(text)
    return loaded


@pytest.mark.parametrize("text", [house(1), *ODD])
def test_export_of_any_text_keeps_to_the_schema(text: str) -> None:
    validator().validate(
        exported(Record.from_text(text, Path("0001-a.md")), Record.from_text(text))
    )


def test_export_of_real_records_keeps_to_the_schema(corpora: Path) -> None:
    for project in ("abicheck", "govuk-aws", "jabref"):
        repository = RecordRepository(corpora / project)
        value = export_records(repository.require(), corpora, repository.directory)
        validator().validate(json.loads(json.dumps(value)))
        assert len(value["records"]) == len(repository.paths)


def test_schema_catches_what_it_does_not_describe() -> None:
    value = exported(Record.from_text(house(1), Path("0001-a.md")))
    value["records"][0]["status"]["kind"] = "Superceded"  # type: ignore[index]
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(value)


def test_schema_describes_every_member_and_requires_all_but_the_source() -> None:
    schema = export_schema()
    described = schema["$defs"]["record"]
    assert schema["$id"] == SCHEMA_ID
    written = exported(Record.from_text(house(1)))["records"][0]  # type: ignore[index]
    assert set(described["properties"]) == set(written)
    assert set(described["required"]) == set(written) - {"source"}


def test_alternatives_and_status_are_exported_with_their_lines() -> None:
    (record,) = exported(Record.from_text(house(7), Path("docs/adr/0007-a.md")))["records"]  # type: ignore[misc]
    assert record["status"] == {"kind": "Accepted", "text": "Accepted", "line": 4}
    assert record["path"] == "docs/adr/0007-a.md"
    assert [(a["verdict"]["kind"], a["line"]) for a in record["alternatives"]] == [
        ("chosen", 15),
        ("rejected", 16),
    ]
