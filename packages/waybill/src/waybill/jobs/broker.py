"""Where the broker is: one Redis, one behind TLS, or the master that Sentinels name.

kombu reads addresses leniently: an unknown option becomes an argument of some constructor, a second
address a fail-over through a transport that trusts every message. So addresses are read here, and
kombu is given what is left: one address without options.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from waybill.errors import ConfigurationError

_SENTINELS: Final = ("sentinel", "sentinels")
_SCHEMES: Final = ("redis", "rediss", *_SENTINELS)
_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_REQUIREMENTS: Final = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")

_SHAPES: Final = (
    "WAYBILL_REDIS_URL must be redis://[name]:password@host:6379/0, rediss://… for TLS, or "
    "sentinel://[name]:password@host:26379,host:26379/0 (sentinels://… for TLS) with "
    "WAYBILL_REDIS_MASTER_NAME"
)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker's address, read.

    Attributes:
        url: what kombu connects to; with Sentinels, whatever holds credentials and database.
        tls: redis-py's ``ssl_…`` arguments, for server and Sentinels alike; ``None`` without TLS.
        sentinels: host and port of each Sentinel; empty without.
        master_name: by which the Sentinels know the master.
    """

    url: str = field(repr=False)
    tls: dict[str, Any] | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    master_name: str | None = None


def read_address(url: str, master_name: str | None = None) -> BrokerAddress:
    """Return what an address says.

    Args:
        url: ``WAYBILL_REDIS_URL``.
        master_name: ``WAYBILL_REDIS_MASTER_NAME``; the address may say it too.

    Raises:
        ConfigurationError: it is no address of a broker that waybill can use. Quotes no part of
            it, as any may be a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ConfigurationError(f"{_SHAPES}.")
    if scheme in _SENTINELS:
        return _read_sentinels(scheme, rest, master_name)
    if ";" in url or "," in urlsplit(url).netloc.rpartition("@")[2]:
        raise ConfigurationError(f"{_SHAPES}. Several servers are for Sentinel alone.")
    credentials, hosts, database, options = _split(rest)
    ((host, port),) = _hosts(hosts, _REDIS_PORT)
    tls = _read_tls(options) if scheme == "rediss" else None
    if options:
        raise ConfigurationError(
            f"{_SHAPES}. These options are not known: {', '.join(sorted(options))}."
        )
    return BrokerAddress(f"{scheme}://{credentials}{host}:{port}/{database}", tls)


def _read_sentinels(scheme: str, rest: str, master_name: str | None) -> BrokerAddress:
    # Celery writes them with a scheme each: sentinel://a:26379;sentinel://b:26379/0
    rest = rest.replace(f";{scheme}://", ",")
    credentials, hosts, database, options = _split(rest)
    tls = _read_tls(options) if scheme == "sentinels" else None
    names = {options.pop("master_name", None), master_name} - {None, ""}
    if len(names) != 1 or options:
        raise ConfigurationError(
            f"{_SHAPES}. Name the master once, and give no options but those of TLS behind a '?'."
        )
    sentinels = tuple(_hosts(hosts, _SENTINEL_PORT))
    return BrokerAddress(
        f"{'redis' if tls is None else 'rediss'}://"
        f"{credentials}{sentinels[0][0]}:{sentinels[0][1]}/{database}",
        tls,
        sentinels=sentinels,
        master_name=names.pop(),
    )


def _split(rest: str) -> tuple[str, str, str, dict[str, str]]:
    """Return credentials (with their ``@``), hosts, database and options."""
    address, _, query = rest.partition("?")
    netloc, _, path = address.partition("/")
    *before, hosts = (part.rpartition("@") for part in netloc.split(","))
    credentials = next(
        (f"{userinfo}@" for userinfo, _, _ in (*before, hosts) if userinfo),
        "",
    )
    listed = ",".join(host for _, _, host in (*before, hosts))
    database = path.strip("/") or "0"
    if not database.isdecimal():
        raise ConfigurationError(f"{_SHAPES}. Behind the host stands a database's number.")
    # Quoted again: kombu would read a password's '/' or '#' as the end of the host.
    if credentials:
        name, _, password = credentials[:-1].partition(":")
        credentials = f"{quote(unquote(name), safe='')}:{quote(unquote(password), safe='')}@"
    return credentials, listed, database, dict(parse_qsl(query, keep_blank_values=True))


def _hosts(listed: str, port: int) -> list[tuple[str, int]]:
    found = []
    for each in listed.split(","):
        try:
            parts = urlsplit(f"//{each}")
            found.append((parts.hostname or "", parts.port or port))
        except ValueError as exc:
            raise ConfigurationError(f"{_SHAPES}. A port is a number up to 65535.") from exc
        if not parts.hostname:
            raise ConfigurationError(f"{_SHAPES}. A host is missing.")
    return found


def _read_tls(options: dict[str, str]) -> dict[str, Any]:
    """Take the options of TLS out of ``options``; certificates are verified unless they say not."""
    required = options.pop("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    checked = options.pop("ssl_check_hostname", "true").lower()
    if required not in _REQUIREMENTS or checked not in {"true", "false"}:
        raise ConfigurationError(
            f"{_SHAPES}. ssl_cert_reqs is required, optional or none; ssl_check_hostname is true "
            "or false."
        )
    return {
        "ssl_cert_reqs": _REQUIREMENTS[required],
        "ssl_check_hostname": checked == "true" and required != "none",
        **{name: options.pop(name) for name in _TLS_FILES if name in options},
    }
