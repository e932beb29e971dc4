"""The made-up people of ``waybill local``, one for each role, and the links that sign them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httpx

from waybill.errors import ConfigurationError
from waybill.local.endpoint import Endpoint

_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody with the scopes of a role, and the tenant whose rows types with a tenant show."""

    role: str
    scopes: tuple[str, ...]
    tenant: str = "DE"


ACCOUNTS: Final = (
    Account("analyst", ("exports:request", "exports:read")),
    Account("protection", ("exports:request", "exports:read", "exports:pii")),
    Account(
        "administrator",
        (
            "exports:request",
            "exports:read",
            "exports:pii",
            "exports:admin",
            "exports:all-tenants",
        ),
    ),
)


def portal_link(endpoint: Endpoint, account: Account, *, target: str = "/exports") -> str:
    """Have the running service make a link that signs the account in once.

    Raises:
        ConfigurationError: the service does not make one.
    """
    try:
        answer = httpx.post(
            f"{endpoint.url}/api/portal-links",
            headers={"Authorization": f"Bearer {endpoint.token}"},
            json={
                "subject": account.role,
                "tenant": account.tenant,
                "scopes": list(account.scopes),
                "next": target,
            },
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )
        answer.raise_for_status()
    except httpx.HTTPError as exc:
        raise ConfigurationError(
            f"The service at {endpoint.url} made no link: {exc}. Is WAYBILL_PAGES=true set for it?"
        ) from exc
    return str(answer.json()["url"])
