"""Which service the client's verbs talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from waybill.cli.exits import UsageMistake
from waybill.errors import ConfigurationError

if TYPE_CHECKING:
    from waybill.client import ExportClient

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="ADDRESS",
        envvar="WAYBILL_URL",
        help="The service; a running `waybill local` if unset.",
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="WAYBILL_TOKEN", help="Bearer token (better in the environment)."
    ),
]


def connect(url: str | None, token: str | None) -> ExportClient:
    """Return a client of the service that was named, or of the ``waybill local`` of this folder.

    Raises:
        ConfigurationError: there is none, or no token.
        UsageMistake: the address is none.
    """
    from waybill.client import ExportClient
    from waybill.local.endpoint import find_running

    if url is None:
        running = find_running()
        if running is None:
            raise ConfigurationError(
                "No service to talk to: give --url and --token (or WAYBILL_URL and "
                "WAYBILL_TOKEN), or start one with `waybill local`."
            )
        url, token = running.url, token or running.token
    if not _is_address(url):
        raise UsageMistake(
            f"--url {url!r} is no address of a service. It looks like http://127.0.0.1:8000."
        )
    if not token:
        raise ConfigurationError("Give a bearer token with --token, or set WAYBILL_TOKEN.")
    if not (token.isascii() and token.isprintable()):
        raise UsageMistake("The token holds characters that no token has. Copy it again, whole.")
    return ExportClient(url, token)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable()
