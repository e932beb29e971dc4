"""adr renumber"""

from __future__ import annotations

from typing import Annotated

import typer

from adrkit.cli.app import EXIT_FINDINGS, Workspace, app, print_json, say, warn, workspace
from adrkit.renumber import RenumberPlan, apply_plan, plan_renumber


@app.command()
def renumber(
    ctx: typer.Context,
    record: Annotated[
        str,
        typer.Argument(metavar="RECORD", help="Path of the record; a number if only one has it."),
    ],
    to: Annotated[
        int | None, typer.Option("--to", min=0, help="The new number; default: the next free one.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would change, change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Give a record another number, in all links and citations.

    For two branches that took the same number. Citations ADR-NNNN that could mean either record
    are listed and left alone; the exit code is 1 then.

    Example: adr renumber docs/adr/0007-use-valkey.md
    """
    space = workspace(ctx)
    found = space.record(record)
    if caveat := space.ledger.caveat:
        warn(caveat)
    plan = plan_renumber(space.config, space.repository, space.ledger, found, to)
    if not dry_run:
        apply_plan(space.repository, plan)
    if as_json:
        print_json(_plan_json(space, plan, applied=not dry_run))
    else:
        _print_plan(space, plan, dry_run)
    if plan.ambiguous:
        raise typer.Exit(EXIT_FINDINGS)


def _print_plan(space: Workspace, plan: RenumberPlan, dry_run: bool) -> None:
    verb = "would rename" if dry_run else "renamed"
    say(f"{verb} {space.shown(plan.old_path)} -> {space.shown(plan.new_path)}")
    for edit in plan.edits:
        lines = ", ".join(map(str, edit.lines))
        say(f"{'would edit' if dry_run else 'edited'} {space.shown(edit.path)}: lines {lines}")
    for citation in plan.ambiguous:
        warn(
            f"{space.shown(citation.path)}:{citation.line}: could mean either record: "
            f"{citation.text[:100]}"
        )


def _plan_json(space: Workspace, plan: RenumberPlan, *, applied: bool) -> dict[str, object]:
    return {
        "applied": applied,
        "old": plan.old,
        "new": plan.new,
        "old_path": space.shown(plan.old_path),
        "new_path": space.shown(plan.new_path),
        "edits": [{"path": space.shown(e.path), "lines": list(e.lines)} for e in plan.edits],
        "ambiguous": [
            {"path": space.shown(c.path), "line": c.line, "text": c.text} for c in plan.ambiguous
        ],
    }
