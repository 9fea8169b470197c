"""The client keeps to the server's canonical forms without sharing a line with it: both must agree."""

from __future__ import annotations

import ast
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from shutong_client import credentials
from shutong_client import receipts as mine
from shutong_client.errors import ReceiptError

from sharing import asked, receipts, signed
from sharing.calls import Call
from sharing.ingest_gate import Seal
from sharing.meter import Written
from sharing.receipt_keys import ReceiptKeys

SDK = Path(__file__).parents[2] / "client" / "shutong_client"
OURS = {"schemas", "connectors", "quality", "warehouse", "runs", "sharing", "shutong", "dags"}
WORDS = st.text(max_size=20)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> ReceiptKeys:
    return ReceiptKeys(tmp_path_factory.mktemp("keys") / "receipt-keys.json", b"0123456789abcdef0123456789abcdef")


def test_the_client_imports_nothing_of_the_servers() -> None:
    imported = set()
    for path in SDK.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {one.name.partition(".")[0] for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    assert not imported & OURS


@given(method=st.sampled_from(["GET", "POST"]), target=WORDS, body=st.binary(max_size=50), grant=WORDS)
def test_both_hash_a_request_alike(method: str, target: str, body: bytes, grant: str) -> None:
    try:
        theirs = asked.request_hash(method, target, body, grant)
    except UnicodeEncodeError:
        return
    assert mine.request_hash(method, target, body, grant) == theirs


@given(units=st.integers(0, 1000), matter=WORDS.filter(str.isprintable), answer=st.binary(max_size=50))
def test_both_read_a_receipt_alike_and_refuse_a_changed_one(
    keys: ReceiptKeys, units: int, matter: str, answer: bytes
) -> None:
    call = Call.begin()
    call.department, call.units, call.matter, call.status = "tax", units, matter, 200
    hashed = asked.hashlib.sha256(answer).digest()
    text = receipts.signed(receipts.receipt_of(call, Written("s", 4, b"c" * 32), b"r" * 32, hashed), keys.signer())
    theirs = receipts.check(text, keys.public(), request=b"r" * 32, answer=answer)
    ours = mine.check(text, keys.public(), request=b"r" * 32, answer=answer)
    assert {name: getattr(ours, name) for name in mine.Receipt.__slots__} == {
        name: getattr(theirs, name) for name in receipts.Receipt.__slots__
    }
    for wrong in (text[:-1], text + "A", text.replace(".", "", 1), "", "a.b.c", text[:40] + "B" + text[41:]):
        if wrong != text:
            with pytest.raises(ReceiptError):
                mine.check(wrong, keys.public())
    with pytest.raises(ReceiptError):
        mine.check(text, keys.public(), answer=answer + b"x")
    with pytest.raises(ReceiptError):
        mine.check(text, {"keys": [keys.public()["keys"][0] | {"x": _other()}]})


def _other() -> str:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return mine._text(raw)


@given(
    pairs=st.lists(st.tuples(WORDS, WORDS), max_size=4), body=st.binary(max_size=50),
    algorithm=st.sampled_from(["sha256", "sm3"]),
)  # fmt: skip
def test_both_sign_a_call_alike(pairs: list[tuple[str, str]], body: bytes, algorithm: str) -> None:
    try:
        request = httpx.Request("POST", "http://x/v1/libraries/a%20b/records", params=pairs, content=body)
    except UnicodeEncodeError:
        return
    call = credentials.SignedCalls(7, "secret", algorithm)
    made = credentials.signature(call, request, 1_800_000_000, "n" * 20)
    path, _, query = request.url.raw_path.partition(b"?")
    seal = Seal(1_800_000_000, "n" * 20, algorithm, bytes.fromhex(made.partition("=")[2]))
    signed.SignedCall(7, seal).check("secret", "POST", path, query, body)
