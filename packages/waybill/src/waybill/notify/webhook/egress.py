"""Where a webhook may go: the defence against server-side request forgery.

Two gates. ``parse`` refuses a URL by its spelling, with a grammar so narrow that no other parser
can read it differently. ``check`` refuses what a name resolves to; ``notify.webhook.transport``
then connects to exactly the addresses that were checked.

The networks come from the IANA special-purpose address registries (RFC 6890 and successors) and
stand here rather than in ``ipaddress.is_global``, whose answers differ between Python releases.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from waybill.notify.errors import TargetForbidden

IPAddress = IPv4Address | IPv6Address

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
)
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# The last label decides whether browsers and inet_aton read a number (WHATWG URL, "ends in a
# number checker"): 2130706433, 0177.0.0.1, 0x7f.1 and 127.1 are all 127.0.0.1 to somebody.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")

# RFC 6761, 6762, 8375, 9476 and ICANN's reservation of .internal: names with no public meaning.
_SPECIAL_NAMES = ("localhost", "local", "localdomain", "internal", "home.arpa", "alt", "onion")

_DEFAULT_PORTS = {"https": 443, "http": 80}
# Above 1023, what speaks no HTTP or answers anybody inside a network: the WHATWG fetch "bad
# ports" and the well-known ports of databases, brokers and orchestrators.
_DENIED_PORTS = frozenset(
    {1433, 1521, 1719, 1720, 1723, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659}
    | {4045, 4190, 5060, 5061, 5432, 5433, 5671, 5672, 5900, 5984, 5985, 6000, 6379, 6443, 6566}
    | {6665, 6666, 6667, 6668, 6669, 6679, 6697, 8500, 9042, 9092, 9100, 9200}
    | {9300, 10080, 10250, 10255, 11211, 15672, 26379, 27017, 27018, 50000, 50070}
)

# Reachable only with ``allow_private_networks``.
_PRIVATE_V4 = tuple(
    map(
        IPv4Network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    )
)
_PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))

# Never reachable. Link-local networks and the last four lines hold the metadata services of
# clouds, which give credentials to whoever asks from the right machine.
_NEVER_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",  # link-local; metadata of AWS, Azure, Google, DigitalOcean
            "192.0.0.0/24",  # IETF protocol assignments; metadata of Oracle (192.0.0.192)
            "192.0.2.0/24",
            "192.88.99.0/24",  # 6to4 relays, deprecated by RFC 7526
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "100.100.100.200/32",  # metadata of Alibaba Cloud, inside the CGNAT range
            "168.63.129.16/32",  # Azure's platform service: a global address, yet local
        ),
    )
)
_NEVER_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking, …
            "2001:db8::/32",
            "2002::/16",  # 6to4: a tunnel to any IPv4 address
            "3fff::/20",
            "fd00:ec2::254/128",  # metadata of AWS
            "fd20:ce::254/128",  # metadata of Google Cloud
        ),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
# RFC 5214: the interface identifier of an ISATAP address, above the IPv4 address in it.
_ISATAP_IDENTIFIERS = frozenset({0x00005EFE, 0x02005EFE})


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart once; nobody parses it again. ``host`` has no brackets."""

    scheme: str
    host: str
    port: int
    path_and_query: str

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class EgressPolicy:
    """Decides which targets are allowed.

    Args:
        allow_http: also without TLS; for development.
        allow_private_networks: loopback, RFC 1918, CGNAT and unique local addresses too; for
            development, or receivers inside one's own network. Link-local and metadata
            addresses stay refused.
        allowed_hosts: when not empty, only these: ``hooks.example.com`` is that host,
            ``*.example.com`` every host below it.
    """

    def __init__(
        self,
        *,
        allow_http: bool = False,
        allow_private_networks: bool = False,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        self._allow_http = allow_http
        self._allow_private = allow_private_networks
        self._allowed_hosts = tuple(host.lower() for host in allowed_hosts)

    def parse(self, url: str) -> Target:
        """Take ``url`` apart.

        Raises:
            TargetForbidden: the URL is malformed, oddly spelled, or never allowed.
        """
        if not _PRINTABLE.fullmatch(url) or "\\" in url:
            raise TargetForbidden(
                "a URL has printable ASCII only and no backslash (write an international name "
                "in its xn-- form and percent-encode the path)"
            )
        match = _URL.fullmatch(url)
        if match is None:
            raise TargetForbidden(
                "it must look like https://host[:port]/path, with no user information, "
                "fragment, zone or percent sign in the host"
            )
        scheme = match["scheme"].lower()
        if scheme not in _DEFAULT_PORTS or (scheme == "http" and not self._allow_http):
            raise TargetForbidden("only https is allowed")
        port = int(match["port"]) if match["port"] else _DEFAULT_PORTS[scheme]
        self._check_port(port)
        host = self._parse_host(match["host"].lower())
        return Target(scheme, host, port, (match["path"] or "/") + (match["query"] or ""))

    def check(self, answers: Sequence[str]) -> tuple[IPAddress, ...]:
        """Return the addresses a name resolved to, if every one of them is allowed.

        One refused answer refuses the name: an attacker who mixes a public address with a
        private one would otherwise only need a second try.

        Raises:
            TargetForbidden: an answer is not a global address, or there is none.
        """
        if not answers:
            raise TargetForbidden("its name has no address")
        addresses = tuple(dict.fromkeys(_address(answer) for answer in answers))
        for address in addresses:
            reason = refusal(address, allow_private_networks=self._allow_private)
            if reason is not None:
                raise TargetForbidden(f"it resolves to {reason}")
        return addresses

    def _check_port(self, port: int) -> None:
        reserved = port < 1024 and port not in _DEFAULT_PORTS.values()
        if reserved or port > 65535 or port in _DENIED_PORTS:
            raise TargetForbidden(f"port {port} is not one that webhooks are received on")

    def _parse_host(self, text: str) -> str:
        if text.startswith("["):
            host = text[1:-1]
            self.check([host])
        elif _NUMERIC_LABEL.fullmatch(text.rstrip(".").rpartition(".")[2]):
            host = text
            self.check([host])
        else:
            host = text
            self._check_name(host)
        if self._allowed_hosts and not any(_matches(host, p) for p in self._allowed_hosts):
            raise TargetForbidden("its host is not in the list of allowed hosts")
        return host

    def _check_name(self, name: str) -> None:
        labels = name.split(".")
        if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            raise TargetForbidden("its host is no plain DNS name (mind a dot at the end)")
        if self._allow_private:
            return
        if len(labels) == 1 or any(name.endswith(f".{special}") for special in _SPECIAL_NAMES):
            raise TargetForbidden("its host is a name of a local network")


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def _address(text: str) -> IPAddress:
    try:
        return ipaddress.ip_address(text)
    except ValueError as exc:
        raise TargetForbidden("its address is not in the usual spelling") from exc


def refusal(address: IPAddress, *, allow_private_networks: bool = False) -> str | None:
    """Return what kind of forbidden address this is, or ``None`` when it may be reached."""
    if isinstance(address, IPv6Address):
        if address in _MAPPED or address in _NAT64:
            # The packet goes to the IPv4 address inside, so that is the one to judge.
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
            return refusal(inner, allow_private_networks=allow_private_networks)
        if (
            address.scope_id is not None
            or (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_IDENTIFIERS
        ):
            return "a tunnel or a local zone"
    never, private = (
        (_NEVER_V4, _PRIVATE_V4) if isinstance(address, IPv4Address) else (_NEVER_V6, _PRIVATE_V6)
    )
    if any(address in network for network in never):
        return "a link-local, reserved or metadata address"
    if any(address in network for network in private):
        return None if allow_private_networks else "an address of a private network"
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return "an address that is not global"
    return None
