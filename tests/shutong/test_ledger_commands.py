"""The ledger from the command line: every record checked, a receipt held against it, keys shown and changed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

from click.testing import CliRunner

from sharing.calls import Call
from sharing.meter import Meter
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.receipts import receipt_of, signed
from shutong.api import metering_secret
from shutong.cli import main
from shutong.settings import read
from tests.runs.small_deployment import lay_out


def run(home, *arguments, lang="en", exit_code=0):
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    result = CliRunner().invoke(main, ("ledger", *arguments), env=said)
    assert result.exit_code == exit_code, result.output
    return result.output


def test_records_and_a_receipt_are_checked_and_what_was_changed_is_named(tmp_path, monkeypatch):
    home = lay_out(tmp_path / "home")
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    monkeypatch.setenv("SHUTONG_SECRET_DEPLOYMENT", "d" * 32)
    secret = metering_secret(read())
    keys, meter = ReceiptKeys(home / "meter" / FILE, secret), Meter(home / "meter", 1 << 16)
    call, answer = Call.begin(), tmp_path / "answer.json"
    answer.write_bytes(b"{}")
    sent = hashlib.sha256(b"{}").digest()
    call.department, call.status, call.units = "swj", 200, 1
    call.answer = hmac.digest(secret, sent, "sha256").hex()
    written = asyncio.run(meter.record(call))
    meter.close()
    receipt = tmp_path / "receipt.txt"
    receipt.write_text(signed(receipt_of(call, written, None, sent), keys.signer()))
    assert "1 calls: every record is whole" in run(home, "verify")
    assert "The signature holds" in run(home, "verify-receipt", str(receipt), "--answer", str(answer))
    assert json.loads(run(home, "verify-receipt", str(receipt), "--json"))["receipt"]["id"] == call.id
    answer.write_bytes(b"[]")
    assert "SHR-RECEIPT-OTHER" in run(home, "verify-receipt", str(receipt), "--answer", str(answer), exit_code=1)
    receipt.write_text(receipt.read_text() + "x")
    assert "SHR-RECEIPT-FORM" in run(home, "verify-receipt", str(receipt), exit_code=1)
    assert "No day is to be sealed" in run(home, "seal"), "today goes on"
    path = home / "meter" / written.segment
    path.write_bytes(path.read_bytes().replace(b"swj", b"swi"))
    assert json.loads(run(home, "verify", "--json", exit_code=1))["findings"][0]["kind"] == "damaged"
    assert "第 1 条记录被改动或损坏" in run(home, "verify", lang="zh", exit_code=1)
    assert len(json.loads(run(home, "keys", "--json"))["keys"]) == 1
    assert run(home, "keys", "--new").count("2") > 1
    assert len(json.loads(run(home, "keys", "--json"))["keys"]) == 2
