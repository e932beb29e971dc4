"""Below which folder of the bucket an export's file is to lie, where the application decides that.

A folder and not the whole key: what follows it says which export, attempt and lease an object is
of, by which no attempt overwrites another's and lost ones are found again. It is decided once, by
the process that takes the request, and remembered with the job: workers and sweepers read it
there, whatever the function would say by then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from waybill.errors import ObjectFolderRefused
from waybill.log import get_logger
from waybill.principal import Principal
from waybill.references import import_function
from waybill.requests.request import ExportRequest

log = get_logger(__name__)

MOST_CHARACTERS: Final = 200
_STEP: Final = re.compile(r"[A-Za-z0-9_.=-]{1,100}")


@dataclass(frozen=True, slots=True)
class NewExport:
    """What is known of an export when its folder is chosen; never what its rows are filtered by."""

    export_type: str
    format: str
    tenant: str | None
    requested_by: str
    requested_at: datetime


FolderOf = Callable[[NewExport], str | None]


def load_folder_of(given: str | FolderOf | None) -> FolderOf | None:
    """Return the function that ``WAYBILL_OBJECT_KEY`` names, or that was given.

    Raises:
        ConfigurationError: it names nothing, or what cannot be called with an export.
    """
    folder_of: FolderOf | None = import_function(
        "WAYBILL_OBJECT_KEY",
        given,
        takes="an export",
        point_at="a function that takes one waybill.NewExport and returns the folder of its file, "
        "like 'acme/2026'",
    )
    return folder_of


def choose_folder(
    folder_of: FolderOf | None, principal: Principal, request: ExportRequest, now: datetime
) -> str | None:
    """Return the folder of an export's file; ``None`` for none.

    Raises:
        ObjectFolderRefused: the function raised, or returned what no folder can be called.
    """
    if folder_of is None:
        return None
    wanted = NewExport(
        request.export_type, request.format, principal.tenant, principal.subject, now
    )
    try:
        found: Any = folder_of(wanted)
    except Exception as exc:
        # The class alone: its message is the application's, and may hold anything.
        log.error("object_key.failed", type=request.export_type, error=type(exc).__name__)  # noqa: TRY400
        raise ObjectFolderRefused(f"it raised {type(exc).__name__}") from exc
    if not found:
        return None
    problem = _problem(found)
    if problem is not None:
        log.error("object_key.refused", type=request.export_type, reason=problem)
        raise ObjectFolderRefused(problem)
    folder: str = found
    return folder


def ask_for_folder(
    folder_of: FolderOf | None, principal: Principal, request: ExportRequest, now: datetime
) -> Callable[[], str | None]:
    """Ask as ``choose_folder`` does, before any transaction. What is returned gives the answer, or
    raises its refusal: to a request that has its job already, neither matters."""
    try:
        folder = choose_folder(folder_of, principal, request, now)
    except ObjectFolderRefused as exc:
        refusal = exc

        def refuse() -> str | None:
            raise refusal

        return refuse
    return lambda: folder


def is_folder(text: str) -> bool:
    """Whether ``choose_folder`` could have returned ``text``."""
    return _problem(text) is None


def _problem(found: object) -> str | None:
    if not isinstance(found, str):
        return f"it returned a {type(found).__name__} instead of text"
    if len(found) > MOST_CHARACTERS:
        return f"it returned {len(found)} characters, and a folder has {MOST_CHARACTERS} at most"
    for step in found.split("/"):
        if not step:
            return "it returned a folder with an empty step, or a / at one of its ends"
        if not step.strip("."):
            return "it returned a folder with a step of dots"
        if not _STEP.fullmatch(step):
            return (
                "it returned a folder with a step that is not 1 to 100 of the letters a to z and "
                "A to Z, digits, and . _ = -"
            )
    return None
