"""Read a departmental REST service that answers with JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

import httpx

from connectors.errors import SourceError, SourceUnavailable, changed
from connectors.options import Options, Secrets, wrong
from connectors.rest_json import found, written
from connectors.services.answers import SHOWN
from connectors.services.calls import SERVICE, Service
from connectors.services.listing import LISTING, Listing
from connectors.services.paging import Page, Turn
from connectors.services.signing import Ask, taken_apart
from schemas.values import Json

OPTIONS = ("path", "records", "params", "method", "send", "headers", "success", *SERVICE, *LISTING)
SUCCESS = ("path", "values", "busy", "message")


def open_rest(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> RestSource:
    """A source of kind `rest`; OPTIONS are allowed. The connection has `url`, and any of SERVICE for all its resources.

    `method: POST` with `send: json | form | query` says where the parameters go. `success: {path: code, values: [0]}`
    is for services that answer HTTP 200 and say in the body that it did not work (`busy`: values worth a second try).
    """
    url = connection.get("url")
    if not isinstance(url, str):
        raise wrong("connection.url", "须写明", "must be written", ("url", "auth"))
    given = {key: value for key, value in connection.items() if key in SERVICE}
    own = Options({**given, **options}, OPTIONS)
    return RestSource(own, Service(url, own, secrets))


class RestSource(Listing):
    """One list endpoint of a REST service."""

    def __init__(self, options: Options, service: Service) -> None:
        self._service = service
        super().__init__(_Endpoint(options, service), options)


class _Endpoint:
    """How the list is asked for and where its records are."""

    def __init__(self, options: Options, service: Service) -> None:
        self._service = service
        self.kind = "json"
        self.name = self._path = "/" + options.text("path").lstrip("/")
        self._records = options.maybe("records") or ""
        self._fixed, self._headers = options.texts("params"), options.texts("headers")
        self._method = options.choice("method", "GET", ("GET", "POST"))
        self._send = options.choice("send", "query" if self._method == "GET" else "json", ("query", "json", "form"))
        success = options.under("success", SUCCESS)
        self._code = success.text("path") if success else None
        self._good = frozenset(success.values("values")) if success else frozenset()
        self._busy = frozenset(success.values("busy")) if success else frozenset()

    @property
    def where(self) -> str:
        """Base and path."""
        return f"{self._service.base}{self._path}"

    def client(self) -> httpx.Client:
        """See Endpoint."""
        return self._service.client()

    def ask(self, client: httpx.Client, turn: Turn, what: str) -> Page:
        """See Endpoint."""
        answer, reply = self._service.json(client, lambda: self._made(turn), what)
        self._worked(answer, what)
        return Page(answer, reply.headers, turn.url or self.where)

    def records(self, page: Page, what: str) -> list[object]:
        """See Endpoint."""
        try:
            records = found(page.answer, self._records)
        except KeyError:
            records = None
        if isinstance(records, list):
            return records
        keys = list(page.answer) if isinstance(page.answer, dict) else []
        error = changed(("记录列表", "list of records"), what, [self._records or "(top)"], keys)
        shown = self._service.scrub(written(page.answer))[:SHOWN]
        error.zh, error.en = f"{error.zh}；返回：{shown}", f"{error.en}; it says: {shown}"
        raise error

    def _made(self, turn: Turn) -> Ask:
        if turn.url is not None:
            return self._linked(turn.url)
        params = {**self._fixed, **turn.params}
        if self._send == "query":
            return Ask(self._method, self._path, params, self._headers)
        kind, body = ("application/json", json.dumps(params, ensure_ascii=False)) if self._send == "json" else (
            "application/x-www-form-urlencoded", urlencode(params))  # fmt: skip
        return Ask(self._method, self._path, {}, {"Content-Type": kind, **self._headers}, body.encode())

    def _linked(self, url: str) -> Ask:
        """The call for a URL the service gave; credentials go nowhere else."""
        if not self._service.same_origin(url):
            raise self._service.elsewhere(url)
        path, params = taken_apart(url)
        return Ask("GET", path, params, self._headers)

    def _worked(self, answer: object, what: str) -> None:
        if self._code is None:
            return
        try:
            said = found(answer, self._code)
        except KeyError:
            keys = list(answer) if isinstance(answer, dict) else []
            raise changed(("返回码", "result code"), what, [self._code], keys) from None
        code = said if isinstance(said, str) else written(said)
        if code in self._good:
            return
        shown = self._service.scrub(written(answer))[:SHOWN]
        kind = SourceUnavailable if code in self._busy else SourceError
        raise kind(
            "SRC-REST-SAID-NO",
            zh=f"{self.where} 的 {what} 返回码为 {code}：{shown}",
            en=f"{what} of {self.where} has the result code {code}: {shown}",
            fix_zh="请按接口文档核对该返回码，必要时询问来源部门",
            fix_en="Look the code up in the interface's manual, or ask the department.",
        )
