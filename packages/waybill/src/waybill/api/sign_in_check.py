"""What the doctor says of signing in: whether anybody can, and whether their keys can be had."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from waybill.api.auth import create_authenticator
from waybill.api.jwks import KeysUnavailable, RemoteKeySet
from waybill.api.jwt_settings import JwtSettings, load_jwt_settings
from waybill.api.oidc_provider import Provider
from waybill.api.oidc_settings import OidcSettings, load_oidc_settings, require_same_people
from waybill.api.sign_in_failures import ProviderUnavailable
from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError

AREA: Final = "sign_in"

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at how callers are known."""
    try:
        jwt = load_jwt_settings()
        oidc = load_oidc_settings()
        create_authenticator(patient.settings)
        if patient.settings.pages:
            require_same_people(oidc, jwt)
    except ConfigurationError as exc:
        yield _report.error("settings", str(exc), "Correct WAYBILL_JWT_… or WAYBILL_OIDC_….")
        return
    if oidc.is_configured:
        yield from _provider(patient, oidc, jwt)
    if patient.settings.development_token is not None and not jwt.is_configured:
        yield _report.warning(
            "development_token", "Only WAYBILL_DEVELOPMENT_TOKEN signs in, which is one person.",
            "Set WAYBILL_JWT_JWKS_URL and WAYBILL_JWT_AUDIENCES, or WAYBILL_JWT_SECRETS.",
        )  # fmt: skip
    if jwt.jwks_url is None:
        if jwt.is_configured:
            yield _report.ok("secrets", "Tokens are checked with shared secrets.")
        return
    keys = RemoteKeySet(jwt.jwks_url)
    try:
        usable = asyncio.run(keys.count_usable())
    except KeysUnavailable:
        if keys.refused_because:
            yield _report.error(
                "keys", f"The issuer answers, and not with its keys: {keys.refused_because}.",
                "Correct WAYBILL_JWT_JWKS_URL: it names the JSON document itself, and no page that "
                "leads there.",
            )  # fmt: skip
            return
        yield _report.away(
            "keys", "The issuer's keys cannot be fetched: it does not answer.",
            "Open WAYBILL_JWT_JWKS_URL from this machine.",
        )  # fmt: skip
        return
    if usable:
        yield _report.ok("keys", f"The issuer publishes {usable} keys that can be used.")
    else:
        yield _report.error(
            "keys", "The issuer's document holds no key that can be used.",
            "It must publish RS256 (2,048 bits or more), ES256 or EdDSA keys for signatures.",
        )  # fmt: skip


def _provider(patient: Patient, oidc: OidcSettings, jwt: JwtSettings) -> Iterator[Finding]:
    if not patient.settings.pages:
        yield _report.warning(
            "pages", "An OpenID provider is set, and the pages that it signs people in to are off.",
            "Set WAYBILL_PAGES=true, or leave WAYBILL_OIDC_… out.",
        )  # fmt: skip
        return
    if not patient.settings.public_url:
        yield _report.warning(
            "public_url", "WAYBILL_PUBLIC_URL is not set: people come back from the provider to "
            "whatever address they came by, each of which it must know.",
            "Set WAYBILL_PUBLIC_URL, and register its /signin/callback with the provider.",
        )  # fmt: skip
    try:
        usable = asyncio.run(Provider(oidc, jwt).count_keys())
    except ProviderUnavailable as exc:
        said = f"People cannot sign in with the OpenID provider: {exc.reason}."
        if exc.is_away:
            yield _report.away(
                "provider", said,
                "Open WAYBILL_OIDC_ISSUER/.well-known/openid-configuration from this machine; a "
                "redirect counts as no answer.",
            )  # fmt: skip
        else:
            yield _report.error(
                "provider", said,
                "Compare WAYBILL_OIDC_ISSUER with the issuer that the provider publishes, to the "
                "letter.",
            )  # fmt: skip
        return
    except KeysUnavailable:
        yield _report.away(
            "provider", "The keys of the OpenID provider cannot be fetched.",
            "Open its jwks_uri from this machine.",
        )  # fmt: skip
        return
    if usable:
        yield _report.ok("provider", f"The OpenID provider answers, with {usable} usable keys.")
    else:
        yield _report.error(
            "provider", "The OpenID provider publishes no key that can be used.",
            "It must publish RS256 (2,048 bits or more), ES256 or EdDSA keys for signatures.",
        )  # fmt: skip
