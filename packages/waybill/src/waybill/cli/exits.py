"""Exit statuses, after sysexits.h, and the one place where errors become them."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Final

import httpx
import typer
from rich.console import Console
from typer.rich_utils import rich_format_error

from waybill.client.errors import (
    ConnectionLost,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    ServerUnavailable,
    ServerUnreachable,
    TooManyRequests,
)
from waybill.errors import ConfigurationError, RetryableError, StorageRejected, WaybillError
from waybill.manifest import InvalidManifest

EXIT_FAILED: Final = 1
"""The export has no file, or the file is not whole."""
EXIT_USAGE: Final = 64
EXIT_NO_INPUT: Final = 66
EXIT_DEFECT: Final = 70
EXIT_CANNOT_CREATE: Final = 73
EXIT_IO: Final = 74
EXIT_TRY_LATER: Final = 75
"""Schedulers know that it passes."""
EXIT_NO_PERMISSION: Final = 77
EXIT_CONFIGURATION: Final = 78
EXIT_INTERRUPTED: Final = 130

DEBUG_VARIABLE: Final = "WAYBILL_DEBUG"

_REMEDIES: Final = {
    errno.ENOSPC: "Make room on its disk.",
    errno.EDQUOT: "The disk quota is used up: make room.",
    errno.EACCES: "Choose another place, or get the right to it.",
    errno.EPERM: "Choose another place, or get the right to it.",
    errno.EROFS: "It is mounted read-only: choose another place.",
    errno.ENOTDIR: "A file lies where a folder should be.",
    errno.EISDIR: "It is a folder: name a file.",
    errno.ENOENT: "It does not exist: check the name.",
    errno.ELOOP: "It is a symbolic link, which is not followed: name the file itself.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EFBIG: "The file would be larger than allowed here.",
}


class UsageMistake(ConfigurationError):
    """The command line says what cannot be."""

    code = "usage"


class CannotCreate(ConfigurationError):
    """The file cannot be written where it should be."""

    code = "cannot_create"


class NoInput(ConfigurationError):
    """A file that should be read is not there, or is none."""

    code = "no_input"


_STATUS_OF: Final[tuple[tuple[type[WaybillError], int], ...]] = (
    # The first that fits; EXIT_FAILED for whatever is not here.
    (UsageMistake, EXIT_USAGE),
    (CannotCreate, EXIT_CANNOT_CREATE),
    (NoInput, EXIT_NO_INPUT),
    (ConfigurationError, EXIT_CONFIGURATION),
    (StorageRejected, EXIT_CONFIGURATION),
    (InvalidManifest, EXIT_NO_INPUT),
    (RetryableError, EXIT_TRY_LATER),
    (ConnectionLost, EXIT_TRY_LATER),
    (ServerUnavailable, EXIT_TRY_LATER),
    (ServerUnreachable, EXIT_TRY_LATER),
    (TooManyRequests, EXIT_TRY_LATER),
    (NotAuthenticated, EXIT_NO_PERMISSION),
    (NotAllowed, EXIT_NO_PERMISSION),
    (InvalidRequest, EXIT_USAGE),
)


def status_of(error: WaybillError) -> int:
    """Return the exit status of an error."""
    return next((status for cls, status in _STATUS_OF if isinstance(error, cls)), EXIT_FAILED)


def run(app: typer.Typer, *, name: str) -> int:
    """Run the command line and return its exit status. Whatever happens is one sentence on standard
    error; ``--debug`` (``WAYBILL_DEBUG``) shows the traceback as well."""
    try:
        status = app(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as exc:
        if isinstance(exc.__context__, BrokenPipeError):  # Typer makes 1 of it
            return _told(exc.__context__)
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException as exc:
        return _told(exc)
    if status == EXIT_INTERRUPTED:  # Typer's, too
        return _say("Interrupted.", EXIT_INTERRUPTED, prefix="")
    return status if isinstance(status, int) else 0


def _told(exc: BaseException) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(exc)
    match exc:
        case KeyboardInterrupt():
            return _say("Interrupted.", EXIT_INTERRUPTED, prefix="")
        case WaybillError():
            return _say(str(exc), status_of(exc))
        case BrokenPipeError():
            _silence(sys.stdout)
            return _say("Whoever read the output left before its end.", EXIT_IO)
        case OSError():
            _silence(sys.stdout)  # what is left in its buffer would fail once more
            return _say(sentence_of(exc), EXIT_IO)
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return _say("The service gave an address that is none.", EXIT_FAILED)
        case _ if hasattr(exc, "format_message"):  # Click's, which Typer brings along unnamed
            rich_format_error(exc)  # type: ignore[arg-type]
            return EXIT_USAGE
        case _:
            return _say(
                f"Something failed that should not ({type(exc).__name__}). Please report it with "
                "what `waybill --debug …` prints.",
                EXIT_DEFECT,
            )


def sentence_of(exc: OSError) -> str:
    """Return what an error of the operating system means for whoever asked."""
    what = os.strerror(exc.errno) if exc.errno else type(exc).__name__
    where = f"{exc.filename}: " if exc.filename else ""
    remedy = _REMEDIES.get(exc.errno or 0, "")
    return f"{where}{what}. {remedy}".rstrip()


def _say(text: str, status: int, *, prefix: str = "error:") -> int:
    try:
        console = Console(stderr=True, highlight=False)
        if prefix:
            console.print(prefix, style="bold red", end=" ")
        # markup off: a name with brackets in it must appear as it is.
        console.print(text, markup=False, soft_wrap=True)
    except OSError:
        _silence(sys.stderr)  # nobody reads it, or its disk is full: the status says it all
    return status


def _silence(stream: object) -> None:
    """Keep the interpreter from failing once more at its end, when it empties the stream."""
    fileno = getattr(stream, "fileno", None)
    if fileno is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, fileno())
        os.close(null)
