"""adr check"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from adrkit.checks import (
    CheckRun,
    CitationRun,
    Level,
    Result,
    Verdict,
    check_citations,
    make_context,
    run_checks,
)
from adrkit.cli.app import (
    EXIT_FINDINGS,
    EXIT_USAGE,
    Workspace,
    app,
    print_json,
    say,
    say_line,
    warn,
    warn_unreadable,
    workspace,
)
from adrkit.cli.completing import complete_format, complete_record
from adrkit.errors import InvalidInput
from adrkit.reports import FORMATS, Annotation, github_lines, sarif_log

_RULES = {
    "violated": "The project no longer does what the record decided.",
    "stale": "The evidence is older than the record allows.",
    "missing": "What the check speaks of is not there.",
    "error": "The check cannot be carried out as it is written.",
    "pass": "The check holds: a trigger has come, or code still follows a decision that is over.",
}


@app.command()
def check(
    ctx: typer.Context,
    records: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECORD]...",
            autocompletion=complete_record,
            help="Only these; default: all, and all citations.",
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            autocompletion=complete_format,
            help="text, json, sarif or github.",
        ),
    ] = "text",
    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="Run the programs that checks name.")
    ] = False,
    skip_commands: Annotated[
        bool, typer.Option("--skip-commands", help="Leave such checks out, knowingly.")
    ] = False,
    citations: Annotated[
        bool,
        typer.Option("--citations/--no-citations", help="Look at ADR-NNNN in code, too."),
    ] = True,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what holds, too.")] = False,
) -> None:
    """Hold the project against the checks of its records.

    Accepted records bind: exit code 1 when a check is violated, stale or missing. Proposed ones
    advise. Of Superseded, Deprecated and Rejected ones it is reported what code still follows.
    Exit code 2 for checks that cannot be carried out.

    Example: adr check --format github
    """
    if format not in FORMATS:
        raise InvalidInput("format", format, remedy=f"choose one of {', '.join(FORMATS)}")
    if allow_commands and skip_commands:
        raise InvalidInput(
            "option", "--skip-commands", remedy="give it or --allow-commands, not both"
        )
    spaces = workspace(ctx).with_records()
    unreadable = warn_unreadable(spaces)
    named = [workspace(ctx).find_record(name) for name in records or ()]
    runs, citing = [], []
    for space in spaces:
        every = space.repository.require()
        context = make_context(
            space.config,
            space.git,
            commands="allow" if allow_commands else "skip" if skip_commands else "refuse",
        )
        chosen = [r for owner, r in named if owner.directory == space.directory]
        runs.append(run_checks(context, chosen if named else every, all_records=every))
        if citations and not named:
            citing.append(check_citations(space.config, context.files, every))
    run = CheckRun(
        tuple(result for run in runs for result in run.results),
        sum(run.records for run in runs),
        sum(run.skipped for run in runs),
    )
    cited = (
        CitationRun(
            tuple(result for cited in citing for result in cited.results),
            sum(cited.citations for cited in citing),
            sum(cited.files for cited in citing),
        )
        if citing
        else None
    )
    results = sorted((*run.results, *(cited.results if cited else ())), key=_order)
    _print(spaces[0], format, results, run, cited, verbose)
    if unreadable or any(_is_unusable(result) for result in results):
        raise typer.Exit(EXIT_USAGE)
    if any(result.level is Level.ERROR for result in results):
        raise typer.Exit(EXIT_FINDINGS)


def _order(result: Result) -> tuple[str, int]:
    return (result.path, result.line)


def _is_unusable(result: Result) -> bool:
    return result.verdict is Verdict.ERROR and result.level is Level.ERROR


def _print(
    space: Workspace,
    format: str,
    results: list[Result],
    run: CheckRun,
    cited: CitationRun | None,
    verbose: bool,
) -> None:
    reported = [result for result in results if result.level is not Level.NONE]
    if format == "json":
        print_json(
            {
                "results": [_as_json(space, result) for result in results],
                "counts": run.counts(),
                "records": run.records,
                "skipped_commands": run.skipped,
                "citations": cited.citations if cited else None,
            }
        )
        return
    annotations = [_annotation(space, result) for result in reported]
    if format == "sarif":
        print_json(sarif_log(annotations, {f"adr-check/{k}": v for k, v in _RULES.items()}))
        return
    if format == "github":
        for line in github_lines(annotations):
            say(line)
    else:
        for result in results if verbose else reported:
            for text in _as_text(space, result):
                say_line(text)
    _summarise(run, cited)


def _as_text(space: Workspace, result: Result) -> Iterator[str]:
    advice = "" if result.level in (Level.ERROR, Level.NONE) else f" ({result.level.value})"
    text = (
        f"{_shown(space, result.path)}:{result.line}: {result.label} {result.kind}: "
        f"{result.verdict.value}{advice}: {result.message}"
    )
    if result.evidence and str(result.evidence) not in result.message:
        text += f" [{result.evidence}]"
    yield text
    for followed in result.followed:
        yield f"    followed: {followed}"
    if result.reason and result.verdict is not Verdict.PASS:
        yield f"    because: {result.reason}"


def _summarise(run: CheckRun, cited: CitationRun | None) -> None:
    counts = [f"{count} {name}" for name, count in run.counts().items() if count]
    total = len(run.results)
    parts = [
        f"{total} checks in {run.records} records" + (f": {', '.join(counts)}" if total else "")
    ]
    if followed := len({item for result in run.results for item in result.followed}):
        parts.append(f"{followed} paths followed through renames")
    if run.skipped:
        parts.append(f"{run.skipped} commands left out")
    if cited is not None:
        wrong = f", {len(cited.results)} wrong" if cited.results else ""
        parts.append(f"{cited.citations} citations in {cited.files} files{wrong}")
    say("; ".join(parts))
    if not total:
        warn("no record has an adr-check block: nothing was held against the code")


def _as_json(space: Workspace, result: Result) -> dict[str, Any]:
    return {
        "record": result.label,
        "number": result.number,
        "path": space.named(space.config.root / Path(result.path)),
        "line": result.line,
        "kind": result.kind,
        "name": result.name,
        "verdict": result.verdict.value,
        "level": result.level.value,
        "message": result.message,
        "reason": result.reason or None,
        "evidence": {"path": result.evidence.path, "line": result.evidence.line}
        if result.evidence
        else None,
        "followed": [
            {"path": item.path, "to": item.to, "commits": list(item.commits)}
            for item in result.followed
        ],
    }


def _annotation(space: Workspace, result: Result) -> Annotation:
    evidence = result.evidence
    return Annotation(
        f"adr-check/{result.verdict.value}",
        result.level.value,
        f"{result.label} {result.kind}: {result.message}",
        result.path,
        result.line,
        related=(evidence.path, evidence.line) if evidence else None,
    )


def _shown(space: Workspace, path: str) -> str:
    return space.shown(space.config.root / Path(path))
