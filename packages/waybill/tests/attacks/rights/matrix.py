"""Who can do what: every operation of the service by every kind of caller, written down.

This is the one source: ``test_matrix.py`` holds the running service to it, operation by operation
of the served OpenAPI document, and the table in docs/authentication.md is made from it::

    python packages/waybill/tests/attacks/rights/matrix.py

The export in question is Ann's, of the tenant acme. Its type asks for the scope ``exports:orders``,
and its file holds a column with personal data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

GUIDE: Final = Path(__file__).parents[5] / "docs" / "authentication.md"
BEGIN: Final = "<!-- matrix:begin -->"
END: Final = "<!-- matrix:end -->"

_REQUEST, _READ, _ADMIN = "exports:request", "exports:read", "exports:admin"
_TYPE, _PII, _ALL = "exports:orders", "exports:pii", "exports:all-tenants"
_USER = f"{_REQUEST} {_READ} {_TYPE} {_PII}"

ROLES: Final[dict[str, tuple[str, dict[str, Any] | None]]] = {
    # name: (what it is, the claims of the token)
    "nobody": ("no token", None),
    "owner": ("Ann herself", {"sub": "ann", "org": "acme", "scope": _USER}),
    "no type": (
        "Ann, who lost the scope of the type",
        {"sub": "ann", "org": "acme", "scope": f"{_REQUEST} {_READ} {_PII}"},
    ),
    "no pii": (
        "Ann, who lost `exports:pii`",
        {"sub": "ann", "org": "acme", "scope": f"{_REQUEST} {_READ} {_TYPE}"},
    ),
    "colleague": ("Bob of the same tenant", {"sub": "bob", "org": "acme", "scope": _USER}),
    "stranger": ("Eve of another tenant", {"sub": "eve", "org": "globex", "scope": _USER}),
    "namesake": (
        "another tenant's person whose subject is Ann's",
        {"sub": "ann", "org": "globex", "scope": _USER},
    ),
    "near tenant": ("one of the tenant Acme", {"sub": "ann", "org": "Acme", "scope": _USER}),
    "admin": (
        "an administrator of the same tenant",
        {"sub": "boss", "org": "acme", "scope": f"{_USER} {_ADMIN}"},
    ),
    "admin, no pii": (
        "the same without `exports:pii`",
        {"sub": "boss", "org": "acme", "scope": f"{_REQUEST} {_READ} {_TYPE} {_ADMIN}"},
    ),
    "other admin": (
        "an administrator of another tenant",
        {"sub": "chief", "org": "globex", "scope": f"{_USER} {_ADMIN}"},
    ),
    "all admin": (
        "an administrator of another tenant with `exports:all-tenants`",
        {"sub": "ops", "org": "hosting", "scope": f"{_USER} {_ADMIN} {_ALL}"},
    ),
    "half admin": (
        "one who has `exports:all-tenants` without `exports:admin`",
        {"sub": "half", "org": "globex", "scope": f"{_USER} {_ALL}"},
    ),
    "look-alike": (
        "one whose scopes only look like an administrator's",
        {
            "sub": "eve",
            "org": "acme",
            "scope": f"{_USER} Exports:Admin exports:administer exports:admin: exports:*",
        },
    ),
    "back end": (
        "a host's back end with `exports:portal`",
        {"sub": "host", "org": "acme", "scope": f"{_USER} exports:portal"},
    ),
    "no tenant": (
        "an administrator of all whose token names no tenant",
        {"sub": "root", "scope": f"{_USER} {_ADMIN} {_ALL}"},
    ),
    "two tenants": (
        "a token that names two tenants",
        {"sub": "ann", "org": ["acme", "globex"], "scope": f"{_USER} {_ADMIN}"},
    ),
}

SHOWN: Final = "with"
HIDDEN: Final = "without"

_REFUSED_TOKENS = ("nobody", "no tenant", "two tenants")
_OWNER = ("owner", "no type", "no pii")
_ADMINS = ("admin", "admin, no pii", "all admin")
_PERSONS = tuple(role for role in ROLES if role not in _REFUSED_TOKENS)


def _row(otherwise: str, **groups: str) -> dict[str, str]:
    names = {
        "owner": ("owner",),
        "ann": _OWNER,
        "no_type": ("no type",),
        "no_pii": ("no pii", "admin, no pii"),
        "admins": _ADMINS,
        "other_admin": ("other admin",),
        "back_end": ("back end",),
    }
    answers = dict.fromkeys(ROLES, otherwise) | dict.fromkeys(_REFUSED_TOKENS, "401")
    for group, answer in groups.items():
        answers |= dict.fromkeys(names[group], answer)
    return answers


def _file(answer: str) -> dict[str, str]:
    """Return the row of what a file holds."""
    return _row("404", admins=answer, owner=answer, no_type="403", no_pii="403")


def _admin_one(answer: str) -> dict[str, str]:
    return _row("403", admins=answer, other_admin="404")


def _admin_all(status: str) -> dict[str, str]:
    return _row("403", admins=f"{status} {SHOWN}", other_admin=f"{status} {HIDDEN}")


MATRIX: Final[dict[str, dict[str, str]]] = {
    # operation of the OpenAPI document: role: status, and for lists whether the export is in it
    # (in the catalog, the personal column)
    "GET /healthz": dict.fromkeys(ROLES, "200"),
    "GET /readyz": dict.fromkeys(ROLES, "200"),
    "GET /api/catalog": _row(f"200 {SHOWN}", no_type=f"200 {HIDDEN}", no_pii=f"200 {HIDDEN}"),
    "GET /api/quota": _row("200"),
    # A type that is not theirs is as unknown to them as one that is not there.
    "POST /api/{export_type}/export": _row("202", no_type="404", no_pii="403"),
    "GET /api/{export_type}/export/stream": _row("200", no_type="404", no_pii="403"),
    "POST /api/{export_type}/export/stream": _row("200", no_type="404", no_pii="403"),
    "GET /api/exports": _row(f"200 {HIDDEN}", ann=f"200 {SHOWN}"),
    "GET /api/exports/{export_id}": _row("404", ann="200", admins="200"),
    "GET /api/exports/{export_id}/events": _file("200"),
    "GET /api/exports/{export_id}/manifest": _file("200"),
    "GET /api/exports/{export_id}/download": _file("307"),
    "HEAD /api/exports/{export_id}/download": _file("200"),
    "DELETE /api/exports/{export_id}": _row("404", ann="200", admins="200"),
    "GET /api/admin/exports": _admin_all("200"),
    "GET /api/admin/queue": _admin_all("200"),
    "POST /api/admin/exports/{export_id}/cancel": _admin_one("200"),
    "POST /api/admin/exports/{export_id}/revoke": _admin_one("200"),
    "GET /api/admin/dead-letters": _admin_all("200"),
    "GET /api/admin/dead-letters/{export_id}": _admin_one("200"),
    "POST /api/admin/dead-letters/{export_id}/replay": _admin_one("202"),
    "POST /api/admin/dead-letters/replay": _admin_all("202"),
    "GET /api/admin/notifications": _admin_all("200"),
    "POST /api/admin/notifications/replay": _admin_all("202"),
    "GET /api/audit": _admin_all("200"),
    "GET /metrics": _admin_all("200"),
    "POST /api/portal-links": _row("403", back_end="201"),
}

# Who asks at the pages; they ask at the same door, so those that it tells apart are enough.
_VISITORS = ("nobody", *_OWNER, "colleague", "stranger", *_ADMINS, "other admin", "half admin")
_SIGN_IN = "303 to /signin"


def _page(otherwise: str, **groups: str) -> dict[str, str]:
    row = _row(otherwise, **groups) | {"nobody": _SIGN_IN}
    return {role: row[role] for role in _VISITORS}


def _anybodys(answer: str) -> dict[str, str]:
    return dict.fromkeys(("nobody", "owner"), answer)


def _own(answer: str) -> dict[str, str]:
    return _page("404", ann=answer, admins=answer)


_TO_EXPORT: Final = "303 to /exports/{export_id}"

PAGES: Final[dict[str, dict[str, str]]] = {
    # route of the pages: role: status, where it leads, and for pages that show data whether the
    # export is on them (on the form, the personal column)
    "GET /": _anybodys("303 to /exports"),
    "GET /assets/{name}": _anybodys("200"),
    "GET /elements/waybill-export.js": _anybodys("200"),
    "GET /signin": _anybodys("200"),
    # Where no OpenID provider is set; with one, integration/web/test_openid.py asks.
    "GET /signin/oidc": _anybodys("404"),
    "GET /signin/callback": _anybodys("404"),
    "GET /portal/{secret}": _anybodys("200"),
    # A link that never was: whoever comes with it.
    "POST /portal": _anybodys("410"),
    "POST /signout": _anybodys("303 to /signin"),
    "GET /new": _page("200 with", no_type="200 without", no_pii="200 without"),
    "GET /new/{export_type}": _page("200 with", no_type="404", no_pii="200 without"),
    "POST /new/{export_type}": _page("303 to /exports/NEW", no_type="404", no_pii="403"),
    "GET /exports": _page("200 without", ann="200 with"),
    "GET /exports/{export_id}": _own("200 with"),
    "POST /exports/{export_id}/discard": _own(_TO_EXPORT),
    "POST /exports/{export_id}/repeat": _own("303 to /exports/NEW")
    | {"no type": "404", "no pii": "403", "admin, no pii": "403"},
    "GET /operate": _page("403", admins="200 with", other_admin="200 without"),
    "POST /operate/replay": _page("403", admins=_TO_EXPORT, other_admin="404"),
    "POST /operate/notifications/replay": _page(
        "403", admins="303 to /operate", other_admin="303 to /operate"
    ),
    "GET /operate/audit": _page("403", admins="200 with", other_admin="200 without"),
}


def as_markdown() -> str:
    """Return the matrix as the guide has it, from ``BEGIN`` to ``END``."""
    lines = [BEGIN, "<!-- Written by tests/attacks/rights/matrix.py; edits are lost. -->", ""]
    lines += [f"- **{name}**: {what}" for name, (what, _) in ROLES.items()]
    lines += ["", "| | " + " | ".join(ROLES) + " |", "|---|" + "---|" * len(ROLES)]
    for operation, row in MATRIX.items():
        lines.append(f"| `{operation}` | " + " | ".join(row[role] for role in ROLES) + " |")
    return "\n".join([*lines, "", END])


def _write() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    GUIDE.write_text(before + as_markdown() + after, encoding="utf-8")


if __name__ == "__main__":
    _write()
