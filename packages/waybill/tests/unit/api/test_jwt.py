"""Tokens made with real keys, and everything that is wrong with the others."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.requests import Request

from waybill.api.jwt import (
    MAX_TOKEN_CHARACTERS,
    JwtAuthenticator,
    JwtRules,
    SharedSecrets,
)
from waybill.api.jwt_claims import ClaimNames
from waybill.errors import AuthenticationRequired, ConfigurationError
from waybill.principal import Principal

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
SECRET = "a secret of more than thirty-two bytes"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {"RS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


class FixedClock:
    def now(self) -> datetime:
        return NOW


class PublishedKeys:
    """A key source with one key per algorithm, as an issuer would publish them."""

    algorithms = frozenset(PRIVATE)

    async def keys_for(self, algorithm: str, key_id: str | None) -> Sequence[Any]:
        return [PRIVATE[algorithm].public_key()] if key_id in (None, "current") else []


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that hold; ``None`` takes one away."""
    good = {
        "sub": "user-1",
        "exp": EPOCH + 60,
        "iat": EPOCH,
        "iss": "https://issuer.example",
        "aud": "waybill",
        "scope": "exports:request exports:read",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def by_secret(**rules: Any) -> JwtAuthenticator:
    chosen: dict[str, Any] = {
        "algorithms": frozenset({"HS256"}),
        "issuer": "https://issuer.example",
        "audiences": frozenset({"waybill"}),
    } | rules
    return JwtAuthenticator(
        SharedSecrets(SecretStr(SECRET)), JwtRules(**chosen), clock=FixedClock()
    )


def by_keys(*algorithms: str, **rules: Any) -> JwtAuthenticator:
    chosen = JwtRules(
        frozenset(algorithms or ("RS256",)), audiences=frozenset({"waybill"}), **rules
    )
    return JwtAuthenticator(PublishedKeys(), chosen, clock=FixedClock())


def signed(
    payload: dict[str, Any],
    *,
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
) -> str:
    return pyjwt.encode(payload, key, algorithm=algorithm, headers=headers)


def segment(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def refused(authenticator: JwtAuthenticator, token: str) -> str:
    with pytest.raises(AuthenticationRequired) as caught:
        await authenticator.verify(token)
    return caught.value.reason


# -- tokens that hold ----------------------------------------------------------------------------


async def test_a_token_by_the_secret_becomes_a_principal() -> None:
    principal = await by_secret().authenticate(Request({"type": "http"}), signed(claims()))
    assert principal == Principal(
        "user-1",
        scopes=frozenset({"exports:request", "exports:read"}),
        # Until when it would be accepted: its own time and the leeway.
        expires_at=datetime.fromtimestamp(claims()["exp"], UTC) + timedelta(seconds=30),
    )


async def test_when_the_person_signed_in_is_kept() -> None:
    token = signed(claims(auth_time=EPOCH - 600))
    principal = await by_secret().authenticate(Request({"type": "http"}), token)
    assert principal.authenticated_at == NOW - timedelta(seconds=600)


@pytest.mark.parametrize("twice", ["sub", "org", "scope"])
async def test_a_token_that_says_something_twice_is_refused(twice: str) -> None:
    document = json.dumps(claims(org="acme", scope="exports:read"))
    payload = document[:-1] + f', "{twice}": "other"}}'
    token = pyjwt.PyJWS().encode(payload.encode(), SECRET, "HS256")
    assert await refused(by_secret(), token) == "the token's payload names something twice"


async def test_no_token_is_refused() -> None:
    with pytest.raises(AuthenticationRequired, match="a bearer token is required"):
        await by_secret().authenticate(Request({"type": "http"}), None)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_by_a_published_key_is_accepted(algorithm: str) -> None:
    token = signed(claims(), key=PRIVATE[algorithm], algorithm=algorithm)
    identity = await by_keys(algorithm).verify(token)
    assert identity.subject == "user-1"
    assert identity.expires_at == NOW + timedelta(seconds=60)


async def test_while_a_secret_is_replaced_both_are_accepted() -> None:
    old, new = SECRET, "another secret of thirty-two bytes and more"
    authenticator = JwtAuthenticator(
        SharedSecrets(SecretStr(new), SecretStr(old)),
        JwtRules(frozenset({"HS256"})),
        clock=FixedClock(),
    )
    for key in (old, new):
        assert await authenticator.verify(signed(claims(aud=None), key=key))


async def test_a_token_without_scopes_may_do_nothing() -> None:
    token = signed(claims(scope=None))
    principal = await by_secret().authenticate(Request({"type": "http"}), token)
    assert principal.scopes == frozenset()


# -- forged tokens -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "nOnE", "", "HS512", "hs256", 1, None, []]
)
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_another_algorithm_than_the_configured_is_refused(name: Any, signature: str) -> None:
    token = f"{segment({'alg': name, 'typ': 'JWT'})}.{segment(claims())}.{signature}"
    for authenticator in (by_secret(), by_keys()):
        assert "algorithm is not accepted" in await refused(authenticator, token)


async def test_a_token_without_algorithm_is_refused() -> None:
    token = f"{segment({'typ': 'JWT'})}.{segment(claims())}.AAAA"
    assert "algorithm is not accepted" in await refused(by_secret(), token)


async def test_a_public_key_used_as_a_secret_is_refused() -> None:
    pem = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(claims())}"
    hmac = pyjwt.algorithms.HMACAlgorithm(pyjwt.algorithms.HMACAlgorithm.SHA256)
    token = f"{head}.{segment(hmac.sign(head.encode(), pem))}"
    assert (await refused(by_keys(), token)).endswith("not accepted; sign it with RS256")


async def test_a_key_does_not_serve_another_algorithm() -> None:
    token = signed(claims(), key=EC_KEY, algorithm="ES256")
    forged = f"{segment({'alg': 'RS256', 'typ': 'JWT'})}.{token.split('.', 1)[1]}"
    assert "signature does not verify" in await refused(by_keys("RS256", "ES256"), forged)


@pytest.mark.parametrize(
    ("token", "authenticator"),
    [
        (signed(claims(), key="not the secret, but long enough to be"), by_secret),
        (signed(claims(), key=OTHER_RSA_KEY, algorithm="RS256"), by_keys),
    ],
)
async def test_a_token_by_another_key_is_refused(
    token: str, authenticator: Callable[[], JwtAuthenticator]
) -> None:
    assert "signature does not verify" in await refused(authenticator(), token)


async def test_a_changed_payload_is_refused() -> None:
    header, _, signature = signed(claims()).split(".")
    forged = f"{header}.{segment(claims(scope='exports:admin'))}.{signature}"
    assert "signature does not verify" in await refused(by_secret(), forged)


async def test_an_unknown_key_id_is_refused() -> None:
    for key_id in ("retired", "../../etc/passwd", "' OR 1=1 --", ""):
        token = signed(claims(), key=RSA_KEY, algorithm="RS256", headers={"kid": key_id})
        assert "key is not known here" in await refused(by_keys(), token)


@pytest.mark.parametrize("key_id", [1, ["current"], {"x": 1}, "k" * 257, True])
async def test_a_key_id_of_the_wrong_form_is_refused(key_id: Any) -> None:
    token = f"{segment({'alg': 'RS256', 'kid': key_id})}.{segment(claims())}.AAAA"
    assert "'kid' is not a short text" in await refused(by_keys(), token)


async def test_keys_that_the_token_brings_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_connection(*_args: Any, **_options: Any) -> None:
        raise AssertionError("an address from the token was opened")

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", no_connection)
    monkeypatch.setattr("socket.getaddrinfo", no_connection)
    own_key = json.loads(pyjwt.algorithms.RSAAlgorithm.to_jwk(OTHER_RSA_KEY.public_key()))
    for brought in (
        {"jwk": own_key},
        {"jku": "http://127.0.0.1:9/keys"},
        {"x5u": "http://127.0.0.1:9/certificate"},
        {"x5c": ["MIIB"]},
    ):
        token = signed(claims(), key=OTHER_RSA_KEY, algorithm="RS256", headers=brought)
        assert "signature does not verify" in await refused(by_keys(), token)


async def test_an_extension_that_must_be_understood_is_refused() -> None:
    headers: list[dict[str, Any]] = [
        {"crit": ["b64"], "b64": False},
        {"crit": ["exp"]},
        {"crit": []},
    ]
    for header in headers:
        token = f"{segment({'alg': 'HS256', **header})}.{segment(claims())}.AAAA"
        assert "extensions that are unknown" in await refused(by_secret(), token)


# -- claims that do not hold ---------------------------------------------------------------------


async def test_expiry_forgives_the_leeway_and_no_more() -> None:
    assert await by_secret(leeway_seconds=30.0).verify(signed(claims(exp=EPOCH - 29)))
    token = signed(claims(exp=EPOCH - 30))
    assert "has expired" in await refused(by_secret(leeway_seconds=30.0), token)
    assert "has expired" in await refused(by_secret(leeway_seconds=0.0), signed(claims(exp=EPOCH)))


@pytest.mark.parametrize("name", ["nbf", "iat"])
async def test_a_token_from_the_future_is_refused_beyond_the_leeway(name: str) -> None:
    assert await by_secret(leeway_seconds=30.0).verify(signed(claims(**{name: EPOCH + 30})))
    reason = await refused(by_secret(leeway_seconds=30.0), signed(claims(**{name: EPOCH + 31})))
    assert f"'{name}' lies in the future" in reason


@pytest.mark.parametrize(
    "number",
    ["1e400", "NaN", "-Infinity", '"1800000000"', "true", "[1]", "1" + "0" * 400, "1e12"],
)
@pytest.mark.parametrize("name", ["exp", "nbf", "iat", "auth_time"])
async def test_a_time_that_is_none_is_refused(name: str, number: str) -> None:
    kept = {key: value for key, value in claims().items() if key != name}
    payload = f'{json.dumps(kept)[:-1]}, "{name}": {number}}}'.encode()
    assert f"'{name}' is not a number of seconds" in await refused(by_secret(), sign_raw(payload))


def sign_raw(payload: bytes) -> str:
    return pyjwt.PyJWS().encode(payload, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "has no claim 'exp'"),
        ({"iss": None}, "another issuer"),
        ({"iss": "https://issuer.example/"}, "another issuer"),
        ({"iss": ["https://issuer.example"]}, "another issuer"),
        ({"aud": None}, "another audience"),
        ({"aud": "Waybill"}, "another audience"),
        ({"aud": []}, "another audience"),
        ({"aud": [["waybill"], {"waybill": 1}, 1]}, "another audience"),
        ({"aud": {"waybill": True}}, "another audience"),
        ({"sub": None}, "has no claim 'sub'"),
    ],
)
async def test_a_claim_that_does_not_hold_is_named(changes: dict[str, Any], reason: str) -> None:
    # PyJWT checks some types when it signs; the raw form does not.
    assert reason in await refused(by_secret(), sign_raw(json.dumps(claims(**changes)).encode()))


async def test_one_of_several_audiences_is_enough() -> None:
    assert await by_secret().verify(signed(claims(aud=["other", "waybill"])))


async def test_a_token_for_an_audience_is_for_nobody_who_has_none() -> None:
    authenticator = by_secret(audiences=frozenset(), issuer=None)
    assert "another audience" in await refused(authenticator, signed(claims()))
    assert await authenticator.verify(signed(claims(aud=None, iss=None)))


async def test_an_id_token_is_refused_where_access_tokens_are_demanded() -> None:
    authenticator = by_secret(token_type="at+jwt")
    for name in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert await authenticator.verify(signed(claims(), headers={"typ": name}))
    assert "not of the type 'at+jwt'" in await refused(authenticator, signed(claims()))
    untyped = signed(claims(), headers={"typ": ""})
    assert "not of the type" in await refused(authenticator, untyped)


# -- malformed tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "Bearer x",
        "é.é.é",
        "a.b.c\n",
        "e30=.e30=.e30=",
        "\ud800.a.b",
        "e30.e30.",
        "e30.e30.e30",
        f"{segment(b'[]')}.e30.e30",
        f"{segment(b'nul')}.e30.e30",
        f"{segment(bytes([0xFF, 0xFE]))}.e30.e30",
        f"{segment(b'[' * 4000)}.e30.e30",
        segment(b'{"alg":' + b"1" * 4400 + b"}") + ".e30.e30",
        segment(b'{"a":' * 900) + ".e30.e30",
    ],
)
async def test_what_is_not_a_token_is_refused(token: str) -> None:
    for authenticator in (by_secret(), by_keys()):
        await refused(authenticator, token)


@pytest.mark.parametrize("payload", [b"[]", b"nul", b"\xff\xfe", b"[" * 4000, b'"sub"', b""])
async def test_a_signed_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    head = f"{segment({'alg': 'HS256'})}.{segment(payload) or 'A'}"
    hmac = pyjwt.algorithms.HMACAlgorithm(pyjwt.algorithms.HMACAlgorithm.SHA256)
    token = f"{head}.{segment(hmac.sign(head.encode(), SECRET.encode()))}"
    reason = await refused(by_secret(), token)
    assert "payload is not" in reason


async def test_an_over_long_token_is_refused_before_it_is_read() -> None:
    token = signed(claims(padding="x" * MAX_TOKEN_CHARACTERS))
    assert "longer than 8192 characters" in await refused(by_secret(), token)


async def test_another_spelling_of_the_signature_is_refused() -> None:
    head, signature = signed(claims()).rsplit(".", 1)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 32 bytes leave two bits of the last character unused.
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1]
    assert base64.urlsafe_b64decode(twin + "=") == base64.urlsafe_b64decode(signature + "=")
    assert "signature is not base64url" in await refused(by_secret(), f"{head}.{twin}")


async def test_no_reason_and_no_log_line_holds_the_token(
    capsys: pytest.CaptureFixture[str],
) -> None:
    payload = claims(sub="secret-person", exp=1)
    token = signed(payload)
    for presented in (token, token[:-4] + "AAAA", token + "." + token):
        with pytest.raises(AuthenticationRequired) as caught:
            await by_secret().verify(presented)
        written = "".join(capsys.readouterr()) + str(caught.value) + repr(caught.value)
        assert not any(part in written for part in [*token.split("."), "secret-person", SECRET])


segments = st.binary(max_size=60).map(segment) | st.builds(
    lambda value: segment(json.dumps(value).encode()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["alg", "kid", "typ", "crit", "exp", "sub", "aud"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ),
)


@settings(deadline=None)
@given(
    st.text(max_size=200)
    | st.tuples(segments, segments, segments).map(".".join)
    | st.tuples(
        st.sampled_from([segment({"alg": a}) for a in ("HS256", "RS256", "none")]),
        segments,
        segments,
    ).map(".".join)
)
def test_no_random_token_authenticates_or_fails_otherwise(token: str) -> None:
    for authenticator in (by_secret(), by_keys("RS256", "ES256", "EdDSA")):
        with pytest.raises(AuthenticationRequired):
            asyncio.run(authenticator.verify(token))


@settings(deadline=None)
@given(st.data())
def test_no_token_changed_in_one_character_authenticates(data: st.DataObject) -> None:
    token = signed(claims())
    position = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = token[:position] + character + token[position + 1 :]
    if changed != token:
        with pytest.raises(AuthenticationRequired):
            asyncio.run(by_secret().verify(changed))


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["sub", "exp", "nbf", "iat", "iss", "aud", "scope", "tid", "roles", "email"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_signed_nonsense_is_read_or_refused_and_nothing_else(changes: dict[str, Any]) -> None:
    names = ClaimNames(tenant="tid", roles="roles")
    token = sign_raw(json.dumps({**claims(), **changes}).encode())
    try:
        identity = asyncio.run(by_secret(claims=names).verify(token))
    except AuthenticationRequired:
        return
    assert identity.subject.isprintable()
    assert identity.expires_at > NOW - timedelta(seconds=31)


# -- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (SharedSecrets, "32 bytes"),
        (lambda: SharedSecrets(SecretStr("short")), "32 bytes"),
        (lambda: SharedSecrets(SecretStr(SECRET), SecretStr("")), "32 bytes"),
        (lambda: SharedSecrets(SecretStr("-----BEGIN PUBLIC KEY-----\nMIIB" * 2)), "public key"),
        (lambda: by_secret(algorithms=frozenset({"RS256"})), "do not fit"),
        (lambda: by_secret(algorithms=frozenset({"none"})), "do not fit"),
        (lambda: by_secret(algorithms=frozenset()), "do not fit"),
        (lambda: by_keys("HS256"), "do not fit"),
        (lambda: by_secret(leeway_seconds=3600.0), "leeway"),
        (lambda: by_secret(leeway_seconds=-1.0), "leeway"),
        (
            lambda: JwtAuthenticator(PublishedKeys(), JwtRules(frozenset({"RS256"}))),
            "audience is needed",
        ),
    ],
)
def test_an_unsafe_configuration_is_refused_at_start(
    build: Callable[[], object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build()
