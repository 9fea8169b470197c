"""Traces: a span for one call in so many, sent to a collector by OpenTelemetry in a thread that no call waits for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sharing.calls import Call
from sharing.operating import TraceTerms

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

SENDING_SECONDS: Final = 2  # a collector that takes longer has missed a batch
WAITING: Final = 2048  # spans that wait at most; those beyond are dropped
_CLOSING_SECONDS: Final = 3
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class Traced:
    """A call that is traced: its span, and what to undo in the context at its end."""

    span: Span
    token: Token[Context]
    id: str
    answer: bytes  # the header traceresponse: what the caller's own span is joined with


class Traces:
    """Decides which calls are traced; the others cost a look at a random number, or at one header."""

    def __init__(self, terms: TraceTerms) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._terms, self._share = terms, terms.percent / 100
        self._provider = TracerProvider(
            ALWAYS_ON, Resource.create({"service.name": "shutong-sharing"}), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=terms.url, timeout=SENDING_SECONDS)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=WAITING, schedule_delay_millis=1000)
        )
        self._tracer = self._provider.get_tracer("shutong.sharing")
        self._propagator = TraceContextTextMapPropagator()
        self._second, self._taken = 0, 0

    def begin(self, scope: MutableMapping[str, Any]) -> Traced | None:
        """The span of a call, if it is traced; it is the current one until `end`."""
        parent = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
        asked = parent is not None and parent[-2:] in {b"01", b"03"}
        if not (asked or random.random() < self._share) or not self._room():  # noqa: S311 chance is all that is wanted
            return None
        from opentelemetry import context, trace

        carried = self._propagator.extract({"traceparent": (parent or b"").decode("latin-1")})
        method = scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} else "_OTHER"
        span = self._tracer.start_span(
            method, carried, trace.SpanKind.SERVER, {"http.request.method": method, "url.scheme": scope["scheme"]}
        )
        about = span.get_span_context()
        number = trace.format_trace_id(about.trace_id)
        answer = f"00-{number}-{trace.format_span_id(about.span_id)}-01".encode()
        return Traced(span, context.attach(trace.set_span_in_context(span, carried)), number, answer)

    @staticmethod
    def end(traced: Traced, call: Call, subject: str, status: int) -> None:
        """Say what became of the call: neither its key nor its path, which may hold one."""
        from opentelemetry import context
        from opentelemetry.trace import StatusCode

        context.detach(traced.token)
        span = traced.span
        span.update_name(f"{call.operation} {subject}")
        span.set_attributes({
            "http.response.status_code": status, "shutong.request_id": call.id, "shutong.operation": call.operation,
            "shutong.subject": subject, "shutong.units": call.units, "http.response.body.size": call.size,
        })  # fmt: skip
        if call.code is not None:
            span.set_attribute("error.type", call.code)
        if status >= 500:  # noqa: PLR2004 ours
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send what waits, for three seconds at the most: a collector that is away holds nobody up."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-closing", daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)

    def _room(self) -> bool:
        """Not more than so many a second, whatever senders ask for."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= self._terms.most
