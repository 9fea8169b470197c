"""The page /metrics for Prometheus: what the workers counted, and how libraries, ledger and keys stand now."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy.exc import SQLAlchemyError

from schemas.errors import ShutongError
from sharing.bulk_store import JOB, OPEN
from sharing.busy import METRICS, Watch
from sharing.busy_refusals import OperatorsOnlyError
from sharing.calls import SHANGHAI
from sharing.catalog import Library
from sharing.contract import problems
from sharing.desk import Desk
from sharing.metrics import BUCKETS, FINEST, Counted
from sharing.operating import Operating
from sharing.proxies import Trust, within
from sharing.segments import SUFFIX
from sharing.webhook_store import HOOK, MESSAGE
from warehouse.state.database import reading

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_FORWARDED: Final = frozenset({"x-forwarded-for", "x-real-ip", "forwarded"})
_ESTABLISHED: Final = "01"
_PLAIN: Final = ("calls", "refusals")


def metrics_routes(desk: Desk, watch: Watch, operating: Operating) -> APIRouter:
    """`GET /metrics`, for the operators' networks and for whoever shows the secret `metrics` as a bearer token."""
    routes = APIRouter(tags=["运维 operations"])

    @routes.get(
        METRICS, summary="Prometheus 指标（运维网段或令牌） Metrics, for operators", responses=problems(403),
        openapi_extra={"security": []}, response_class=PlainTextResponse,
    )  # fmt: skip
    async def metrics(request: Request) -> Response:
        """所有进程合计；不含个人信息，标签取值有限。Summed over all workers; nothing personal, few labels."""
        _admit(request, operating, desk.config.trust)
        work = watch.work
        watch.tally.set("calls", to=work.going)
        watch.tally.set("leaving", to=int(work.leaving))
        server = request.scope.get("server")
        desk.grants.state()  # here and not in the thread: it may read the file anew
        page = await asyncio.to_thread(_page, desk, watch, int(server[1]) if server and server[1] else None)
        return Response(page, headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    return routes


def _admit(request: Request, operating: Operating, trust: Trust) -> None:
    """Raises OperatorsOnlyError. What comes through a proxy that is not named is not from here, whatever the peer."""
    shown = request.headers.get("authorization", "")
    token = operating.metrics_token
    if token is not None and shown[:7].lower() == "bearer ":
        if hmac.compare_digest(shown[7:].strip().encode(), token):
            return
        raise OperatorsOnlyError.of()
    peer = request.client.host if request.client else None
    forwarded = request.headers.getlist("x-forwarded-for")
    origin = trust.origin(peer, ",".join(forwarded).encode() or None)
    passed_on = any(name in request.headers for name in _FORWARDED)
    if not within(origin, operating.metrics_from) or (passed_on and origin == trust.origin(peer, None)):
        raise OperatorsOnlyError.of()


def _page(desk: Desk, watch: Watch, port: int | None) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest

    class Once:
        """All there is, said once."""

        def collect(self) -> Iterator[Metric]:
            """Every family."""
            counted = watch.tally.read()
            yield from _counted(counted)
            yield from _now(counted, port)
            yield from _libraries({**desk.config.libraries, **desk.config.served})
            yield from _records(desk, desk.config.meter)
            yield from _waiting(desk.config.engine)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def _counted(counted: Counted) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

    labels = ["operation", "status", "subject"]
    calls = CounterMetricFamily("shutong_calls", "Calls answered 已应答的调用", labels=labels)
    refusals = CounterMetricFamily("shutong_refusals", "Calls refused, by code 被拒绝的调用", labels=["code"])
    for (kind, *named), value in sorted(counted.counters.items()):
        if kind in _PLAIN:
            (calls if kind == "calls" else refusals).add_metric(named, value)
    yield calls
    yield refusals
    yield CounterMetricFamily(
        "shutong_meter_records", "Call records made durable 已落盘的调用记录", value=counted.counters["records",]
    )
    seconds = HistogramMetricFamily("shutong_call_seconds", "Time to answer 应答用时", labels=["operation"])
    commits = HistogramMetricFamily("shutong_meter_commit_seconds", "Time of a durable write 记录落盘用时", labels=[])
    for (kind, *named), cells in sorted(counted.timings.items()):
        (seconds if kind == "seconds" else commits).add_metric(named, _buckets(cells), cells[BUCKETS] / 1e6)
    yield seconds
    yield commits


def _buckets(cells: list[int]) -> list[tuple[str, float]]:
    told, total = [], 0
    for place in range(BUCKETS):
        total += cells[place]
        told.append(("+Inf" if place == BUCKETS - 1 else f"{2 ** (FINEST + place) / 1e6:g}", float(total)))
    return told


def _now(counted: Counted, port: int | None) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    yield GaugeMetricFamily("shutong_workers", "Workers that live 工作进程数", value=counted.workers)
    yield GaugeMetricFamily("shutong_calls_going", "Calls in work 正在处理的调用", value=counted.gauges["calls",])
    yield GaugeMetricFamily("shutong_leaving", "Workers about to stop 正在停止的进程", value=counted.gauges["leaving",])
    connections = _connections(port)
    if connections is not None:
        yield GaugeMetricFamily("shutong_connections", "Open connections 打开的连接", value=connections)


def _libraries(libraries: Mapping[str, Library]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    up = GaugeMetricFamily("shutong_library_up", "Whether it can be asked 能否查询", labels=["library"])
    rows = GaugeMetricFamily("shutong_library_records", "Records in it 记录数", labels=["library"])
    age = GaugeMetricFamily(
        "shutong_library_age_seconds", "Since its generation was published 当前版本发布至今", labels=["library"]
    )
    fresh = GaugeMetricFamily(
        "shutong_library_landed_seconds", "Since a department's newest record landed 各部门最近入库至今",
        labels=["library", "department"],
    )  # fmt: skip
    for name, library in sorted(libraries.items()):
        try:
            info = library.records.info()
        except (ShutongError, OSError):
            up.add_metric([name], 0)
            continue
        up.add_metric([name], 1)
        rows.add_metric([name], info.rows)
        _aged(age, [name], info.published_at)
        for department, landed in sorted(info.freshness.items()):
            _aged(fresh, [name, department], landed)
    yield from (up, rows, age, fresh)


def _records(desk: Desk, folder: Path) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    grants = desk.grants.state()
    yield GaugeMetricFamily("shutong_grants", "Grants in force 生效的授权", value=grants.grants)
    yield GaugeMetricFamily("shutong_grants_problem", "Something is wrong with grants 授权有误",
                            value=int(grants.problem is not None))  # fmt: skip
    sizes = [one.stat().st_size for one in folder.glob("*" + SUFFIX)]
    yield GaugeMetricFamily("shutong_ledger_segments", "Files of call records 调用记录文件数", value=len(sizes))
    yield GaugeMetricFamily("shutong_ledger_bytes", "Bytes of call records 调用记录字节数", value=sum(sizes))
    yield GaugeMetricFamily("shutong_meter_up", "Whether calls can be recorded 能否记账",
                            value=int(desk.meter.problem is None))  # fmt: skip
    age = GaugeMetricFamily("shutong_receipt_key_age_seconds", "Age of the key that signs 回执密钥使用时长", labels=[])
    kid = desk.receipts.signer().kid
    keys: list[Any] = [one for one in desk.receipts.public()["keys"] if one["kid"] == kid]
    for key in keys:
        _aged(age, [], key["from"])
    yield age


def _waiting(engine: sa.Engine) -> Iterator[Metric]:
    """What the state database says of jobs and messages that are still to be done; nothing while it is away."""
    from prometheus_client.metrics_core import GaugeMetricFamily

    jobs = GaugeMetricFamily("shutong_jobs", "Bulk jobs not ended 未结束的批量作业", labels=["state"])
    letters = GaugeMetricFamily("shutong_webhook_messages", "Messages to send 待送出的变更通知", labels=[])
    failing = GaugeMetricFamily("shutong_webhooks_failing", "Webhooks that fail 送不到的通知地址", labels=[])
    up = GaugeMetricFamily("shutong_state_up", "Whether the state database answers 状态库能否访问", labels=[])
    try:
        with reading(engine) as connection:
            counted = sa.select(JOB.c.state, sa.func.count()).where(JOB.c.state.in_(OPEN)).group_by(JOB.c.state)
            found = {str(state): int(count) for state, count in connection.execute(counted)}
            unsent = sa.select(sa.func.count()).select_from(MESSAGE).where(MESSAGE.c.ended_at.is_(None))
            letters.add_metric([], int(connection.execute(unsent).scalar_one()))
            broken = HOOK.c.failing_since.is_not(None) & HOOK.c.disabled_at.is_(None)
            failing.add_metric([], int(connection.execute(sa.select(sa.func.count()).where(broken)).scalar_one()))
    except (SQLAlchemyError, ShutongError):
        up.add_metric([], 0)
        yield up
        return
    for state in OPEN:
        jobs.add_metric([state], found.get(state, 0))
    up.add_metric([], 1)
    yield from (up, jobs, letters, failing)


def _aged(family: Any, labels: list[str], moment: str) -> None:  # noqa: ANN401 a family of another library
    try:
        since = datetime.fromisoformat(moment)
    except ValueError:
        return  # what is not known has no age
    since = since if since.tzinfo else since.replace(tzinfo=SHANGHAI)
    family.add_metric(labels, (datetime.now(SHANGHAI) - since).total_seconds())


def _connections(port: int | None) -> int | None:
    """Open connections to the port, of all workers; None where the kernel does not tell."""
    if port is None:
        return None
    wanted, found, known = f":{port:04X}", 0, False
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        known = True
        parts = (line.split() for line in lines)
        found += sum(1 for one in parts if one[1].endswith(wanted) and one[3] == _ESTABLISHED)
    return found if known else None
