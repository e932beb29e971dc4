"""Who asks. The API's authenticator makes it; the service decides with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

REQUEST = "exports:request"
READ = "exports:read"
ADMIN = "exports:admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a program. ``subject`` is stable and opaque, never an e-mail address if that can
    be helped: it is stored with each job. ``roles`` only raise quotas; rights are ``scopes``."""

    subject: str
    tenant: str | None = None
    scopes: frozenset[str] = frozenset({REQUEST, READ})
    roles: frozenset[str] = frozenset()
    email: str | None = field(default=None, repr=False)
    """Where to write about the person's exports; kept only until there is nothing more to tell."""
    authenticated_at: datetime | None = None
    """When the person last signed in, which may be long before the token was made; ``None`` when
    that is not known."""

    def may(self, scope: str) -> bool:
        return scope in self.scopes
