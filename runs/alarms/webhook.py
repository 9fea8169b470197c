"""Send messages to an address over HTTP: signed with HMAC-SHA256 over time and body, signed anew for each attempt."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Callable, Mapping

import httpx
import stamina

from connectors.options import Secrets, secret
from connectors.services.retries import log_retries
from runs.alarms.people import Person, Webhook
from runs.alarms.refusals import LineDown
from runs.alarms.values import Message

ATTEMPTS, TIMEOUT, WHOLE = 3, 10.0, 30.0  # seconds: of one attempt however slowly it is answered, of all
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

log_retries()
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # below that they log URLs, tokens and all


class _Passing(Exception):
    """An answer that may be another one next time."""


class Webhooks:
    """Posts messages as JSON to the webhooks of people.

    Headers: `X-Shutong-Timestamp` (seconds since 1970), `X-Shutong-Signature` (`sha256=` and the hexadecimal HMAC of
    `<timestamp>.<body>`), `X-Shutong-Delivery` (the same when a message is sent again).
    """

    def __init__(
        self,
        webhooks: Mapping[str, Webhook],
        secrets: Secrets,
        clock: Callable[[], float] = time.time,
        timeout: float = TIMEOUT,
    ) -> None:
        self._webhooks, self._secrets, self._clock, self._timeout = webhooks, secrets, clock, timeout

    def send(self, message: Message, person: Person) -> None:
        """Post one message; raises LineDown when the address did not take it after ATTEMPTS attempts."""
        hook = self._webhooks[person.webhook or ""]
        url = hook.url or secret(self._secrets, hook.url_secret or "")
        key = secret(self._secrets, hook.secret).encode()
        body = json.dumps(
            {
                "delivery": message.delivery,
                "what": message.what,
                "person": person.id,
                "subject": message.subject,
                "body": message.body,
                "created_at": message.created_at,
            },
            ensure_ascii=False,
        ).encode()
        try:
            for attempt in stamina.retry_context(
                on=(_Passing, httpx.TransportError), attempts=ATTEMPTS, timeout=WHOLE, wait_initial=0.2, wait_max=2.0
            ):
                with attempt:
                    asyncio.run(self._post(url, key, message.delivery, body))
        except (_Passing, httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) if isinstance(error, _Passing) else type(error).__name__
            raise _down(hook, reason) from None

    def close(self) -> None:
        """Nothing stays open between two messages."""

    async def _post(self, url: str, key: bytes, delivery: str, body: bytes) -> None:
        at = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "shutong",
            "X-Shutong-Timestamp": at,
            "X-Shutong-Signature": f"sha256={hmac.digest(key, at.encode() + b'.' + body, 'sha256').hex()}",
            "X-Shutong-Delivery": delivery,
        }
        # httpx measures each read by itself: one byte now and then would hold up everybody. The body is nobody's.
        try:
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(timeout=self._timeout, trust_env=False, follow_redirects=False) as client,
                client.stream("POST", url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except TimeoutError:
            raise _Passing("Timeout") from None
        if status in _PASSING:
            raise _Passing(f"HTTP {status}")
        if not answer.is_success:
            raise httpx.HTTPStatusError(f"HTTP {status}", request=answer.request, response=answer)


def _down(hook: Webhook, reason: str) -> LineDown:
    return LineDown(
        "RUN-ALARM-WEBHOOK",
        zh=f"webhook {hook.name} 没有收下消息（{reason}），稍后重试",
        en=f"the webhook {hook.name} did not take a message ({reason}); it is tried again",
        fix_zh="检查 people.yaml 中该 webhook 的地址与签名密钥，并用 shutong alarms test 再试",
        fix_en="Check the address and the signing secret of that webhook in people.yaml; try: shutong alarms test",
    )
