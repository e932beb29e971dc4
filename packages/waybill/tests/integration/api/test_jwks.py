"""Keys from a real JWKS server on the loopback address: rotation, outages, hostile documents."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from waybill.api.fetching import MAX_DOCUMENT_BYTES
from waybill.api.jwks import MAX_KEYS, KeysUnavailable, RemoteKeySet
from waybill.api.jwt import JwtAuthenticator, JwtRules
from waybill.errors import AuthenticationRequired, ConfigurationError

KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
OLD, NEW = KEYS


class Issuer:
    """Serves one document and counts the requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.drips = False
        self.arrived = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                issuer.arrived.set()
                issuer.may_answer.wait(10)
                try:
                    self.send_response(issuer.status)
                    for name, value in issuer.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self._write_body()
                except OSError:
                    pass  # the client hung up, which is what some tests are about

            def _write_body(self) -> None:
                self.wfile.write(issuer.body)
                while issuer.drips:
                    self.wfile.write(b" ")
                    self.wfile.flush()

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def publish(self, *entries: Any) -> None:
        self.body = json.dumps({"keys": list(entries)}).encode()

    def close(self) -> None:
        self.drips = False
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Stopwatch:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def authenticator(issuer: Issuer, stopwatch: Stopwatch) -> JwtAuthenticator:
    keys = RemoteKeySet(
        issuer.url,
        lifetime_seconds=600,
        stale_seconds=3600,
        refetch_seconds=10,
        timeout_seconds=2,
        monotonic=stopwatch,
    )
    return JwtAuthenticator(keys, JwtRules(keys.algorithms, audiences=frozenset({"waybill"})))


def jwk(key: Any, key_id: str | None, **changes: Any) -> dict[str, Any]:
    public = key.public_key()
    if isinstance(key, rsa.RSAPrivateKey):
        entry = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        entry = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        entry = OKPAlgorithm.to_jwk(public, as_dict=True)
    entry.pop("key_ops", None)
    entry |= {"use": "sig"} | ({} if key_id is None else {"kid": key_id}) | changes
    return dict(entry)


def token(key: Any, key_id: str | None, algorithm: str = "RS256", **headers: Any) -> str:
    claims = {"sub": "user-1", "aud": "waybill", "exp": datetime.now(UTC).timestamp() + 300}
    if key_id is not None:
        headers["kid"] = key_id
    return pyjwt.encode(claims, key, algorithm=algorithm, headers=headers)


async def accepted(authenticator: JwtAuthenticator, presented: str) -> bool:
    return (await authenticator.verify(presented)).subject == "user-1"


async def test_a_document_is_fetched_once_for_many_tokens(
    issuer: Issuer, authenticator: JwtAuthenticator
) -> None:
    issuer.publish(jwk(OLD, "old"))
    answers = await asyncio.gather(*(accepted(authenticator, token(OLD, "old")) for _ in range(20)))
    assert all(answers)
    assert issuer.requests == 1


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
)
async def test_keys_of_other_kinds_are_read(
    issuer: Issuer, authenticator: JwtAuthenticator, key: Any, algorithm: str
) -> None:
    issuer.publish(jwk(OLD, "key"), jwk(key, "key"))
    assert await accepted(authenticator, token(key, "key", algorithm))
    assert await accepted(authenticator, token(OLD, "key"))


async def test_a_new_key_is_accepted_as_soon_as_it_is_published(
    issuer: Issuer, authenticator: JwtAuthenticator, stopwatch: Stopwatch
) -> None:
    issuer.publish(jwk(OLD, "old"))
    assert await accepted(authenticator, token(OLD, "old"))
    issuer.publish(jwk(OLD, "old"), jwk(NEW, "new"))
    stopwatch.now += 10
    assert await accepted(authenticator, token(NEW, "new"))
    assert issuer.requests == 2


async def test_a_withdrawn_key_is_refused_after_the_lifetime(
    issuer: Issuer, authenticator: JwtAuthenticator, stopwatch: Stopwatch
) -> None:
    issuer.publish(jwk(OLD, "old"))
    assert await accepted(authenticator, token(OLD, "old"))
    issuer.publish()
    stopwatch.now += 601
    with pytest.raises(AuthenticationRequired, match="key is not known here"):
        await authenticator.verify(token(OLD, "old"))


async def test_unknown_keys_do_not_make_a_flood_of_fetches(
    issuer: Issuer, authenticator: JwtAuthenticator, stopwatch: Stopwatch
) -> None:
    issuer.publish(jwk(OLD, "old"))
    assert await accepted(authenticator, token(OLD, "old"))
    forged = token(NEW, "x").split(".", 1)[1]
    for _ in range(3):
        stopwatch.now += 10
        before = issuer.requests
        heads = [
            pyjwt.utils.base64url_encode(json.dumps({"alg": "RS256", "kid": f"k{n}"}).encode())
            for n in range(100)
        ]
        results = await asyncio.gather(
            *(authenticator.verify(f"{head.decode()}.{forged}") for head in heads),
            return_exceptions=True,
        )
        assert all(isinstance(result, AuthenticationRequired) for result in results)
        assert issuer.requests == before + 1


async def test_a_key_at_hand_does_not_wait_for_a_fetch(
    issuer: Issuer, authenticator: JwtAuthenticator, stopwatch: Stopwatch
) -> None:
    issuer.publish(jwk(OLD, "old"))
    assert await accepted(authenticator, token(OLD, "old"))
    for age in (10, 601):  # a key nobody knows; a document that is due
        stopwatch.now += age
        issuer.arrived.clear()
        issuer.may_answer.clear()
        waiting = asyncio.create_task(authenticator.verify(token(NEW, "new")))
        await asyncio.to_thread(issuer.arrived.wait, 10)
        assert await accepted(authenticator, token(OLD, "old"))
        assert not waiting.done()
        issuer.may_answer.set()
        with pytest.raises(AuthenticationRequired):
            await waiting


async def test_keys_outlive_an_outage_of_an_hour_and_no_longer(
    issuer: Issuer, authenticator: JwtAuthenticator, stopwatch: Stopwatch
) -> None:
    issuer.publish(jwk(OLD, "old"))
    assert await accepted(authenticator, token(OLD, "old"))
    issuer.status = 503
    stopwatch.now += 601
    assert await accepted(authenticator, token(OLD, "old"))
    stopwatch.now += 3598
    assert await accepted(authenticator, token(OLD, "old"))
    stopwatch.now += 2
    with pytest.raises(KeysUnavailable, match="try again shortly"):
        await authenticator.verify(token(OLD, "old"))
    issuer.status = 200
    stopwatch.now += 10
    assert await accepted(authenticator, token(OLD, "old"))


async def test_an_issuer_that_is_not_there_is_asked_again_later(stopwatch: Stopwatch) -> None:
    gone = Issuer()
    gone.close()
    keys = RemoteKeySet(gone.url, monotonic=stopwatch)
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            await keys.keys_for("RS256", "old")
        stopwatch.now += 10


@pytest.mark.parametrize(
    ("status", "body", "is_wrong"),
    [
        (503, b"", False),
        (429, b"", False),
        (408, b"", False),
        (404, b"", True),
        (302, b"", True),
        (200, b"<html>", True),
        (200, b'{"keys": {}}', True),
        (200, json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode(), True),
    ],
)
async def test_an_answer_that_may_pass_is_told_from_one_that_will_not(
    issuer: Issuer, status: int, body: bytes, is_wrong: bool
) -> None:
    issuer.status, issuer.body = status, body
    keys = RemoteKeySet(issuer.url)
    with pytest.raises(KeysUnavailable):
        await keys.count_usable()
    assert bool(keys.refused_because) is is_wrong


def _redirect(issuer: Issuer) -> None:
    issuer.status, issuer.headers = 302, {"Location": "/keys"}


def _compressed(issuer: Issuer) -> None:
    issuer.headers = {"Content-Encoding": "gzip"}
    issuer.body = gzip.compress(issuer.body)


def _body(body: bytes) -> Callable[[Issuer], None]:
    def change(issuer: Issuer) -> None:
        issuer.body = body

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        _redirect,
        _compressed,
        _body(b""),
        _body(b"<html>"),
        _body(b"[]"),
        _body(b'"keys"'),
        _body(b'{"keys": {}}'),
        _body(b'{"keys": null}'),
        _body(b"[" * 100_000),
        _body(b"\xff\xfe"),
        _body(b'{"keys": [' + b"{}," * MAX_KEYS + b"{}]}"),
        _body(b'{"keys": []}' + b" " * MAX_DOCUMENT_BYTES),
    ],
)
async def test_what_is_not_a_key_set_replaces_nothing(
    issuer: Issuer,
    authenticator: JwtAuthenticator,
    stopwatch: Stopwatch,
    spoil: Callable[[Issuer], None],
) -> None:
    issuer.publish(jwk(OLD, "old"))
    assert await accepted(authenticator, token(OLD, "old"))
    spoil(issuer)
    stopwatch.now += 601
    assert await accepted(authenticator, token(OLD, "old"))
    assert issuer.requests == 2
    stopwatch.now += 3600
    with pytest.raises(KeysUnavailable):
        await authenticator.verify(token(OLD, "old"))


@pytest.mark.parametrize("drips", [False, True])
async def test_an_issuer_that_never_finishes_is_given_up(
    issuer: Issuer, stopwatch: Stopwatch, drips: bool
) -> None:
    issuer.publish(jwk(OLD, "old"))
    if drips:
        issuer.drips = True
    else:
        issuer.may_answer.clear()
    keys = RemoteKeySet(issuer.url, timeout_seconds=0.3, monotonic=stopwatch)
    with pytest.raises(KeysUnavailable):
        await asyncio.wait_for(keys.keys_for("RS256", "old"), 30)


small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
other_curve = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("entry", "presented"),
    [
        (jwk(OLD, "key", use="enc"), token(OLD, "key")),
        (jwk(OLD, "key", key_ops=["encrypt"]), token(OLD, "key")),
        (jwk(OLD, "key", key_ops="verify"), token(OLD, "key")),
        (jwk(OLD, "key", alg="RS512"), token(OLD, "key")),
        (jwk(OLD, "key", kty="EC"), token(OLD, "key")),
        (jwk(OLD, "key", kty=["RSA"]), token(OLD, "key")),
        (jwk(OLD, "key", n=1), token(OLD, "key")),
        (jwk(OLD, "key", n="!"), token(OLD, "key")),
        (jwk(OLD, "key", kid=["key"]), token(OLD, "key")),
        (
            RSAAlgorithm.to_jwk(OLD, as_dict=True) | {"kid": "key", "key_ops": ["verify"]},
            token(OLD, "key"),
        ),
        (jwk(small, "key"), token(small, "key")),
        (jwk(other_curve, "key"), token(OLD, "key")),
        (jwk(other_curve, "key", crv="P-256"), token(OLD, "key")),
        ({"kty": "oct", "k": "c2VjcmV0", "kid": "key", "alg": "RS256"}, token(OLD, "key")),
        ("key", token(OLD, "key")),
        (None, token(OLD, "key")),
    ],
)
async def test_a_key_that_is_not_meant_for_this_is_left_out(
    issuer: Issuer, authenticator: JwtAuthenticator, entry: Any, presented: str
) -> None:
    issuer.publish(entry, jwk(NEW, "good"))
    assert await accepted(authenticator, token(NEW, "good"))
    with pytest.raises(AuthenticationRequired, match="key is not known here"):
        await authenticator.verify(presented)


async def test_without_a_key_id_the_only_key_counts(
    issuer: Issuer, authenticator: JwtAuthenticator, stopwatch: Stopwatch
) -> None:
    issuer.publish(jwk(OLD, None))
    assert await accepted(authenticator, token(OLD, None))
    issuer.publish(jwk(OLD, "old"), jwk(NEW, "new"))
    stopwatch.now += 601
    with pytest.raises(AuthenticationRequired, match="key is not known here"):
        await authenticator.verify(token(OLD, None))


async def test_an_address_in_the_token_is_not_opened(
    issuer: Issuer, authenticator: JwtAuthenticator
) -> None:
    issuer.publish(jwk(OLD, "old"))
    attacker = Issuer()
    try:
        attacker.publish(jwk(NEW, "old"), jwk(NEW, "new"))
        for key_id in ("old", "new", attacker.url):
            forged = token(NEW, key_id, jku=attacker.url, x5u=attacker.url, jwk=jwk(NEW, key_id))
            with pytest.raises(AuthenticationRequired):
                await authenticator.verify(forged)
        assert attacker.requests == 0
    finally:
        attacker.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/keys",
        "http://127.0.0.1.issuer.example/keys",
        "http://localhost.issuer.example/keys",
        "http://169.254.169.254/keys",
        "https://name:password@issuer.example/keys",
        "ftp://issuer.example/keys",
        "file:///etc/passwd",
        "https://",
        "/keys",
        "",
        "https://[::1",
    ],
)
def test_an_unsafe_address_is_refused_at_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="https://"):
        RemoteKeySet(url)


@pytest.mark.parametrize(
    "url", ["https://issuer.example/keys", "http://[::1]:8000/keys", "http://localhost/keys"]
)
def test_https_and_loopback_addresses_are_accepted(url: str) -> None:
    assert RemoteKeySet(url).algorithms == {"RS256", "ES256", "EdDSA"}
