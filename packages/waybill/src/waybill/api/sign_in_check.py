"""What the doctor says of signing in: whether anybody can, and whether their keys can be had."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from waybill.api.auth import create_authenticator
from waybill.api.jwks import KeysUnavailable, RemoteKeySet
from waybill.api.jwt_settings import load_jwt_settings
from waybill.doctor.findings import Finding, Patient, Report
from waybill.errors import ConfigurationError

AREA: Final = "sign_in"

_report = Report(AREA)


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at how callers are known."""
    try:
        jwt = load_jwt_settings()
        create_authenticator(patient.settings)
    except ConfigurationError as exc:
        yield _report.error("settings", str(exc), "Correct WAYBILL_JWT_….")
        return
    if patient.settings.development_token is not None and not jwt.is_configured:
        yield _report.warning(
            "development_token", "Only WAYBILL_DEVELOPMENT_TOKEN signs in, which is one person.",
            "Set WAYBILL_JWT_JWKS_URL and WAYBILL_JWT_AUDIENCES, or WAYBILL_JWT_SECRETS.",
        )  # fmt: skip
    if jwt.jwks_url is None:
        if jwt.is_configured:
            yield _report.ok("secrets", "Tokens are checked with shared secrets.")
        return
    try:
        usable = asyncio.run(RemoteKeySet(jwt.jwks_url).count_usable())
    except KeysUnavailable:
        yield _report.away(
            "keys", "The issuer's keys cannot be fetched, or the answer is no key set.",
            "Open WAYBILL_JWT_JWKS_URL from this machine; a redirect counts as no answer.",
        )  # fmt: skip
        return
    if usable:
        yield _report.ok("keys", f"The issuer publishes {usable} keys that can be used.")
    else:
        yield _report.error(
            "keys", "The issuer's document holds no key that can be used.",
            "It must publish RS256 (2,048 bits or more), ES256 or EdDSA keys for signatures.",
        )  # fmt: skip
