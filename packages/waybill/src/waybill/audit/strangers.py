"""Refusals of strangers, summed up: whoever has no credentials must not be able to fill the trail.

The first refusal of an address for a reason is written at once, so that an attack is seen when it
begins; the others of the same window (a minute) become one row with their count. Both the number of
such rows and what is kept in memory for them are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from waybill.log import get_logger

if TYPE_CHECKING:
    from waybill.audit.audit import AuditAction, AuditLog

log = get_logger(__name__)

WINDOW_SECONDS: Final = 60.0
_MOST_ROWS: Final = 500
"""In a window. Those of further addresses are counted together, without an address."""

_Key = tuple[str | None, "AuditAction", str]


def prefix_of(host: str | None) -> str | None:
    """Return an IPv4 address as it is, the /64 of an IPv6 address, ``None`` for anything else."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    # The zone of a link-local address is a name of this machine's.
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


class StrangerLog:
    """Records refusals of callers whom nobody authenticated.

    Args:
        audit: where the rows go.
        window_seconds: over which time refusals are summed up.
        monotonic: tells the time in seconds.
    """

    def __init__(
        self,
        audit: AuditLog,
        *,
        window_seconds: float = WINDOW_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audit = audit
        self._window_seconds = window_seconds
        self._monotonic = monotonic
        self._began_at = monotonic()
        self._further: dict[_Key, int] = {}

    async def record(
        self,
        action: AuditAction,
        code: str,
        *,
        client: str | None,
        export_id: UUID | None = None,
        export_type: str | None = None,
    ) -> None:
        """Count one refusal; ``client`` is a network address."""
        if self._monotonic() - self._began_at >= self._window_seconds:
            await self.flush()
        key: _Key = (prefix_of(client), action, code)
        if key not in self._further and len(self._further) >= _MOST_ROWS:
            key = (None, action, code)
        if key in self._further:
            self._further[key] += 1
            return
        self._further[key] = 0
        log.warning("access.refused", client=key[0], action=action.value, code=code, count=1)
        await self._audit.record_strangers(
            action, code, client=key[0], count=1, export_id=export_id, export_type=export_type
        )

    async def flush(self) -> None:
        """Write the rows of this window, and begin another."""
        further, self._further = self._further, {}
        self._began_at = self._monotonic()
        for (client, action, code), count in further.items():
            if count:
                log.warning(
                    "access.refused", client=client, action=action.value, code=code, count=count
                )
                await self._audit.record_strangers(action, code, client=client, count=count)

    async def run(self) -> None:
        """Flush at the end of every window, and once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(self._window_seconds)
                await self.flush()
        finally:
            with contextlib.suppress(Exception):
                await asyncio.shield(self.flush())
