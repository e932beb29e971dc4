"""adr number, renumber, ledger"""

from __future__ import annotations

from collections.abc import Sequence
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
    warn,
    warn_of,
    warn_unreadable,
    workspace,
)
from adrkit.cli.completing import complete_record
from adrkit.errors import GitError, InvalidInput
from adrkit.landing import commit_numbering, on_default_branch, renewed_index
from adrkit.ledger import WORK_TREE, NumberLedger
from adrkit.numbering import NumberingPlan, apply_numbering, plan_numbering
from adrkit.record import Record
from adrkit.renumber import RenumberPlan, apply_plan, plan_renumber


@app.command()
def number(
    ctx: typer.Context,
    records: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DRAFT]...", autocompletion=complete_record, help="Only these; default: all."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether drafts wait: exit code 1 then.")
    ] = False,
    commit: Annotated[
        bool, typer.Option("--commit", help="Commit what was changed, and nothing else.")
    ] = False,
    on_default: Annotated[
        bool,
        typer.Option(
            "--on-default-branch", help="Do nothing on other branches; for hooks and workflows."
        ),
    ] = False,
    remote: Annotated[
        bool,
        typer.Option("--remote", help="Ask the remote which numbers open pull requests take."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would change, change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Give drafts their numbers, where they are merged.

    File, title, what the draft supersedes, the table of `adr index`, and every mention in the
    project become those of the number: ADR-draft-title-KEY in prose and code, links to
    draft-title-KEY.md. Mentions that another branch brings later follow in the next run.
    Exit code 1 when a record could not be superseded any more. Of a project with several records
    directories all below where one stands count; each has numbers, and a commit, of its own.

    Example: adr number --commit
    """
    whole = workspace(ctx)
    if on_default and not _is_default(whole.spaces[0]):
        return
    wanted = _wanted(whole, records)
    will = check or dry_run
    plans = []
    for space, chosen in wanted:
        if remote:
            warn_of(space.ask_remote())
        space.repository.list()
        space.warn_unreadable()
        if caveat := space.ledger.caveat:
            warn(caveat)
        plan = plan_numbering(space.config, space.repository, space.ledger, chosen)
        if not will:
            _apply(space, plan, commit=commit)
        plans.append(plan)
    if as_json:
        print_json(_numbering_json(whole, plans, applied=not will))
    else:
        _print_numbering(whole, plans, will=will)
    for path in dict.fromkeys(path for plan in plans for path in plan.unreadable):
        warn(f"{whole.shown(path)} mentions a draft, but is not UTF-8: mend it by hand")
    changes = any(plan.changes for plan in plans)
    if (check and changes) or any(item.left for plan in plans for item in plan.assigned):
        raise typer.Exit(EXIT_FINDINGS)


def _wanted(
    whole: Workspace, records: Sequence[str] | None
) -> list[tuple[Workspace, list[Record] | None]]:
    """The directories in view with the drafts to number, None for all of them."""
    if not records:
        spaces = whole.spaces
        there = [space for space in spaces if space.config.directory.is_dir()]
        return [(space, None) for space in there or spaces[:1]]
    found: dict[Workspace, list[Record]] = {}
    for name in records:
        space, record = whole.find_record(name)
        if record.draft is None:
            raise InvalidInput("draft", record.label, remedy="`adr renumber` is for the others")
        found.setdefault(space, []).append(record)
    return list(found.items())


def _apply(space: Workspace, plan: NumberingPlan, *, commit: bool) -> None:
    apply_numbering(space.config, plan)
    changed = [change.path for change in plan.changes]
    if plan.changes and (index := renewed_index(space.config)):
        changed.append(index)
    if commit and changed:
        if space.git is None:
            raise InvalidInput("option", "--commit", remedy="there is no git repository here")
        commit_numbering(space.git, plan, changed)


def _is_default(space: Workspace) -> bool:
    if space.git is None:
        return False
    try:
        return on_default_branch(space.git, space.config)
    except GitError as error:
        warn(f"no draft was numbered: {error}; {error.remedy}")
        return False


def _print_numbering(space: Workspace, plans: Sequence[NumberingPlan], *, will: bool) -> None:
    for item in (item for plan in plans for item in plan.assigned):
        verb = "would become" if will else "became"
        say(f"{item.record.label} {verb} ADR-{item.number:04d}: {space.shown(item.new_path)}")
        for path in item.superseded:
            say(f"  {'would supersede' if will else 'superseded'} {space.shown(path)}")
        for problem in item.left:
            warn(f"ADR-{item.number:04d} supersedes a record that was left as it is: {problem}")
    for mended in (mended for plan in plans for mended in plan.mended):
        lines = ", ".join(map(str, mended.lines))
        say(f"{'would edit' if will else 'edited'} {space.shown(mended.path)}: lines {lines}")
    if not any(plan.changes for plan in plans):
        say("no draft waits for a number")


def _numbering_json(
    space: Workspace, plans: Sequence[NumberingPlan], *, applied: bool
) -> dict[str, object]:
    return {
        "applied": applied,
        "assigned": [
            {
                "draft": item.record.label,
                "number": item.number,
                "old_path": space.named(item.old_path),
                "new_path": space.named(item.new_path),
                "superseded": [space.named(path) for path in item.superseded],
                "not_superseded": list(item.left),
            }
            for plan in plans
            for item in plan.assigned
        ],
        "edits": [
            {"path": space.named(mended.path), "lines": list(mended.lines)}
            for plan in plans
            for mended in plan.mended
        ],
    }


@app.command()
def ledger(
    ctx: typer.Context,
    remote: Annotated[
        bool,
        typer.Option(
            "--remote", help="Ask the remote, too: branches and the heads of its pull requests."
        ),
    ] = False,
    name: Annotated[
        str, typer.Option("--remote-name", metavar="NAME", help="Which remote to ask.")
    ] = "origin",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which numbers are taken, where, and which one is next.

    Looked at are the work tree, all local and remote-tracking branches and the whole history;
    with --remote also what the remote has now, pull requests of GitHub and merge requests of
    GitLab included. Nothing in the clone changes. Exit code 1 when a number is taken twice.
    Numbers are per records directory; where a project has several, each is shown.

    Example: adr ledger --remote
    """
    spaces = workspace(ctx).spaces
    for problem in [space.ask_remote(name) for space in spaces] if remote else ():
        warn_of(problem)
    for caveat in dict.fromkeys(space.ledger.caveat for space in spaces):
        warn_of(caveat)
    if as_json:
        each = {space.named(space.config.directory): _ledger_json(space) for space in spaces}
        print_json({"directories": each} if len(spaces) > 1 else next(iter(each.values())))
    else:
        for space in spaces:
            if len(spaces) > 1:
                say(f"{space.shown(space.config.directory)}:")
            _print_ledger(space.ledger)
    if warn_unreadable(space for space in spaces if space.config.directory.is_dir()):
        raise typer.Exit(EXIT_USAGE)
    if any(space.ledger.collisions() for space in spaces):
        raise typer.Exit(EXIT_FINDINGS)


def _ledger_json(space: Workspace) -> dict[str, object]:
    return {
        "next": space.ledger.next(),
        "drafts": [record.label for record in space.repository.drafts]
        if space.config.directory.is_dir()
        else [],
        "taken": {
            str(number): [{"path": use.path, "where": use.where} for use in uses]
            for number, uses in space.ledger.uses.items()
        },
        "collisions": [
            {"number": c.number, "path": c.path, "other": c.other, "other_branch": c.other_branch}
            for c in space.ledger.collisions()
        ],
    }


def _print_ledger(found: NumberLedger) -> None:
    for number, uses in found.uses.items():
        places = [use.description for use in uses if use.where == WORK_TREE] or [
            use.description for use in uses
        ]
        say_line(f"{number:04d}  {'; '.join(places)}")
    for c in found.collisions():
        where = f" on {c.other_branch}" if c.other_branch else ""
        say_line(f"collision: {c.number:04d} is {c.path} and {c.other}{where}")
    say(f"next: {found.next():04d}")


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
        apply_plan(space.config, space.repository, plan)
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
        "old_path": space.named(plan.old_path),
        "new_path": space.named(plan.new_path),
        "edits": [{"path": space.named(e.path), "lines": list(e.lines)} for e in plan.edits],
        "ambiguous": [
            {"path": space.named(c.path), "line": c.line, "text": c.text} for c in plan.ambiguous
        ],
    }
