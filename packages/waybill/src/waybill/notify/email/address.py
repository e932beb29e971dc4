"""E-mail addresses that may stand in a header and in an SMTP command. Pure."""

from __future__ import annotations

import re

# RFC 5321 dot-atoms only: quoted local parts exist on paper, and every CR, LF, comma or angle
# bracket that could end a header or an SMTP command is outside this grammar.
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)


def parse_address(text: str) -> str:
    """Return the address in the form that goes on the wire; an international domain in ``xn--``.

    Raises:
        ValueError: not an address we can write to; the text never quotes it.
    """
    local, _, domain = text.rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii") if domain else ""
    except UnicodeError:
        domain = ""
    if (
        len(local) > 64
        or len(domain) > 253
        or not _LOCAL_PART.fullmatch(local)
        or not _DOMAIN.fullmatch(domain)
    ):
        raise ValueError("not an e-mail address of the form name@example.com (ASCII name)")
    return f"{local}@{domain}"
