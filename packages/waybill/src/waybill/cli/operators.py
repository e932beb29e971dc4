"""What the verbs of operators share: they talk to the database itself, so they work while the API
is down, and act through no route, so the audit trail names the system's user who runs them."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from waybill.cli.own_settings import load_own_settings
from waybill.errors import AuthenticationRequired, ConfigurationError
from waybill.log import configure_logging
from waybill.principal import Principal

if TYPE_CHECKING:
    # Imported where it is used: SQLAlchemy would double the start-up of every other verb.
    from waybill.bootstrap.commands import CommandParts
    from waybill.jobs.reach import Reach

T = TypeVar("T")

PANEL = "Run the service"


def operate(work: Callable[[CommandParts], Awaitable[T]]) -> T:
    """Do ``work`` with waybill's own database.

    Raises:
        ConfigurationError: the settings do not hold, or the database does not answer.
    """
    from sqlalchemy.exc import OperationalError

    from waybill.bootstrap.commands import CommandParts

    settings = load_own_settings()
    configure_logging("WARNING")  # to standard error, so that the output stays the answer alone

    async def main() -> T:
        try:
            async with CommandParts(settings) as parts:
                return await work(parts)
        except OperationalError as exc:
            raise ConfigurationError(
                "The database does not answer, or refuses us. Check WAYBILL_DATABASE_URL."
            ) from exc

    return asyncio.run(main())


def whole_reach() -> Reach:
    """Every job: whoever runs this holds the password of waybill's own database."""
    from waybill.jobs.reach import EVERYTHING

    return EVERYTHING


def operator() -> Principal:
    """Who runs this, as the audit trail names them: no person of the API's."""
    try:
        return Principal(f"command:{getpass.getuser()}", scopes=frozenset())
    except (AuthenticationRequired, KeyError, OSError):  # a user without a name
        return Principal(f"command:{os.getuid()}", scopes=frozenset())
