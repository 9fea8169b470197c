"""Call a departmental service: log in, retry what may pass, refuse what will not, keep secrets out of messages."""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from collections.abc import Mapping

import httpx
import stamina

from connectors.errors import SourceError, SourceRefused, SourceUnavailable, changed
from connectors.options import Options, Secrets, secret, wrong
from connectors.rest_json import found, parsed
from schemas.values import Json

AUTH = ("bearer", "login", "header", "scheme")
LOGIN = ("path", "username", "username_field", "password_secret", "password_field", "token")
RETRIES = ("attempts", "wait", "max_wait")
SHOWN = 200  # characters of an answer a message may show
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

# Retries go to logging: stamina would print them through structlog, in the midst of what a command answers.
stamina.instrumentation.set_on_retry_hooks([stamina.instrumentation.LoggingOnRetryHook])


class _Passing(Exception):
    """An answer or a failed call that may come out differently soon; `after` seconds if the service said so."""

    def __init__(self, said: str, after: float | None = None) -> None:
        super().__init__(said)
        self.after = after


class Service:
    """One service below a base URL.

    `auth` is `{bearer: <secret name>}`, or `{login: {path, username, password_secret, token: data.token}}`: a POST that
    answers with a token. `header` (Authorization) and `scheme` (Bearer) say how the token is shown.
    """

    def __init__(self, base: str, auth: Options | None, secrets: Secrets, retries: Options | None, wait: float) -> None:
        self.base = base.rstrip("/")
        if not re.match(r"https?://", base):
            raise wrong("connection.url", "须以 http:// 或 https:// 开头", "must begin with http:// or https://")
        self._auth, self._secrets = auth, secrets
        self._login = auth.under("login", LOGIN) if auth else None
        self._attempts = retries.whole("attempts", 5, least=1) if retries else 5
        self._wait = retries.number("wait", 0.5) if retries else 0.5
        self._max_wait = retries.number("max_wait", 30) if retries else 30.0
        self._timeout = wait
        self._hidden: set[str] = set()
        self._token: str | None = None

    def client(self) -> httpx.Client:
        """A client for one run of calls; proxies of the environment are not for systems inside the network."""
        return httpx.Client(timeout=self._timeout, trust_env=False, headers={"Accept": "application/json"})

    def get(self, client: httpx.Client, path: str, params: Mapping[str, str], what: str) -> object:
        """The JSON at `path`; `what` (such as "page 3") is named in errors."""
        for renewed in (False, True):
            response = self._called(client, "GET", path, params=params, headers=self._headers(client))
            if response.status_code == httpx.codes.UNAUTHORIZED and self._login and not renewed:
                self._token = None  # a token may run out between two pages: log in once more
                continue
            return self._json(self._accepted(response, path), what)
        raise AssertionError  # the second round always returns or raises

    def scrub(self, text: str) -> str:
        """The text without any secret this service was called with."""
        for hidden in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(hidden, "***")
        return text

    def _headers(self, client: httpx.Client) -> dict[str, str]:
        if self._auth is None:
            return {}
        if self._token is None:
            self._token = self._logged_in(client) if self._login else self._secret(self._auth.text("bearer"))
        scheme = self._auth.text("scheme", "Bearer")
        return {self._auth.text("header", "Authorization"): f"{scheme} {self._token}"}

    def _logged_in(self, client: httpx.Client) -> str:
        login = self._login
        if login is None:
            raise AssertionError
        path, token = login.text("path"), login.text("token", "access_token")
        body: dict[str, Json] = {
            login.text("username_field", "username"): login.text("username"),
            login.text("password_field", "password"): self._secret(login.text("password_secret")),
        }
        answer = self._json(self._accepted(self._called(client, "POST", path, json=body), path), "login")
        try:
            value = found(answer, token)
        except KeyError:
            raise changed(("字段", "field"), f"{self.base}{path}", [token], _keys(answer)) from None
        self._hidden.add(str(value))
        return str(value)

    def _secret(self, name: str) -> str:
        value = secret(self._secrets, name)
        if value:
            self._hidden.add(value)
        return value

    def _called(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, Json] | None = None,
    ) -> httpx.Response:
        """The answer, after as many attempts as allowed; SourceUnavailable when none brought one."""
        try:
            for attempt in stamina.retry_context(
                on=self._again,
                attempts=self._attempts,
                timeout=None,
                wait_initial=self._wait,
                wait_max=self._max_wait,
                wait_jitter=self._wait,
            ):
                with attempt:
                    return self._once(
                        client.build_request(method, self.base + path, params=params, headers=headers, json=json),
                        client,
                    )
        except _Passing as error:
            said = self.scrub(str(error))
            later = f"（要求 {error.after:.0f} 秒后再来）" if error.after else ""
            raise SourceUnavailable(
                "SRC-REST-UNAVAILABLE",
                zh=f"{self.base}{path} 尝试 {self._attempts} 次仍不可用：{said}{later}",
                en=f"{self.base}{path} is not available after up to {self._attempts} attempts: {said}",
                fix_zh="稍后会重试；若持续，请联系来源部门检查服务",
                fix_en="It will be tried again; if it persists ask the department to check its service.",
            ) from None
        raise AssertionError  # the loop returns or raises

    def _once(self, request: httpx.Request, client: httpx.Client) -> httpx.Response:
        try:
            response = client.send(request)
        except httpx.TransportError as error:
            raise _Passing(f"{type(error).__name__}: {error}") from None
        if response.status_code in _PASSING:
            words = self.scrub(response.text[:SHOWN])
            raise _Passing(f"HTTP {response.status_code} {words}", _after(response))
        return response

    def _again(self, error: Exception) -> bool | float:
        if not isinstance(error, _Passing):
            return False
        if error.after is None:
            return True
        # Asked to stay away for longer than a worker should wait: the scheduler comes back later.
        return error.after if error.after <= self._max_wait else False

    def _accepted(self, response: httpx.Response, path: str) -> httpx.Response:
        status, where = response.status_code, f"{self.base}{path}"
        said = self.scrub(response.text[:SHOWN])
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise SourceRefused(
                "SRC-REST-REFUSED",
                zh=f"{where} 拒绝访问（HTTP {status}）：{said}",
                en=f"{where} refuses access (HTTP {status}): {said}",
                fix_zh="请向来源部门核对令牌、账号和授权范围",
                fix_en="Check token, account and permissions with the department.",
            )
        if response.is_success:
            return response
        raise SourceError(
            "SRC-REST-STATUS",
            zh=f"{where} 返回 HTTP {status}：{said}",
            en=f"{where} answers HTTP {status}: {said}",
            fix_zh="请检查资源文件中的 path 与 page，或询问来源部门接口是否变更",
            fix_en="Check path and page in the resource file, or ask the department whether the interface changed.",
        )

    def _json(self, response: httpx.Response, what: str) -> object:
        charset = (response.charset_encoding or "utf-8").lower()
        encoding = "gb18030" if charset in ("gbk", "gb2312", "gb18030", "cp936") else "utf-8-sig"
        try:
            return parsed(response.content.decode(encoding))
        except (ValueError, RecursionError) as error:
            shown = self.scrub(response.content.decode(encoding, "replace"))[:SHOWN]
            raise SourceError(
                "SRC-REST-JSON",
                zh=f"{self.base} 的 {what} 不是有效的 JSON（{error}）：{shown}",
                en=f"{what} of {self.base} is no valid JSON ({error}): {shown}",
                fix_zh="请来源部门检查接口；本次不采集",
                fix_en="Nothing was taken; ask the department to check the interface.",
            ) from None


def _after(response: httpx.Response) -> float | None:
    """Seconds from a Retry-After header, which may be a number or a date."""
    said = response.headers.get("Retry-After", "")
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    try:
        when = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    zoned = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return max((zoned - dt.datetime.now(dt.UTC)).total_seconds(), 0.0)


def _keys(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else []
