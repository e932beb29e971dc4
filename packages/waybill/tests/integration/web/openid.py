"""An OpenID provider on the loopback address. It forgives nothing, and asks nobody anything, unless
a test tells it to: then its page has a link to each answer."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

Claims = dict[str, Any]

CLIENT = "waybill-pages"
SECRET = "a secret: of 100% the client's+"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class OpenidProvider:
    """Signs ``person`` in. What a test changes: ``document`` of the configuration, ``broken`` paths
    and the status they are answered with, and the claims just before they are signed."""

    def __init__(self) -> None:
        self.person: Claims = {"sub": "ann"}
        self.document: Claims = {}
        self.broken: dict[str, int] = {}
        self.change: Callable[[Claims], Any] = lambda claims: claims
        self.key = KEY
        self.refusal: str | None = None
        self.forgets_codes = True
        self.asks = False
        self.is_public = False
        self.names_itself = False
        self.asked: list[str] = []
        self.granted: dict[str, Claims] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                provider.asked.append(url.path)
                if url.path in provider.broken:
                    self._answer(provider.broken[url.path], {})
                elif url.path == "/.well-known/openid-configuration":
                    self._answer(200, provider.configuration() | provider.document)
                elif url.path == "/keys":
                    self._answer(200, provider.keys())
                elif url.path == "/authorize":
                    asked = dict(parse_qsl(url.query))
                    if provider.asks:
                        self._ask(asked)
                    else:
                        self._lead_on(provider.authorize(asked))
                else:
                    self._answer(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider.asked.append(self.path)
                if self.path in provider.broken:
                    self._answer(provider.broken[self.path], {})
                    return
                form = dict(parse_qsl(body, strict_parsing=True))
                self._answer(*provider.exchange(form, self.headers.get("Authorization")))

            def _answer(self, status: int, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _ask(self, asked: dict[str, str]) -> None:
                no = {"error": "access_denied", "state": asked["state"]}
                links = {
                    "Yes": provider.authorize(asked),
                    "No": f"{asked['redirect_uri']}?{urlencode(no)}",
                }
                body = "".join(
                    f'<p><a href="{escape(url)}">{word}</a></p>' for word, url in links.items()
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _lead_on(self, url: str) -> None:
                self.send_response(302)
                self.send_header("Location", url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    DOCUMENT: ClassVar[Claims] = {
        "response_types_supported": ["code"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
    }

    def configuration(self) -> Claims:
        at = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "jwks_uri": "keys",
            "end_session_endpoint": "logout",
        }
        return {
            **self.DOCUMENT,
            "issuer": self.issuer,
            **{name: f"{self.issuer}/{path}" for name, path in at.items()},
            "authorization_response_iss_parameter_supported": self.names_itself,
        }

    def keys(self) -> Claims:
        public = json.loads(RSAAlgorithm.to_jwk(KEY.public_key()))
        return {"keys": [public | {"kid": "one", "use": "sig"}]}

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser goes from the authorization endpoint."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["code_challenge"]) == 43
        assert "openid" in asked["scope"].split()
        answer = {"state": asked["state"]}
        if self.names_itself:
            answer["iss"] = self.issuer
        if self.refusal is not None:
            answer |= {"error": self.refusal, "error_description": "<b>go away</b>"}
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self.granted[answer["code"]] = asked
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, form: dict[str, str], credentials: str | None) -> tuple[int, Claims]:
        """Return the answer of the token endpoint."""
        if not self._is_client(form, credentials):
            return 401, {"error": "invalid_client"}
        asked = self.granted.get(form["code"])
        if asked is not None and self.forgets_codes:
            del self.granted[form["code"]]
        challenge = hashlib.sha256(form["code_verifier"].encode()).digest()
        if (
            asked is None
            or form["grant_type"] != "authorization_code"
            or form["redirect_uri"] != asked["redirect_uri"]
            or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != asked["code_challenge"]
        ):
            return 400, {"error": "invalid_grant", "error_description": "<b>no</b>"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], **self.person}
        if "max_age" in asked:
            claims["auth_time"] = now
        claims = self.change(claims) or claims
        token = pyjwt.encode(claims, self.key, "RS256", headers={"kid": "one"})
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": token}

    def _is_client(self, form: dict[str, str], credentials: str | None) -> bool:
        if self.is_public:
            return credentials is None and form.get("client_id") == CLIENT
        kind, _, given = (credentials or "").partition(" ")
        name, _, secret = base64.b64decode(given).decode().partition(":")
        return (kind, unquote_plus(name), unquote_plus(secret)) == ("Basic", CLIENT, SECRET)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
