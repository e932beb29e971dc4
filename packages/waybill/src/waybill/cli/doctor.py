"""``waybill doctor``: every dependency with the service's own credentials, in a sentence each."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from waybill.cli.exits import EXIT_CONFIGURATION, EXIT_TRY_LATER, UsageMistake
from waybill.cli.own_settings import load_own_settings
from waybill.cli.startup import unknown_variables
from waybill.doctor.findings import Finding, Patient, Report, Verdict, worst
from waybill.errors import ConfigurationError

_PANEL = "Run the service"
_SCHEMA: Final = 1
_MARKS: Final = {
    Verdict.OK: ("ok", "green"),
    Verdict.NOTE: ("note", "cyan"),
    Verdict.WARNING: ("warning", "yellow"),
    Verdict.AWAY: ("away", "red"),
    Verdict.ERROR: ("error", "bold red"),
}
VARIABLES: Final = "variables"


def register(app: typer.Typer) -> None:
    """Add the verb of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this area (database, source, storage …); may be given again."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
) -> None:
    """Look at everything the service depends on, with its own credentials.

    Each is one sentence, with its remedy. Ends with 0 when the service can work, 78 when something
    must be changed first, 75 when something does not answer at the moment. What it writes to try a
    right out (an object, an upload) it takes away again.
    """
    from waybill.log import configure_logging

    configure_logging("CRITICAL")  # what the parts would log, the findings say
    findings = list(_examined(only))
    if as_json:
        typer.echo(json.dumps(as_document(findings), indent=2))
    else:
        _print(findings)
    raise typer.Exit(status_of(worst(findings), strict=strict))


def status_of(verdict: Verdict, *, strict: bool) -> int:
    """Return the exit status of the worst that was found."""
    if verdict is Verdict.ERROR:
        return EXIT_CONFIGURATION
    if verdict is Verdict.AWAY:
        return EXIT_TRY_LATER
    return 1 if strict and verdict is Verdict.WARNING else 0


def as_document(findings: list[Finding]) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    counts = Counter(finding.verdict for finding in findings)
    return {
        "schema": _SCHEMA,
        "verdict": worst(findings).value,
        "counts": {verdict.value: counts[verdict] for verdict in Verdict},
        "findings": [
            {
                "check": finding.check,
                "area": finding.area,
                "verdict": finding.verdict.value,
                "sentence": finding.sentence,
                "remedy": finding.remedy or None,
            }
            for finding in findings
        ],
    }


def _examined(only: list[str] | None) -> list[Finding]:
    from waybill.api import sign_in_check
    from waybill.doctor import settings, source
    from waybill.doctor.registry import AREAS, examine

    areas = {**AREAS, sign_in_check.AREA: sign_in_check.examine}
    names = [VARIABLES, *areas]
    wanted = names if only is None else only
    for name in wanted:
        if name not in names:
            raise UsageMistake(f"There is no area {name!r}. There are {', '.join(names)}.")
    findings = _variables() if VARIABLES in wanted else []
    try:
        own = load_own_settings()
    except ConfigurationError as exc:
        return [*findings, Report(settings.AREA).error("loaded", str(exc), "Correct them first.")]
    catalog = None
    try:
        from waybill.catalog import load

        catalog = load(own.catalog)
    except ConfigurationError as exc:
        findings.append(Report(source.CATALOG_AREA).error("loaded", str(exc), "Correct it."))
    chosen = {name: look for name, look in areas.items() if name in wanted}
    return [*findings, *examine(Patient(own, catalog), chosen)]


def _variables() -> list[Finding]:
    report = Report(VARIABLES)
    unknown = unknown_variables()
    if not unknown:
        return [report.ok("known", "Every variable that begins with WAYBILL_ is a setting.")]
    return [
        report.error("unknown", f"There is no setting {each}.", "Correct it, or take it away.")
        for each in unknown
    ]


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    for finding in findings:
        word, style = _MARKS[finding.verdict]
        console.print(f"{word:>7}", style=style, end="  ")
        where = finding.check.rpartition(".")[0]  # of a source with a name, that too
        text = f"{where}: {finding.sentence} {finding.remedy}".rstrip()
        console.print(text, markup=False, soft_wrap=True)
    counts = Counter(finding.verdict for finding in findings)
    told = [f"{counts[verdict]} {word}" for verdict, (word, _) in _MARKS.items() if counts[verdict]]
    console.print(f"doctor: {', '.join(told)}", soft_wrap=True)
