"""adr coverage, conflicts"""

from __future__ import annotations

from typing import Annotated

import typer

from adrkit.cli.app import (
    EXIT_FINDINGS,
    EXIT_USAGE,
    Workspace,
    app,
    print_json,
    say,
    say_line,
    warn_unreadable,
    workspace,
)
from adrkit.project_files import ProjectFiles
from adrkit.renames import Renames
from adrkit.survey import Area, Side, conflicts, coverage


@app.command("coverage")
def coverage_command(
    ctx: typer.Context,
    depth: Annotated[
        int, typer.Option("--depth", min=0, help="How many directories deep the areas are.")
    ] = 2,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="GLOB", help="Only these files; repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="GLOB", help="Not these files; repeatable."),
    ] = None,
    at_least: Annotated[
        int | None,
        typer.Option(
            "--at-least", metavar="PERCENT", min=0, max=100, help="Exit code 1 below this share."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show by area how many files a decision in force governs.

    A record governs a file that it names, that one of its checks is about, or that cites it.
    A low share is no fault by itself: it shows where nobody wrote down why.

    Example: adr coverage --depth 3 --only 'src/**' --exclude '**/tests/**'
    """
    spaces = workspace(ctx).with_records()
    areas = coverage(
        [_side(space, is_one=len(spaces) == 1) for space in spaces],
        depth=depth, only=only or (), exclude=exclude or (),
    )  # fmt: skip
    whole = Area("all", sum(a.files for a in areas), sum(a.governed for a in areas), ())
    if as_json:
        print_json(
            {
                "areas": [
                    {
                        "path": area.path,
                        "files": area.files,
                        "governed": area.governed,
                        "records": list(area.records),
                    }
                    for area in areas
                ],
                "files": whole.files,
                "governed": whole.governed,
            }
        )
    else:
        for area in areas:
            labels = ", ".join(area.records[:6]) + (" ..." if area.records[6:] else "")
            say_line(
                f"{area.share:6.1%}  {area.governed:4d} of {area.files:4d}  {area.path}  {labels}"
            )
        say(f"{whole.share:6.1%}  {whole.governed} of {whole.files} files are governed")
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)
    if at_least is not None and whole.share * 100 < at_least:
        raise typer.Exit(EXIT_FINDINGS)


@app.command("conflicts")
def conflicts_command(
    ctx: typer.Context,
    contradictions: Annotated[
        bool,
        typer.Option("--contradictions", help="Only those that cannot both be kept."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show records in force that speak of the same thing.

    Contradictions are checks that cannot both hold: a package wanted and forbidden, version
    ranges without a version in common, two values for one setting. Exit code 1 for these.
    Overlaps are records about the same file or package that do not mention each other: perhaps
    one supersedes or amends the other, and nobody said so.

    Example: adr conflicts --contradictions
    """
    spaces = workspace(ctx).with_records()
    space = spaces[0]
    records = [record for each in spaces for record in each.repository.require()]
    found = conflicts([_side(each, is_one=len(spaces) == 1) for each in spaces])
    hard = [item for item in found if item.contradicts]
    shown = hard if contradictions else list(found)
    if as_json:
        print_json(
            [
                {
                    "records": list(item.labels),
                    "subject": item.subject,
                    "contradicts": item.contradicts,
                    "message": item.message,
                }
                for item in shown
            ]
        )
    else:
        for item in shown:
            path = space.shown(item.second.path) if item.second.path else item.second.label
            kind = "contradiction" if item.contradicts else "overlap"
            say_line(
                f"{path}:{item.line}: {kind}: {' and '.join(item.labels)}: "
                f"{item.subject}: {item.message}"
            )
        say(
            f"{len(records)} records: {len(hard)} contradictions, {len(found) - len(hard)} overlaps"
        )
    if warn_unreadable(spaces):
        raise typer.Exit(EXIT_USAGE)
    if hard:
        raise typer.Exit(EXIT_FINDINGS)


def _side(space: Workspace, *, is_one: bool) -> Side:
    return Side(
        ProjectFiles(space.config.root, space.git, space.config.owns),
        space.repository.require(),
        Renames(space.config.root, space.git, space.config.directory),
        "" if is_one else space.place,
    )
