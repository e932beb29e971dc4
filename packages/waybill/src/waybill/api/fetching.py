"""Fetches what an issuer publishes: from addresses that are safe to believe, in bounded time and to
a bounded size, without being led elsewhere."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from waybill.errors import ConfigurationError

MAX_DOCUMENT_BYTES: Final = 256 * 1024


class BadAnswer(Exception):
    """The answer is not what was asked for. The text is ours, never the answer's."""


@dataclass(frozen=True, slots=True)
class SafeUrl:
    """An address whose answers may be believed: ``https``, or ``http`` on a loopback address."""

    text: str
    is_loopback: bool


def checked_url(url: str, what: str) -> SafeUrl:
    """Return the address, which ``what`` names in the error.

    Raises:
        ConfigurationError: an address that is not safe to take keys from.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        parsed = httpx.URL("")
    loopback = _is_loopback(parsed.host)
    if not parsed.host or parsed.userinfo or parsed.scheme not in {"https", "http"}:
        raise ConfigurationError(
            f"{what} must be an https:// URL without a user name or password in it."
        )
    if parsed.scheme == "http" and not loopback:
        raise ConfigurationError(
            f"{what} must begin with https://: whoever can change the answer can sign "
            "tokens. Plain http:// is accepted on a loopback address only."
        )
    return SafeUrl(str(parsed), loopback)


async def fetch(
    url: SafeUrl,
    *,
    accept: str,
    timeout_seconds: float,
    form: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Return status and body of an answer: of a GET, or of a POST of ``form``.

    Raises:
        httpx.HTTPError: the network, or the other side, failed.
        OSError: likewise.
        TimeoutError: the whole took longer than ``timeout_seconds``.
        BadAnswer: the body is larger than ``MAX_DOCUMENT_BYTES``.
    """
    # A redirect could lead anywhere, so it is no answer. Uncompressed, so that the size read is
    # the size parsed. Proxy settings do not apply to this machine itself.
    client = httpx.AsyncClient(
        follow_redirects=False, timeout=timeout_seconds, trust_env=not url.is_loopback
    )
    said = {"Accept": accept, "Accept-Encoding": "identity", **(headers or {})}
    method = "GET" if form is None else "POST"
    if form is not None:
        said["Content-Type"] = "application/x-www-form-urlencoded"
    body = bytearray()
    async with asyncio.timeout(timeout_seconds), client:
        request = client.stream(
            method, url.text, headers=said, content=None if form is None else form.encode()
        )
        async with request as response:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise BadAnswer(f"the document is larger than {MAX_DOCUMENT_BYTES} bytes")
            return response.status_code, bytes(body)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
