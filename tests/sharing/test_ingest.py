"""Pushed batches over HTTP: who may, how it is signed, what is refused, and that every call is recorded."""

import asyncio
import gzip
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import replace

import pytest
from sharing_town import Town, build
from starlette.requests import Request

from connectors.services.signing import digest, sign
from sharing.app import create_app
from sharing.errors import UnavailableError
from sharing.ingest import _body
from sharing.ingest_errors import BadBatchError
from sharing.ingest_terms import Counter, Receipt
from sharing.keys import Keys

SECRET = "推送密钥-0123456789"
PATH = "/v1/ingest/market.firms/batches/2026-01-31.1"
BODY = json.dumps([{"uscc": "1", "名": "𠮷"}]).encode()


class Keeper:
    """Keeps in memory what is let in."""

    def __init__(self):
        self.kept = []
        self.broken = None

    def __call__(self, pushed):
        if self.broken:
            raise self.broken
        self.kept.append(pushed)
        return Receipt(
            resource="market.firms", batch=pushed.batch, run="r", rows=1, sha256=pushed.sha256, accepted_at="now",
            already=False, rejected=0, rejects=[],
        )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    town = build(tmp_path_factory.mktemp("town"))
    town.desk.close()
    keeper = Keeper()
    pushes = {
        "market.firms": Counter("market", lambda: SECRET, keeper),
        "tax.sm3": Counter("tax", lambda: SECRET, keeper, "sm3"),
    }
    config = replace(town.config, pushes=pushes)
    keys = {**town.keys, "market": Keys(config.engine).issue("market", "test")}
    town = Town(town.folder, config, create_app(config), keys, town.firms, town.people)
    town.keeper = keeper
    yield town
    town.desk.close()


class Sender:
    """A department that signs as the contract says, worked out here and not by our code."""

    def __init__(self, town):
        self.town, self.keeper = town, town.keeper

    def push(self, body=BODY, who="market", path=PATH, algorithm="sha256", **changed):
        headers = self.signed(body, path, algorithm) | {"Content-Type": "application/json"}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        headers = {name: value for name, value in headers.items() if value is not None}
        return self.town.ask(path, who, "POST", content=body, headers=headers)

    def signed(self, body, path, algorithm="sha256", at=None, secret=SECRET):
        timestamp, nonce = str(int(at or time.time())), secrets.token_hex(12)
        lines = ["POST", path, timestamp, nonce, hashlib.new(algorithm, body).hexdigest()]
        made = hmac.new(secret.encode(), "\n".join(lines).encode(), algorithm).hexdigest()
        return {"X-Timestamp": timestamp, "X-Nonce": nonce, "X-Signature": f"{algorithm}={made}"}


@pytest.fixture
def sender(built):
    built.keeper.kept.clear()
    built.keeper.broken = None
    return Sender(built)


def refused(answer, status, code):
    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code), told
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["zh"]["fix"]
    assert told["en"]["fix"]
    return told


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_a_signed_batch_of_ones_own_resource_is_let_in_and_recorded(sender, algorithm):
    answer = sender.push(algorithm=algorithm)
    told = answer.json()
    assert answer.status_code == 200, told
    assert (told["batch"], told["rows"], told["sha256"]) == ("2026-01-31.1", 1, hashlib.sha256(BODY).hexdigest())
    (pushed,) = sender.keeper.kept
    assert (pushed.body, pushed.content_type) == (BODY, "application/json")
    call = sender.town.calls()[-1]
    assert (call.department, call.operation, call.resource, call.status) == ("market", "push", "market.firms", 200)
    assert call.id == told["request_id"]


def test_nobody_without_a_key_gets_in(sender):
    refused(sender.push(who=None), 401, "SHR-NO-KEY")
    refused(sender.push(who="st_unknown"), 401, "SHR-WRONG-KEY")
    assert sender.keeper.kept == []


def test_another_department_cannot_push_even_with_the_right_signature(sender):
    refused(sender.push(who="tax"), 403, "SHR-PUSH-DEPARTMENT")
    assert sender.keeper.kept == []
    assert sender.town.calls()[-1].status == 403


def test_a_resource_that_takes_no_batches_is_not_found(sender):
    refused(sender.push(path="/v1/ingest/market.enterprise_base/batches/1"), 404, "SHR-PUSH-RESOURCE")


@pytest.mark.parametrize("header", ["X_Timestamp", "X_Nonce", "X_Signature"])
def test_each_header_of_the_signature_must_be_there(sender, header):
    told = refused(sender.push(**{header: None}), 401, "SHR-PUSH-UNSIGNED")
    assert header.replace("_", "-") in told["detail"]


@pytest.mark.parametrize(
    ("header", "value"),
    [("X_Timestamp", "gestern"), ("X_Timestamp", "9" * 13), ("X_Nonce", "short"), ("X_Nonce", "../" * 10),
     ("X_Signature", "md5=" + "0" * 32), ("X_Signature", "sha256=" + "x" * 64)],
)  # fmt: skip
def test_headers_that_are_not_of_their_shape_are_refused(sender, header, value):
    refused(sender.push(**{header: value}), 401, "SHR-PUSH-UNSIGNED")


def test_a_resource_may_insist_on_sm3(sender):
    path = "/v1/ingest/tax.sm3/batches/1"
    refused(sender.push(who="tax", path=path), 401, "SHR-PUSH-UNSIGNED")
    assert sender.push(who="tax", path=path, algorithm="sm3").status_code == 200


@pytest.mark.parametrize("late", [-301, 302])
def test_a_stale_signature_is_refused(sender, late):
    changed = sender.signed(BODY, PATH, at=time.time() + late)
    refused(sender.push(**{name.replace("-", "_"): value for name, value in changed.items()}), 401, "SHR-PUSH-STALE")
    assert sender.keeper.kept == []


def test_a_call_made_before_is_refused_and_the_same_batch_signed_anew_is_not(sender):
    seal = {name.replace("-", "_"): value for name, value in sender.signed(BODY, PATH).items()}
    assert sender.push(**seal).status_code == 200
    refused(sender.push(**seal), 401, "SHR-PUSH-REPLAYED")
    assert sender.push().status_code == 200
    assert len(sender.keeper.kept) == 2


def test_used_nonces_are_forgotten_when_their_time_is_over(sender):
    old = sender.town.config.meter / "nonces" / "1000"
    old.mkdir(parents=True)
    (old / "x").touch()
    assert sender.push().status_code == 200
    assert not old.exists()


@pytest.mark.parametrize("what", ["secret", "body", "path", "time", "method"])
def test_a_signature_for_something_else_is_refused(sender, what):
    other = {
        "secret": sender.signed(BODY, PATH, secret="other"),
        "body": sender.signed(BODY + b" ", PATH),
        "path": sender.signed(BODY, PATH + "x"),
        "time": sender.signed(BODY, PATH, at=time.time() - 100) | {"X-Timestamp": str(int(time.time()))},
        "method": sender.signed(BODY, PATH),
    }[what]  # fmt: skip
    if what == "method":
        lines = ["PUT", PATH, other["X-Timestamp"], other["X-Nonce"], digest("sha256", BODY).hex()]
        other["X-Signature"] = f"sha256={sign('sha256', SECRET.encode(), chr(10).join(lines).encode()).hex()}"
    changed = {name.replace("-", "_"): value for name, value in other.items()}
    told = refused(sender.push(**changed), 401, "SHR-PUSH-SIGNATURE")
    assert SECRET not in str(told)
    assert sender.keeper.kept == []


def test_a_batch_beyond_the_limit_is_refused_packed_or_not(sender):
    body = b" " * ((16 << 20) + 1)
    refused(sender.push(body), 413, "SHR-PUSH-TOO-LARGE")
    refused(sender.push(gzip.compress(b" " * ((128 << 20) + 1), 1), Content_Encoding="gzip"), 413, "SHR-PUSH-TOO-LARGE")
    assert sender.keeper.kept == []


def test_a_packed_batch_is_unpacked_and_known_by_its_content(sender):
    packed = gzip.compress(BODY[:5]) + gzip.compress(BODY[5:])
    assert sender.push(packed, Content_Encoding="gzip").json()["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert sender.keeper.kept[0].body == BODY
    for encoding, body in (("gzip", packed[:-3]), ("gzip", BODY), ("br", BODY)):
        refused(sender.push(body, Content_Encoding=encoding), 400, "SHR-PUSH-GZIP")


def test_a_body_that_does_not_come_is_not_waited_for(built):
    async def nothing():
        await asyncio.sleep(60)

    with pytest.raises(BadBatchError, match="SHR-PUSH-TORN"):
        asyncio.run(_body(Request({"type": "http", "headers": []}, nothing), 100, 0.01))


@pytest.mark.parametrize("batch", ["-1", ".x", "a" * 101, "%2e%2e", "a%20b", "批次"])
def test_a_batch_id_that_could_be_taken_for_something_else_is_refused(sender, batch):
    refused(sender.push(path=f"/v1/ingest/market.firms/batches/{batch}"), 400, "SHR-PUSH-ID")


def test_what_the_keeper_refuses_reaches_the_sender_and_a_full_disk_may_be_tried_again(sender):
    sender.keeper.broken = UnavailableError.keeping()
    told = refused(sender.push(), 503, "SHR-PUSH-KEEP")
    assert told["retryable"]
    sender.keeper.broken = RuntimeError(f"trace with {SECRET}")
    assert SECRET not in json.dumps(refused(sender.push(), 500, "SHR-INTERNAL"), ensure_ascii=False)


def test_other_methods_are_refused(sender):
    answer = sender.town.ask(PATH, "market")
    refused(answer, 405, "SHR-METHOD")
    assert answer.headers["allow"] == "POST"


def test_the_contract_shows_the_route_with_its_signature(sender):
    told = sender.town.ask("/openapi.json", None).json()
    route = told["paths"]["/v1/ingest/{resource}/batches/{batch_id}"]["post"]
    assert {one["name"] for one in route["parameters"]} == {
        "resource", "batch_id", "X-Timestamp", "X-Nonce", "X-Signature",
    }  # fmt: skip
    assert {"200", "400", "401", "403", "404", "409", "413", "503"} <= set(route["responses"])
    assert set(route["requestBody"]["content"]) == {"application/json", "application/x-ndjson", "text/csv"}
    assert "Receipt" in told["components"]["schemas"]
