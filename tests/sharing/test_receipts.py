"""Receipts: every answer to a known caller carries one, it holds against its call and the records, a false one does not."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from sharing_town import FIRM, PERSON, SECRET, Town

from sharing.asked import request_hash
from sharing.calls import SHANGHAI, Call
from sharing.ledger import Ledger
from sharing.meter import Written
from sharing.receipt_check import confirm
from sharing.receipt_keys import ReceiptKeys
from sharing.receipt_refusals import ReceiptError
from sharing.receipts import Receipt, check, receipt_of, signed

PATH = f"/v1/libraries/legal_person/records/{FIRM}"
PEOPLE = "/v1/libraries/population/records"


def public(town: Town):
    return town.ask("/v1/receipt-keys", None).json()


def code_of(text: str, keys, **against: bytes) -> str:
    with pytest.raises(ReceiptError) as refused:
        check(text, keys, **against)
    return refused.value.code


def example(**changes: object) -> Receipt:
    call = Call.begin()
    call.department, call.grant, call.matter, call.status, call.units = "tax", "tax-firms", "税务登记", 200, 1
    for name, value in changes.items():
        setattr(call, name, value)
    return receipt_of(call, Written("20260131-1-2-3.calls", 4, b"c" * 32), b"r" * 32, b"a" * 32)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> ReceiptKeys:
    return ReceiptKeys(tmp_path_factory.mktemp("keys") / "receipt-keys.json", SECRET)


def test_an_answer_carries_a_receipt_that_holds_against_request_answer_and_records(town: Town) -> None:
    keys = public(town)
    answer = town.ask(PATH + "?fields=uscc&x=%E6%9D%AD", headers={"X-Case": "2026-1", "X-Client-Request-Id": "a-1"})
    asked = request_hash("GET", PATH + "?fields=uscc&x=%E6%9D%AD")
    receipt = check(answer.headers["x-receipt"], keys, request=asked, answer=answer.content)
    assert (receipt.id, receipt.department) == (answer.headers["x-request-id"], "tax")
    assert (receipt.status, receipt.units, receipt.keys) == (200, 1, 1)
    assert (receipt.case, receipt.client_id, receipt.matter) == ("2026-1", "a-1", "税务登记")
    confirm(receipt, Ledger(town.config.meter), SECRET)
    body = json.dumps({"key": PERSON}).encode()
    answer = town.ask(PEOPLE, "tax", "POST", content=body, headers={"X-Grant": "tax-people"})
    asked = request_hash("POST", PEOPLE, body, "tax-people")
    receipt = check(answer.headers["x-receipt"], keys, request=asked, answer=answer.content)
    confirm(receipt, Ledger(town.config.meter), SECRET)
    assert PERSON not in repr(receipt)


def test_a_refusal_has_a_receipt_and_a_stranger_has_none(town: Town) -> None:
    refused = town.ask(PATH, "bank")
    receipt = check(refused.headers["x-receipt"], public(town), answer=refused.content)
    assert (receipt.status, receipt.code, receipt.units) == (403, "SHR-GRANT-EXPIRED", 0)
    for who in (None, "st_wrong"):
        assert "x-receipt" not in town.ask(PATH, who).headers


def test_a_repeat_says_which_call_it_repeats(town: Town) -> None:
    first, again = (town.ask(PATH, headers={"X-Client-Request-Id": "a"}).headers for _ in range(2))
    receipt = check(again["x-receipt"], public(town))
    assert (receipt.repeats, receipt.units) == (first["x-request-id"], 0)
    confirm(receipt, Ledger(town.config.meter), SECRET)


def test_the_public_keys_are_for_everybody_and_not_metered(town: Town) -> None:
    answer = town.ask("/v1/receipt-keys", None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jwk-set+json")
    assert set(answer.json()["keys"][0]) == {"kty", "crv", "use", "alg", "kid", "x", "from"}
    assert town.calls() == []


def test_a_receipt_is_not_that_of_another_call(town: Town) -> None:
    keys, one, other = public(town), town.ask(PATH), town.ask(PATH)
    assert code_of(one.headers["x-receipt"], keys, answer=other.content) == "SHR-RECEIPT-OTHER"
    asked = request_hash("GET", PATH, grant="tax-wide")
    assert code_of(one.headers["x-receipt"], keys, request=asked) == "SHR-RECEIPT-OTHER"


def test_a_receipt_that_the_records_do_not_have_is_found_out(town: Town) -> None:
    receipt = check(town.ask(PATH).headers["x-receipt"], public(town))
    changed = [
        ("units", 2), ("status", 404), ("grant", "tax-wide"), ("answer", receipt.chain), ("request", None),
        ("chain", receipt.answer), ("record", receipt.record + 1), ("segment", "other.calls"),
    ]  # fmt: skip
    for name, value in changed:
        false = Receipt(**{one: getattr(receipt, one) for one in Receipt.__slots__} | {name: value})
        with pytest.raises(ReceiptError, match="SHR-RECEIPT-RECORD"):
            confirm(false, Ledger(town.config.meter), SECRET)
    town.desk.close()
    path = town.config.meter / receipt.segment
    content = bytearray(path.read_bytes())
    content[content.index(receipt.id.encode())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ReceiptError, match="SHR-RECEIPT-RECORD"):
        confirm(receipt, Ledger(town.config.meter), SECRET)


@given(place=st.floats(0, 1, exclude_max=True), change=st.sampled_from("Aa0_-.=~é\n"))
def test_a_receipt_changed_anywhere_is_refused(keys: ReceiptKeys, place: float, change: str) -> None:
    text = signed(example(), keys.signer())
    at = int(place * len(text))
    false = text[:at] + change + text[at + 1 :]
    if false != text and false.strip() != text:
        assert code_of(false, keys.public()) in {"SHR-RECEIPT-FORM", "SHR-RECEIPT-KEY", "SHR-RECEIPT-FORGED"}


@given(
    units=st.integers(0, 1000), matter=st.none() | st.text(max_size=40), keys_asked=st.integers(0, 1000),
    case=st.none() | st.text(max_size=20), status=st.integers(200, 599), generation=st.integers(),
)  # fmt: skip
def test_what_is_signed_is_what_is_read(keys: ReceiptKeys, keys_asked: int, **changes: object) -> None:
    receipt = example(keys=["k"] * keys_asked, **changes)
    assert check(signed(receipt, keys.signer()), keys.public()) == receipt
    assert receipt.keys == keys_asked


def test_only_the_algorithm_of_the_key_counts(keys: ReceiptKeys) -> None:
    head, payload, mark = signed(example(), keys.signer()).split(".")
    for alg in ("none", "HS256", "ES256"):
        told = json.loads(base64.urlsafe_b64decode(head + "==")) | {"alg": alg}
        false = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
        assert code_of(f"{false}.{payload}.{mark}", keys.public()) == "SHR-RECEIPT-KEY"
        assert code_of(f"{false}.{payload}.", keys.public()) == "SHR-RECEIPT-KEY"

    class Thief:
        alg, kid = "EdDSA", keys.signer().kid

        def sign(self, content: bytes) -> bytes:
            return Ed25519PrivateKey.generate().sign(content)

    assert code_of(signed(example(), Thief()), keys.public()) == "SHR-RECEIPT-FORGED"
    for nothing in ("", "a.b.c", "..", "e30.e30.e30", "é", "W10.W10.W10", "x" * 9000):
        assert code_of(nothing, keys.public()) == "SHR-RECEIPT-FORM"


def test_a_new_key_is_shown_before_it_signs_and_the_old_one_stays(tmp_path: Path) -> None:
    keys, other = (ReceiptKeys(tmp_path / "receipt-keys.json", SECRET) for _ in range(2))
    old = signed(example(), keys.signer())
    before = keys.signer().kid
    kid = keys.rotate()
    assert [one["kid"] for one in other.public()["keys"]] == [before, kid]
    assert keys.signer().kid == before
    kid = keys.rotate(timedelta(0))
    assert [keys.signer().kid, len(keys.public()["keys"])] == [kid, 3]
    check(old, keys.public())
    later = datetime.now(SHANGHAI) + timedelta(days=3)

    class Retired:
        alg, kid, sign = "EdDSA", before, keys._signing[1].sign

    assert code_of(signed(example(at=later.isoformat()), Retired()), keys.public()) == "SHR-RECEIPT-KEY"
    assert (tmp_path / "receipt-keys.json").read_text().count("private") == 0


def test_another_secret_of_the_deployment_means_another_key_at_once(tmp_path: Path) -> None:
    old = ReceiptKeys(tmp_path / "receipt-keys.json", SECRET)
    text = signed(example(), old.signer())
    new = ReceiptKeys(tmp_path / "receipt-keys.json", bytes(32))
    assert new.signer().kid != old.signer().kid
    check(text, new.public())
    check(signed(example(), new.signer()), new.public())


def test_keys_that_cannot_be_written_down_sign_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keys = ReceiptKeys(tmp_path / "file" / "receipt-keys.json", SECRET)
    check(signed(example(), keys.signer()), keys.public())
