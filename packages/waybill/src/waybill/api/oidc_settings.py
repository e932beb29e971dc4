"""How people sign in at an OpenID provider: settings ``WAYBILL_OIDC_…``."""

from __future__ import annotations

import importlib.util
import re
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from waybill.api.fetching import checked_url
from waybill.api.jwt import MAX_LEEWAY_SECONDS
from waybill.api.jwt_settings import JwtSettings
from waybill.errors import ConfigurationError
from waybill.principal import PORTAL, READ, REQUEST

# RFC 6749, appendix A: VSCHAR; a secret beyond it has no one spelling in a header.
_CREDENTIAL = re.compile(r"[\x20-\x7e]{1,1000}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


class OidcSettings(BaseSettings):
    """Whose people are signed in. Lists are separated by commas."""

    model_config = SettingsConfigDict(
        env_prefix="WAYBILL_OIDC_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    issuer: str | None = None
    """The OpenID provider that signs people in to the pages, as it names itself
    (``https://login.example.com/realms/acme``); https, or http on loopback."""
    client_id: str | None = None
    """What the provider calls this service."""
    client_secret: SecretStr | None = None
    """Unset for a public client: PKCE protects the exchange either way."""
    scopes: Annotated[tuple[str, ...], NoDecode] = ("openid", "email")
    """What is asked for at the provider; ``openid`` must be among it."""
    granted_scopes: Annotated[tuple[str, ...], NoDecode] = (REQUEST, READ)
    """The rights that everybody has who is signed in so."""
    scopes_claim: str | None = None
    """The claim with a person's further rights, where the provider says them."""
    role_scopes: dict[str, list[str]] = {}
    """The further rights of roles, as JSON: ``{"export-admins": ["exports:admin"]}``."""
    tenant_claim: str | None = None
    """The claim with the tenant; that of ``WAYBILL_JWT_TENANT_CLAIM`` when unset."""
    roles_claim: str | None = None
    """The claim with the roles, such as ``groups``; that of ``WAYBILL_JWT_ROLES_CLAIM`` when
    unset."""
    email_claim: str | None = None
    """The claim with the address to write to; that of ``WAYBILL_JWT_EMAIL_CLAIM`` when unset."""
    same_subjects: bool = False
    """Whether the subjects of bearer tokens are the same people as those of the provider, though
    ``WAYBILL_JWT_ISSUER`` is not ``WAYBILL_OIDC_ISSUER``. Without it such tokens are refused at the
    start: whoever has somebody's subject at the one issuer would be that person at the other."""
    leeway_seconds: float = Field(30.0, ge=0, le=MAX_LEEWAY_SECONDS)
    """How far the provider's clock may differ."""
    timeout_seconds: float = Field(5.0, gt=0, le=60)
    """How long the provider may take for an answer."""
    name: str = Field("", max_length=60)
    """What the button calls the provider; the host of the issuer when empty."""

    @field_validator("scopes", "granted_scopes", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in re.split(r"[\s,]+", value) if part)

    @field_validator("scopes")
    @classmethod
    def _check_asked(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value or not all(map(_SCOPE.fullmatch, value)):
            raise ValueError("name scopes of OAuth, openid among them")
        return value

    @field_validator("granted_scopes")
    @classmethod
    def _check_granted(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(_SCOPE.fullmatch, value)) or PORTAL in value:
            raise ValueError(f"name scopes; {PORTAL} is for back ends and no person's")
        return value

    @field_validator("role_scopes")
    @classmethod
    def _check_roles(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for scopes in value.values():
            cls._check_granted(tuple(scopes))
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        given = [self.client_id, self.client_secret]
        if self.issuer is None:
            if any(each is not None for each in given):
                raise ValueError("give the issuer too: without it nobody is signed in so")
            return self
        if not self.client_id or not _CREDENTIAL.fullmatch(self.client_id):
            raise ValueError("give the client id that the provider knows this service by")
        secret = self.client_secret
        if secret is not None and not _CREDENTIAL.fullmatch(secret.get_secret_value()):
            raise ValueError("the client secret must be printable ASCII")
        try:
            checked_url(self.issuer, "The issuer")
        except ConfigurationError as exc:
            raise ValueError(str(exc)) from exc
        if "?" in self.issuer or "#" in self.issuer:
            raise ValueError("the issuer has no query and no fragment")
        return self

    @property
    def is_configured(self) -> bool:
        """Whether people sign in at a provider."""
        return self.issuer is not None


def require_same_people(oidc: OidcSettings, jwt: JwtSettings) -> None:
    """Refuse people and bearer tokens of two issuers: of both only subject and tenant are compared.

    Raises:
        ConfigurationError: there are both, and nothing says that they mean the same people.
    """
    if not (oidc.is_configured and jwt.is_configured) or oidc.same_subjects:
        return
    if jwt.issuer != oidc.issuer:
        named = f"is {jwt.issuer!r}" if jwt.issuer else "is not set"
        raise ConfigurationError(
            f"People sign in at WAYBILL_OIDC_ISSUER, and WAYBILL_JWT_ISSUER {named}: somebody else "
            "with the same subject there would be the same person here. Set WAYBILL_JWT_ISSUER="
            f"{oidc.issuer}, or WAYBILL_OIDC_SAME_SUBJECTS=true where both name people alike."
        )


def load_oidc_settings(**overrides: object) -> OidcSettings:
    """Read the settings.

    Raises:
        ConfigurationError: something is malformed, or what it takes is not installed.
    """
    try:
        settings = OidcSettings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        lines = []
        for error in exc.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in error["loc"][:1])
            said = error["msg"].removeprefix("Value error, ")
            lines.append(f"WAYBILL_OIDC_{name.upper() or '…'}: {said}")
        raise ConfigurationError(f"The OIDC settings do not hold: {'; '.join(lines)}.") from exc
    if settings.is_configured and importlib.util.find_spec("authlib") is None:
        raise ConfigurationError(
            "WAYBILL_OIDC_ISSUER is set, and signing in with OpenID Connect is not installed here: "
            "pip install 'waybill[oidc]' brings it."
        )
    return settings
