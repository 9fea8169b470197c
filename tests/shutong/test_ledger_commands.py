"""The ledger from the command line: every record checked, a receipt held against it, keys shown and changed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

from click.testing import CliRunner

from sharing.calls import Call, today
from sharing.meter import Meter
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.receipts import receipt_of, signed
from shutong.api import metering_secret
from shutong.cli import main
from shutong.settings import read
from tests.runs.small_deployment import lay_out
from tests.sharing.books_town import called, on, record


def run(home, *arguments, lang="en", exit_code=0, group="ledger", given=None):
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    result = CliRunner().invoke(main, (group, *arguments), env=said, input=given)
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


def test_statements_are_issued_checked_and_worked_out_again(tmp_path, monkeypatch):
    home = lay_out(tmp_path / "home")
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    monkeypatch.setenv("SHUTONG_SECRET_DEPLOYMENT", "d" * 32)
    (home / "tariff.yaml").write_text("currency: CNY\nprices:\n  - {per_unit: 0.1}\n")
    with monkeypatch.context() as patch:
        on(patch, "2026-01-31")
        calls = [called("2026-01-31", n, department="swj") for n in range(5)]
        calls += [called("2026-01-31", 6, department="swj", library=None, operation="usage", units=0)]
        receipts = record(home / "meter", calls)
    ReceiptKeys(home / "meter" / FILE, metering_secret(read()))
    known = json.loads((home / "meter" / FILE).read_text())
    (home / "meter" / FILE).write_text(json.dumps([known[0] | {"from": "2026-01-01T00:00:00+08:00"}]))
    keys = ReceiptKeys(home / "meter" / FILE, metering_secret(read()))
    held = tmp_path / "receipts"
    held.mkdir()
    (held / "january.txt").write_text("\n".join(signed(one, keys.signer()) for one in receipts))
    public = tmp_path / "keys.json"
    public.write_text(json.dumps(keys.public()))

    def statement(*arguments, exit_code=0, **said):
        return run(home, *arguments, exit_code=exit_code, group="statement", **said)

    assert "SHR-STATEMENT-EARLY" in statement("make", "2026-01", exit_code=1), "January is not sealed"
    out = tmp_path / "out"
    statement("make", "2026-01", "--so-far", "-o", str(out), "--format", "csv")
    assert [one.name.endswith(".csv") for one in out.iterdir()] == [True] * len(list(out.iterdir()))
    run(home, "seal")
    told = json.loads(statement("make", "2026-01", "-o", str(out), "--json"))["statements"]
    assert sum(one["calls"] for one in told) == 6
    assert [one["amount"] for one in told if one["units"]] == ["0.50"]
    assert all(one["issued_now"] for one in told)
    assert not any(one["issued_now"] for one in json.loads(statement("make", "2026-01", "--json"))["statements"])
    for file in out.glob("*.json"):
        assert "the records agree" in run(home, "verify", "--statement", str(file))
        assert "nothing is wrong" in statement("check", str(file), "--receipts", str(held), "--keys", str(public))
        assert "签名与合计无误" in statement("check", str(file), lang="zh")
    (held / "forged.txt").write_text(signed(receipts[0], keys.signer())[:-4] + "AAAA")
    bad = json.loads(statement("check", str(file), "--receipts", str(held), "--json", exit_code=1))
    assert bad["bad_receipts"] == ["forged.txt:1 SHR-RECEIPT-FORGED"]
    assert json.loads(run(home, "archive", "--json"))["put_away"] == [{"day": "2026-01-31", "segments": 1, "calls": 6}]
    assert "0 days put away, 0 old files removed" in run(home, "archive", "--keep-days", "99999")
    assert "0 days put away, 1 old files removed" in run(home, "archive", "--keep-days", "62")
    assert "1 calls" not in run(home, "verify")
    assert "the records agree" in run(home, "verify", "--statement", str(file)), "worked out again from the warehouse"
    file.write_text(file.read_text().replace("swj", "swi"))
    assert "SHR-STATEMENT-FORGED" in run(home, "verify", "--statement", str(file), exit_code=1)


def test_who_looked_is_told_and_who_asked_for_it_is_recorded(tmp_path, monkeypatch):
    home = lay_out(tmp_path / "home")
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    monkeypatch.setenv("SHUTONG_SECRET_DEPLOYMENT", "d" * 32)
    (home / "people.yaml").write_text("people:\n  - {id: zhang, name: 张三, roles: [data_manager]}\n", "utf-8")
    person = "11010519491231002X"
    hidden = "hmac:" + hmac.digest(metering_secret(read()), person.encode(), "sha256").hex()
    day = today()
    record(home / "meter", [called(day, 1, department="swj", key=hidden, names=["name"]), called(day, 2)])
    told = run(home, "looked", "-", "--by", "zhang", "--why", "asked", lang="zh", given=person + "\n")
    assert "(swj)" in told
    assert "zhang" in told
    looks = json.loads(run(home, "looked", person, "--by", "zhang", "--why", "again", "--json"))["looks"]
    assert sorted(one["operation"] for one in looks) == ["get", "looked", "looked"]
    assert "RUN-PERSON-UNKNOWN" in run(home, "looked", person, "--by", "nobody", "--why", "x", exit_code=1)
    assert "SHR-LOOKED-WHY" in run(home, "looked", person, "--by", "zhang", "--why", " ", exit_code=1)
