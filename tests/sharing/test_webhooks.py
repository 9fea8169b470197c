"""Departments are told that something changed: signed, with counts and a cursor only, again until it arrives."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from sharing_town import GRANTS, Town, build, configure
from test_feed import CODES, FOLLOWERS, firm, publish

from schemas.errors import ShutongError
from sharing.app import create_app
from sharing.calls import SHANGHAI
from sharing.catalog import Library, SharingConfig
from sharing.webhook_address import Reachable
from sharing.webhook_refusals import AddressRefusedError
from sharing.webhook_store import HOOK, MESSAGE, PAUSES, HookStore
from sharing.webhook_work import Teller, run
from shutong.api import Changes, Served
from warehouse.serving import ServingStore

LOCAL = (ipaddress.ip_network("127.0.0.0/8"),)
ROOT = Path(__file__).parents[2]


def followed(folder: Path, config: SharingConfig) -> SharingConfig:
    """The town's configuration with a library whose changes can be followed."""
    store = ServingStore(folder / "serving", "legal_person", check_every=0.0)
    served = Served(store)
    library = Library(config.libraries["legal_person"].standard, served, personal=False, key_field="uscc",
                      feed=Changes(store, served))  # fmt: skip
    return replace(config, libraries={**config.libraries, "legal_person": library}, webhook_networks=LOCAL)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    publish(tmp_path / "serving", 1, {CODES[0]: firm(CODES[0])})
    built = build(tmp_path, GRANTS + FOLLOWERS)
    built.desk.close()
    config = followed(tmp_path, built.config)
    opened = Town(built.folder, config, create_app(config), built.keys, built.firms, built.people)
    yield opened
    opened.desk.close()
    built.config.engine.dispose()


class Receiver:
    """A department's own server: what it was sent, and what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_said: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=x"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self) -> list[dict]:
        return [json.loads(body) for _, body in self.got]

    def checked(self, secret: str) -> None:
        """Every message is signed as the specification says, worked out here by itself."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        for headers, body in self.got:
            told = headers["webhook-id"].encode() + b"." + headers["webhook-timestamp"].encode() + b"." + body
            signature = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{signature}"
            assert abs(int(headers["webhook-timestamp"]) - time.time()) < 300


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def add(town: Town, url: str, who: str = "tax", **said: object):
    body = {"url": url, "library": "legal_person", "grant": "tax-feed"} | said
    return town.ask("/v1/webhooks", who, "POST", json=body)


def go(town: Town, *, networks=LOCAL) -> None:
    """One look, and everything sent that is due."""

    async def turn() -> None:
        teller = Teller(town.desk, HookStore(town.config.engine), Reachable(networks))
        await teller.look()
        await teller.send()

    asyncio.run(turn())


def hurry(town: Town) -> None:
    """As if the pause before the next attempt were over."""
    with town.config.engine.begin() as connection:
        connection.execute(MESSAGE.update().values(next_at="2026-01-01T00:00:00.000000+08:00"))


def test_what_changed_is_told_by_counts_and_a_cursor_and_read_from_there(town: Town, receiver: Receiver) -> None:
    told = add(town, receiver.url)
    assert (told.status_code, told.json()["webhook"]["library"]) == (201, "legal_person")
    go(town)
    publish(town.folder / "serving", 2, {code: firm(code, name="乙") for code in CODES[1:3]})
    go(town)
    go(town)
    (body,) = receiver.bodies()
    assert (body["type"], {**body["data"], "since": ""}) == (
        "changes.available",
        {"subject": "legal_person", "grant": "tax-feed", "changed": 2, "gone": 1, "more": False, "since": ""},
    )
    receiver.checked(told.json()["secret"])
    assert not any(code.encode() in raw or "乙".encode() in raw for _, raw in receiver.got for code in CODES)
    page = town.ask(f"/v1/libraries/legal_person/changes?grant=tax-feed&since={body['data']['since']}", "tax").json()
    assert [one["key"] for one in page["data"]] == CODES[:3]
    publish(town.folder / "serving", 3, {code: firm(code, "330299") for code in CODES[3:]} | {
        code: firm(code, name="乙", note="又一份") for code in CODES[1:3]})  # fmt: skip
    go(town)
    assert len(receiver.got) == 1, "what changed outside the grant is not told"


def test_what_does_not_arrive_is_sent_again_under_its_own_number_and_then_given_up(
    town: Town, receiver: Receiver
) -> None:
    number = add(town, receiver.url).json()["webhook"]["id"]
    go(town)
    publish(town.folder / "serving", 2, {})
    receiver.answers = [500, 302, 404]
    receiver.headers = {"Location": receiver.url}
    for _ in range(4):
        go(town)
        hurry(town)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == 4, "a redirect leads nowhere"
    assert len({body for _, body in receiver.got}) == 1
    told = town.ask(f"/v1/webhooks/{number}", "tax").json()
    assert (told["messages"][0]["state"], told["webhook"]["failing_since"]) == ("sent", None)
    publish(town.folder / "serving", 3, {CODES[4]: firm(CODES[4])})
    receiver.answers = [500] * 50
    for _ in range(len(PAUSES) + 3):
        go(town)
        hurry(town)
    told = town.ask(f"/v1/webhooks/{number}", "tax").json()
    assert [(one["state"], one["attempts"]) for one in told["messages"]] == [("dead", len(PAUSES) + 1), ("sent", 4)]
    assert (told["webhook"]["disabled_at"], bool(told["webhook"]["failing_since"])) == (None, True)
    receiver.answers = []
    publish(town.folder / "serving", 4, {})
    go(town)
    assert town.ask("/v1/webhooks", "tax").json()["webhooks"][0]["failing_since"] is None


def test_days_of_failures_or_a_receiver_that_wants_no_more_switch_a_webhook_off(town: Town, receiver: Receiver) -> None:
    store = HookStore(town.config.engine)
    gone, failing = (add(town, receiver.url).json()["webhook"]["id"] for _ in range(2))
    with town.config.engine.begin() as connection:
        before = (datetime.now(SHANGHAI) - timedelta(days=6)).isoformat()
        connection.execute(HOOK.update().where(HOOK.c.id == failing).values(failing_since=before))
    receiver.answers = [410, 503]
    for number in (gone, failing):
        assert town.ask(f"/v1/webhooks/{number}/test", "tax", "POST").status_code == 200
        go(town)
    assert [bool(one.disabled_at) for one in store.of("tax")] == [True, True]
    assert [one.id for one in store.troubled()] == [gone, failing]
    publish(town.folder / "serving", 2, {})
    go(town)
    assert [one["type"] for one in receiver.bodies()] == ["test", "test"]
    assert store.enable(failing)
    go(town)
    publish(town.folder / "serving", 3, {CODES[1]: firm(CODES[1])})
    go(town)
    assert receiver.bodies()[-1]["data"]["changed"] == 1


def test_a_grant_that_ends_ends_the_news_and_one_that_changes_asks_to_begin_anew(
    town: Town, receiver: Receiver
) -> None:
    add(town, receiver.url)
    go(town)
    text = town.config.grants.read_text("utf-8")
    town.config.grants.write_text(text.replace("id: tax-feed", "id: tax-gone"), "utf-8")
    publish(town.folder / "serving", 2, {})
    go(town)
    assert receiver.got == []
    town.config.grants.write_text(text.replace("rows: {division: ['3301*']}", "rows: {division: ['3302*']}"), "utf-8")
    go(town)
    assert [one["type"] for one in receiver.bodies()] == ["changes.resync"]


def test_webhooks_are_their_departments_alone(town: Town, receiver: Receiver) -> None:
    number = add(town, receiver.url).json()["webhook"]["id"]
    for path, method in ((f"/{number}", "GET"), (f"/{number}", "DELETE"), (f"/{number}/test", "POST"), ("/99", "GET")):
        assert town.ask(f"/v1/webhooks{path}", "school", method).json()["code"] == "SHR-NO-WEBHOOK"
    assert town.ask("/v1/webhooks", None).json()["code"] == "SHR-NO-KEY"
    assert (town.ask("/v1/webhooks", "school").json()["webhooks"], add(town, receiver.url, "bank").json()["code"]) == (
        [], "SHR-NO-GRANT",
    )  # fmt: skip
    assert add(town, receiver.url, resource="x").json()["code"] == "SHR-BODY"
    assert add(town, receiver.url, library="nothing").json()["code"] == "SHR-NO-LIBRARY"
    assert town.ask(f"/v1/webhooks/{number}", "tax", "DELETE").json()["removed"] == number
    with town.config.engine.begin() as connection:
        for _ in range(20):
            connection.execute(HOOK.insert().values(department="tax", url="x", kind="libraries", subject="x", salt="x",
                                                    created_at="x"))  # fmt: skip
    assert add(town, receiver.url).json()["code"] == "SHR-WEBHOOKS"
    with town.config.engine.connect() as connection:
        kept = str(connection.execute(sa.select(HOOK)).all())
    assert "whsec_" not in kept


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.216.34/", "ftp://a.example/", "https://u:p@a.example/", "https:///x", "https://a.example/#x",
        "javascript:alert(1)", "https://a\\b.example/", "x" * 3000, "",
    ],
)  # fmt: skip
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(AddressRefusedError):
        Reachable().read(url)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "::1", "fd00::1", "::ffff:127.0.0.1",
     "fe80::1", "224.0.0.1", "100.64.0.1", "::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "fec0::1",
     "::ffff:0:7f00:1", "192.0.0.8", "192.88.99.1"],
)  # fmt: skip
def test_inner_addresses_are_not_reached_unless_their_network_is_named(address: str) -> None:
    assert not Reachable().lets(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises((AddressRefusedError, OSError)):
        asyncio.run(Reachable().resolved(Reachable().read(f"https://{host}/")))
    assert all(Reachable().lets(ipaddress.ip_address(one)) for one in ("93.184.216.34", "2400:3200::1"))
    inner = Reachable((ipaddress.ip_network("10.0.0.0/8"),))
    assert inner.lets(ipaddress.ip_address("10.2.3.4"))
    assert not inner.lets(ipaddress.ip_address("93.184.216.34"))


def test_a_name_that_leads_elsewhere_by_the_time_it_counts_is_not_followed(town: Town, receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "localhost")
    assert add(town, url).status_code == 201
    number = town.ask("/v1/webhooks", "tax").json()["webhooks"][0]["id"]
    town.ask(f"/v1/webhooks/{number}/test", "tax", "POST")
    go(town, networks=(ipaddress.ip_network("10.0.0.0/8"),))
    assert (receiver.got, town.ask(f"/v1/webhooks/{number}", "tax").json()["messages"][0]["answer"]) == ([], "address")
    hurry(town)
    go(town, networks=(*LOCAL, ipaddress.ip_network("::1/128")))
    assert receiver.got[0][0]["host"] == url.split("/")[2]


WORK = """
import asyncio, sys
from test_webhooks import LOCAL, followed, killed_while
from sharing_town import served
from pathlib import Path
import os
killed_while(followed(Path(os.environ["TOWN_FOLDER"]), served()))
"""


def killed_while(config: SharingConfig) -> None:
    """A sender that works until it is killed; run in a process of its own."""
    from sharing.desk import Desk

    desk, store = Desk(config), HookStore(config.engine)
    asyncio.run(run(Teller(desk, store, Reachable(LOCAL)), store, asyncio.Event(), 0.01))


@pytest.mark.prove
@pytest.mark.kills
def test_a_sender_killed_while_it_sends_sends_again_under_the_same_number(tmp_path: Path) -> None:
    publish(tmp_path / "serving", 1, {CODES[0]: firm(CODES[0])})
    built = build(tmp_path, GRANTS + FOLLOWERS)
    built.desk.close()
    config = followed(tmp_path, configure(tmp_path))
    app = create_app(config)
    town = Town(tmp_path, config, app, built.keys, built.firms, built.people)
    receiver = Receiver()
    secret = add(town, receiver.url).json()["secret"]
    go(town)
    publish(tmp_path / "serving", 2, {})
    taken = threading.Event()
    receiver.answers = [500]
    env = os.environ | {"TOWN_FOLDER": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}

    def until(count: int) -> None:
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-c", WORK], env=env, stderr=log)
        end = time.monotonic() + 90
        while len(receiver.got) < count and time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "log").read_text()
            taken.wait(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    until(1)
    hurry(town)
    until(2)
    receiver.checked(secret)
    assert len(receiver.got) == 2
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]
    assert receiver.got[0][1] == receiver.got[1][1]
    receiver.server.shutdown()
    receiver.server.server_close()
    town.desk.close()
    config.engine.dispose()
    built.config.engine.dispose()


def test_refusals_are_told_in_both_languages() -> None:
    with pytest.raises(ShutongError) as told:
        Reachable().read("http://10.0.0.1/")
    assert (told.value.code, "SHUTONG_WEBHOOK_NETWORKS" in told.value.fix_en) == ("SHR-WEBHOOK-ADDRESS", True)
