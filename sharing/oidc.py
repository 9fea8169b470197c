"""Log-in at an identity provider: OpenID Connect's code flow with PKCE, and every check of what comes back."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import ssl
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import jwt
import sqlalchemy as sa

from sharing.people_refusals import LoginError, ProviderError
from sharing.people_tables import FLOW
from sharing.people_terms import OidcTerms
from sharing.sessions import SECRET_BYTES, digest

if TYPE_CHECKING:
    import httpx

CALLBACK: Final = "/v1/session/oidc/callback"
FLOW_SECONDS: Final = 600  # for which a log-in may be under way
KNOWN_SECONDS, AGAIN_SECONDS = 3600.0, 30.0  # for which metadata and keys count; between looks for an unknown key
LEEWAY: Final = 60  # seconds between our clock and the provider's
PATIENCE: Final = 10.0  # seconds the provider has for an answer
LONGEST_TOKEN: Final = 32 << 10
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "nonce"]


@dataclass(frozen=True, slots=True)
class Begun:
    """A log-in under way: where the browser goes, and the value its cookie keeps until it is back."""

    url: str
    flow: str


@dataclass(frozen=True, slots=True)
class _Metadata:
    authorize: str
    token: str
    jwks: str
    by_post: bool


class Provider:
    """One identity provider; `public` is the address people open us at, `secret` 32 bytes of the deployment's.

    State, nonce and PKCE verifier of a log-in are worked out from the random value in the browser's cookie, so that
    none of them is stored, and an answer counts in the browser that asked, once.
    """

    def __init__(
        self, terms: OidcTerms, public: str, secret: bytes, client_secret: str | None, engine: sa.Engine
    ) -> None:
        self.terms, self._redirect = terms, public + CALLBACK
        self._key = hmac.digest(secret, b"shutong log-in", "sha256")
        self._client_secret, self._engine = client_secret, engine
        self._lock = threading.Lock()
        self._metadata: tuple[_Metadata, float] | None = None
        self._keys: tuple[dict[str | None, jwt.PyJWK], float] | None = None
        self._http: httpx.Client | None = None

    def begin(self) -> Begun:
        """Begin a log-in. Raises ProviderError."""
        told, flow = self._told(), secrets.token_urlsafe(SECRET_BYTES)
        challenge = _base64(hashlib.sha256(self._of(flow, b"verifier").encode()).digest())
        now = time.time()
        with self._engine.begin() as connection:
            connection.execute(FLOW.delete().where(FLOW.c.until <= now))
            connection.execute(FLOW.insert(), {"hash": digest(flow), "until": now + FLOW_SECONDS})
        asked = {
            "response_type": "code", "client_id": self.terms.client_id, "redirect_uri": self._redirect,
            "scope": " ".join(self.terms.scopes), "state": self._of(flow, b"state"),
            "nonce": self._of(flow, b"nonce"), "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return Begun(told.authorize + ("&" if "?" in told.authorize else "?") + urlencode(asked), flow)

    def finish(self, flow: str | None, answer: Mapping[str, str]) -> str:
        """The value of the claim that names the person, from the query of the callback. LoginError, ProviderError.

        The flow is over then, whatever came of it.
        """
        state = answer.get("state", "").encode("utf-8", "surrogatepass")
        if flow is None or not hmac.compare_digest(self._of(flow, b"state").encode(), state):
            raise LoginError.elsewhere()
        with self._engine.begin() as connection:
            mine = sa.and_(FLOW.c.hash == digest(flow), FLOW.c.until > time.time())
            if connection.execute(FLOW.delete().where(mine)).rowcount != 1:
                raise LoginError.elsewhere()
        code = answer.get("code")
        if not code or answer.get("iss", self.terms.issuer) != self.terms.issuer:
            raise LoginError.elsewhere()  # RFC 9207: another provider's answer
        claims = self._claims(self._exchanged(code, flow), self._of(flow, b"nonce"))
        value = claims.get(self.terms.claim)
        if not isinstance(value, str) or not value:
            raise LoginError.elsewhere()
        if self.terms.claim == "email" and claims.get("email_verified", True) is not True:
            raise LoginError.elsewhere()
        return value

    def close(self) -> None:
        """Let go of connections."""
        if self._http is not None:
            self._http.close()

    def _of(self, flow: str, what: bytes) -> str:
        return _base64(hmac.digest(self._key, what + b" " + flow.encode("utf-8", "surrogatepass"), "sha256"))

    def _exchanged(self, code: str, flow: str) -> str:
        """The ID token for a code."""
        told, terms = self._told(), self.terms
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect,
                "code_verifier": self._of(flow, b"verifier")}  # fmt: skip
        headers: dict[str, str] = {}
        if self._client_secret is None:
            form["client_id"] = terms.client_id
        elif told.by_post:
            form |= {"client_id": terms.client_id, "client_secret": self._client_secret}
        else:
            user, word = quote(terms.client_id, safe=""), quote(self._client_secret, safe="")
            headers["Authorization"] = "Basic " + b64encode(f"{user}:{word}".encode()).decode()
        found = self._asked("POST", told.token, "token", form, headers)
        token = found.get("id_token")
        if not isinstance(token, str) or len(token) > LONGEST_TOKEN:
            raise LoginError.elsewhere()
        return token

    def _claims(self, token: str, nonce: str) -> Mapping[str, object]:
        """What the ID token says, once it is known to be the provider's, for us, of now and of this log-in."""
        terms = self.terms
        try:
            head = jwt.get_unverified_header(token)
            key = self._key_of(head.get("kid"))
            if key is None or head.get("alg") != terms.algorithm or key.algorithm_name != terms.algorithm:
                raise LoginError.elsewhere()
            claims: dict[str, object] = jwt.decode(
                token, key, algorithms=[terms.algorithm], audience=terms.client_id, issuer=terms.issuer,
                leeway=LEEWAY, options={"require": _CLAIMS},
            )  # fmt: skip
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise LoginError.elsewhere() from error
        shared = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        said = claims.get("azp", None if shared else terms.client_id)
        if said != terms.client_id or not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise LoginError.elsewhere()
        return claims

    def _key_of(self, kid: object) -> jwt.PyJWK | None:
        """The provider's key of that name; it is asked again for one that it did not have when it was asked last."""
        name = kid if isinstance(kid, str) else None
        with self._lock:
            age = time.monotonic() - self._keys[1] if self._keys is not None else KNOWN_SECONDS
            known = self._keys[0] if self._keys is not None else {}
            if age >= KNOWN_SECONDS or (name not in known and age >= AGAIN_SECONDS):
                known = self._fetched()
                self._keys = (known, time.monotonic())
            return known.get(name)

    def _fetched(self) -> dict[str | None, jwt.PyJWK]:
        found = self._asked("GET", self._told().jwks, "jwks")
        known: dict[str | None, jwt.PyJWK] = {}
        listed = found.get("keys")
        for one in listed if isinstance(listed, list) else ():
            if not isinstance(one, dict) or one.get("use", "sig") != "sig":
                continue
            try:
                key = jwt.PyJWK(one, None if "alg" in one else self.terms.algorithm)
            except jwt.PyJWTError:
                continue  # of a kind that is not used here
            known[key.key_id] = key
        if len(known) == 1:
            known[None] = next(iter(known.values()))  # a token need not name the only one there is
        return known

    def _told(self) -> _Metadata:
        held = self._metadata
        if held is not None and time.monotonic() - held[1] < KNOWN_SECONDS:
            return held[0]
        found = self._asked("GET", self.terms.issuer.rstrip("/") + "/.well-known/openid-configuration", "discovery")
        if found.get("issuer") != self.terms.issuer:
            raise ProviderError.of("issuer")
        ways = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        by_post = isinstance(ways, list) and "client_secret_basic" not in ways and "client_secret_post" in ways
        places = [str(found.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        start = "http" if self.terms.issuer.startswith("http://") else "https://"
        if not all(one.startswith(start) for one in places):
            raise ProviderError.of("discovery")
        told = _Metadata(places[0], places[1], places[2], by_post)
        self._metadata = (told, time.monotonic())
        return told

    def _asked(
        self, method: str, url: str, place: str, form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, object]:  # fmt: skip
        """The JSON object a call is answered with. A code that is not taken is a LoginError, all else ProviderError."""
        import httpx

        if self._http is None:
            self._http = httpx.Client(verify=_trusted(self.terms.ca), timeout=PATIENCE, trust_env=False)
        try:
            answer = self._http.request(method, url, data=dict(form) if form else None, headers=headers)
            found = answer.json() if answer.status_code == 200 else None  # noqa: PLR2004
        except (httpx.HTTPError, ValueError, OSError) as error:
            raise ProviderError.of(place) from error
        if form is not None and answer.status_code == 400:  # noqa: PLR2004 RFC 6749 §5.2
            raise LoginError.elsewhere()
        if not isinstance(found, dict):
            raise ProviderError.of(place)
        return found


@cache
def _trusted(ca: Path | None) -> ssl.SSLContext:
    """Whom to believe over TLS: the authority of the file, else those of this machine."""
    return ssl.create_default_context(cafile=str(ca) if ca is not None else None)


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
