"""Signing in at an OpenID provider: who gets in, and what becomes of every answer that is not what
was asked for."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from waybill.api.app import create_app
from waybill.api.auth import PagesAlone
from waybill.api.jwt_settings import JwtSettings
from waybill.api.oidc_provider import LIFETIME_SECONDS, STALE_SECONDS, Attempt, Provider
from waybill.api.oidc_settings import OidcSettings, load_oidc_settings
from waybill.api.sign_in_failures import ProviderUnavailable, SignInFailed
from waybill.bootstrap.everything import Services
from waybill.errors import ConfigurationError
from waybill.web import oidc, sign_in_attempt
from waybill.web.pages import install
from waybill.web.texts import LANGUAGES

from .conftest import ORIGIN, Browser
from .openid import CLIENT, SECRET, Claims, OpenidProvider
from .test_pages import Parsed

Execute = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def provider() -> Iterator[OpenidProvider]:
    provider = OpenidProvider()
    yield provider
    provider.close()


def settings_of(provider: OpenidProvider, **changes: Any) -> OidcSettings:
    given = {"issuer": provider.issuer, "client_id": CLIENT, "client_secret": SECRET, **changes}
    return OidcSettings(_env_file=None, **given)  # type: ignore[call-arg]


@pytest.fixture
def app(services: Services, provider: OpenidProvider, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WAYBILL_OIDC_ISSUER", provider.issuer)
    monkeypatch.setenv("WAYBILL_OIDC_CLIENT_ID", CLIENT)
    monkeypatch.setenv("WAYBILL_OIDC_CLIENT_SECRET", SECRET)
    app = create_app(services)
    install(app)
    return app


def configure(app: Any, provider: OpenidProvider, **changes: Any) -> None:
    """Let the pages know the provider anew."""
    jwt = changes.pop("jwt", JwtSettings(_env_file=None))
    app.state.provider = Provider(settings_of(provider, **changes), jwt)


async def at_provider(url: str) -> str:
    """Do what the browser does at the provider; return where it leads back to."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(url)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def come_back(browser: Browser, start: str = "/signin/oidc") -> httpx.Response:
    """Sign in, and return the answer that the browser gets when it is back."""
    leaving = await browser.get(start)
    if leaving.status_code != 303:
        return leaving
    back = await at_provider(leaving.headers["location"])
    assert back.startswith(f"{ORIGIN}/signin/callback?")
    return await browser.get(back)


def kept(browser: Browser) -> list[str]:
    return [name for name in browser.http.cookies if "signin" in name]


async def test_person_signs_in_and_is_led_to_the_page_that_was_wanted(
    app: Any, browser: Browser, provider: OpenidProvider, execute: Execute
) -> None:
    provider.person = {"sub": "ann", "email": "ann@acme.example", "scope": "exports:admin"}
    wanted = await browser.get("/exports?status=failed")
    page = await browser.get(wanted.headers["location"])
    assert "Sign in with 127.0.0.1" in page.text
    Parsed(page.text).require_harmless()
    start = f"/signin/oidc?{urlsplit(wanted.headers['location']).query}"
    assert start.replace("&", "&amp;") in page.text
    answer = await come_back(browser, start)
    assert (answer.status_code, answer.headers["location"]) == (303, "/exports?status=failed")
    assert (await browser.get("/exports")).status_code == 200
    # What the token says of scopes counts only where a setting names the claim.
    assert (await browser.get("/operate")).status_code == 403
    assert execute("SELECT person ->> 'subject', person ->> 'email' FROM page_sessions") == [
        ("ann", "ann@acme.example")
    ]
    assert kept(browser) == []
    assert execute("SELECT actor, action, code FROM audit_events WHERE action = 'signed_in'") == [
        ("ann", "signed_in", "oidc")
    ]
    out = await browser.post("/signout")
    page = await browser.get(out.headers["location"])
    assert f"{provider.issuer}/logout?client_id={CLIENT}" in page.text
    assert (await browser.get("/api/exports")).status_code == 401


async def test_answer_opens_one_session_however_often_it_comes(
    app: Any, browser: Browser, provider: OpenidProvider, execute: Execute
) -> None:
    # A provider that takes a code as often as it comes: one that does not is no defence of ours.
    provider.forgets_codes = False
    back = await at_provider((await browser.get("/signin/oidc")).headers["location"])
    cookies = dict(browser.http.cookies)
    answers = await asyncio.gather(
        *(
            browser.http.get(
                back, headers={"cookie": "; ".join(f"{n}={v}" for n, v in cookies.items())}
            )
            for _ in range(4)
        )
    )
    assert sorted(each.status_code for each in answers) == [303, 410, 410, 410]
    assert execute("SELECT count(*) FROM page_sessions") == [(1,)]
    # The back button: the browser has nothing left to show for it.
    browser.http.cookies.clear()
    page = await browser.get(back)
    assert page.status_code == 410
    assert "was used already" in page.text


async def test_answer_of_another_browser_or_another_time_opens_nothing(
    app: Any,
    browser: Browser,
    new_browser: Callable[[], Browser],
    provider: OpenidProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back = await at_provider((await browser.get("/signin/oidc?next=/new")).headers["location"])
    # Somebody is handed the answer to another's attempt (login CSRF), with an attempt of their own.
    victim = new_browser()
    await victim.get("/signin/oidc")
    assert (await victim.get(back)).status_code == 410
    state = parse_qs(urlsplit(back).query)["state"][0]
    (name,) = kept(browser)
    whole = browser.http.cookies[name]
    secret, began_at, recent, target = whole.split(".")
    # Another page to go to, another time: another state.
    for forged in (
        f"{secret}.{began_at}.{recent}.Lw",
        f"{secret}.{int(began_at) + 1}.{recent}.{target}",
        f"{secret}.{began_at}.1.{target}",
        f"{secret}.{began_at}.{recent}.%",
        "nonsense",
        "",
    ):
        headers = {"cookie": f"{name}={forged}"}
        assert (await victim.http.get(back, headers=headers)).status_code == 410, forged
    for query in (
        "",
        f"state={state}&state={state}&code=x",
        f"state={state[:-1]}&code=x",
        "code=x",
    ):
        answer = await browser.get(f"/signin/callback?{query}")
        assert answer.status_code == 410, query
    monkeypatch.setattr(sign_in_attempt, "LIFETIME_SECONDS", -1)
    late = await browser.http.get(back, headers={"cookie": f"{name}={whole}"})
    assert late.status_code == 410
    assert "begun too long ago" in late.text
    assert "/token" not in provider.asked


TOKENS: list[tuple[str, Claims, str]] = [
    ("another audience", {"aud": "other"}, "identity_refused"),
    ("two audiences and nobody named", {"aud": [CLIENT, "other"]}, "identity_refused"),
    ("made for another", {"azp": "other"}, "identity_refused"),
    ("another issuer", {"iss": "https://evil.example"}, "identity_refused"),
    ("another sign-in", {"nonce": "x"}, "identity_refused"),
    ("no nonce", {"nonce": None}, "identity_refused"),
    ("a nonce that is no text", {"nonce": ["x"]}, "identity_refused"),
    ("nobody", {"sub": None}, "identity_refused"),
    ("an invisible name", {"sub": "a\u200bnn"}, "identity_refused"),
    ("over", {"exp": 1_000_000_000}, "clocks_differ"),
    ("no end", {"exp": None}, "identity_refused"),
    ("of the future", {"iat": 4_000_000_000}, "clocks_differ"),
    ("not yet", {"nbf": 4_000_000_000}, "clocks_differ"),
]


async def test_token_that_does_not_hold_signs_nobody_in(
    app: Any, new_browser: Callable[[], Browser], provider: OpenidProvider, execute: Execute
) -> None:
    for name, change, code in TOKENS:
        provider.change = lambda claims, change=change: {
            key: value for key, value in (claims | change).items() if value is not None
        }
        browser = new_browser()
        answer = await come_back(browser)
        assert answer.status_code == 403, name
        assert LANGUAGES["en"][f"signin.failed.{code}"] in html.unescape(answer.text), name
        assert "waybill" not in browser.http.cookies
        assert kept(browser) == []
        Parsed(answer.text).require_harmless()
    assert execute("SELECT count(*) FROM page_sessions") == [(0,)]
    # Of an attack the trail tells, once an address and reason.
    assert execute("SELECT DISTINCT action, outcome, code FROM audit_events ORDER BY code") == [
        ("signed_in", "refused", "clocks_differ"),
        ("signed_in", "refused", "identity_refused"),
    ]


async def test_every_failure_has_its_page(
    app: Any, new_browser: Callable[[], Browser], provider: OpenidProvider
) -> None:
    """What went wrong is told apart, and each page offers to begin again."""

    async def failed(start: str = "/signin/oidc") -> tuple[int, str]:
        configure(app, provider)
        answer = await come_back(new_browser(), start)
        (code,) = [
            key.rpartition(".")[2]
            for key, text in LANGUAGES["en"].items()
            if key.startswith("signin.failed.")
            and key != "signin.failed.details"
            and text in html.unescape(answer.text)
        ]
        assert 'href="/signin/oidc?next=' in answer.text
        assert "go away" not in answer.text
        Parsed(answer.text).require_harmless()
        return answer.status_code, code

    for path in ("/.well-known/openid-configuration", "/token", "/keys"):
        for status in (500, 503) if path == "/token" else (302, 404, 500):
            provider.broken = {path: status}
            assert await failed() == (503, "provider_unavailable"), (path, status)
    provider.broken = {"/token": 400}
    assert await failed() == (502, "provider_refused")
    provider.broken = {}
    for error, expected in (
        ("access_denied", (403, "sign_in_denied")),
        ("login_required", (403, "sign_in_denied")),
        ("temporarily_unavailable", (503, "provider_unavailable")),
        ("unauthorized_client", (502, "provider_refused")),
        ("<script>", (502, "provider_refused")),
    ):
        provider.refusal = error
        assert await failed() == expected, error
    provider.refusal, provider.is_public = None, True
    assert await failed() == (502, "provider_refused")
    provider.is_public = False
    for document in (
        {"issuer": f"{provider.issuer}/"},
        {"issuer": None},
        {"authorization_endpoint": "http://login.example/authorize"},
        {"token_endpoint": "https://ann:pass@login.example/"},
        {"token_endpoint": 7},
        {"jwks_uri": "file:///etc/passwd"},
        {"code_challenge_methods_supported": ["plain"]},
        {"response_types_supported": ["id_token"]},
        {"id_token_signing_alg_values_supported": ["HS256", 7]},
        {"padding": "x" * 300_000},
    ):
        provider.document = document
        assert await failed() == (503, "provider_unavailable"), document
    provider.document = {}
    # Another provider's answer, where this one says that it signs with its name (RFC 9207).
    provider.names_itself = True
    browser = new_browser()
    configure(app, provider)
    back = await at_provider((await browser.get("/signin/oidc")).headers["location"])
    for forged in (back.replace("iss=", "iss=https://evil."), back.partition("&iss")[0]):
        browser_again = new_browser()
        browser_again.http.cookies.update(browser.http.cookies)
        assert (await browser_again.get(forged)).status_code == 403
    assert (await browser.get(back)).status_code == 303


async def test_nobody_is_led_elsewhere_before_or_after(
    app: Any, browser: Browser, provider: OpenidProvider
) -> None:
    for target in ("//evil.example", "https://evil.example/exports", "/exports/../..", "/signout"):
        start = f"/signin/oidc?{urlencode({'next': target})}"
        leaving = await browser.get(start)
        assert leaving.headers["location"].startswith(f"{provider.issuer}/authorize?")
        answer = await come_back(browser, start)
        assert answer.headers["location"] == "/exports"


async def test_rights_come_from_claims_that_settings_name(
    app: Any, new_browser: Callable[[], Browser], provider: OpenidProvider, execute: Execute
) -> None:
    provider.person = {
        "sub": "ann",
        "groups": ["clerks", "export-admins"],
        "org": {"id": "acme"},
        "rights": "exports:pii exports:portal",
    }
    for changes in (
        {"tenant_claim": "/org/id", "roles_claim": "groups"},
        {"jwt": JwtSettings(_env_file=None, tenant_claim="/org/id", roles_claim="groups")},
    ):
        configure(
            app,
            provider,
            scopes_claim="rights",
            role_scopes={"export-admins": ["exports:admin"], "others": ["exports:x"]},
            **changes,
        )
        assert (await come_back(new_browser())).status_code == 303
        ((tenant, scopes, roles),) = execute(
            "SELECT person ->> 'tenant', person -> 'scopes', person -> 'roles' FROM page_sessions"
        )
        assert tenant == "acme"
        # Making links is for back ends: no person's, whoever says so.
        assert scopes == ["exports:admin", "exports:pii", "exports:read", "exports:request"]
        assert roles == ["clerks", "export-admins"]
        execute("DELETE FROM page_sessions")
    # A tenant for everybody, or for nobody.
    del provider.person["org"]
    assert (await come_back(new_browser())).status_code == 403


async def test_person_who_has_to_show_again_who_they_are_is_asked_to(
    app: Any, browser: Browser, provider: OpenidProvider, execute: Execute
) -> None:
    page = await browser.get("/signin?why=recent&next=/new/users")
    assert "again=true" in page.text
    leaving = await browser.get("/signin/oidc?next=/new/users&again=true")
    asked = parse_qs(urlsplit(leaving.headers["location"]).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    back = await at_provider(leaving.headers["location"])
    assert (await browser.get(back)).headers["location"] == "/new/users"
    ((at,),) = execute("SELECT person ->> 'authenticated_at' FROM page_sessions")
    assert at is not None
    # One that does not say when is not believed to have asked.
    provider.change = lambda claims: {k: v for k, v in claims.items() if k != "auth_time"}
    answer = await come_back(browser, "/signin/oidc?again=true")
    assert answer.status_code == 403
    assert "auth_time" in answer.text


async def test_public_client_and_one_that_posts_its_secret(
    app: Any, new_browser: Callable[[], Browser], provider: OpenidProvider
) -> None:
    provider.is_public = True
    configure(app, provider, client_secret=None)
    assert (await come_back(new_browser())).status_code == 303
    provider.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    configure(app, provider)
    sent: list[dict[str, str]] = []
    exchange = provider.exchange
    provider.exchange = lambda form, credentials: (sent.append(form), exchange(form, credentials))[
        1
    ]  # type: ignore[method-assign]
    await come_back(new_browser())
    assert (sent[0]["client_id"], sent[0]["client_secret"]) == (CLIENT, SECRET)


async def test_tabs_sign_in_beside_each_other_and_many_are_forgotten(
    app: Any, browser: Browser, provider: OpenidProvider
) -> None:
    first = (await browser.get("/signin/oidc?next=/new")).headers["location"]
    second = (await browser.get("/signin/oidc?next=/operate")).headers["location"]
    assert (await browser.get(await at_provider(first))).headers["location"] == "/new"
    assert (await browser.get(await at_provider(second))).headers["location"] == "/operate"
    for _ in range(20):
        await browser.get("/signin/oidc")
    assert len(kept(browser)) <= 6


async def test_what_is_published_is_asked_for_once_and_kept_while_nobody_answers(
    provider: OpenidProvider,
) -> None:
    now = [1_000.0]
    subject = Provider(settings_of(provider), JwtSettings(_env_file=None), monotonic=lambda: now[0])
    path = "/.well-known/openid-configuration"
    provider.broken = {path: 500}
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await subject.metadata()
    assert provider.asked == [path]
    provider.broken = {}
    now[0] += 10
    await asyncio.gather(*(subject.metadata() for _ in range(5)))
    assert provider.asked == [path, path]
    provider.broken = {path: 500}
    now[0] += LIFETIME_SECONDS + 1
    assert (await subject.metadata()).token.text == f"{provider.issuer}/token"
    now[0] += STALE_SECONDS
    with pytest.raises(ProviderUnavailable, match="500"):
        await subject.metadata()
    with pytest.raises(SignInFailed):
        await subject.address(Attempt("s", "n", "v" * 43, "http://waybill.test"))


async def test_without_a_provider_there_is_no_such_page(
    services: Services, new_browser: Callable[[], Browser], provider: OpenidProvider
) -> None:
    # The pages that are built without the settings: not the fixture's.
    app = create_app(services)
    app.state.provider = None
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"):
            patch.delenv(f"WAYBILL_OIDC_{name}", raising=False)
        install(app)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        for path in ("/signin/oidc", "/signin/callback?state=x&code=y"):
            assert (await http.get(path)).status_code == 404
        assert "oidc" not in (await http.get("/signin")).text
    assert provider.asked == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"issuer": "https://login.example"}, "CLIENT|client id"),
        ({"client_id": "x"}, "issuer too"),
        ({"issuer": "http://login.example", "client_id": "x"}, "https://"),
        ({"issuer": "https://a:b@login.example", "client_id": "x"}, "user name"),
        ({"issuer": "https://login.example?x=1", "client_id": "x"}, "query"),
        ({"issuer": "https://login.example", "client_id": "a\n"}, "client id"),
        ({"issuer": "https://login.example", "client_id": "x", "client_secret": "ö"}, "ASCII"),
        ({"scopes": "email"}, "openid"),
        ({"granted_scopes": "exports:portal"}, "back ends"),
        ({"role_scopes": {"a": ["exports:portal"]}}, "back ends"),
        ({"leeway_seconds": 3_000}, "LEEWAY_SECONDS"),
    ],
)
def test_settings_that_do_not_hold_are_refused_at_start(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        load_oidc_settings(**given)
    assert "a:b" not in str(refused.value)


def test_tokens_of_another_issuer_are_refused_unless_they_name_the_same_people(
    services: Services, provider: OpenidProvider, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.settings = services.settings.model_copy(update={"development_token": None})
    monkeypatch.setenv("WAYBILL_JWT_SECRETS", "s" * 40)
    for issuer, same, holds in (
        (None, "false", False),
        ("https://tokens.example.com", "false", False),
        (f"{provider.issuer}/", "false", False),
        (provider.issuer, "false", True),
        (None, "true", True),
        ("https://tokens.example.com", "true", True),
    ):
        if issuer is not None:
            monkeypatch.setenv("WAYBILL_JWT_ISSUER", issuer)
        else:
            monkeypatch.delenv("WAYBILL_JWT_ISSUER", raising=False)
        monkeypatch.setenv("WAYBILL_OIDC_SAME_SUBJECTS", same)
        made = create_app(services)
        if holds:
            install(made)
            continue
        with pytest.raises(ConfigurationError, match="WAYBILL_OIDC_SAME_SUBJECTS=true") as refused:
            install(made)
        assert f"Set WAYBILL_JWT_ISSUER={provider.issuer}," in str(refused.value)
        assert "\n" not in str(refused.value)
    # Where the application decides itself who asks, no token is taken that could be another's.
    monkeypatch.setenv("WAYBILL_OIDC_SAME_SUBJECTS", "false")
    install(create_app(services, authenticator=PagesAlone()))


async def test_people_sign_in_where_no_program_can(
    services: Services, provider: OpenidProvider, app: Any
) -> None:
    settings = services.settings.model_copy(update={"development_token": None})
    services.settings = settings
    alone = create_app(services)
    install(alone)
    transport = httpx.ASGITransport(app=alone)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        browser = Browser(http)
        refused = await http.get("/api/exports", headers={"authorization": "Bearer x"})
        assert refused.status_code == 401
        assert "no tokens are taken" in refused.json()["detail"]
        assert (await come_back(browser)).status_code == 303
        assert (await browser.get("/api/exports")).status_code == 200


def test_every_failure_has_a_text_in_every_language() -> None:
    def kinds(kind: type[SignInFailed]) -> Iterator[type[SignInFailed]]:
        for each in kind.__subclasses__():
            yield each
            yield from kinds(each)

    codes = {f"signin.failed.{each.code}" for each in kinds(SignInFailed)}
    for texts in LANGUAGES.values():
        found = {key for key in texts if key.startswith("signin.failed.")}
        assert found == codes | {"signin.failed.details"}
    assert oidc.CALLBACK == "/signin/callback"
