"""``waybill token``: a first token, signed with the service's own secret."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from waybill.errors import ConfigurationError

_PANEL = "Run the service"
_SHORTEST_SECRET = 32
_DAY_SECONDS = 86_400


def register(app: typer.Typer) -> None:
    """Add the verb of this file to ``app``."""
    app.command(rich_help_panel=_PANEL)(token)


def token(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Whom it is for: ann.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="What it may do; again for more. exports:request and exports:read if unset.",
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="The tenant, where WAYBILL_JWT_TENANT_CLAIM names its claim.")
    ] = None,
    seconds: Annotated[
        int, typer.Option(min=60, max=30 * _DAY_SECONDS, help="How long it lives.")
    ] = 3600,
) -> None:
    """Mint a token, to try a service out before an issuer is connected.

    It is signed with the first of WAYBILL_JWT_SECRETS (HS256) and has the issuer, audience and type
    that the settings ask for. Services that trust an issuer (WAYBILL_JWT_JWKS_URL) get theirs from
    it. The token is printed alone, so: export WAYBILL_TOKEN=$(waybill token ann)
    """
    import jwt

    from waybill.api.jwt_settings import load_jwt_settings

    settings = load_jwt_settings()
    if not settings.secrets:
        raise ConfigurationError(
            "There is no secret to sign with. Set WAYBILL_JWT_SECRETS to one of at least "
            f"{_SHORTEST_SECRET} characters, here and for the API: openssl rand -hex 32"
            if settings.jwks_url is None
            else "Tokens come from the issuer behind WAYBILL_JWT_JWKS_URL; ask it for one."
        )
    if tenant is not None and settings.tenant_claim is None:
        raise ConfigurationError(
            "No claim holds the tenant. Set WAYBILL_JWT_TENANT_CLAIM, or leave --tenant out."
        )
    if tenant is None and settings.tenant_claim is not None:
        raise ConfigurationError(
            "Give --tenant: WAYBILL_JWT_TENANT_CLAIM is set, so a token without one is refused."
        )
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": subject,
        "scope": " ".join(scope or ("exports:request", "exports:read")),
        "iat": now,
        "auth_time": now,
        "exp": now + seconds,
    }
    if settings.issuer is not None:
        claims["iss"] = settings.issuer
    if settings.audiences:
        claims["aud"] = min(settings.audiences)
    if tenant is not None and settings.tenant_claim is not None:
        _put(claims, settings.tenant_claim, tenant)
    headers = {"typ": settings.token_type} if settings.token_type else None
    secret = settings.secrets[0].get_secret_value()
    typer.echo(jwt.encode(claims, secret, algorithm="HS256", headers=headers))


def _put(claims: dict[str, object], path: str, value: str) -> None:
    """Put a value where a claim's name, or JSON pointer, says."""
    if not path.startswith("/"):
        claims[path] = value
        return
    *folders, name = (part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))
    for folder in folders:
        inner = claims.setdefault(folder, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"WAYBILL_JWT_TENANT_CLAIM {path!r} lies inside {folder!r}.")
        claims = inner
    claims[name] = value
