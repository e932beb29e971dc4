"""Findings in the forms that other programs read: SARIF 2.1.0 and GitHub annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from adrkit import __version__

FORMATS = ("text", "json", "sarif", "github")

_GITHUB_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


@dataclass(frozen=True, slots=True)
class Annotation:
    """One finding; ``level`` is error, warning or note, ``path`` relative to the repository.

    ``related`` is another place (path, line) that the finding rests on.
    """

    code: str
    level: str
    message: str
    path: str
    line: int
    column: int | None = None
    related: tuple[str, int | None] | None = None


def sarif_log(
    annotations: Iterable[Annotation], rules: Mapping[str, str], *, tool: str = "adrkit"
) -> dict[str, Any]:
    """SARIF of one run. ``rules`` are descriptions by code; codes without one may occur."""
    found = list(annotations)
    codes = list(dict.fromkeys([*rules, *(item.code for item in found)]))
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": tool,
                        "semanticVersion": __version__,
                        "rules": [
                            {"id": code, "shortDescription": {"text": rules.get(code, code)}}
                            for code in codes
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(item, codes) for item in found],
            }
        ],
    }


def _sarif_result(item: Annotation, codes: Sequence[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": item.code,
        "ruleIndex": codes.index(item.code),
        "level": item.level,
        "message": {"text": item.message},
        "locations": [_location(item.path, item.line, item.column)],
    }
    if item.related is not None:
        result["relatedLocations"] = [_location(*item.related)]
    return result


def _location(path: str, line: int | None, column: int | None = None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(path), "uriBaseId": "%SRCROOT%"}}
    if line is not None:
        place["region"] = {"startLine": line} | ({"startColumn": column} if column else {})
    return {"physicalLocation": place}


def github_lines(annotations: Iterable[Annotation]) -> list[str]:
    """Workflow commands that GitHub Actions shows beside the lines of a pull request."""
    lines = []
    for item in annotations:
        column = f",col={item.column}" if item.column else ""
        lines.append(
            f"::{_GITHUB_LEVELS[item.level]} file={_property(item.path)},line={item.line}{column},"
            f"title={_property(item.code)}::{_data(item.message)}"
        )
    return lines


def _data(text: str) -> str:
    """Escaped as the runner unescapes it: a message must not smuggle in another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
