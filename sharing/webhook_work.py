"""Tell departments that something changed within their grants: a signed message with a cursor and counts, no data."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import httpx

from schemas.errors import ShutongError
from sharing import feed
from sharing.answers import Steps, steps_of
from sharing.catalog import Library
from sharing.desk import Desk
from sharing.errors import SharingError
from sharing.feed_refusals import ResyncError
from sharing.grants import Plan
from sharing.webhook_address import Reachable
from sharing.webhook_letters import body_of, headers, secret_of
from sharing.webhook_refusals import AddressRefusedError
from sharing.webhook_store import Hook, HookStore, Letter

COUNTED: Final = 10_000  # changes counted for a message; beyond, it says that there are more
WITHIN: Final = 10.0  # seconds for an answer, however slowly it comes
AT_ONCE: Final = 16  # messages on their way
FORGOTTEN: Final = "WH-CHANGES-FORGOTTEN"
GONE: Final = 410  # what a receiver answers that wants no more
_log = logging.getLogger(__name__)
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # below that they log addresses, which may hold tokens


class Teller:
    """Looks what changed, and sends what is due; over one Desk, which answers for the rights."""

    def __init__(
        self, desk: Desk, store: HookStore, reachable: Reachable, trusted: ssl.SSLContext | None = None
    ) -> None:
        self._desk, self._store, self._reachable = desk, store, reachable
        self._trusted = trusted or ssl.create_default_context()

    async def look(self) -> int:
        """A message for every webhook for which something changed within its grant; how many were written."""
        await self._desk.follow()
        told = 0
        for hook in await asyncio.to_thread(self._store.idle):
            try:
                told += await asyncio.to_thread(self._look, hook)
            except ShutongError as error:  # no grant now, or the library cannot be read: nothing is told
                _log.info("webhook %d: %s", hook.id, error.code)
        return told

    async def send(self) -> int:
        """Send what is due, AT_ONCE at a time so that one who does not answer holds up few; how many were tried."""
        tried, free = 0, asyncio.Semaphore(AT_ONCE)

        async def one(hook: Hook, letter: Letter) -> None:
            try:
                await self._deliver(hook, letter)
            finally:
                free.release()

        async with asyncio.TaskGroup() as going:
            while True:
                await free.acquire()
                taken = await asyncio.to_thread(self._store.take)
                if taken is None:
                    return tried
                going.create_task(one(*taken))
                tried += 1

    def _look(self, hook: Hook) -> bool:
        config = self._desk.config
        library = (config.libraries if hook.kind == "libraries" else config.served).get(hook.subject)
        if library is None or self._shut_off(hook):
            return False
        plan = self._desk.grants.plan(
            hook.department, hook.subject, hook.grant_id, client=hook.client, channel="feed"
        )  # fmt: skip
        steps = steps_of(plan, None)
        feed.key_whole(library, plan, steps)
        if hook.cursor is None:
            self._store.moved(hook, asdict(feed.start(library, plan, steps)), None)
            return False
        since = feed.Cursor(**hook.cursor)  # type: ignore[arg-type]  # as it was written
        data: dict[str, object] = {"subject": hook.subject, "grant": plan.grant.id}
        try:
            if since.version != feed.version(plan, steps):
                raise ResyncError.of(hook.subject)
            rows, after, more = _all(library, since, plan, steps)
        except ShutongError as error:
            if not isinstance(error, ResyncError) and error.code != FORGOTTEN:
                raise
            body = body_of("changes.resync", data)
            return self._store.moved(hook, asdict(feed.start(library, plan, steps)), body)
        if after == since:
            return False
        if not rows:
            self._store.moved(hook, asdict(after), None)
            return False
        gone = sum(row["change"] == "gone" for row in rows)
        data |= {"changed": len(rows) - gone, "gone": gone, "more": more,
                 "since": feed.seal(self._desk.marks, since, plan)}  # fmt: skip
        return self._store.moved(hook, asdict(after), body_of("changes.available", data))

    def _shut_off(self, hook: Hook) -> bool:
        client = self._desk.callers.clients.named(hook.department, hook.client) if hook.client is not None else None
        return client is not None and client.disabled_at is not None

    async def _deliver(self, hook: Hook, letter: Letter) -> None:
        if hook.disabled_at is not None:
            await asyncio.to_thread(self._store.failed, hook, letter, "disabled", over=True)
            return
        try:
            status = await self._post(hook, letter)
        except AddressRefusedError:
            answer, status = "address", 0
        except TimeoutError:
            answer, status = "timeout", 0
        except (httpx.HTTPError, OSError, ValueError) as error:
            answer, status = type(error).__name__, 0
        else:
            answer = f"HTTP {status}"
        if httpx.codes.is_success(status):
            await asyncio.to_thread(self._store.arrived, letter, answer)
        else:
            await asyncio.to_thread(self._store.failed, hook, letter, answer, over=status == GONE)

    async def _post(self, hook: Hook, letter: Letter) -> int:
        """The status of the answer; its body is not read, and a redirect leads nowhere."""
        url = self._reachable.read(hook.url)
        async with (
            asyncio.timeout(WITHIN),
            httpx.AsyncClient(timeout=WITHIN, trust_env=False, follow_redirects=False, verify=self._trusted) as client,
        ):
            address = await self._reachable.resolved(url)
            told = headers(secret_of(self._desk.config.secret, hook), letter, int(time.time()))
            request = client.build_request(
                "POST", url.copy_with(host=address), content=letter.body.encode(),
                headers=told | {"host": url.netloc.decode()}, extensions={"sni_hostname": url.host},
            )  # fmt: skip
            answer = await client.send(request, stream=True)
            await answer.aclose()
        return answer.status_code


def _all(
    library: Library, since: feed.Cursor, plan: Plan, steps: Steps
) -> tuple[list[Mapping[str, object]], feed.Cursor, bool]:
    """The changes up to the generation in force, COUNTED of them at most; and the cursor behind all of them."""
    rows: list[Mapping[str, object]] = []
    cursor, newest = since, feed.start(library, plan, steps)
    while True:
        page = feed.read(library, cursor, plan, steps, feed.LARGEST)
        rows += page.rows
        cursor = page.cursor
        if page.done:
            return rows, cursor, False
        if len(rows) >= COUNTED:
            return rows, newest, True


async def run(teller: Teller, store: HookStore, stop: asyncio.Event, pause: float = 2.0) -> None:
    """Look and send until `stop` is set, every `pause` seconds."""
    forgotten = 0.0
    while not stop.is_set():
        try:
            await teller.look()
            await teller.send()
            if not forgotten or time.monotonic() - forgotten > 3600:  # noqa: PLR2004 once an hour
                forgotten = time.monotonic()
                await asyncio.to_thread(store.forget)
        except SharingError as error:
            _log.warning("webhooks: %s", error.code)
        except Exception as error:  # noqa: BLE001 the database is away, or so: it is tried again
            _log.error("webhooks: %s", type(error).__name__)
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            continue
