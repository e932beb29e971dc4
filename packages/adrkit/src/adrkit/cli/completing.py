"""What the shell offers when Tab is pressed. Nothing here may fail or print: an error would end up
in the line that somebody is writing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from adrkit.config import load_config
from adrkit.errors import AdrkitError
from adrkit.model import Status
from adrkit.record import file_number
from adrkit.reports import FORMATS
from adrkit.repository import RecordRepository


def complete_record(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Numbers with the words of the file name, so that no record has to be read."""
    options = ctx.find_root().params
    start = Path(options.get("change_directory") or ".")
    try:
        config = load_config(start.resolve(), directory=options.get("directory"))
        paths = RecordRepository.of(config).paths
    except (AdrkitError, OSError):
        return []
    # The shell drops what does not begin with the very characters that were typed.
    prefix = incomplete[:4] if incomplete[:4].upper() == "ADR-" else ""
    padded = not incomplete[len(prefix) :] or incomplete[len(prefix)] == "0"
    found = []
    for path in paths:
        if (named := file_number(path)) is not None:
            number = f"{named[0]:04d}" if padded else str(named[0])
            found.append((prefix + number, path.stem.partition("-")[2].replace("-", " ")))
    return [item for item in found if item[0].startswith(incomplete)]


def choices(*values: str) -> Callable[[str], list[str]]:
    """Completion of one of ``values``, in lower case for who types in lower case."""

    def complete(incomplete: str) -> list[str]:
        shown = [value.lower() if incomplete.islower() else value for value in values]
        return [value for value in shown if value.startswith(incomplete)]

    return complete


complete_status = choices(*(status.value for status in Status))
complete_new_status = choices(
    *(s.value for s in (Status.PROPOSED, Status.ACCEPTED, Status.REJECTED))
)
complete_format = choices(*FORMATS)


def complete_rule(incomplete: str) -> list[tuple[str, str]]:
    from adrkit.lint import RULES

    return [(rule.code, rule.name) for rule in RULES if rule.code.startswith(incomplete.upper())]
