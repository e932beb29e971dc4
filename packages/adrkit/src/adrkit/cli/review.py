"""adr review"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from adrkit.audit.base import AuditSettings, default_branch
from adrkit.cli.app import EXIT_FINDINGS, app, print_json, say, say_line, warn, workspace
from adrkit.cli.completing import choices
from adrkit.cli.printable import printable
from adrkit.errors import InvalidInput, MissingObjects, UnreadableFile
from adrkit.git import Git
from adrkit.reports import Annotation, github_lines, sarif_log
from adrkit.review import RULES, Review, ReviewFinding, review
from adrkit.review.texts import markdown, text_lines

_FORMATS = ("text", "json", "sarif", "github", "markdown")
_RANGE = re.compile(r"(?P<base>.*?)\.{2,3}(?P<head>.*)")


@app.command("review")
def review_command(
    ctx: typer.Context,
    revisions: Annotated[
        str | None,
        typer.Argument(
            metavar="[BASE..HEAD]", help="What to review; default: the default branch..HEAD."
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            autocompletion=choices(*_FORMATS),
            help="text, json, sarif, github, or markdown for a comment.",
        ),
    ] = "text",
    message: Annotated[
        Path | None,
        typer.Option(
            "--message",
            metavar="FILE",
            help="Description of the pull request, for exceptions; - is standard input.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Decisions without a record fail, too.")
    ] = False,
) -> None:
    """Say what a branch means for the decisions of the project.

    Which records govern the changed files; which checks the diff breaks; which citations it makes
    stale; and whether it looks like a decision without a record: a dependency, a service, a
    schema, a rule of access. What was so before the merge base is not reported. The work tree is
    not touched, and commands that checks name are not run. Of a project with several records
    directories all below where one stands count.

    Who has a reason says so in a commit message, the description or a comment in the code:
    `adr-exception: 0012 why`. Exit code 1 when there are errors (with --strict: or warnings).

    Example: adr review origin/main..HEAD --format markdown
    """
    if format not in _FORMATS:
        raise InvalidInput("format", format, remedy=f"choose one of {', '.join(_FORMATS)}")
    space = workspace(ctx)
    config = space.spaces[0].config
    git = Git.discover(config.root)
    match = _RANGE.fullmatch(revisions or "")
    base = match["base"] if match else revisions
    head = (match["head"] if match else "") or "HEAD"
    if not base:
        base = default_branch(git, AuditSettings.of(config))
    try:
        found = review(
            git, space.start, base, head, directory=space.directory, text=_description(message)
        )
    except MissingObjects as error:
        warn(f"NOT REVIEWED: {error}; {error.remedy}")
        return
    _print(found, format)
    if found.errors or (strict and any(item.level == "warning" for item in found.findings)):
        raise typer.Exit(EXIT_FINDINGS)


def _description(path: Path | None) -> str | None:
    if path is None:
        return None
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableFile(path, error.strerror or str(error)) from error


def _print(found: Review, format: str) -> None:
    if format == "json":
        print_json(_as_json(found))
    elif format == "markdown":
        typer.echo(printable(markdown(found)), nl=False)
    elif format == "text":
        for line in text_lines(found):
            say_line(line)
    else:
        annotations = [_annotation(item) for item in found.findings]
        if format == "sarif":
            print_json(sarif_log(annotations, {f"adr-review/{k}": v for k, v in RULES.items()}))
        else:
            for line in github_lines(annotations):
                say(line)


def _annotation(item: ReviewFinding) -> Annotation:
    return Annotation(
        f"adr-review/{item.rule}", item.level, item.message, item.path or ".", item.line,
        related=item.place,
    )  # fmt: skip


def _as_json(found: Review) -> dict[str, Any]:
    def one(item: ReviewFinding) -> dict[str, Any]:
        return {
            "rule": item.rule,
            "level": item.level,
            "message": item.message,
            "path": item.path or None,
            "line": item.line,
            "record": item.record or None,
            "number": item.number,
            "excused": item.excused or None,
        }

    return {
        "base": found.base,
        "head": found.head,
        "commits": found.commits,
        "files": found.files,
        "governed": [
            {
                "path": path,
                "by": [
                    {
                        "record": r.record.label,
                        "path": found.place(r.record) or None,
                        "link": r.link.value,
                        "detail": r.detail,
                    }
                    for r in reasons
                ],
            }
            for path, reasons in found.governed
        ],
        "findings": [one(item) for item in found.findings],
        "excused": [one(item) for item in found.excused],
        "records": list(found.records),
        "skipped_commands": found.skipped_commands,
    }
