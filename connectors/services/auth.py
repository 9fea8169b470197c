"""Show a service who is asking: token, key, password, login, OAuth2 client credentials, signature."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote, quote_plus, urlencode

from connectors.errors import changed
from connectors.options import Options, Secrets, secret, wrong
from connectors.rest_json import found
from connectors.services.signing import SIGNATURE, Ask, Signature

AUTH = ("bearer", "login", "api_key", "basic", "oauth2", "hmac", "header", "scheme")
LOGIN = ("path", "username", "username_field", "password_secret", "password_field", "token", "expires_in", "send")
API_KEY = ("secret", "header", "query")
BASIC = ("username", "password_secret")
OAUTH2 = ("path", "url", "client_id", "secret", "scope", "send", "token", "expires_in")
EARLY = 30.0  # a token is renewed that many seconds before its end, or a tenth of its life before

Login = Callable[[Ask], object]  # sends a call without credentials and gives its JSON


class Auth:
    """What `auth` of a connection says; several kinds may stand together, such as a token and a signature.

    `{bearer: <secret>}`, `{api_key: {secret, header | query}}`, `{basic: {username, password_secret}}`,
    `{login: {path, username, password_secret, token: data.token}}` (a POST that answers with a token),
    `{oauth2: {path | url, client_id, secret, scope}}`, `{hmac: {secret, key_id, algorithm: sm3, text, headers}}`.
    `header` (Authorization) and `scheme` (Bearer) say how a token is shown.
    """

    def __init__(self, options: Options | None, secrets: Secrets) -> None:
        own = options or Options({}, AUTH)
        self._secrets, self._hidden = secrets, set[str]()
        self._bearer = own.maybe("bearer")
        self._login, self._oauth = own.under("login", LOGIN), own.under("oauth2", OAUTH2)
        self._api_key, self._basic = own.under("api_key", API_KEY), own.under("basic", BASIC)
        self._header, self._scheme = own.text("header", "Authorization"), own.text("scheme", "Bearer")
        if sum(each is not None for each in (self._bearer, self._login, self._oauth, self._basic)) > 1:
            raise wrong("auth", "只能用 bearer、login、oauth2、basic 之一", "uses more than one kind of token",
                        ("bearer", "login", "oauth2", "basic"))  # fmt: skip
        signature = own.under("hmac", SIGNATURE)
        self._signature = Signature(signature, lambda: self._secret(signature.text("secret"))) if signature else None
        self._token: str | None = None
        self._until = float("inf")

    @property
    def renewable(self) -> bool:
        """True when a refused call may be made again with a new token."""
        return self._login is not None or self._oauth is not None

    def renew(self) -> None:
        """Forget the token: the next call asks for a new one."""
        self._token = None

    def scrub(self, text: str) -> str:
        """The text without any secret that was used so far."""
        for hidden in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(hidden, "***")
        return text

    def applied(self, ask: Ask, path: str, login: Login) -> Ask:
        """The call with credentials, signed for this one time; `path` is the path as it stands in the URL."""
        headers, params = dict(ask.headers), dict(ask.params)
        if self._bearer or self.renewable:
            scheme = f"{self._scheme} " if self._scheme != "none" else ""
            headers[self._header] = f"{scheme}{self._held(login)}"
        if self._basic:
            headers["Authorization"] = self._basic_header(self._basic.text("username"), self._basic, "password_secret")
        if self._api_key:
            key = self._secret(self._api_key.text("secret"))
            if self._api_key.has("query"):
                params[self._api_key.text("query")] = key
            else:
                headers[self._api_key.text("header", "X-Api-Key")] = key
        made = replace(ask, headers=headers, params=params)
        return self._signature.signed(made, path) if self._signature else made

    def _held(self, login: Login) -> str:
        if self._token is None or time.monotonic() >= self._until:
            self._until = float("inf")
            if self._bearer:
                self._token = self._secret(self._bearer)
            else:
                self._token = self._logged_in(self._login, login) if self._login else self._granted(login)
        return self._token

    def _logged_in(self, options: Options, login: Login) -> str:
        fields = {
            options.text("username_field", "username"): options.text("username"),
            options.text("password_field", "password"): self._secret(options.text("password_secret")),
        }
        ask = post(options.text("path"), fields, as_form=options.choice("send", "json", ("json", "form")) == "form")
        return self._told(login(ask), ask.path, options)

    def _granted(self, login: Login) -> str:
        options = self._oauth
        if options is None:
            raise AssertionError
        fields = {"grant_type": "client_credentials"}
        if options.has("scope"):
            fields["scope"] = options.text("scope")
        client, headers = options.text("client_id"), {}
        if options.choice("send", "basic", ("basic", "body")) == "basic":
            headers["Authorization"] = self._basic_header(quote(client, safe=""), options, "secret", encoded=True)
        else:
            fields |= {"client_id": client, "client_secret": self._secret(options.text("secret"))}
        ask = post(options.maybe("url") or options.text("path"), fields, as_form=True)
        return self._told(login(replace(ask, headers={**ask.headers, **headers})), ask.path, options)

    def _told(self, answer: object, where: str, options: Options) -> str:
        name = options.text("token", "access_token")
        try:
            token = str(found(answer, name))
        except KeyError:
            keys = list(answer) if isinstance(answer, dict) else []
            raise changed(("字段", "field"), where, [name], keys) from None
        self._hide(token)
        try:
            life = float(str(found(answer, options.text("expires_in", "expires_in"))))
        except (KeyError, ValueError):
            return token
        self._until = time.monotonic() + life - min(EARLY, life / 10)
        return token

    def _basic_header(self, username: str, options: Options, name: str, *, encoded: bool = False) -> str:
        password = self._secret(options.text(name))
        shown = base64.b64encode(f"{username}:{quote(password, safe='') if encoded else password}".encode()).decode()
        self._hidden.add(shown)
        return f"Basic {shown}"

    def _secret(self, name: str) -> str:
        value = secret(self._secrets, name)
        self._hide(value)
        return value

    def _hide(self, value: str) -> None:
        """Remember a secret, and the ways it may be written in a URL or in JSON, for `scrub`."""
        ways = (value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1])
        self._hidden.update(way for way in ways if way)


def post(path: str, fields: Mapping[str, str], *, as_form: bool) -> Ask:
    """A POST of those fields as a form or as a JSON object."""
    if as_form:
        return Ask("POST", path, {}, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields).encode())
    body = json.dumps(dict(fields), ensure_ascii=False).encode()
    return Ask("POST", path, {}, {"Content-Type": "application/json"}, body)
