"""Where a database's password comes from: the environment, a file, or a prompt. Never from the
command line, which every user of the machine can read (``ps``), and which shells remember."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from waybill.errors import ConfigurationError

FROM_ENVIRONMENT = "WAYBILL_SOURCE_DSN"

DsnFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Read the database's address, password included, from this file; - is the input.",
        show_default=False,
    ),
]
AskPassword = Annotated[
    bool, typer.Option("--ask-password", "-W", help="Ask for the database's password.")
]


def read_dsn(
    option: str,
    dsn: str | None,
    *,
    file: Path | None,
    ask_password: bool,
    variable: str = FROM_ENVIRONMENT,
) -> str | None:
    """Return the address of a database by what was given; ``None`` if nothing was.

    Args:
        option: the option that holds ``dsn``; its name with ``-file`` is that of the file.
        dsn: as it stands on the command line; ``variable`` is read if there is none.
        variable: the one that holds the source's address.

    Raises:
        ConfigurationError: it was given twice, holds a password on the command line, or its file
            cannot be read.
    """
    if dsn:
        if _has_password(dsn):
            raise ConfigurationError(
                f"A password on the command line can be read by every user of this machine. Leave "
                f"it out of {option} and set PGPASSWORD, or give --ask-password; or put the whole "
                f"address into {variable}, or into a file for {option}-file."
            )
        if file is not None:
            raise ConfigurationError(f"Give {option} or {option}-file, not both.")
    if file is not None:
        dsn = _read(file)
    # Not by the option's own ``envvar``: what stands there may hold a password.
    dsn = dsn or os.environ.get(variable)
    if dsn and ask_password:
        try:
            dsn = make_conninfo(dsn, password=typer.prompt("Password", hide_input=True, err=True))
        except psycopg.ProgrammingError as exc:
            raise ConfigurationError(
                f"{option} is malformed. Write it as postgresql://user@host:5432/name"
            ) from exc
    return dsn or None


def _has_password(dsn: str) -> bool:
    try:
        return bool(conninfo_to_dict(dsn).get("password"))
    except psycopg.Error:
        # Malformed: whatever stands before an @ may be one that was not escaped.
        return "@" in dsn or "password" in dsn


def _read(file: Path) -> str:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(f"{file} cannot be read: {reason}.") from exc
    if not text.strip():
        raise ConfigurationError(f"{file} is empty; it is to hold a database's address.")
    return text.strip()
