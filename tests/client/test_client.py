"""The client over a real exchange: every way to ask, proven by receipts, counted once, refused in typed errors."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from client_town import CODES, NAME, Exchange, publish
from sharing_town import PERSON, uscc
from shutong_client import (
    Client,
    MissingError,
    NotAllowedError,
    NotKnownError,
    ProfileError,
    ReceiptError,
    SpentError,
    Terms,
    UnreachableError,
)
from shutong_client import UnavailableError as Unavailable
from shutong_client.profile import read

from sharing.errors import UnavailableError
from sharing.problems import refusal

MISSING = uscc("91330100MA2A99999")


@pytest.fixture
def client(exchange: Exchange, tmp_path: Path):
    with exchange.client(tmp_path, receipts="receipts") as opened:
        yield opened


def test_a_record_is_looked_up_and_proven_and_its_receipt_kept(
    client: Client, exchange: Exchange, tmp_path: Path
) -> None:
    answer = client.lookup(NAME, CODES[3], ["uscc", "phone"], terms=Terms(case="2026-杭-1"))
    assert answer.data == {"uscc": CODES[3], "phone": "138****5678"}
    assert (answer.told["grant"], answer.masked) == ("tax-client", ["phone"])
    assert answer.proof is not None
    assert answer.proof.receipt is not None
    assert (answer.proof.receipt.id, answer.proof.receipt.case) == (answer.request_id, "2026-杭-1")
    kept = next((tmp_path / "receipts").glob("receipts-*.txt")).read_text("ascii").split()
    assert client.receipts.verify(kept[0]) == answer.proof.receipt
    assert json.loads((tmp_path / "keys.json").read_text())["keys"], "the keys were pinned"
    (call,) = exchange.calls(id=answer.request_id)
    assert call.units == 1
    assert answer.proof.receipt.client_id == call.client_id


def test_a_person_is_asked_for_in_the_body_only(exchange: Exchange, tmp_path: Path) -> None:
    with exchange.client(tmp_path, grant="tax-people") as client:
        assert client.lookup("population", PERSON).data["name"] == "张*"
    assert PERSON not in (exchange.folder / "server.log").read_text("utf-8", "replace")


def test_many_keys_come_in_their_order_in_calls_of_a_thousand(client: Client) -> None:
    lines = client.batch(NAME, [*CODES, MISSING, *CODES * 4][1:1100], ["uscc"])
    assert [line.key for line in lines[:3]] == CODES[1:4]
    assert len(lines) == 1099
    missing = [line for line in lines if not line.found]
    assert {line.record is None for line in missing} <= {True}
    assert lines[0].record == {"uscc": CODES[1]}


def test_a_query_is_read_page_by_page_as_rows_arrow_and_pandas(client: Client) -> None:
    query = client.query(NAME, prefix={"ent_name": "杭州𠮷祥"}, fields=["uscc", "ent_name"], page=100)
    assert [len(page.data) for page in query.pages()] == [100, 100, len(list(query)) - 200]
    table = query.to_arrow()
    assert table.schema.names == ["uscc", "ent_name"]
    assert table.schema.field("uscc").type == pa.string()
    assert table.num_rows == len(list(query))
    assert list(query.to_pandas()["uscc"]) == table.column("uscc").to_pylist()


def test_claims_are_verified_without_learning_the_value(client: Client) -> None:
    answer = client.verify(NAME, CODES[5], {"phone": "138 1234 5678", "ent_name": "别的公司"})
    assert answer.data == {"phone": "yes", "ent_name": "no"}


def test_changes_are_followed_from_a_cursor(client: Client, exchange: Exchange) -> None:
    cursor = client.changes(NAME).data.cursor
    publish(exchange.folder / "serving", 2)
    page = client.changes(NAME, cursor).data
    assert {(one.key, one.change) for one in page.rows} == {(CODES[0], "changed"), (CODES[-1], "gone")}
    assert next(one.record for one in page.rows if one.record)["ent_name"] == "杭州改名公司"
    assert client.changes(NAME, page.cursor).data.rows == []


def test_the_usage_is_the_departments_own(client: Client) -> None:
    client.lookup(NAME, CODES[1])
    told = client.usage(days=1).data
    assert told["department"] == "tax"
    assert told["calls"]


def test_a_signed_call_and_a_token_prove_the_same_application(exchange: Exchange, tmp_path: Path) -> None:
    number, secret = exchange.signing
    client_id, key = exchange.application
    (tmp_path / "secret").write_text(secret + "\n")
    for credential in (
        f'key_id = {number}\nsecret_file = "secret"',
        f'key_id = {number}\nsecret = "{secret}"\nalgorithm = "sm3"',
        f'client_id = {client_id}\nkey = "{key}"',
    ):
        with Client.from_profile(exchange.profile(tmp_path, credential)) as client:
            client.changes(NAME, fields=["uscc", "ent_name"])
            answer = client.lookup(NAME, CODES[2])
        assert answer.proof is not None
        assert answer.proof.receipt is not None
        assert answer.proof.receipt.app == "register"
        assert secret not in repr(client.profile)
        assert key not in repr(client.profile)


def test_refusals_are_typed_and_say_what_to_do(client: Client, exchange: Exchange, tmp_path: Path) -> None:
    with pytest.raises(MissingError) as missing:
        client.lookup(NAME, MISSING)
    assert (missing.value.status, missing.value.retryable) == (404, False)
    with pytest.raises(NotAllowedError) as denied:
        client.lookup(NAME, CODES[0], ["secret_note"])
    assert (denied.value.code, bool(denied.value.fix_zh), bool(denied.value.fix_en)) == ("SHR-FIELD", True, True)
    assert denied.value.request_id
    with pytest.raises(MissingError) as unread:  # refused before the body was read, so the receipt has no hash of it
        client.lookup("no_library", CODES[0])
    assert unread.value.code == "SHR-NO-LIBRARY"
    (tmp_path / "other").mkdir()
    wrong = exchange.profile(tmp_path / "other", 'key = "st_wrong"')
    with Client.from_profile(wrong) as stranger, pytest.raises(NotKnownError) as unknown:
        stranger.lookup(NAME, CODES[0])
    assert unknown.value.code == "SHR-WRONG-KEY"
    wrong = exchange.profile(tmp_path / "other", 'client_id = 1\nkey = "st_x"')
    with Client.from_profile(wrong) as stranger, pytest.raises(NotKnownError):
        stranger.lookup(NAME, CODES[0])


def test_what_is_spent_until_tomorrow_is_told_at_once(exchange: Exchange, tmp_path: Path) -> None:
    with exchange.client(tmp_path, "school", grant="school-few") as client:
        client.lookup(NAME, CODES[1])
        with pytest.raises(SpentError) as spent:
            client.lookup(NAME, CODES[1])
    assert spent.value.code == "SHR-QUOTA"
    assert spent.value.retry_after is not None


class Losing(httpx.BaseTransport):
    """Sends what it is given, and loses the answer of the first so many."""

    def __init__(self, times: int) -> None:
        self.left, self.real = times, httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.real.handle_request(request)
        if self.left and "records" in request.url.path:
            self.left -= 1
            response.close()
            raise httpx.ReadError("lost", request=request)
        return response

    def close(self) -> None:
        self.real.close()


def test_a_call_whose_answer_was_lost_is_sent_again_and_counted_once(exchange: Exchange, tmp_path: Path) -> None:
    profile = read(exchange.profile(tmp_path, f'key = "{exchange.keys["tax"]}"'))
    with Client(profile, Losing(2)) as client:
        answer = client.lookup(NAME, CODES[7])
    assert answer.proof is not None
    assert answer.proof.receipt is not None
    calls = exchange.calls(client_id=answer.proof.receipt.client_id)
    assert (len(calls), sum(call.units for call in calls)) == (3, 1)
    assert answer.proof.receipt.repeats == calls[0].id


class Busy(Losing):
    """Cannot answer the first so many, and says when to come again."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.left and "records" in request.url.path:
            self.left -= 1
            told = refusal(UnavailableError.state(), "0")
            return httpx.Response(told.status, headers=told.headers, content=told.body)
        return self.real.handle_request(request)


def test_an_exchange_that_cannot_answer_now_is_asked_again_when_it_says(exchange: Exchange, tmp_path: Path) -> None:
    profile = read(exchange.profile(tmp_path, f'key = "{exchange.keys["tax"]}"'))
    with Client(profile, Busy(1)) as client:
        began = time.monotonic()
        assert client.lookup(NAME, CODES[9], ["uscc"]).data == {"uscc": CODES[9]}
        assert time.monotonic() - began >= 1.0
    impatient = replace(profile, patience=0.5)
    with Client(impatient, Busy(1)) as client, pytest.raises(Unavailable) as refused:
        client.lookup(NAME, CODES[9])
    assert (refused.value.code, refused.value.retry_after, refused.value.retryable) == ("SHR-STATE", 1.0, True)


class Changing(httpx.BaseTransport):
    """Somebody in between who changes the answer."""

    def __init__(self, how: str) -> None:
        self.how, self.real = how, httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.real.handle_request(request)
        body, headers = response.read(), dict(response.headers)
        headers = {name: value for name, value in headers.items() if name not in {"content-encoding", "content-length"}}
        if "x-receipt" in headers and self.how == "no receipt":
            del headers["x-receipt"]
        if "x-receipt" in headers and self.how == "data":
            body = response.read().replace(b"330106", b"330107")
        if "x-receipt" in headers and self.how == "receipt":
            head, content, mark = headers["x-receipt"].split(".")
            told = json.loads(base64.urlsafe_b64decode(content + "=="))
            forged = base64.urlsafe_b64encode(json.dumps(told | {"units": 9}).encode()).decode().rstrip("=")
            headers["x-receipt"] = f"{head}.{forged}.{mark}"
        return httpx.Response(response.status_code, headers=headers, content=body)

    def close(self) -> None:
        self.real.close()


@pytest.mark.parametrize(
    ("how", "code"),
    [("data", "CLI-RECEIPT-OTHER"), ("receipt", "CLI-RECEIPT-FORGED"), ("no receipt", "CLI-RECEIPT-NONE")],
)
def test_an_answer_changed_on_its_way_is_not_believed(exchange: Exchange, tmp_path: Path, how: str, code: str) -> None:
    profile = read(exchange.profile(tmp_path, f'key = "{exchange.keys["tax"]}"'))
    with Client(profile, Changing(how)) as client, pytest.raises(ReceiptError) as found:
        client.lookup(NAME, CODES[8], ["uscc", "division"])
    assert found.value.code == code


def test_a_key_that_was_not_pinned_is_not_believed(exchange: Exchange, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    with exchange.client(tmp_path) as client:
        with pytest.raises(ReceiptError) as found:
            client.lookup(NAME, CODES[0], ["uscc"])
        assert found.value.code == "CLI-RECEIPT-KEY"
        client.pin()
        assert client.lookup(NAME, CODES[0], ["uscc"]).data == {"uscc": CODES[0]}


def test_nobody_at_the_address_is_told_without_the_key_asked_for(tmp_path: Path, unused: str) -> None:
    path = tmp_path / "away.toml"
    path.write_text(f'address = "{unused}"\npatience = 0.2\n[credential]\nkey = "st_secret"')
    with Client.from_profile(path) as client, pytest.raises(UnreachableError) as error:
        client.lookup(NAME, CODES[0])
    assert error.value.retryable
    assert "st_secret" not in str(error.value) + repr(client.profile)
    assert CODES[0] not in str(error.value)


@pytest.fixture
def unused() -> str:
    from infra.testing.postgres import free_port

    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize(
    "written",
    [
        "nonsense",
        '[credential]\nkey = "a"',
        'address = "ftp://x"\n[credential]\nkey = "a"',
        'address = "http://x"',
        'address = "http://x"\n[credential]\nkey = ""',
        'address = "http://x"\n[credential]\nkey = "a"\nkey_env = "B"',
        'address = "http://x"\n[credential]\nkey_file = "not-there"',
        'address = "http://x"\n[credential]\nkey_id = 1',
        'address = "http://x"\nwhat = 1\n[credential]\nkey = "a"',
        'address = "http://x"\ntimeout = 0\n[credential]\nkey = "a"',
        'address = "http://x"\ngrant = ""\n[credential]\nkey = "a"',
    ],
)
def test_a_profile_that_says_too_little_or_too_much_is_refused(tmp_path: Path, written: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(written, "utf-8")
    with pytest.raises(ProfileError) as error:
        read(path)
    assert error.value.code == "CLI-PROFILE"


def test_a_profile_is_found_by_name_and_its_secret_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prod.toml").write_text('address = "https://x/"\nreceipts = "r"\n[credential]\nkey_env = "MY_KEY"')
    monkeypatch.setenv("SHUTONG_CLIENT_HOME", str(tmp_path))
    monkeypatch.setenv("MY_KEY", "st_1")
    profile = read("prod")
    assert (profile.address, profile.receipts) == ("https://x", tmp_path / "r")
