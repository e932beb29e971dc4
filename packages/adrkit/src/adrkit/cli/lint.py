"""adr lint, rules"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from adrkit.cli.app import (
    EXIT_FINDINGS,
    EXIT_USAGE,
    Workspace,
    app,
    print_json,
    say,
    workspace,
)
from adrkit.cli.completing import complete_format, complete_rule
from adrkit.cli.printable import printable
from adrkit.errors import InvalidInput
from adrkit.lint import RULES, Baseline, Finding, Report, Severity, lint, load_settings, view_of
from adrkit.lint.catalogue import rules_markdown
from adrkit.lint.fixes import fix_files
from adrkit.lint.settings import LintSettings
from adrkit.names import real_path
from adrkit.reports import FORMATS, Annotation, github_lines, sarif_log

_SHOWN_OF_A_KIND = 2  # per record, in text


@app.command("lint")
def lint_command(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Report on these only; default: all records."),
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
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select",
            metavar="CODE",
            autocompletion=complete_rule,
            help="Only these rules (ADR4, none-chosen).",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore", metavar="CODE", autocompletion=complete_rule, help="Not these rules."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every finding, also the many of one kind.")
    ] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    write_baseline: Annotated[
        bool, typer.Option("--write-baseline", help="Accept today's findings; new ones fail.")
    ] = False,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Take findings that are gone out of it.")
    ] = False,
    use_baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Leave known findings out.")
    ] = True,
) -> None:
    """Check the records against the rules of the template.

    Writes nothing without --fix, --write-baseline or --update-baseline. Findings that are gone
    are said, so that they cannot come back unseen for long: --update-baseline takes them out.

    Exit code 1 when there are errors (with --strict: or warnings), 2 when a file cannot be read
    or there are no records.

    Example: adr lint --fix
    """
    if format not in FORMATS:
        raise InvalidInput("format", format, remedy=f"one of {', '.join(FORMATS)}")
    spaces = workspace(ctx).spaces
    space = spaces[0]
    settings = load_settings(space.config, select=select or (), ignore=ignore or ())
    only = [space.path(path) for path in files or ()]
    partial = bool(only or select or ignore or workspace(ctx).is_part)
    if (write_baseline or update_baseline) and partial:
        raise InvalidInput(
            "--write-baseline" if write_baseline else "--update-baseline", "with a choice",
            remedy="write it for all records and rules, of all directories",
        )  # fmt: skip
    for path in only:
        if not path.is_file():
            raise InvalidInput("file", str(path), remedy="name record files")
    report = _lint(spaces, only, settings, fix=fix)
    findings = list(report.findings)
    baseline_path = settings.baseline
    if write_baseline and baseline_path:
        today = Baseline.of(findings, space.config.root)
        today.write(baseline_path, space.config.boundary)
        say(f"wrote {len(findings)} findings to {space.shown(baseline_path)}")
        return
    if update_baseline and not use_baseline:
        raise InvalidInput(
            "--update-baseline", "with a choice", remedy="update it for all records and rules"
        )
    if use_baseline and baseline_path and (known := Baseline.read(baseline_path)):
        findings, smaller, gone = known.split(findings, space.config.root)
        if gone and not partial:
            if update_baseline:
                smaller.write(baseline_path, space.config.boundary)
                said = f"{space.shown(baseline_path)} shrank"
            else:
                said = "take them out of the baseline with --update-baseline"
            typer.echo(f"{gone} known findings are gone: {said}", err=True)
    _print(space, format, findings, report, every=every)
    for one in spaces if not only else ():
        one.warn_passed_over()
    if report.unreadable:
        raise typer.Exit(EXIT_USAGE)
    if any(strict or finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(EXIT_FINDINGS)


def _lint(
    spaces: tuple[Workspace, ...], only: list[Path], settings: LintSettings, *, fix: bool
) -> Report:
    """One report on all directories; a file is looked at with the records of its own one."""
    reports = []
    several = len(spaces) > 1
    for space in spaces:
        mine = [p for p in only if not several or space.config.owns(real_path(p))]
        if (only and not mine) or (several and not space.config.directory.is_dir()):
            continue
        if fix:
            _fix(space, mine, settings)
        reports.append(lint(space.config, space.repository, space.git, settings, only=mine))
    return Report(
        tuple(finding for report in reports for finding in report.findings),
        sum(report.records for report in reports),
        sum(report.waived for report in reports),
        sum(report.unreadable for report in reports),
        tuple(followed for report in reports for followed in report.followed),
    )


def _fix(space: Workspace, only: list[Path], settings: LintSettings) -> None:
    paths = list(space.repository.paths) if space.config.directory.is_dir() else []
    project = view_of(space.config, settings, [*paths, *only])
    mended = fix_files(space.config, only or paths, project, settings)
    if mended:
        typer.echo(f"mended {mended} findings", err=True)
        space.__dict__.pop("repository", None)  # its records are read again


def _print(
    space: Workspace, format: str, findings: list[Finding], report: Report, *, every: bool
) -> None:
    if format == "json":
        print_json(
            {
                "findings": [_as_json(space, finding) for finding in findings],
                "records": report.records,
                "waived": report.waived,
                "followed": [
                    {"path": item.path, "to": item.to, "commits": list(item.commits)}
                    for item in report.followed
                ],
            }
        )
    elif format == "text":
        _print_text(space, findings, report, every=every)
    else:
        annotations = [
            Annotation(
                finding.code, finding.severity.value, f"{finding.message}; {finding.remedy}",
                _from_root(space, finding.path), finding.line, finding.column,
            )
            for finding in findings
        ]  # fmt: skip
        if format == "sarif":
            print_json(sarif_log(annotations, {rule.code: rule.explanation for rule in RULES}))
        else:
            for line in github_lines(annotations):
                say(line)


def _from_root(space: Workspace, path: Path) -> str:
    """Relative to the repository, as code hosts want it."""
    root = real_path(space.git.root if space.git else space.config.root)
    try:
        return real_path(path).relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def _as_json(space: Workspace, finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "message": finding.message,
        "remedy": finding.remedy,
        "path": space.named(finding.path),
        "line": finding.line,
        "column": finding.column,
        "fixable": finding.fixable,
    }


def _print_text(space: Workspace, findings: list[Finding], report: Report, *, every: bool) -> None:
    # A record that is just begun has forty placeholders: nobody reads the fortieth remedy.
    groups: dict[tuple[Path, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.path, finding.code), []).append(finding)
    seen: Counter[tuple[Path, str]] = Counter()
    for finding in findings:
        group = groups[kind := (finding.path, finding.code)]
        at = seen[kind]
        seen[kind] += 1
        if not every and len(group) > _SHOWN_OF_A_KIND + 1:
            if at == _SHOWN_OF_A_KIND:
                _print_rest(space, group[at:])
            if at >= _SHOWN_OF_A_KIND:
                continue
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        place = printable(f"{space.shown(finding.path)}:{finding.line}:{finding.column}")
        typer.echo(
            f"{place}: {typer.style(finding.severity.value, fg=colour)} "
            f"{typer.style(f'{finding.code} {finding.name}', bold=True)}: "
            f"{printable(finding.message)}"
        )
        if finding.source:
            _print_source(finding)
        typer.echo(f"      remedy: {finding.remedy}{' (--fix)' if finding.fixable else ''}")
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    waived = f", {report.waived} waived" if report.waived else ""
    followed = f", {len(report.followed)} paths followed" if report.followed else ""
    say(
        f"{report.records} records: {errors} errors, {len(findings) - errors} warnings"
        f"{waived}{followed}"
    )


def _print_rest(space: Workspace, rest: list[Finding]) -> None:
    lines = list(dict.fromkeys(str(finding.line) for finding in rest))
    shown = ", ".join(lines[:12]) + (" ..." if len(lines) > 12 else "")
    say(
        f"{space.shown(rest[0].path)}: {len(rest)} more of {rest[0].code} {rest[0].name} "
        f"on lines {shown} (--all shows them)"
    )


def _print_source(finding: Finding) -> None:
    width = 96  # of a long table row the part around the fault is shown
    low = max(0, finding.column - 1 - width // 3)
    shown = finding.source[low : low + width].replace("\t", " ")
    marks = min(finding.length, max(1, len(shown) - (finding.column - 1 - low)))
    say(f"{finding.line:5d} | {'…' if low else ''}{shown}")
    pad = " " * (finding.column - 1 - low + bool(low))
    typer.echo(f"      | {pad}{'^' * marks}")


@app.command("rules")
def rules_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page of documentation.")
    ] = False,
) -> None:
    """List the rules of `adr lint` with what they are for."""
    if markdown:
        typer.echo(rules_markdown(), nl=False)
    elif as_json:
        print_json(
            [
                {
                    "code": rule.code, "name": rule.name, "severity": rule.severity.value,
                    "explanation": rule.explanation, "remedy": rule.remedy,
                    "dialects": list(rule.dialects), "fixable": rule.fixable,
                }
                for rule in RULES
            ]
        )  # fmt: skip
    else:
        for rule in RULES:
            mark = " (--fix)" if rule.fixable else ""
            say(f"{rule.code} {rule.name} [{rule.severity.value}]{mark}\n    {rule.explanation}")
