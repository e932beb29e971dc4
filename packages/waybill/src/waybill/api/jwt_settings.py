"""How JWTs are accepted: settings ``WAYBILL_JWT_…``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from waybill.api.jwks import RemoteKeySet
from waybill.api.jwt import MAX_LEEWAY_SECONDS, JwtAuthenticator, JwtRules, KeySource, SharedSecrets
from waybill.api.jwt_claims import ClaimNames
from waybill.errors import ConfigurationError


class JwtSettings(BaseSettings):
    """Which tokens count. Lists are separated by commas."""

    model_config = SettingsConfigDict(
        env_prefix="WAYBILL_JWT_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Shared secrets for HS256: one, or two while one replaces the other."""
    jwks_url: str | None = None
    """The issuer's key document, for RS256, ES256 and EdDSA."""
    algorithms: Annotated[frozenset[str], NoDecode] = frozenset()
    """What is accepted; everything that the keys can verify when empty."""
    issuer: str | None = None
    """The ``iss`` that tokens must have."""
    audiences: Annotated[frozenset[str], NoDecode] = frozenset()
    """One of these must be in ``aud``; needed with ``jwks_url``."""
    token_type: str | None = None
    """The ``typ`` that tokens must have: ``at+jwt`` keeps ID tokens out (RFC 9068)."""
    leeway_seconds: float = Field(30.0, ge=0, le=MAX_LEEWAY_SECONDS)
    """How far clocks may differ."""
    tenant_claim: str | None = None
    """The claim with the tenant, such as ``org_id`` or ``/organization/id``."""
    roles_claim: str | None = None
    """The claim with the roles, which raise quotas."""
    email_claim: str | None = "email"
    """The claim with the address to write to."""

    @field_validator("secrets", "algorithms", "audiences", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.secrets and self.jwks_url:
            raise ValueError("give secrets or jwks_url, not both: a token has one issuer")
        return self

    @property
    def is_configured(self) -> bool:
        """Whether tokens are accepted at all."""
        return bool(self.secrets or self.jwks_url)

    def authenticator(self) -> JwtAuthenticator:
        """Return the authenticator.

        Raises:
            ConfigurationError: rules and keys do not go together, or are not safe.
        """
        keys: KeySource = (
            RemoteKeySet(self.jwks_url) if self.jwks_url else SharedSecrets(*self.secrets)
        )
        rules = JwtRules(
            algorithms=self.algorithms or keys.algorithms,
            issuer=self.issuer,
            audiences=self.audiences,
            leeway_seconds=self.leeway_seconds,
            token_type=self.token_type,
            claims=ClaimNames(
                tenant=self.tenant_claim, roles=self.roles_claim, email=self.email_claim
            ),
        )
        return JwtAuthenticator(keys, rules)


def load_jwt_settings(**overrides: object) -> JwtSettings:
    """Read the settings.

    Raises:
        ConfigurationError: something is malformed; names each variable.
    """
    try:
        return JwtSettings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        lines = []
        for error in exc.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in error["loc"][:1])
            said = error["msg"].removeprefix("Value error, ")
            lines.append(f"WAYBILL_JWT_{name.upper() or '…'}: {said}")
        raise ConfigurationError(f"The JWT settings do not hold: {'; '.join(lines)}.") from exc
