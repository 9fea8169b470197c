"""One department's webhooks cannot hold up another's messages, nor fill the platform."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sharing_town import GRANTS, Town, build
from test_feed import CODES, FOLLOWERS, firm, publish
from test_webhooks import Receiver, add, followed, go, hurry

from sharing.app import create_app
from sharing.clients import Clients
from sharing.webhook_store import HookStore


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("crowd")
    publish(folder / "serving", 1, {CODES[0]: firm(CODES[0])})
    built = build(folder, GRANTS + FOLLOWERS)
    built.desk.close()
    config = followed(folder, built.config)
    opened = Town(built.folder, config, create_app(config), built.keys, built.firms, built.people)
    yield opened
    opened.desk.close()
    built.config.engine.dispose()


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    made = [Receiver(), Receiver()]
    yield made
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def test_a_receiver_that_does_not_answer_holds_up_nobody(town: Town, receivers: list[Receiver]) -> None:
    slow, quick = receivers
    reached = threading.Event()
    handlers = slow.server.RequestHandlerClass, quick.server.RequestHandlerClass
    answer_slowly, answer = (one.do_POST for one in handlers)

    def waiting(handler: object) -> None:
        slow.answers.append(204 if reached.wait(8) else 500)
        answer_slowly(handler)

    def arriving(handler: object) -> None:
        reached.set()
        answer(handler)

    handlers[0].do_POST, handlers[1].do_POST = waiting, arriving
    first, second = (add(town, one.url).json()["webhook"]["id"] for one in receivers)
    for number in (first, second):
        assert town.ask(f"/v1/webhooks/{number}/test", "tax", "POST").status_code == 200
    go(town)
    assert [HookStore(town.config.engine).letters(number)[0]["answer"] for number in (first, second)] == [
        "HTTP 204"
    ] * 2


def test_tests_do_not_pile_up(town: Town, receivers: list[Receiver]) -> None:
    receiver = receivers[0]
    number = add(town, receiver.url).json()["webhook"]["id"]
    asked = [town.ask(f"/v1/webhooks/{number}/test", "tax", "POST").json()["message"] for _ in range(5)]
    receiver.answers = [500] * 3
    for _ in range(3):
        hurry(town)
        go(town)
    assert town.ask(f"/v1/webhooks/{number}/test", "tax", "POST").json()["message"] == asked[0], "sent at once instead"
    go(town)
    assert (len({*asked}), len(receiver.got)) == (1, 4)
    assert town.ask(f"/v1/webhooks/{number}", "tax").json()["messages"][0]["state"] == "sent"


def test_a_body_without_end_is_not_read(town: Town) -> None:
    told = add(town, "https://a.example/" + "x" * 20_000)
    assert (told.status_code, told.json()["code"]) == (413, "SHR-TOO-LARGE")


def test_an_application_that_is_shut_off_is_told_nothing_until_it_is_let_in_again(
    town: Town, receivers: list[Receiver]
) -> None:
    clients, receiver = Clients(town.config.engine), receivers[0]
    client = clients.add("tax", "hook-app")
    assert client is not None
    town.keys["app"] = town.desk.keys.issue("tax", "hook-app", client=client.id)
    assert add(town, receiver.url, "app").status_code == 201
    go(town)
    assert clients.disable(client.id)
    publish(town.folder / "serving", 2, {CODES[2]: firm(CODES[2])})
    go(town)
    assert receiver.got == []
    assert clients.enable(client.id)
    go(town)
    assert [one["type"] for one in receiver.bodies()] == ["changes.available"]
