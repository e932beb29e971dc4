"""How the application is told who asks: JWTs, the development token, or an embedder's own way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import jwt as pyjwt
import pytest

from waybill.api.app import create_app
from waybill.api.auth import create_authenticator, current_principal
from waybill.api.jwt_settings import load_jwt_settings
from waybill.bootstrap.everything import Services
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.principal import READ, Principal

Execute = Callable[..., list[tuple[Any, ...]]]

SECRET = "a secret that is long enough to sign with"


def token(secret: str = SECRET, **changes: Any) -> str:
    claims = {
        "sub": "ann",
        "aud": "waybill",
        "iss": "https://issuer.test",
        "exp": time.time() + 300,
        "scope": "exports:request exports:read",
        "org": "acme",
    } | changes
    return pyjwt.encode({k: v for k, v in claims.items() if v is not None}, secret, "HS256")


@pytest.fixture
async def api(services: Services, settings: Settings) -> Any:
    """The application as it is set up in production, by settings alone."""
    jwt = load_jwt_settings(
        secrets=SECRET, audiences="waybill", issuer="https://issuer.test", tenant_claim="org"
    )
    authenticator = create_authenticator(
        settings.model_copy(update={"development_token": None}), jwt
    )
    app = create_app(services, authenticator=authenticator)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://waybill.test"
    ) as client:
        yield client


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


async def test_token_opens_what_its_scopes_say(api: httpx.AsyncClient, execute: Execute) -> None:
    assert (await api.get("/api/exports", headers=bearer(token()))).status_code == 200
    refused = await api.get("/api/audit", headers=bearer(token()))
    assert refused.status_code == 403
    assert (
        'error="insufficient_scope", scope="exports:admin"' in refused.headers["www-authenticate"]
    )
    nowhere = bearer(token(sub="boss", scope="exports:admin exports:all-tenants", org=None))
    assert (await api.get("/api/audit", headers=nowhere)).status_code == 401
    admin = bearer(token(sub="boss", scope="exports:admin"))
    events = (await api.get("/api/audit", headers=admin)).json()["items"]
    assert [(e["actor"], e["tenant"], e["code"]) for e in events] == [
        ("ann", "acme", "permission_denied")
    ]


def unsigned() -> str:
    return pyjwt.encode({"sub": "ann", "aud": "waybill", "exp": 2**33}, None, "none")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: token(exp=time.time() - 3600),
        lambda: token(exp=None),
        lambda: token("another secret that is long enough"),
        lambda: token(aud="another-service"),
        lambda: token(iss="https://elsewhere.test"),
        lambda: token(sub=None),
        lambda: token(nbf=time.time() + 3600),
        unsigned,
        lambda: "x" * 100_000,
        lambda: "not.a.token",
    ],
)
async def test_bad_token_is_refused_with_a_reason_and_nothing_of_itself(
    api: httpx.AsyncClient, execute: Execute, bad: Callable[[], str], caplog: Any
) -> None:
    presented = bad()
    response = await api.get(f"/api/exports/{uuid4()}", headers=bearer(presented))
    assert response.status_code == 401
    assert response.json()["code"] == "authentication_required"
    assert response.headers["www-authenticate"] == 'Bearer realm="waybill", error="invalid_token"'
    written = (
        response.text + caplog.text + str(execute("SELECT audit_events::text FROM audit_events"))
    )
    assert all(part not in written for part in presented.split(".") if len(part) > 20)
    assert execute("SELECT actor, outcome FROM audit_events") == [(None, "refused")]


async def test_no_token_is_asked_for_one(api: httpx.AsyncClient) -> None:
    response = await api.get("/api/exports")
    assert response.status_code == 401
    # RFC 6750, 3.1: without credentials, no error code.
    assert response.headers["www-authenticate"] == 'Bearer realm="waybill"'


async def test_keys_that_cannot_be_had_are_our_fault_not_the_callers(
    services: Services, settings: Settings
) -> None:
    jwt = load_jwt_settings(jwks_url="http://127.0.0.1:9/keys", audiences="waybill")
    app = create_app(services, authenticator=jwt.authenticator())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://waybill.test"
    ) as client:
        rs256 = pyjwt.utils.base64url_encode(b'{"alg":"RS256"}').decode()
        response = await client.get("/api/exports", headers=bearer(f"{rs256}.e30.c2ln"))
    assert response.status_code == 503
    assert response.json()["code"] == "authentication_unavailable"
    assert int(response.headers["retry-after"]) > 0


async def test_embedding_application_brings_its_own_dependency(services: Services) -> None:
    app = create_app(services)
    app.dependency_overrides[current_principal] = lambda: Principal(
        "from-a-session", scopes=frozenset({READ})
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://waybill.test"
    ) as client:
        assert (await client.get("/api/exports")).status_code == 200
        assert (await client.get("/api/audit")).status_code == 403


@pytest.mark.parametrize(
    ("jwt", "named"),
    [
        ({"secrets": "short"}, "32 bytes"),
        ({"secrets": SECRET, "algorithms": "RS256"}, "algorithms"),
        ({"jwks_url": "https://issuer.test/keys"}, "audience"),
        ({"jwks_url": "http://issuer.test/keys", "audiences": "waybill"}, "https"),
    ],
)
def test_unsafe_settings_are_refused_at_start(
    settings: Settings, jwt: dict[str, str], named: str
) -> None:
    without = settings.model_copy(update={"development_token": None})
    with pytest.raises(ConfigurationError, match=named):
        create_authenticator(without, load_jwt_settings(**jwt))


def test_development_token_and_jwt_do_not_go_together(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="WAYBILL_DEVELOPMENT_TOKEN"):
        create_authenticator(settings, load_jwt_settings(secrets=SECRET))


def test_nobody_at_all_is_refused_at_start(settings: Settings) -> None:
    without = settings.model_copy(update={"development_token": None})
    with pytest.raises(ConfigurationError, match="Nobody could authenticate"):
        create_authenticator(without, load_jwt_settings())


def test_malformed_settings_name_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_JWT_LEEWAY_SECONDS", "a while")
    with pytest.raises(ConfigurationError, match="WAYBILL_JWT_LEEWAY_SECONDS"):
        load_jwt_settings()
