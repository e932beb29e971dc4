"""Reading ``adr-check`` blocks: TOML, one table a check, its kind the name of the table.

``[[kind]]`` tables and one-line tables in an array, ``kind = [{…}, {…}]``, mean the same. Beside
the keys of its kind every check takes ``name``, ``reason``, ``when`` ("always" or "revisit") and
``alternative``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from adrkit.checks.check import Check, Kind, Malformed
from adrkit.checks.kinds import KINDS
from adrkit.checks.table import CheckTable, MalformedCheck
from adrkit.checks.toml_lines import TableLines, table_lines
from adrkit.document import plain
from adrkit.errors import PathOutside
from adrkit.record import CHECK_LANGUAGE, Record

_NEARLY = re.compile(r"(?:toml[\s{.,:]+)?\.?adr[-_ ]?checks?\b", re.IGNORECASE)
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_MAX_BLOCK = 200_000  # characters
COMMON_KEYS = ("name", "reason", "when", "alternative")


def read_checks(record: Record) -> tuple[Check | Malformed, ...]:
    """All checks of a record in order of their lines. Nothing is skipped: what cannot be read, and
    fences whose language is nearly ``adr-check``, come back as Malformed."""
    found: list[Check | Malformed] = []
    for fence in record.document.fences:
        if fence.language == CHECK_LANGUAGE:
            found += read_block(record, fence.content, fence.line, fence.content_line)
        elif _NEARLY.match(fence.info.strip()):
            found.append(
                Malformed(
                    f"a block of language {fence.info.strip()!r} is not checked; "
                    f"write ```{CHECK_LANGUAGE}",
                    fence.line,
                )
            )
    return tuple(sorted(found, key=lambda item: item.line))


def read_block(
    record: Record, content: str, line: int, content_line: int
) -> Iterator[Check | Malformed]:
    if len(content) > _MAX_BLOCK:
        yield Malformed(f"the block is longer than {_MAX_BLOCK} characters", line)
        return
    try:
        data = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        at = _AT_LINE.search(str(error))
        shown = _AT_LINE.sub("", str(error)) or "nested too deep"
        within = int(at.group(1)) if at else len(content.splitlines())  # "at end of document"
        yield Malformed(f"no TOML: {shown}", content_line + within - 1)
        return
    if not data:
        yield Malformed("the block holds no check", line)
    lines = table_lines(content)
    for kind, tables in data.items():
        if not isinstance(tables, list) or not all(isinstance(item, dict) for item in tables):
            places = _line_of_key(content, kind)
            yield Malformed(
                f"`{kind}` must be an array of tables: write [[{kind}]]", content_line + places - 1
            )
            continue
        known = lines.get(kind, [])
        for index, values in enumerate(tables):
            at_lines = known[index] if index < len(known) else TableLines(1)
            yield _read(record, kind, values, at_lines, content_line - 1)


def _line_of_key(content: str, key: str) -> int:
    match = re.search(rf"^[ \t]*\[*[ \t]*{re.escape(key)}\b", content, re.MULTILINE)
    return content.count("\n", 0, match.start()) + 1 if match else 1


def _read(
    record: Record, kind: str, values: Mapping[str, Any], lines: TableLines, before: int
) -> Check | Malformed:
    found = KINDS.get(kind)
    if found is None:
        close = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(KINDS)}"
        return Malformed(f"unknown kind of check `{kind}`; {hint}", before + lines.line)
    table = CheckTable(kind, values, lines)
    try:
        name, reason = table.find_text("name") or "", table.find_text("reason") or ""
        revisit = table.choice("when", ("always", "revisit")) == "revisit"
        alternative = table.find_text("alternative") or ""
        if alternative:
            _require_alternative(record, table, alternative)
        spec: Kind = found.read(table)
        table.finish()
    except PathOutside as error:
        return Malformed(f"{kind}: {error}", before + lines.line, kind)
    except MalformedCheck as error:
        return Malformed(str(error), before + error.line, kind)
    return Check(spec, before + lines.line, name, reason, revisit, alternative)


def _require_alternative(record: Record, table: CheckTable, alternative: str) -> None:
    options = [plain(option.approach) for option in record.alternatives]
    if alternative.casefold() not in (option.casefold() for option in options):
        listed = ", ".join(repr(option) for option in options) or "none"
        raise table.problem(
            f"the record has no alternative {alternative!r}; it has {listed}", "alternative"
        )
