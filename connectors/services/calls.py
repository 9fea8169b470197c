"""Call a departmental service: sign, wait one's turn, retry what may pass, refuse what will not, keep secrets quiet."""

from __future__ import annotations

import datetime as dt
import email.utils
import logging
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import stamina

from connectors.errors import SourceError, SourceRefused, SourceUnavailable
from connectors.options import Options, Secrets, wrong
from connectors.services.answers import Passing, Reply, decoded, json_of, taken
from connectors.services.auth import AUTH, Auth
from connectors.services.manners import BREAKER, RATE, breaker_of, paused, rate_of
from connectors.services.retries import log_retries
from connectors.services.signing import Ask, query_text, taken_apart

SERVICE = ("auth", "timeout", "retries", "rate", "breaker", "largest", "encoding", "ca")
RETRIES = ("attempts", "wait", "max_wait")
TIMEOUT = ("connect", "read", "total")
LARGEST = 256 << 20  # bytes of one answer, unpacked
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_HOPS = 5
_LONGEST = 86_400.0  # seconds: whatever Retry-After says, the day after we ask again

T = TypeVar("T")
Inspect = Callable[[Reply], None]

log_retries()
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # below that they log URLs and headers, keys and all


def nothing(_: Reply) -> None:
    """Inspects an answer and finds nothing to say."""


class _Expired(Exception):
    """The service does not accept the token any more."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class _Timeouts:
    connect: float
    read: float
    total: float


class Service:
    """One service below a base URL; `own` holds the options SERVICE, among others.

    `timeout: 30` or `{connect: 10, read: 30, total: 600}` in seconds, `retries: {attempts, wait, max_wait}`,
    `rate: {per_second, burst}`, `breaker: {failures, pause: 60s}`, `largest` bytes of an answer, `encoding`,
    `ca` a PEM file of the department's own certificate authority.
    """

    def __init__(self, base: str, own: Options, secrets: Secrets) -> None:
        self.base = base.rstrip("/")
        _plain_address(base)
        self._auth = Auth(own.under("auth", AUTH), secrets)
        retries = own.under("retries", RETRIES) or Options({}, RETRIES)
        self._attempts = retries.whole("attempts", 5, least=1)
        self._wait, self._max_wait = retries.number("wait", 0.5), retries.number("max_wait", 30)
        self._timeouts = _timeouts(own)
        self._rate, self._breaker_options = own.under("rate", RATE), own.under("breaker", BREAKER)
        rate_of(self.base, self._rate)
        self._breaker = breaker_of(self.base, self._breaker_options)
        self._largest = own.whole("largest", LARGEST, least=1)
        self._encoding = own.maybe("encoding") or ""
        self._ca = own.maybe("ca")
        self.scrub = self._auth.scrub

    def client(self) -> httpx.Client:
        """A client for one run of calls; proxies of the environment are not for systems inside the network."""
        times = self._timeouts
        timeout = httpx.Timeout(times.read, connect=times.connect)
        headers = {"Accept": "application/json, */*;q=0.5", "Accept-Encoding": "gzip", "User-Agent": "shutong"}
        return httpx.Client(
            timeout=timeout, trust_env=False, headers=headers, follow_redirects=False, verify=_trusted(self._ca)
        )

    def json(self, client: httpx.Client, make: Callable[[], Ask], what: str) -> tuple[object, Reply]:
        """The JSON that the call brings; `what` (such as "page 3") is named in errors."""
        return self.call(client, make, lambda reply: (self._json(reply, f"{what} of {self.base}"), reply))

    def call(
        self,
        client: httpx.Client,
        make: Callable[[], Ask],
        read: Callable[[Reply], T],
        inspect: Inspect = nothing,
    ) -> T:
        """What `read` makes of the answer, after as many attempts as allowed.

        `make` gives the call anew for each attempt, and each is signed anew. `read` may raise Passing for an answer
        that should be asked for again; `inspect` sees answers of any status first.
        """
        try:
            return self._tried(client, make, read, inspect)
        except _Expired:
            self._auth.renew()  # a token may run out between two pages: ask for another once
        try:
            return self._tried(client, make, read, inspect)
        except _Expired as error:
            raise self._refused(error.reply, self._url(make().path)) from None

    def text(self, reply: Reply, where: str, declared: str = "") -> str:
        """The text of an answer by the option `encoding`, else the Content-Type, else what it declares inside."""
        return decoded(reply, self._encoding or (declared if not reply.charset else ""), where)

    def same_origin(self, url: str) -> bool:
        """True when credentials may travel to the URL: the same host and port, or the same host made secure."""
        ours, theirs = urlsplit(self.base), urlsplit(url)
        if ours.hostname != theirs.hostname:
            return False
        secured = ours.scheme == "http" and theirs.scheme == "https" and ours.port is None and theirs.port is None
        return secured or (ours.scheme, ours.port) == (theirs.scheme, theirs.port)

    def elsewhere(self, url: str) -> SourceError:
        """SRC-REST-REDIRECT: the service sends us to another host, where our credentials do not go."""
        there = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
        return SourceError(
            "SRC-REST-REDIRECT",
            zh=f"{self.base} 把请求转到 {there}，凭据不会发往其他主机",
            en=f"{self.base} sends us to {there}; credentials do not travel to another host",
            fix_zh="请与来源部门核对地址，若确已迁移，修改连接的 url",
            fix_en="Check the address with the department; if it moved, correct the url of the connection.",
        )

    # below: one call

    def _tried(self, client: httpx.Client, make: Callable[[], Ask], read: Callable[[Reply], T], inspect: Inspect) -> T:
        ask = make()
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
                    if attempt.num > 1:
                        ask = make()
                    reply = self._sent(client, ask, inspect)
                    inspect(reply)
                    return read(self._accepted(reply, self._url(ask.path)))
        except Passing as error:
            raise self._unavailable(self._url(ask.path), error) from None
        raise AssertionError  # the loop returns or raises

    def _sent(self, client: httpx.Client, ask: Ask, inspect: Inspect = nothing, *, plain: bool = False) -> Reply:
        """The answer to one attempt, redirects within the host followed, each hop signed by itself."""
        for _ in range(_HOPS):
            url = self._url(ask.path)
            shut = self._breaker.closed_for()
            if shut:
                raise paused(self.base, shut)
            time.sleep(rate_of(self.base, self._rate).wait())
            made = ask if plain else self._auth.applied(ask, urlsplit(url).path or "/", self._login(client))
            reply = self._once(client, made, url, inspect)
            location = reply.headers.get("Location")
            if reply.status not in (301, 302, 303, 307, 308) or location is None:
                return reply
            ask = self._moved(ask, url, location, keep=reply.status in (307, 308))
        raise Passing(f"more than {_HOPS} redirects")

    def _once(self, client: httpx.Client, ask: Ask, url: str, inspect: Inspect) -> Reply:
        asked = f"{url}{'&' if '?' in url else '?'}{query_text(ask.params)}" if ask.params else url
        deadline = time.monotonic() + self._timeouts.total
        try:
            headers = [(name.encode(), value.encode()) for name, value in ask.headers.items()]
            request = client.build_request(ask.method, asked, headers=headers, content=ask.body or None)
            response = client.send(request, stream=True)
            try:
                reply = Reply(response.status_code, response.headers, taken(response, self._largest, deadline))
            finally:
                response.close()
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            raise wrong(
                "connection.url", f"或请求头无法使用：{error}", f"or a header cannot be used: {error}"
            ) from None
        except (httpx.TransportError, httpx.StreamError) as error:
            self._breaker.came_out(well=False)
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise self._stranger(str(error)) from None
            raise Passing(f"{type(error).__name__}: {error}") from None
        except httpx.InvalidURL as error:
            raise wrong("connection.url", f"不是有效的地址：{error}", f"is no valid address: {error}") from None
        except Passing:
            self._breaker.came_out(well=False)
            raise
        if reply.status in _PASSING:
            self._told(reply, inspect)
        self._breaker.came_out(well=True)
        return reply

    def _told(self, reply: Reply, inspect: Inspect) -> None:
        """Raise for an answer that says not now; `inspect` may know better what it says."""
        try:
            inspect(reply)
        except SourceError:
            self._breaker.came_out(well=True)  # it works, and says no
            raise
        failed = Passing(f"HTTP {reply.status} {reply.shown(self.scrub)}", _after(reply))
        self._breaker.came_out(well=False, stay_away=failed.after or 0)
        raise failed

    def _moved(self, ask: Ask, url: str, location: str, *, keep: bool) -> Ask:
        target = urljoin(url, location)
        if not self.same_origin(target):
            raise self.elsewhere(target)
        path, params = taken_apart(target)
        return replace(ask, path=path, params=params) if keep else Ask("GET", path, params, {})

    def _login(self, client: httpx.Client) -> Callable[[Ask], object]:
        """Sends the call that fetches a token: without credentials of its own, and within the attempt that needs it."""

        def login(ask: Ask) -> object:
            url = self._url(ask.path)
            return self._json(self._accepted(self._sent(client, ask, plain=True), url, login=True), f"login {url}")

        return login

    def _url(self, path: str) -> str:
        return path if re.match(r"https?://", path) else self.base + path

    def _json(self, reply: Reply, where: str) -> object:
        return json_of(self.text(reply, where), reply, where, self.scrub)

    def _again(self, error: Exception) -> bool | float:
        if not isinstance(error, Passing):
            return False
        if error.after is None:
            return True
        # Asked to stay away for longer than a worker should wait: the scheduler comes back later.
        return error.after if error.after <= self._max_wait else False

    def _accepted(self, reply: Reply, where: str, *, login: bool = False) -> Reply:
        refused = reply.status == httpx.codes.UNAUTHORIZED or reply.is_login
        if refused and self._auth.renewable and not login:
            raise _Expired(reply)
        if refused or reply.status == httpx.codes.FORBIDDEN:
            raise self._refused(reply, where)
        if httpx.codes.is_success(reply.status):
            return reply
        raise SourceError(
            "SRC-REST-STATUS",
            zh=f"{where} 返回 HTTP {reply.status}：{reply.shown(self.scrub)}",
            en=f"{where} answers HTTP {reply.status}: {reply.shown(self.scrub)}",
            fix_zh="请检查资源文件中的 path 与 page，或询问来源部门接口是否变更",
            fix_en="Check path and page in the resource file, or ask the department whether the interface changed.",
        )

    def _refused(self, reply: Reply, where: str) -> SourceRefused:
        page_zh, page_en = ("，给出的是登录页", ", with a login page") if reply.is_login else ("", "")
        return SourceRefused(
            "SRC-REST-REFUSED",
            zh=f"{where} 拒绝访问（HTTP {reply.status}{page_zh}）：{reply.shown(self.scrub)}",
            en=f"{where} refuses access (HTTP {reply.status}{page_en}): {reply.shown(self.scrub)}",
            fix_zh="请向来源部门核对令牌、账号、签名方式、本机时间和授权范围",
            fix_en="Check token, account, signature, this machine's clock and permissions with the department.",
        )

    def _stranger(self, said: str) -> SourceRefused:
        return SourceRefused(
            "SRC-REST-CERTIFICATE",
            zh=f"{self.base} 的证书不被信任，没有发送任何凭据：{said}",
            en=f"the certificate of {self.base} is not trusted, so no credentials were sent: {said}",
            fix_zh="请向来源部门索取其证书颁发机构的 PEM 文件，用选项 ca 写明路径；过期的证书请对方更换",
            fix_en="Ask the department for the PEM file of its certificate authority and name it in the option ca; an"
            " expired certificate they have to replace.",
        )

    def _unavailable(self, where: str, error: Passing) -> SourceUnavailable:
        said = self.scrub(str(error))
        later_zh = f"（要求 {error.after:.0f} 秒后再来）" if error.after else ""
        later_en = f" (it asks to come back in {error.after:.0f} seconds)" if error.after else ""
        return SourceUnavailable(
            "SRC-REST-UNAVAILABLE",
            zh=f"{where} 尝试 {self._attempts} 次仍不可用：{said}{later_zh}",
            en=f"{where} is not available after up to {self._attempts} attempts: {said}{later_en}",
            fix_zh="稍后会重试；若持续，请联系来源部门检查服务",
            fix_en="It will be tried again; if it persists ask the department to check its service.",
        )


def _plain_address(base: str) -> None:
    """SRC-OPTION for what is no web address, and for one that holds an account: messages show the address."""
    if not re.match(r"https?://", base):
        raise wrong("connection.url", "须以 http:// 或 https:// 开头", "must begin with http:// or https://")
    try:
        parts = urlsplit(base)
        known = parts.hostname and (parts.port is None or parts.port >= 0)
    except ValueError:
        known = False
    if not known:
        raise wrong("connection.url", "不是有效的地址", "is no valid address", ("https://host:port/path",))
    if "@" in parts.netloc:
        zh, en = (
            "不能含账号或口令，请写在 auth.basic 中",
            "may hold no account or password; write them under auth.basic",
        )
        raise wrong("connection.url", zh, en, ("auth",))


@cache
def _trusted(ca: str | None) -> ssl.SSLContext:
    """Whose certificates are believed: made once, because reading them all takes a good part of a second."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except (OSError, ssl.SSLError) as error:
            raise wrong("source.ca", f"无法读取：{error}", f"cannot be read: {error}") from None
    return context


def _timeouts(own: Options) -> _Timeouts:
    if own.is_mapping("timeout"):
        said = own.under("timeout", TIMEOUT) or Options({}, TIMEOUT)
        return _Timeouts(said.number("connect", 10), said.number("read", 30), said.number("total", 600))
    read = own.number("timeout", 30)
    return _Timeouts(min(read, 10), read, max(600, read))


def _after(reply: Reply) -> float | None:
    """Seconds from a Retry-After header, which may be a number or a date."""
    said = reply.headers.get("Retry-After", "")
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return min(float(said), _LONGEST)
    try:
        when = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    zoned = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return min(max((zoned - dt.datetime.now(dt.UTC)).total_seconds(), 0.0), _LONGEST)
