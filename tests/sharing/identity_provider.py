"""A small OpenID provider on a free port of this machine: it signs with joserfc, checks PKCE, and lies when told to."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, WORD = "shutong", "between us"


@dataclass
class Lies:
    """What the provider says otherwise than it should."""

    claims: dict[str, object] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    header: dict[str, object] = field(default_factory=dict)
    issuer: str | None = None
    token: str | None = None
    key: RSAKey | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    status: int = 200


class IdentityProvider:
    """Knows one person at a time; `visit` is what a browser does there."""

    def __init__(self) -> None:
        self.keys = {"one": RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})}
        self.stranger = RSAKey.generate_key(2048)
        self.kid, self.lies, self.person = "one", Lies(), "wang"
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                self._send(provider.lies.status, provider.told(self.path))

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                said = {name: values[0] for name, values in form.items()}
                self._send(*provider.exchange(said, self.headers.get("Authorization", "")))

            def _send(self, status: int, found: object) -> None:
                body = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def told(self, path: str) -> object:
        if path == "/jwks":
            return {"keys": [one.as_dict(private=False) for one in self.keys.values()]}
        return {
            "issuer": self.lies.issuer or self.issuer, "authorization_endpoint": self.issuer + "/authorize",
            "token_endpoint": self.issuer + "/token", "jwks_uri": self.issuer + "/jwks", **self.lies.metadata,
        }  # fmt: skip

    def visit(self, url: str) -> dict[str, str]:
        """The person agrees: the query with which the browser is sent back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, object]:
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        basic = base64.b64encode(f"{CLIENT}:between%20us".encode()).decode()
        known = authorization == f"Basic {basic}" or form.get("client_secret") == WORD
        if not known:
            return 401, {"error": "invalid_client"}
        if asked is None or challenge.rstrip("=") != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        if form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.lies.token or self.token(asked)}

    def token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": "1", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": asked["nonce"],
            "preferred_username": self.person, **self.lies.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if name not in self.lies.without}
        header = {"alg": "RS256", "kid": self.kid, **self.lies.header}
        return jwt.encode(header, claims, self.lies.key or self.keys[self.kid], [str(header["alg"])])
