"""adr audit"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from adrkit.audit import (
    RULES,
    AuditFinding,
    AuditReport,
    AuditRun,
    AuditSettings,
    audit_several,
    directories_gone,
    plan_audit,
)
from adrkit.cli.app import EXIT_FINDINGS, Workspace, app, print_json, say, say_line, warn, workspace
from adrkit.cli.completing import complete_format
from adrkit.config import load_config
from adrkit.errors import GitError, InvalidInput, NoRecords, NotARepository
from adrkit.git import Git
from adrkit.reports import FORMATS, Annotation, github_lines, sarif_log


@app.command()
def audit(
    ctx: typer.Context,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="REV", help="Compare with the merge base of HEAD and REV instead."
        ),
    ] = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Walk the history of the default branch, too; done unasked where HEAD is on it.",
        ),
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="REV", help="Begin --history after REV.")
    ] = None,
    best_effort: Annotated[
        bool,
        typer.Option(
            "--best-effort",
            help="Where git or history is missing, warn and compare what there is; do not fail.",
        ),
    ] = False,
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
) -> None:
    """Report content of decided records that was changed.

    Status, links, white space and what `adr lint --fix` mends may change; all else may not.
    Compares the files as they are now, committed or not, with the merge base of HEAD and the
    default branch. Where HEAD is that base, on the default branch itself, its history is walked
    commit by commit instead. Records that were still Proposed are free. A line
    `> **Amended YYYY-MM-DD:** what and why` makes a correction visible, and so acceptable.
    Of a project with several records directories all below where one stands count, those included
    that are gone since.

    Example: adr audit --base origin/release
    """
    if format not in FORMATS:
        raise InvalidInput("format", format, remedy=f"choose one of {', '.join(FORMATS)}")
    if since is not None and not history:
        raise InvalidInput("option", "--since", remedy="it goes with --history")
    space = workspace(ctx)
    spaces = space.spaces
    config = spaces[0].config
    try:
        git = Git.discover(config.root)
        for one in spaces:
            if not one.config.directory.resolve().is_relative_to(git.root.resolve()):
                raise NotARepository(one.config.directory)
    except GitError as error:
        if not best_effort or not space.with_records():
            raise
        warn(f"NOT AUDITED: {error}; {error.remedy}")
        return
    settings = AuditSettings.of(config)
    plan = plan_audit(
        git, settings, revision=base, history=history, since=since, best_effort=best_effort
    )
    gone = [] if space.directory is not None else directories_gone(git, config, plan)
    former = [load_config(space.start, directory=one) for one in gone]
    run = audit_several([one.config for one in spaces], former, git, plan, below=space.start)
    reports = run.reports
    if plan.shortfall is not None:
        begin = f" since {plan.since[:10]}, the oldest commit there is" if plan.since else ""
        warn(
            f"audited only in part, against HEAD and its history{begin}: "
            f"{plan.shortfall}; {plan.shortfall.remedy}"
        )
    if run.lacking is not None:
        part = "audited only in part" if reports else "NOT AUDITED"
        warn(f"{part}: {run.lacking}; {run.lacking.remedy}")
        if not reports:
            return
    if not any(report.compared or report.findings for report in reports) and not any(
        one.config.directory.is_dir() and one.repository.paths for one in spaces
    ):
        raise NoRecords(config.directory)
    findings = _unique(reports)
    _print(space, git, format, findings, run)
    if findings:
        raise typer.Exit(EXIT_FINDINGS)


def _unique(reports: Sequence[AuditReport]) -> list[AuditFinding]:
    """A change that both audits see is reported once, by the commit that made it."""
    found: dict[tuple[str, str, str], AuditFinding] = {}
    for report in reports:
        for item in report.findings:
            found[(item.rule, item.path, item.message)] = item
    return sorted(found.values(), key=lambda item: (item.path, item.line, item.rule))


def _print(
    space: Workspace,
    git: Git,
    format: str,
    findings: list[AuditFinding],
    run: AuditRun,
) -> None:
    reports = run.reports
    if format == "json":
        print_json(
            {
                "findings": [
                    {
                        "rule": item.rule,
                        "record": item.label,
                        "path": space.named(git.root / item.path),
                        "line": item.line,
                        "message": item.message,
                        "commit": item.commit or None,
                        "remedy": item.remedy,
                    }
                    for item in findings
                ],
                "audits": [
                    {
                        "base": report.base,
                        "base_name": report.base_name,
                        "decided_records": report.compared,
                        "commits": report.commits,
                        "without_status": list(report.unguarded),
                    }
                    for report in reports
                ],
                "incomplete": str(run.lacking) if run.lacking else None,
            }
        )
        return
    annotations = [
        Annotation(f"adr-audit/{item.rule}", "error", _message(item), item.path, item.line)
        for item in findings
    ]
    if format == "sarif":
        print_json(sarif_log(annotations, {f"adr-audit/{k}": v for k, v in RULES.items()}))
        return
    if format == "github":
        for line in github_lines(annotations):
            say(line)
    else:
        for item in findings:
            say_line(f"{_shown(space, git, item.path)}:{item.line}: {_message(item)}")
            say(f"    remedy: {item.remedy}")
    _summarise(findings, reports)


def _message(item: AuditFinding) -> str:
    where = f" (since commit {item.commit[:10]})" if item.commit else ""
    return f"{item.label} {item.rule}: {item.message}{where}"


def _summarise(findings: list[AuditFinding], reports: Sequence[AuditReport]) -> None:
    if not reports:
        say("no commit yet: nothing is decided that could have changed")
        return
    for report in reports:
        for path in report.unguarded:
            warn(f"{path} has no known status in the base and is not guarded")
    first = reports[0]
    text = f"{first.compared} decided records against {str(first.base)[:10]} ({first.base_name})"
    for report in reports[1:]:
        text += f", {report.compared} along {report.commits} commits of {report.base_name}"
    say(f"{text}: {len(findings)} findings")


def _shown(space: Workspace, git: Git, path: str) -> str:
    return space.shown(git.root / path)
