"""How a service is run: limits, drain, who may read metrics, the access log and traces; values from the settings."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from sharing.proxies import Network

HERE: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class LogTerms:
    """The access log: its file, the bytes after which a new one is begun, and for how many days old ones are kept."""

    path: Path
    largest: int = 64 << 20
    days: int = 30


@dataclass(frozen=True, slots=True)
class TraceTerms:
    """Where spans go (OTLP over HTTP, `http://collector:4318/v1/traces`), and how many of a hundred calls are traced.

    A call that its sender traces (`traceparent` with the sampled flag) is traced too, up to `most` a second.
    """

    url: str
    percent: float = 1.0
    most: int = 50


@dataclass(frozen=True, slots=True)
class Operating:
    """How one worker is run.

    `calls` may be in work at once; a body has `body_seconds` to arrive. When it is asked to end, a worker goes on
    answering for `drain_seconds`, so that load balancers learn of it. `room` is where the workers of a service count
    together; without it each counts for itself.
    """

    calls: int = 1024
    body_seconds: int = 20
    drain_seconds: int = 0
    metrics_from: tuple[Network, ...] = HERE
    metrics_token: bytes | None = field(default=None, repr=False)
    log: LogTerms | None = None
    traces: TraceTerms | None = None
    room: Path | None = None
