"""Who somebody is, from the claims of different issuers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from waybill.api.jwt_claims import ClaimNames, TokenIdentity, read_identity
from waybill.errors import AuthenticationRequired

EPOCH = 1_769_860_800.0


def read(names: ClaimNames | None = None, **claims: Any) -> TokenIdentity:
    return read_identity({"sub": "user-1"} | claims, names or ClaimNames(), expires_at=EPOCH)


def refused(names: ClaimNames | None = None, **claims: Any) -> str:
    with pytest.raises(AuthenticationRequired) as caught:
        read(names, **claims)
    return caught.value.reason


def test_the_subject_alone_is_enough_and_may_do_nothing() -> None:
    assert read() == TokenIdentity("user-1", datetime(2026, 1, 31, 12, tzinfo=UTC))


@pytest.mark.parametrize("subject", ["auth0|5f7c", "ada@example.org", "Zoë 李", "u" * 255])
def test_a_subject_as_issuers_make_them_is_kept(subject: str) -> None:
    assert read(sub=subject).subject == subject


@pytest.mark.parametrize(
    "subject",
    ["", "u" * 256, " user", "user\n", "a\u202eb", "a\0b", "a\ud800", 1, True, ["user-1"], {}],
)
def test_a_malformed_subject_is_refused_without_repeating_it(subject: Any) -> None:
    reason = refused(sub=subject)
    assert reason.startswith("the token's claim 'sub' must be a text of 1 to 255")
    assert "user" not in reason


def test_a_missing_subject_is_refused() -> None:
    assert refused(sub=None) == "the token has no claim 'sub'"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": "a  b"}, {"a", "b"}),
        ({"scp": ["a", "b"]}, {"a", "b"}),
        ({"scp": "a b"}, {"a", "b"}),
        ({"permissions": ["a"]}, {"a"}),
        ({"scope": "a", "permissions": ["a", "exports:admin"]}, {"a"}),
        ({"scope": "", "permissions": ["exports:admin"]}, set()),
        ({"scope": None, "permissions": ["a"]}, {"a"}),
    ],
)
def test_scopes_are_read_where_issuers_put_them(claims: dict[str, Any], expected: set[str]) -> None:
    assert read(**claims).scopes == expected


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (1, "must be a list"),
        (True, "must be a list"),
        ({"exports:admin": True}, "must be a list"),
        ([1], "must be a list"),
        ([["exports:admin"]], "must be a list"),
        (["exports:admin exports:read"], "holds something else"),
        ("a" * 256, "holds something else"),
        ('a"b', "holds something else"),
        ("exports:\u0430dmin", "holds something else"),
        ("exports:admin ", "holds something else"),
        (" exports:admin", "holds something else"),
        (["exports:admin "], "holds something else"),
        ("exports:read\texports:admin", "holds something else"),
        ("exports:read\u2003exports:admin", "holds something else"),
        ("exports:read\u00a0exports:admin", "holds something else"),
        (" ".join(f"s{n}" for n in range(257)), "at most 256"),
    ],
)
def test_malformed_scopes_are_refused(scope: Any, reason: str) -> None:
    assert reason in refused(scope=scope)


def test_tenant_and_roles_are_read_under_the_configured_names() -> None:
    names = ClaimNames(tenant="https://example.org/tenant", roles="/realm_access/roles")
    identity = read(
        names,
        **{"https://example.org/tenant": "acme", "realm_access": {"roles": ["staff", "support"]}},
    )
    assert identity.tenant == "acme"
    assert identity.roles == {"staff", "support"}


@pytest.mark.parametrize("tenant", [42, 2**63 - 1, -(2**63) + 1])
def test_a_number_as_tenant_is_read_as_text(tenant: int) -> None:
    assert read(ClaimNames(tenant="tid"), tid=tenant).tenant == str(tenant)


@pytest.mark.parametrize(("said", "read_as"), [(1.0, 1), (0.0, 0), (-0.5, 0), (-1e6, 0)])
def test_a_login_before_there_were_clocks_was_then(said: float, read_as: int) -> None:
    identity = read_identity(
        {"sub": "user-1"}, ClaimNames(), expires_at=EPOCH, authenticated_at=said
    )
    assert identity.authenticated_at == datetime.fromtimestamp(read_as, UTC)


def test_a_single_role_is_one_role() -> None:
    assert read(ClaimNames(roles="role"), role="support staff").roles == {"support staff"}


def test_a_pointer_reads_names_that_hold_slashes() -> None:
    assert read(ClaimNames(tenant="/a~1b/c~0d"), **{"a/b": {"c~d": "acme"}}).tenant == "acme"


def test_what_is_absent_or_not_configured_is_none() -> None:
    names = ClaimNames(roles="/realm_access/roles", email=None)
    identity = read(names, realm_access=None, email="ada@example.org")
    assert (identity.tenant, identity.roles, identity.email) == (None, frozenset(), None)
    assert read(tenant="acme", roles=["staff"]).tenant is None


@pytest.mark.parametrize("claims", [{}, {"organisation": None}, {"organisation": "acme"}])
def test_a_token_without_a_tenant_is_refused_where_tokens_have_one(claims: dict[str, Any]) -> None:
    reason = refused(ClaimNames(tenant="/organisation/id"), **claims)
    assert reason == "the token has no claim '/organisation/id'"


@pytest.mark.parametrize(
    "tenant",
    [
        True, "", "a\nb", ["acme"], ["acme", "globex"], {"id": "acme"}, 1.5, 10**30, 2**63,
        " acme", "acme ", "acme\u00a0", "ac\u200bme", "acme\0", "e\u0301cole", "\ufb01rm\u00ad",
    ],
)  # fmt: skip
def test_a_malformed_tenant_is_refused_rather_than_left_out(tenant: Any) -> None:
    assert "'tid' must be a text" in refused(ClaimNames(tenant="tid"), tid=tenant)


@pytest.mark.parametrize("roles", [1, {"staff": True}, [1], ["a\nb"], [""], ["r"] * 257])
def test_malformed_roles_are_refused(roles: Any) -> None:
    assert "'roles'" in refused(ClaimNames(roles="roles"), roles=roles)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"email": "ada@example.org"}, "ada@example.org"),
        ({"email": "ada@example.org", "email_verified": True}, "ada@example.org"),
        ({"email": "ada@example.org", "email_verified": False}, None),
        ({"email": "ada@example.org", "email_verified": "false"}, None),
        ({"email": "ada@example.org\r\nBcc: eve@example.org"}, None),
        ({"email": "ada@example.org, eve@example.org"}, None),
        ({"email": "ada\ud800@example.org"}, None),
        ({"email": "Ada <ada@example.org>"}, None),
        ({"email": "ada"}, None),
        ({"email": ["ada@example.org"]}, None),
    ],
)
def test_only_a_plain_and_not_unverified_address_counts(
    claims: dict[str, Any], expected: str | None
) -> None:
    identity = read(**claims)
    assert identity.email == expected
    assert "example.org" not in repr(identity)
