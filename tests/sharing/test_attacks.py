"""What an attacker writes into names, keys, parameters and headers opens nothing, breaks nothing and teaches nothing."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from sharing_town import FAR_FIRM, FIRM, PERSON, Town
from whole_town import whole

from sharing.keys import Keys

EVIL = (
    "' OR '1'='1", '"; DROP TABLE api_key; --', "legal_person' UNION SELECT * FROM api_key --", "../../etc/passwd",
    "..%2f..%2fstate.db", "%00", "legal_person\x00.yaml", "\r\nX-Injected: yes", "{{7*7}}", "${jndi:ldap://x}", "*", "%",
    "𠮷" * 300, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "1e999", "null", "A" * 5000,
)  # fmt: skip
WRITTEN = EVIL if os.environ.get("SHUTONG_PROVE") == "1" else EVIL[:8]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    built = whole(tmp_path_factory.mktemp("attacked"))
    yield built
    built.desk.close()
    built.config.engine.dispose()


def harmless(response) -> None:
    assert 400 <= response.status_code < 500, (response.status_code, response.text[:300])
    assert "x-injected" not in response.headers
    for secret in (PERSON, "杭州", "欧阳", "sqlite", "Traceback", "root:"):
        assert secret not in response.text.split('"request_id"')[0].replace("杭州\\", ""), secret


@pytest.mark.parametrize("evil", WRITTEN, ids=range(len(WRITTEN)))
def test_no_name_key_or_parameter_breaks_out(town: Town, evil: str) -> None:
    written = quote(evil, safe="")
    for path in (
        f"/v1/libraries/{written}/records/{FIRM}",
        f"/v1/libraries/legal_person/records/{written}",
        f"/v1/libraries/legal_person/records/{FIRM}?grant={written}",
        f"/v1/libraries/legal_person/records/{FIRM}?fields={written}",
        f"/v1/resources/{written}",
        f"/v1/directory/{written}",
        f"/v1/grants/{written}",
        f"/v1/{written}",
        f"/docs/{written}",
    ):
        harmless(town.ask(path))
    for body in (
        {"key": evil}, {"key": PERSON, "fields": [evil]}, {"key": PERSON, evil: 1}, {"key": [evil]}, {"key": {"$ne": evil}},
    ):  # fmt: skip
        harmless(town.ask("/v1/libraries/population/records", "tax", "POST", json=body))
    sought = town.ask("/v1/libraries/legal_person/records:query", method="POST", json={"equal": {"ent_name": evil}})
    assert sought.status_code == 422 or sought.json()["data"] == []
    begun = town.ask("/v1/libraries/legal_person/records:query", method="POST", json={"prefix": {evil: "a"}})
    assert 400 <= begun.status_code < 500
    assert town.ask("/v1/directory", method="GET", params={"q": evil}).status_code in {200, 422}


@pytest.mark.parametrize("name", ["X-Grant", "X-Matter", "X-Case", "X-Client-Request-Id", "X-Api-Key", "Authorization"])
def test_no_header_breaks_out(town: Town, name: str) -> None:
    for evil in WRITTEN:
        if not evil.isascii() or any(ord(one) < 32 for one in evil):
            continue  # no client can send it
        who = None if name in {"X-Api-Key", "Authorization"} else "tax"
        answer = town.ask(f"/v1/libraries/legal_person/records/{FIRM}?grant=tax-firms", who, headers={name: evil})
        if answer.status_code == 200:  # a number or a name of the caller's own, kept as it came and nowhere used
            assert name in {"X-Case", "X-Client-Request-Id", "X-Grant"}
            assert "x-injected" not in answer.headers
        else:
            harmless(answer)
    assert town.desk.ledger.verify().sound


def test_a_guesser_of_keys_learns_nothing_from_what_is_said(town: Town) -> None:
    said = set()
    for key in (town.keys["gone"], "stk_" + "0" * 40, "x", town.keys["tax"][:-1], town.keys["tax"] + "0", "密钥"):
        answer = town.ask("/v1/usage", None, headers={"X-Api-Key": key.encode()})
        told = answer.json()
        said.add(
            (answer.status_code, told["code"], told["detail"], len(answer.content), answer.headers["www-authenticate"])
        )
    assert len(said) == 1


def test_a_record_outside_the_grant_and_one_that_is_not_there_look_alike(town: Town) -> None:
    text = town.config.grants.read_text("utf-8")
    town.config.grants.write_text(
        text.replace("    purpose", "    rows: {division: ['3301*']}\n    purpose", 1), "utf-8"
    )
    missing = "91330100MA2A00099" + FIRM[-1]
    answers = [town.ask(f"/v1/libraries/legal_person/records/{key}?grant=tax-firms") for key in (FAR_FIRM, FIRM)]
    assert [one.status_code for one in answers] == [404, 200]
    absent = town.ask(f"/v1/libraries/legal_person/records/{missing}?grant=tax-firms")
    if absent.status_code == 404:
        assert absent.json()["detail"] == answers[0].json()["detail"]
    town.config.grants.write_text(text, "utf-8")


@pytest.mark.prove
def test_a_guesser_of_keys_learns_nothing_from_how_long_it_takes(town: Town) -> None:
    """Keys are found by their digest: how much of a guess is right has no part in it."""
    keys = Keys(town.config.engine)
    right = town.keys["tax"]
    guesses = {"near": right[:-1] + ("0" if right[-1] != "0" else "1"), "far": "0" * len(right)}
    took: dict[str, list[float]] = {name: [] for name in guesses}
    for _ in range(1500):
        for name, guess in guesses.items():
            began = time.perf_counter()
            assert keys.department_of(guess) is None
            took[name].append(time.perf_counter() - began)
    near, far = (statistics.median(one) for one in took.values())
    assert abs(near - far) < 0.2 * max(near, far)
