"""Read a SOAP service by its WSDL, which lies on our disk: nothing is fetched to find out how to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import httpx

from connectors.errors import SourceError, SourceRefused, changed
from connectors.options import Options, Secrets, secret, wrong
from connectors.rest_json import found
from connectors.services.answers import Passing, Reply, json_of
from connectors.services.calls import SERVICE, Service
from connectors.services.listing import LISTING, Listing
from connectors.services.paging import Page, Turn
from connectors.services.signing import Ask
from connectors.services.soap_xml import Fault, body_of, declared_in, fault_of, listed_at, tree_of, value_of
from connectors.services.wsdl import Operation, load_operation
from schemas.values import Json

if TYPE_CHECKING:
    from zeep.wsse.username import UsernameToken

OPTIONS = ("wsdl", "operation", "service", "port", "params", "records", "inner", "security", *SERVICE, *LISTING)
SECURITY = ("username", "password_secret", "digest")
INNER = ("at", "as")
_LOGIN_FAULTS = ("authentication", "invalidsecurity", "securitytoken", "unauthorized", "accessdenied")


class _Inner(NamedTuple):
    """Some services put the answer as a text of XML or JSON into one element."""

    at: str
    kind: str


def open_soap(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> SoapSource:
    """A source of kind `soap`; OPTIONS are allowed. The connection may have `url` (else it is the WSDL's) and SERVICE.

    `wsdl` is a file with the schemas it imports beside it, `operation` what is called with `params` (names with dots go
    into nested elements), `records` the path to the repeated element below the answer. `inner: {at: …, as: xml | json}`
    is for answers that are a text inside an element. `security: {username, password_secret, digest: true}` is the
    WS-Security UsernameToken. `page`, `window` and `since` fill parameters, as for REST.
    """
    given = {key: value for key, value in connection.items() if key in SERVICE}
    own = Options({**given, **options}, OPTIONS)
    operation = load_operation(own.text("wsdl"), own.text("operation"), own.maybe("service"), own.maybe("port"))
    url = connection.get("url") or operation.address
    if not isinstance(url, str):
        raise wrong("connection.url", "须写明", "must be written", ("url", "auth"))
    return SoapSource(own, Service(url, own, secrets), operation, secrets)


class SoapSource(Listing):
    """One operation of a SOAP service that answers with a list."""

    def __init__(self, options: Options, service: Service, operation: Operation, secrets: Secrets) -> None:
        self._service = service
        super().__init__(_Endpoint(options, service, operation, secrets), options)


class _Endpoint:
    """How the operation is called and where its records are."""

    def __init__(self, options: Options, service: Service, operation: Operation, secrets: Secrets) -> None:
        self.kind, self.name = "xml", operation.name
        self._service, self._operation = service, operation
        self._fixed, self._records = options.texts("params"), options.text("records")
        inner = options.under("inner", INNER)
        self._inner = _Inner(inner.text("at"), inner.choice("as", "xml", ("xml", "json"))) if inner else None
        self._security = _security(options.under("security", SECURITY), secrets)

    @property
    def where(self) -> str:
        """Service and operation."""
        return f"{self._service.base} {self.name}"

    def client(self) -> httpx.Client:
        """See Endpoint."""
        return self._service.client()

    def ask(self, client: httpx.Client, turn: Turn, what: str) -> Page:
        """See Endpoint."""
        if turn.url is not None:
            raise wrong("source.page.style", "不能用于 SOAP", "is not for SOAP", ("page", "offset", "cursor", "none"))
        params = {**self._fixed, **turn.params}
        where = f"{what} of {self.where}"

        def make() -> Ask:
            envelope, headers = self._operation.envelope(params, self._security())
            return Ask("POST", "", {}, headers, envelope)

        def read(reply: Reply) -> object:
            return self._read(reply, where)

        def inspect(reply: Reply) -> None:
            fault = fault_of(reply.content)
            if fault is not None:
                raise self._refusal(fault, where)

        answer, reply = self._service.call(client, make, lambda reply: (read(reply), reply), inspect)
        return Page(answer, reply.headers, self._service.base)

    def records(self, page: Page, what: str) -> list[object]:
        """See Endpoint. An answer without the element has no records; one without what should hold it is changed."""
        try:
            return listed_at(page.answer, self._records)
        except KeyError as error:
            keys = list(page.answer) if isinstance(page.answer, dict) else []
            raise changed(("记录列表", "list of records"), what, [str(error.args[0])], keys) from None

    def _read(self, reply: Reply, where: str) -> object:
        tree = tree_of(
            self._service.text(reply, where, declared_in(reply.content)),
            where,
            lambda: reply.shown(self._service.scrub),
        )
        value = value_of(body_of(tree, where))
        if self._inner is None:
            return value
        try:
            text = found(value, self._inner.at)
        except KeyError:
            keys = list(value) if isinstance(value, dict) else []
            raise changed(("元素", "element"), where, [self._inner.at], keys) from None
        if not isinstance(text, str):
            raise changed(("文本元素", "element with text"), where, [self._inner.at], [])
        if self._inner.kind == "json":
            return json_of(text, reply, where, self._service.scrub)
        return value_of(tree_of(text, where, lambda: self._service.scrub(text)[:200]))

    def _refusal(self, fault: Fault, where: str) -> SourceError | Passing:
        said = self._service.scrub(f"{fault.code}: {fault.reason}")[:300]
        if any(word in fault.code.lower().replace("_", "") for word in _LOGIN_FAULTS):
            return SourceRefused(
                "SRC-SOAP-REFUSED",
                zh=f"{where} 拒绝访问：{said}",
                en=f"{where} refuses access: {said}",
                fix_zh="请向来源部门核对账号、口令、本机时间和授权范围",
                fix_en="Check account, password, this machine's clock and permissions with the department.",
            )
        if fault.receiver:
            return Passing(f"SOAP Fault {said}")
        return SourceError(
            "SRC-SOAP-FAULT",
            zh=f"{where} 返回 SOAP Fault：{said}",
            en=f"{where} answers with a SOAP Fault: {said}",
            fix_zh="请核对 operation 与 params，或询问来源部门接口是否变更",
            fix_en="Check operation and params, or ask the department whether the interface changed.",
        )


def _security(options: Options | None, secrets: Secrets) -> Callable[[], UsernameToken | None]:
    """Makes the UsernameToken of one call: its nonce and time are new each time."""
    if options is None:
        return lambda: None
    username, name = options.text("username"), options.text("password_secret")
    digest = options.flag("digest")

    def token() -> UsernameToken | None:
        from zeep.wsse.username import UsernameToken

        password = secret(secrets, name)
        return UsernameToken(username, password, use_digest=digest, zulu_timestamp=True)  # type: ignore[no-untyped-call]

    return token
