"""Who asks. The API's authenticator makes it; the service decides with it."""

from __future__ import annotations

from dataclasses import dataclass

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

    def may(self, scope: str) -> bool:
        return scope in self.scopes
