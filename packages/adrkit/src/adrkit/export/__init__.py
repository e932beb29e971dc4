"""Records as JSON for other programs, described by a published schema.

``adr export --schema`` prints ``schema.json``. Its ``$id`` names a version: fields may be added
within one, so readers ignore what they do not know; a field changes or goes only with a new one.
"""

from __future__ import annotations

import json
import os.path
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from adrkit import __version__
from adrkit.document import ListItem, plain
from adrkit.model import Alternative, Consequences, ReferenceKind
from adrkit.record import Record
from adrkit.repository import Unreadable

SCHEMA_ID = "urn:adrkit:schema:export:1"


def export_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that ``export_records`` keeps to."""
    text = files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def export_records(
    records: Sequence[Record],
    root: Path,
    directory: Path,
    *others: Path,
    unreadable: Sequence[Unreadable] = (),
    source: bool = False,
) -> dict[str, Any]:
    """Everything read from the records of ``directory``, and of ``others``, ready for
    ``json.dumps``. Paths are relative to ``root``.

    ``source`` adds each record's Markdown text.
    """
    return {
        "schema": SCHEMA_ID,
        "generator": f"adrkit {__version__}",
        "directory": _relative(directory, root),
        "directories": [_relative(each, root) for each in (directory, *others)],
        "records": [_record(record, root, source=source) for record in records],
        "unreadable": [
            {"path": _relative(failed.path, root), "problem": _problem(failed, root)}
            for failed in unreadable
        ],
    }


def _problem(failed: Unreadable, root: Path) -> str:
    return str(failed.error).replace(str(failed.path), _relative(failed.path, root))


def _record(record: Record, root: Path, *, source: bool) -> dict[str, Any]:
    status = record.status
    title = record.title
    value: dict[str, Any] = {
        "number": record.number,
        "label": record.label,
        "title": record.name or None,
        "title_line": title.line if title else None,
        "path": _relative(record.path, root) if record.path else None,
        "format": record.dialect.name,
        "date": record.date_value.isoformat() if record.date_value else None,
        "date_text": record.date.value if record.date else None,
        "status": {
            "kind": status.kind.value if status.kind else None,
            "text": status.raw,
            "line": status.line,
        }
        if status
        else None,
        "context_link": record.context_link.value if record.context_link else None,
        "fields": {field.key: field.value for field in record.header.fields.values()},
        "decision": {"text": record.decision.plain, "line": record.decision.line}
        if record.decision
        else None,
        "sections": [
            {
                "name": name.value,
                "heading": section.heading.plain,
                "line": section.line,
                "text": record.section_text(name) or "",
            }
            for name, section in record.sections.items()
        ],
        "alternatives": [_alternative(option) for option in record.alternatives],
        "consequences": _consequences(record.consequences),
        "risks": [
            {
                "risk": risk.risk,
                "impact": risk.impact,
                "likelihood": risk.likelihood,
                "mitigation": risk.mitigation,
                "line": risk.line,
            }
            for risk in record.risks
        ],
        "relations": [
            {"kind": relation.kind.value, "number": relation.number, "line": relation.line}
            for relation in record.relations
        ],
        "references": [
            {
                "number": reference.number,
                "kind": reference.kind.value,
                "target": reference.target if reference.kind is ReferenceKind.LINK else None,
                "line": reference.line,
            }
            for reference in record.references
        ],
        "cited_paths": [
            {"path": cited.path, "fragment": cited.fragment, "line": cited.line}
            for cited in record.cited_paths
        ],
        "checks": [{"text": check.content, "line": check.line} for check in record.checks],
    }
    if source:
        value["source"] = record.document.text
    return value


def _alternative(option: Alternative) -> dict[str, Any]:
    verdict = option.verdict
    return {
        "approach": option.approach,
        "pros": option.pros,
        "cons": option.cons,
        "verdict": {
            "kind": verdict.kind.value if verdict.kind else None,
            "reason": verdict.reason or None,
            "text": verdict.raw,
        }
        if verdict
        else None,
        "line": option.line,
    }


def _consequences(consequences: Consequences) -> dict[str, list[dict[str, Any]]]:
    def items(found: tuple[ListItem, ...]) -> list[dict[str, Any]]:
        return [{"text": plain(item.text), "line": item.line} for item in found]

    return {
        "positive": items(consequences.positive),
        "negative": items(consequences.negative),
        "other": items(consequences.other),
    }


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
