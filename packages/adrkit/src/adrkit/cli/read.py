"""adr list, show, search"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from adrkit.cli.app import (
    EXIT_FINDINGS,
    EXIT_USAGE,
    Workspace,
    app,
    console,
    print_json,
    say,
    warn_unreadable,
    workspace,
)
from adrkit.cli.completing import complete_record, complete_status
from adrkit.cli.printable import printable
from adrkit.errors import InvalidInput
from adrkit.reading import Reading
from adrkit.record import Record
from adrkit.vocabulary import status_kind

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_records(
    ctx: typer.Context,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            "-s",
            autocompletion=complete_status,
            help="Only records with this status; repeatable.",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="YYYY-MM-DD", help="Dated on or after.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Dated on or before.")
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Title contains TEXT.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the records: number, date, status, title.

    Of several records directories those below where one stands, with their paths.

    Example: adr list --status Accepted --since 2026-01-01 --json
    """
    spaces = workspace(ctx).with_records()
    wanted = [_status(value, spaces[0].config.reading) for value in status or ()]
    for option in (since, until):
        if option is not None and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", option):
            raise InvalidInput("date", option, remedy="write it as YYYY-MM-DD")
    shown = []
    for space, record in ((s, record) for s in spaces for record in s.repository.require()):
        day = record.date_value.isoformat() if record.date_value else None
        if wanted and record.status_kind not in wanted:
            continue
        if (since and (day is None or day < since)) or (until and (day is None or day > until)):
            continue
        if title and title.casefold() not in record.name.casefold():
            continue
        shown.append((space, record))
    if as_json:
        print_json([summary(space, record) for space, record in shown])
    else:
        _print_table(shown, several=len(spaces) > 1)
    for space in spaces:
        space.warn_passed_over()
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)


def _status(value: str, reading: Reading) -> Any:
    kind = status_kind(value, reading)
    if kind is None:
        raise InvalidInput(
            "status", value, remedy="Proposed, Accepted, Rejected, Deprecated or Superseded"
        )
    return kind


def summary(space: Workspace, record: Record) -> dict[str, Any]:
    """One record as ``--json`` shows it."""
    return {
        "number": record.number,
        "title": record.name or None,
        "date": _date(record),
        "status": record.status_kind.value if record.status_kind else None,
        "status_text": record.status.raw if record.status else None,
        "supersedes": list(record.supersedes),
        "superseded_by": list(record.superseded_by),
        "deciders": list(record.deciders),
        "tags": list(record.tags),
        "format": record.dialect.name,
        "path": space.named(record.path) if record.path else None,
    }


def _date(record: Record) -> str | None:
    """As it is written; from the file's name where the record has none."""
    if record.date is not None:
        return record.date.value
    return record.date_value.isoformat() if record.date_value else None


def _print_table(records: list[tuple[Workspace, Record]], *, several: bool) -> None:
    def row(space: Workspace, record: Record) -> tuple[str, ...]:
        place = (space.shown(space.config.directory),) if several else ()
        return (*place, *_columns(record))

    if not sys.stdout.isatty():
        for space, record in records:
            say("\t".join(row(space, record)))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in (*(("Directory",) if several else ()), "Number", "Date", "Status", "Title"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "Title")
    for space, record in records:
        table.add_row(*map(printable, row(space, record)))
    console().print(table)


def _columns(record: Record) -> tuple[str, str, str, str]:
    status = record.status_kind.value if record.status_kind else "?"
    if record.superseded_by:
        status += " by " + ", ".join(f"{number:04d}" for number in record.superseded_by)
    elif record.unnumbered_successors:
        status += " by " + ", ".join(record.unnumbered_successors)
    return (
        f"{record.number:04d}" if record.number is not None else "-",
        _date(record) or "-",
        status,
        record.name or "(no title)",
    )


@app.command()
def show(
    ctx: typer.Context,
    record: Annotated[
        str,
        typer.Argument(
            metavar="RECORD",
            autocompletion=complete_record,
            help="Number (7, ADR-0007), file name or path.",
        ),
    ],
    raw: Annotated[bool, typer.Option("--raw", help="The file's exact bytes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one record: rendered on a terminal, as written elsewhere.

    Example: adr show 7
    """
    space, found = workspace(ctx).find_record(record)
    if as_json:
        print_json(summary(space, found) | _detail(found))
    elif raw or not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(found.document.to_bytes())
    else:
        from rich.markdown import Markdown

        console().print(Markdown(printable(found.document.text)))


def _detail(record: Record) -> dict[str, Any]:
    return {
        "decision": record.decision.plain if record.decision else None,
        "sections": {name.value: record.section_text(name) for name in record.sections},
        "alternatives": [
            {
                "approach": option.approach,
                "pros": option.pros,
                "cons": option.cons,
                "verdict": option.verdict.kind.value
                if option.verdict and option.verdict.kind
                else None,
                "reason": option.verdict.reason if option.verdict else None,
                "line": option.line,
            }
            for option in record.alternatives
        ],
        "cited_paths": sorted({cited.path for cited in record.cited_paths}),
        "references": sorted({reference.number for reference in record.references}),
    }


@dataclass(frozen=True, slots=True)
class Hit:
    record: Record
    line: int
    text: str


@app.command()
def search(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(help="Words that must all stand in the record.")],
    regex: Annotated[
        bool, typer.Option("--regex", "-E", help="Read the words as patterns.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Find records that hold all words.

    Prints the lines with any of them. Case does not matter. Exit code 1 when nothing is found.

    Example: adr search queue retry
    """
    spaces = workspace(ctx).with_records()
    try:
        patterns = [re.compile(w if regex else re.escape(w), re.IGNORECASE) for w in words]
    except re.error as error:
        raise InvalidInput(
            "pattern", str(error.pattern), remedy="leave --regex out, or mend the pattern"
        ) from error
    hits = [
        (space, hit)
        for space in spaces
        for record in space.repository.require()
        for hit in _hits(record, patterns)
    ]
    if as_json:
        print_json(
            [
                summary(space, hit.record) | {"line": hit.line, "text": hit.text}
                for space, hit in hits
            ]
        )
    else:
        for space, hit in hits:
            path = space.shown(hit.record.path) if hit.record.path else hit.record.label
            say(f"{path}:{hit.line}: {hit.text.strip()}")
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)
    if not hits:
        raise typer.Exit(EXIT_FINDINGS)


def _hits(record: Record, patterns: list[re.Pattern[str]]) -> Iterator[Hit]:
    text = record.document.text
    if not all(pattern.search(text) for pattern in patterns):
        return
    source = record.document.source
    for line in range(1, source.line_count + 1):
        content = source.line_text(line)
        if any(pattern.search(content) for pattern in patterns):
            yield Hit(record, line, content)
