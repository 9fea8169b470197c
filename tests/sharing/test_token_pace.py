"""Tokens are asked for at a bearable pace: a guesser waits, the application that is guessed at goes on."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sharing_town import Town

from sharing import token_routes
from sharing.clients import Clients
from sharing.keys import Keys
from sharing.lockout import Delays, Pace


def asked(town: Town, number: int, secret: str, address: str = "10.1.1.1") -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": str(number), "client_secret": secret}

    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=town.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://town") as client:
            return await client.post("/oauth/token", data=form)

    return asyncio.run(once())


@pytest.fixture
def hall(town: Town) -> tuple[int, str]:
    client = Clients(town.config.engine).add("tax", "hall")
    assert client is not None
    return client.id, Keys(town.config.engine).issue("tax", "hall", client=client.id)


def test_guesses_at_an_application_wait_and_shut_out_nobody_else(
    town: Town, hall: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_routes, "FAILED_FOR_APPLICATION", Delays(free=3))
    number, key = hall
    found = [asked(town, number, f"guess {i}") for i in range(6)]
    assert [one.status_code for one in found] == [401] * 4 + [429] * 2
    assert found[-1].json() == {"error": "slow_down"}
    assert 1 <= int(found[-1].headers["retry-after"]) <= 31
    assert asked(town, number, key).status_code == 429
    assert asked(town, number, key, "10.2.2.2").status_code == 200
    assert [one.code for one in town.calls()][4] == "OAUTH-slow_down"


def test_failures_from_a_network_count_over_all_applications(
    town: Town, hall: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_routes, "FAILED_FROM_NETWORK", Delays(free=3))
    assert [asked(town, 90_000 + i, "x").status_code for i in range(5)] == [401] * 4 + [429]
    assert asked(town, *hall).status_code == 429
    assert asked(town, *hall, "10.2.2.2").status_code == 200


def test_an_application_gets_so_many_tokens_a_minute_and_wrong_ones_take_none_of_them(
    town: Town, hall: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_routes, "FOR_APPLICATION", Pace(3, 60.0))
    assert [asked(town, hall[0], "wrong", "10.9.9.9").status_code for _ in range(4)] == [401] * 4
    found = [asked(town, *hall) for _ in range(4)]
    assert [one.status_code for one in found] == [200] * 3 + [429]
    assert 1 <= int(found[-1].headers["retry-after"]) <= 61
