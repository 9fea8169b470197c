"""Send one call until it is answered or refused for good: counted once however often it is sent, and proven."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlencode

import httpx
import stamina

from shutong_client.answers import Proof
from shutong_client.errors import ClientError, ReceiptError, RefusedError, refused, unreachable
from shutong_client.profile import Profile
from shutong_client.receipts import Receipts, none_came, of_request, request_hash

ATTEMPTS: Final = 6
JSON: Final = "application/json"
_KEYS: Final = "/v1/receipt-keys"
_BAD: Final = 400


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which grant a call is made and what for; what is None is the profile's."""

    grant: str | None = None
    matter: str | None = None
    case: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A call as it will be sent, the same at each try."""

    method: str
    path: str
    parameters: Sequence[tuple[str, str]] = ()
    body: Mapping[str, object] | None = None
    accept: str = JSON
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Came:
    """An answer: its bytes as hashed in the receipt, its headers, and the proof."""

    content: bytes
    headers: httpx.Headers
    proof: Proof | None


class Connection:
    """The connection to one exchange."""

    def __init__(self, profile: Profile, receipts: Receipts, transport: httpx.BaseTransport | None = None) -> None:
        self._profile, self.receipts = profile, receipts
        self._http = httpx.Client(
            base_url=profile.address, auth=profile.credential.auth(), timeout=profile.timeout, transport=transport,
            trust_env=False, headers={"User-Agent": "shutong-client"},
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def pin(self) -> None:
        """Get the exchange's public keys and hold on to them. Raises UnreachableError, RefusedError."""
        try:
            response = self._http.get(_KEYS, auth=httpx.Auth())
        except httpx.TransportError as error:
            raise unreachable(error) from None
        if response.status_code >= _BAD:
            raise refused(response)
        self.receipts.pin(response.json())

    def call(self, sent: Sent) -> Came:
        """The answer. Raises RefusedError, UnreachableError, ReceiptError.

        A call without an answer, or refused for now, is sent again under the same number while the profile's patience
        lasts, after as long as the exchange asks for.
        """
        number, until = str(uuid.uuid4()), time.monotonic() + self._profile.patience

        def again(error: Exception) -> bool | timedelta:
            if not isinstance(error, ClientError) or not error.retryable:
                return False
            wait = error.retry_after if isinstance(error, RefusedError) else None
            if wait is None:
                return True
            return timedelta(seconds=wait) if time.monotonic() + wait < until else False

        for attempt in stamina.retry_context(on=again, attempts=ATTEMPTS, timeout=self._profile.patience):
            with attempt:
                return self._once(sent, number)
        raise AssertionError  # the context either returns or raises

    def _once(self, sent: Sent, number: str) -> Came:
        request = self._request(sent, number)
        try:
            response = self._http.send(request)
        except httpx.TransportError as error:
            raise unreachable(error) from None
        proof = self._proof(request, response) if "x-receipt" in response.headers else None
        if response.status_code >= _BAD:
            raise refused(response)
        if proof is None:
            raise none_came()
        return Came(response.content, response.headers, proof)

    def _request(self, sent: Sent, number: str) -> httpx.Request:
        terms, profile = sent.terms, self._profile
        said = {
            "Accept": sent.accept,
            "X-Client-Request-Id": number,
            "X-Grant": terms.grant or profile.grant,
            "X-Matter": quote(terms.matter or profile.matter or "", safe=""),
            "X-Case": quote(terms.case or "", safe=""),
        }
        headers = {name: value for name, value in said.items() if value}
        content = None
        if sent.body is not None:
            content = json.dumps(sent.body, ensure_ascii=False, separators=(",", ":")).encode()
            headers["Content-Type"] = JSON
        query = f"?{urlencode(sent.parameters, quote_via=quote)}" if sent.parameters else ""
        return self._http.build_request(sent.method, sent.path + query, content=content, headers=headers)

    def _proof(self, request: httpx.Request, response: httpx.Response) -> Proof:
        if self.receipts.keys is None:
            self.pin()
        text = response.headers["x-receipt"]
        target, grant = request.url.raw_path.decode("latin-1"), request.headers.get("x-grant", "")
        asked = request_hash(request.method, target, request.content, grant)
        receipt = self.receipts.verify(text, answer=response.content)
        if receipt.request is not None or response.status_code < _BAD:  # what is refused unread has no hash of it
            of_request(receipt, asked)
        own = request.headers["x-client-request-id"]
        if receipt.status != response.status_code or receipt.client_id not in {None, own}:
            raise ReceiptError(
                "CLI-RECEIPT-OTHER", zh="回执的状态或请求编号与应答不符",
                en="The receipt's status or number is not the answer's",
            )  # fmt: skip
        self.receipts.save(text, receipt)
        return Proof(text, receipt)
