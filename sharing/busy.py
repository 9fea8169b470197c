"""The door: takes a bounded number of calls, gives bodies their time, and counts, logs and traces what was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

from sharing.access_log import AccessLog
from sharing.busy_refusals import BusyError, LeavingError, SlowError
from sharing.calls import Call
from sharing.desk import Visit
from sharing.drain import Work
from sharing.errors import SharingError
from sharing.metrics import Tally
from sharing.problems import refusal
from sharing.traces import Traced, Traces

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LIVE, READY, METRICS = "/healthz", "/readyz", "/metrics"
PROBES: Final = frozenset({LIVE, READY, METRICS})  # always let in: whoever runs the service must see how it is
NOBODY: Final = "-"  # the subject of a call about nothing that is shared
_VISIT: Final = "shutong.visit"
_CLOSE: Final = (b"connection", b"close")
_BODIES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LOOK: Final = 1.0  # seconds between two looks for slow bodies


class Watch:
    """What a worker keeps of its calls: how many are in work, counters, the log, traces."""

    __slots__ = ("log", "tally", "traces", "work")

    def __init__(self, work: Work, tally: Tally, log: AccessLog | None, traces: Traces | None) -> None:
        self.work, self.tally, self.log, self.traces = work, tally, log, traces

    def close(self) -> None:
        """Write and send what waits."""
        if self.log is not None:
            self.log.close()
        if self.traces is not None:
            self.traces.close()
        self.tally.close()


class Door:
    """ASGI middleware before all others.

    A call beyond the limit is refused at once, 503 with Retry-After: it is not looked at, so there is nothing to
    record; the metrics count it. A call that waits for its own body is not in work.
    """

    def __init__(self, app: App, watch: Watch, body_seconds: int) -> None:
        self._app, self._watch, self._seconds = app, watch, body_seconds
        self._arriving: set[_Arriving] = set()
        self._looking: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one call in, or turn it away."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        watch = self._watch
        work = watch.work
        if work.closed or work.going >= work.most:
            await self._turn_away(scope, send, LeavingError.of() if work.closed else BusyError.of())
            return
        work.going += 1
        arriving = self._awaited(receive) if scope["method"] in _BODIES else None
        traced = watch.traces.begin(scope) if watch.traces is not None else None
        if work.leaving or traced is not None:
            send = _marked(send, traced, work)
        try:
            await self._app(scope, arriving or receive, send)
        finally:
            work.going -= 1
            if arriving is not None:
                self._arriving.discard(arriving)
            self._note(scope, traced)

    def _note(self, scope: Scope, traced: Traced | None) -> None:
        visit: Visit | None = scope.get(_VISIT)
        if visit is None:
            return
        watch, call = self._watch, visit.call
        micros = (time.perf_counter_ns() - visit.began) // 1000
        subject = call.library or call.resource or NOBODY
        watch.tally.call(call.operation, call.status, subject, micros)
        if call.code is not None:
            watch.tally.add("refusals", call.code)
        if watch.log is not None:
            watch.log.note(call, subject, micros, traced.id if traced is not None else None)
        if traced is not None:
            Traces.end(traced, call, subject, call.status)

    async def _turn_away(self, scope: Scope, send: Send, error: SharingError) -> None:
        call = Call.begin()
        answer = refusal(error, call.id)
        call.operation, call.status, call.code, call.size = "turned-away", answer.status, error.code, len(answer.body)
        self._watch.tally.add("refusals", error.code)
        if self._watch.log is not None:
            self._watch.log.note(call, NOBODY, 0)
        headers = [(b"content-type", answer.media), (b"content-length", b"%d" % len(answer.body)),
                   (b"x-request-id", call.id.encode()), (b"cache-control", b"no-store"), *answer.headers]  # fmt: skip
        if self._watch.work.closed or scope["method"] in _BODIES:
            headers.append(_CLOSE)  # what is left of a body stays unread
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    def _awaited(self, receive: Receive) -> _Arriving:
        arriving = _Arriving(receive, self._watch.work, self._seconds)
        self._arriving.add(arriving)
        loop = asyncio.get_running_loop()
        if self._looking is None or self._looking[0] is not loop:
            self._looking = loop, loop.call_later(_LOOK, self._look)
        return arriving

    def _look(self) -> None:
        """Once a second while bodies are on their way: those that take too long are given up."""
        self._looking = None
        now = time.monotonic()
        for one in list(self._arriving):
            if one.whole:
                self._arriving.discard(one)
            elif now - one.since > self._seconds:
                one.give_up()
        if self._arriving:
            loop = asyncio.get_running_loop()
            self._looking = loop, loop.call_later(_LOOK, self._look)


class _Arriving:
    """A request's body on its way, in the place of ASGI's receive."""

    __slots__ = ("_late", "_receive", "_seconds", "_task", "_work", "since", "whole")

    def __init__(self, receive: Receive, work: Work, seconds: int) -> None:
        self._receive, self._work, self._seconds = receive, work, seconds
        self._task: asyncio.Task[Any] | None = None
        self._late = self.whole = False
        self.since = time.monotonic()

    async def __call__(self) -> Message:
        """The next part. Raises SlowError when it did not come in time."""
        self._task = task = asyncio.current_task()
        self._work.going -= 1
        self._work.waiting += 1
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if not self._late or task is None:
                raise
            task.uncancel()
            raise SlowError.of(self._seconds) from None
        finally:
            self._task = None
            self._work.waiting -= 1
            self._work.going += 1
        self.whole = not message.get("more_body")
        return message

    def give_up(self) -> None:
        """Have whoever waits for it raise SlowError."""
        if self._task is not None and not self._late:
            self._late = True
            self._task.cancel()


def _marked(send: Send, traced: Traced | None, work: Work) -> Send:
    """Answers that say which trace they belong to, and that close the connection while the worker is leaving."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if traced is not None:
                headers.append((b"traceresponse", traced.answer))
            if work.leaving:
                with suppress(ValueError):
                    headers.remove(_CLOSE)
                headers.append(_CLOSE)
            message = {**message, "headers": headers}
        await send(message)

    return marked
