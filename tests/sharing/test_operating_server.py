"""A real server counts over its workers, turns away instead of collapsing, gives up slow senders, and tells traces."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from operated_town import Running, collector, running, until
from prometheus_client.parser import text_string_to_metric_families
from sharing_town import FIRM, PERSON

from sharing.bulk_files import JobFolder
from sharing.bulk_store import JobStore
from sharing.ledger import Ledger

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALLS = 8  # in work at once, of each of two workers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, list[bytes]]]:
    folder = tmp_path_factory.mktemp("operated")
    (folder / "calls").write_text(str(CALLS))
    with (
        collector() as (address, sent),
        running(folder, workers=2, TOWN_BODY="1", TOWN_TRACES=address, OTEL_PYTHON_LOG_LEVEL="error") as server,
    ):
        yield server, sent


def told(server: Running) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What /metrics says, as Prometheus would read it."""
    page = httpx.get(f"{server.address}/metrics", trust_env=False)
    assert page.status_code == 200
    assert PERSON not in page.text
    families = text_string_to_metric_families(page.text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def counted(server: Running, name: str, **labels: str) -> float:
    return told(server).get((name, frozenset(labels.items())), 0.0)


def test_metrics_add_up_over_workers_to_the_call(served) -> None:
    server, _ = served
    labels = {"operation": "post", "subject": "population", "status": "200"}
    before = counted(server, "shutong_calls_total", **labels)

    def ask() -> None:
        for _ in range(4):  # a connection each: the kernel spreads them
            with server.client() as client:
                assert client.post("/v1/libraries/population/records", json={"key": PERSON}).status_code == 200

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [counted(server, "shutong_calls_total", **labels) for _ in range(4)] == [before + 16] * 4
    now = told(server)
    assert now["shutong_workers", frozenset()] == 2
    assert now["shutong_library_records", frozenset({("library", "population")})] == 1
    assert now["shutong_call_seconds_count", frozenset({("operation", "post")})] >= 16
    assert now["shutong_meter_records_total", frozenset()] >= 16
    assert now["shutong_connections", frozenset()] >= 1


async def _one(port: int, request: bytes, ready: asyncio.Barrier) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await ready.wait()
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split()[1])
    await reader.readexactly(length)
    writer.close()
    return int(head.split()[1]), head


def test_a_thousand_callers_at_once_are_answered_or_turned_away_and_none_is_dropped(served) -> None:
    server, _ = served
    folder = server.town.config.meter
    before = sum(call.department == "tax" and call.operation == "get" for call in Ledger(folder).records())
    request = (
        f"GET /v1/libraries/legal_person/records/{FIRM}?grant=tax-firms HTTP/1.1\r\nHost: town\r\n"
        f"X-Api-Key: {server.town.keys['tax']}\r\n\r\n"
    ).encode()

    async def storm() -> list[tuple[int, bytes]]:
        ready = asyncio.Barrier(1000)
        return await asyncio.gather(*(_one(server.port, request, ready) for _ in range(1000)))

    answers = asyncio.run(storm())
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {200, 503}
    assert statuses[200] >= CALLS
    refused = [head.lower() for status, head in answers if status == 503]
    assert all(b"retry-after: 1" in head for head in refused)
    recorded = sum(call.department == "tax" and call.operation == "get" for call in Ledger(folder).records()) - before
    assert recorded == statuses[200], "answered is counted, turned away is not"
    assert counted(server, "shutong_refusals_total", code="SHR-BUSY") >= len(refused)
    with server.client() as client:
        assert client.get(f"/v1/libraries/legal_person/records/{FIRM}?grant=tax-firms").status_code == 200


def test_who_sends_its_body_drop_by_drop_is_given_up_and_holds_nobody_up(served) -> None:
    server, _ = served
    head = (
        f"POST /v1/libraries/population/records HTTP/1.1\r\nHost: town\r\nX-Api-Key: {server.town.keys['tax']}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    ).encode()
    slow = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(CALLS * 4)]
    for one in slow:
        one.sendall(head)
        time.sleep(0.01)  # each is let in before the next comes
    with server.client() as client:
        assert client.post("/v1/libraries/population/records", json={"key": PERSON}).status_code == 200
    answers = [one.recv(65536) for one in slow]
    for one in slow:
        one.close()
    given_up = [one for one in answers if one.startswith(b"HTTP/1.1 408")]
    assert len(given_up) > CALLS * 2, "more than may be in work were waited for at a time"
    assert all(one.startswith(b"HTTP/1.1 503") for one in answers if one not in given_up)
    assert all(b"connection: close" in one.lower() for one in answers)


def test_who_reads_a_long_result_slowly_holds_nobody_up(served) -> None:
    server, _ = served
    with server.client() as client:
        job = client.post("/v1/libraries/legal_person/jobs", content=FIRM).json()["job"]["id"]
    folder, size = JobFolder(server.town.config.meter.with_name("jobs"), job), 24 << 20
    with folder.result.open("wb") as result:
        result.truncate(size)
    told = {"state": "done", "size": size, "sha256": "00" * 32}
    assert JobStore(server.town.config.engine).keep(job, **told)
    head = f"GET /v1/jobs/{job}/result HTTP/1.1\r\nHost: town\r\nX-Api-Key: {server.town.keys['tax']}\r\n\r\n".encode()
    slow = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(CALLS * 4)]
    for one in slow:
        one.sendall(head)
        assert one.recv(12) == b"HTTP/1.1 200"
    for _ in range(8):  # a connection each: both workers are asked
        with server.client() as client:
            assert client.post("/v1/libraries/population/records", json={"key": PERSON}).status_code == 200
    for one in slow:
        one.close()


@pytest.mark.parametrize("size", [40 << 10, 1 << 20])
def test_a_head_beyond_all_measure_is_refused_and_the_server_lives(served, size: int) -> None:
    server, _ = served
    with socket.create_connection(("127.0.0.1", server.port), 30) as one:
        line = f"GET /v1/libraries HTTP/1.1\r\nHost: town\r\nX-Api-Key: {server.town.keys['tax']}\r\nX-Long: "
        answer = b""
        try:
            one.sendall(line.encode() + b"x" * size + b"\r\n\r\n")
            answer = one.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert answer[9:12] in {b"431", b""}
    with server.client() as client:
        assert client.get("/v1/libraries").status_code == 200


def test_a_call_that_its_sender_traces_is_one_span_of_that_trace_and_names_no_key(served) -> None:
    server, sent = served
    with server.client() as client:
        untraced = client.get(f"/v1/libraries/legal_person/records/{FIRM}?grant=tax-firms")
        traced = client.get(
            f"/v1/libraries/legal_person/records/{FIRM}?grant=tax-firms", headers={"traceparent": PARENT}
        )
        mangled = client.get("/v1/libraries", headers={"traceparent": "00-zz-01"})
    assert (untraced.status_code, traced.status_code, mangled.status_code) == (200, 200, 200)
    assert "traceresponse" not in untraced.headers
    assert traced.headers["traceresponse"].split("-")[1] == PARENT.split("-")[1]
    until(lambda: len(spans(sent)) >= 2, server)
    found = [one for one in spans(sent) if one.trace_id.hex() == PARENT.split("-")[1]]
    (span,) = found
    assert span.parent_span_id.hex() == PARENT.split("-")[2]
    assert span.name == "get legal_person"
    said = {one.key: one.value for one in span.attributes}
    assert said["http.response.status_code"].int_value == 200
    assert said["shutong.request_id"].string_value == traced.headers["x-request-id"]
    everything = b"".join(sent)
    assert FIRM.encode() not in everything
    assert server.town.keys["tax"].encode() not in everything


def spans(sent: list[bytes]) -> list:
    found = []
    for one in sent:
        asked = ExportTraceServiceRequest.FromString(one)
        found += [span for part in asked.resource_spans for scope in part.scope_spans for span in scope.spans]
    return found


def test_the_access_log_has_a_line_for_each_call_and_nothing_about_persons(served) -> None:
    server, _ = served
    path = server.town.folder / "logs" / "access.jsonl"
    with server.client() as client:
        one = client.post("/v1/libraries/population/records?grant=tax-people", json={"key": PERSON})
    until(lambda: path.exists() and one.headers["x-request-id"] in path.read_text(), server)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    (line,) = [line for line in lines if line["id"] == one.headers["x-request-id"]]
    assert line | {"at": "", "micros": 0} == {
        "at": "", "id": line["id"], "department": "tax", "operation": "post", "subject": "population", "status": 200,
        "code": None, "micros": 0, "bytes": len(one.content),
    }  # fmt: skip
    everything = path.read_text()
    assert PERSON not in everything
    assert FIRM not in everything
    assert server.town.keys["tax"] not in everything
