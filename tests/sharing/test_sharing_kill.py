"""A real server killed with SIGKILL under load: every call that was acknowledged is in the ledger exactly once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sharing_town import FIRM, GRANTS, PERSON, SECRET, Town, build

from sharing.ledger import Ledger
from sharing.receipt_check import confirm
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.receipts import Receipt, check
from sharing.statement_check import against_receipts
from sharing.statements import Books, make

RUN = "import sys; from sharing.serve import serve; serve('sharing_town:served', port=int(sys.argv[1]), workers=2)"
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as sought:
        sought.bind(("127.0.0.1", 0))
        return sought.getsockname()[1]


@contextmanager
def served(town: Town):
    """A real Granian with two workers over the town; gives its process and address."""
    port = free_port()
    env = os.environ | {
        "TOWN_FOLDER": str(town.folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
    }
    log = (town.folder / "server.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(port)], env=env, stdout=log, stderr=log, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait(address, process, town.folder / "server.log")
        yield process, address
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        log.close()


def wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text("utf-8", "replace")
        try:
            if httpx.get(address + "/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(log.read_text("utf-8", "replace"))


Asked = tuple[int, str]  # which question, and the caller's own number of it


def load(
    address: str, key: str, acknowledged: list[tuple[str, int, str]], stop: threading.Event, unanswered: list[Asked]
) -> None:
    """Ask until the server is gone, first what was not answered before; what was answered whole is acknowledged."""
    with httpx.Client(base_url=address, headers={"X-Api-Key": key}, trust_env=False) as client:
        for turn in range(1_000_000):
            if stop.is_set():
                return
            asked = unanswered.pop() if unanswered else (turn, f"{time.time_ns()}-{threading.get_ident()}")
            number = {"X-Client-Request-Id": asked[1]}
            try:
                if asked[0] % 5 == 0:
                    body = {"key": PERSON}
                    response = client.post("/v1/libraries/population/records", json=body, headers=number)
                else:
                    response = client.get(f"/v1/libraries/legal_person/records/{FIRM}", headers=number)
            except httpx.TransportError:
                unanswered.append(asked)
                return
            receipt = response.headers.get("x-receipt", response.text)
            acknowledged.append((response.headers["x-request-id"], response.status_code, receipt))


@pytest.mark.kills
def test_every_acknowledged_call_is_recorded_once_after_sigkill(tmp_path: Path) -> None:
    town = build(tmp_path)
    town.desk.close()
    acknowledged: list[tuple[str, int, str]] = []
    unanswered: dict[str, list[Asked]] = {who: [] for who in ("tax", "school", "stranger")}
    for _ in range(3):
        before = len(acknowledged)
        with served(town) as (process, address):
            stop = threading.Event()
            clients = [
                threading.Thread(target=load, args=(address, town.keys[who], acknowledged, stop, unanswered[who]))
                for who in ("tax", "tax", "school", "stranger")
            ]  # fmt: skip
            for client in clients:
                client.start()
            end = time.monotonic() + 20
            while len(acknowledged) < before + 300 and time.monotonic() < end:
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
            stop.set()
            for client in clients:
                client.join(30)
        assert len(acknowledged) >= before + 300
    ledger = Ledger(town.config.meter)
    recorded = Counter(call.id for call in ledger.records())
    statuses = {call.id: call.status for call in ledger.records()}
    assert [one for one, times in recorded.items() if times > 1] == []
    assert [one for one, *_ in acknowledged if one not in recorded] == []
    assert [one for one, status, _ in acknowledged if statuses[one] != status] == []
    audit = ledger.verify()
    assert audit.sound, audit.findings
    assert {status for _, status, _ in acknowledged} >= {200, 403}
    # Whoever cannot be known, because the state database does not answer in time, is told so, charged nothing, and
    # given no receipt: it would be one for a stranger.
    unknown = {call.id for call in ledger.records() if (call.department, call.status, call.units) == (None, 503, 0)}
    assert {one for one, _, text in acknowledged if text.startswith("{")} <= unknown, "answered without a receipt"
    keys = ReceiptKeys(town.config.meter / FILE, SECRET).public()
    receipts = [(*told, check(text, keys)) for *told, text in acknowledged if not text.startswith("{")]
    assert [one for one, status, receipt in receipts if (receipt.id, receipt.status) != (one, status)] == []
    for *_, receipt in receipts[:: len(receipts) // 50]:
        confirm(receipt, ledger, SECRET)
    stated(ledger, [receipt for *_, receipt in receipts])
    costs = Counter()
    for call in ledger.records():
        costs[call.department, call.client_id] += call.units
    assert max(costs.values()) == 1, "what was asked again was counted again"
    assert sum(1 for call in ledger.records() if call.grant == "school-small" and call.units) == 3
    town.config.engine.dispose()


def stated(ledger: Ledger, receipts: list[Receipt]) -> None:
    """Every record is on a statement, and every receipt is for something stated."""
    known = [call for call in ledger.records() if call.department]
    books = Books(ledger, (), {"legal_person": "market", "population": "police"})
    made = [one for month in sorted({call.day[:7] for call in known}) for one in make(books, month)]
    assert sum(one.calls + one.repeats for one in made) == len(known)
    assert sum(one.units for one in made) == sum(call.units for call in known)
    beside = [against_receipts(one, receipts) for one in made]
    assert [one for found in beside for one in found.differences if one.kind != "unreceived"] == []
    assert sum(one.proven for one in beside) == len({one.repeats or one.id for one in receipts})


def test_a_real_server_keeps_a_quota_over_two_workers_and_stops_cleanly(tmp_path: Path) -> None:
    town = build(tmp_path, GRANTS.replace("per_day: 3", "per_day: 100"))
    town.desk.close()
    statuses: Counter[int] = Counter()
    storms: Counter[int] = Counter()

    def ask(address: str) -> None:
        with httpx.Client(base_url=address, headers={"X-Api-Key": town.keys["school"]}, trust_env=False) as client:
            for _ in range(40):
                response = client.post("/v1/libraries/population/records", json={"key": PERSON})
                statuses[response.status_code] += 1

    def storm(address: str) -> None:
        """One call, sent by several at once and again and again: it is being answered, or was."""
        head = {"X-Api-Key": town.keys["tax"], "X-Client-Request-Id": "one-and-the-same"}
        for _ in range(10):
            response = httpx.post(f"{address}/v1/libraries/population/records", json={"key": PERSON}, headers=head,
                                  trust_env=False)  # fmt: skip
            storms[response.status_code] += 1

    with served(town) as (process, address):
        threads = [threading.Thread(target=ask, args=(address,)) for _ in range(4)]
        threads += [threading.Thread(target=storm, args=(address,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert statuses == {200: 100, 429: 60}
    ledger = Ledger(town.config.meter)
    assert Counter(call.status for call in ledger.records() if call.department == "school") == {200: 100, 429: 60}
    stormed = [call for call in ledger.records() if call.department == "tax"]
    assert (len(stormed), sum(call.units for call in stormed)) == (30, 1)
    assert set(storms) <= {200, 409}
    assert storms[200] == sum(call.repeats is not None for call in stormed) + 1
    assert ledger.verify().findings == ()
    assert PERSON not in (tmp_path / "server.log").read_text("utf-8", "replace")
    town.config.engine.dispose()
