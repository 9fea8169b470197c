"""A server that is asked to stop says so first, answers what it has in work, and loses nothing; one told to reload too."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from operated_town import Running, running, status, until
from sharing_town import PERSON

from sharing.ledger import Ledger

SOUGHT = {"equal": {"ent_name": "杭州"}}
SLOW = "/v1/libraries/legal_person/records:query?grant=tax-wide"


def load(server: Running, stop: threading.Event, seen: list[httpx.Response], broken: list[str]) -> None:
    """Ask on and on over connections that are kept; a refused connection is no lost call."""
    with server.client() as client:
        while not stop.is_set():
            try:
                seen.append(client.post("/v1/libraries/population/records", json={"key": PERSON}))
            except httpx.ConnectError:
                time.sleep(0.02)
            except httpx.TransportError as error:
                broken.append(repr(error))


def test_calls_under_way_are_answered_and_counted_when_the_service_is_asked_to_stop(tmp_path: Path) -> None:
    with running(tmp_path, workers=2, drain=1, TOWN_SLOW="2.5") as server:
        stop, seen, broken, slow = threading.Event(), [], [], []
        clients = [threading.Thread(target=load, args=(server, stop, seen, broken)) for _ in range(2)]

        def seek() -> None:
            with server.client() as client:
                slow.append(client.post(SLOW, json=SOUGHT))

        pages = [threading.Thread(target=seek) for _ in range(6)]
        for thread in (*clients, *pages):
            thread.start()
        until(lambda: len(seen) > 20, server)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert status(server, "/readyz") == 503
        assert status(server, "/healthz") == 200
        for thread in pages:
            thread.join(60)
        assert server.process.wait(60) == 0
        stop.set()
        for thread in clients:
            thread.join(60)
    assert [one.status_code for one in slow] == [200] * 6
    assert {one.status_code for one in seen} <= {200, 503}
    turned = [one for one in seen if one.status_code == 503]
    assert turned
    assert all(one.json()["code"] == "SHR-LEAVING" and one.headers["connection"] == "close" for one in turned)
    ledger = Ledger(server.town.config.meter)
    recorded = Counter(call.id for call in ledger.records())
    answered = [one.headers["x-request-id"] for one in (*seen, *slow) if one.status_code == 200]
    assert [one for one in answered if recorded[one] != 1] == []
    assert len(recorded) == len(answered), "what was broken off had not been taken"
    assert ledger.verify().sound


@pytest.mark.prove
def test_settings_are_read_anew_under_load_without_a_call_lost_and_a_slip_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        stop, seen, broken = threading.Event(), [], []
        clients = [threading.Thread(target=load, args=(server, stop, seen, broken)) for _ in range(4)]
        for thread in clients:
            thread.start()
        (tmp_path / "calls").write_text("a slip")
        server.process.send_signal(signal.SIGHUP)
        log = tmp_path / "server.log"
        until(lambda: "not reloaded" in log.read_text("utf-8", "replace"), server)
        (tmp_path / "calls").write_text("77")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: log.read_text("utf-8", "replace").count("Stopped old worker") == 2, server, 180)
        limits = {httpx.get(f"{server.address}/healthz", trust_env=False).json()["calls"]["most"] for _ in range(20)}
        stop.set()
        for thread in clients:
            thread.join(60)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    assert limits == {77}
    assert broken == []
    assert {one.status_code for one in seen} == {200}
    assert len(seen) == sum(1 for _ in Ledger(server.town.config.meter).records())
