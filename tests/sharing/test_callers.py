"""Applications call from where they may, by keys that are rotated, by signatures used once, and by certificates."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sharing_town import FIRM, PERSON, SECRET, Town
from test_sharing_kill import served

from sharing.app import create_app
from sharing.callers import Caller
from sharing.clients import Client, Clients
from sharing.errors import WrongKeyError
from sharing.keys import API_KEY, Keys, digest
from sharing.proxies import Trust, networks_of
from sharing.shown import Shown
from sharing.signed import knows_sm3, signing_secret

RECORD = f"/v1/libraries/legal_person/records/{FIRM}"
LOCAL = networks_of(("127.0.0.0/8",))
BOTH = pytest.mark.parametrize(
    "algorithm",
    ["sha256", pytest.param("sm3", marks=pytest.mark.skipif(not knows_sm3(), reason="this OpenSSL has no SM3"))],
)


class Office:
    """The town with an application of the tax department, and a key of it."""

    def __init__(self, town: Town) -> None:
        self.town, self.keys, self.clients = town, Keys(town.config.engine), Clients(town.config.engine)
        client = self.clients.add("tax", "hall")
        assert client is not None
        self.client: Client = client
        self.key = self.keys.issue("tax", "hall", client=client.id)
        found = self.keys.find(digest(self.key))
        assert found is not None
        self.number = found.id
        self.secret = signing_secret(SECRET, digest(self.key))

    def opened(self, trust: Trust) -> None:
        """The service anew, with these proxies."""
        self.town.desk.close()
        self.town.app = create_app(replace(self.town.config, trust=trust))

    def anew(self) -> None:
        """A second passes."""
        self.town.desk.forget_keys()

    def code(self, path: str = RECORD, key: str | None = None, **kwargs: object) -> str:
        answer = self.town.ask(path, key or self.key, **kwargs)
        return "ok" if answer.status_code == 200 else answer.json()["code"]

    def signed(
        self, method: str = "GET", path: str = RECORD, query: str = "", body: bytes = b"", *,
        algorithm: str = "sha256", at: float | None = None, number: int | None = None, secret: str | None = None,
    ) -> dict[str, str]:  # fmt: skip
        stamp, nonce = str(int(time.time() if at is None else at)), secrets.token_hex(12)
        lines = [method, path, query, stamp, nonce, hashlib.new(algorithm, body).hexdigest()]
        proof = hmac.digest((secret or self.secret).encode(), "\n".join(lines).encode(), algorithm).hex()
        return {
            "X-Key-Id": str(number or self.number), "X-Timestamp": stamp, "X-Nonce": nonce,
            "X-Signature": f"{algorithm}={proof}",
        }  # fmt: skip

    def sends(
        self, headers: dict[str, str] | list[tuple[str, str]], path: str = RECORD, method: str = "GET", **kwargs: bytes
    ) -> str:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.town.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://town") as client:
                return await client.request(method, path, headers=headers, **kwargs)

        answer = asyncio.run(once())
        return "ok" if answer.status_code == 200 else answer.json()["code"]


@pytest.fixture
def office(town: Town) -> Office:
    return Office(town)


def certificate(days: int = 30) -> tuple[str, str]:
    """A self-signed certificate as nginx escapes it, and its fingerprint."""
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hall")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - timedelta(days=60)).not_valid_after(now + timedelta(days=days))
        .sign(key, None)
    )  # fmt: skip
    der = made.public_bytes(Encoding.DER)
    return quote(made.public_bytes(Encoding.PEM).decode(), safe=""), hashlib.sha256(der).hexdigest()


def test_a_rotated_key_works_beside_the_new_one_until_the_overlap_is_over(office: Office) -> None:
    new = office.keys.rotate(office.number, timedelta(days=7))
    assert new is not None
    assert (office.code(), office.code(key=new)) == ("ok", "ok")
    old, made = (office.keys.find(digest(key)) for key in (office.key, new))
    assert old is not None
    assert made is not None
    assert (made.client, made.label) == (office.client.id, "hall")
    assert old.alive(datetime.now(UTC) + timedelta(days=6.9))
    assert not old.alive(datetime.now(UTC) + timedelta(days=7.1))
    assert old.ends_soon(datetime.now(UTC))
    assert not made.ends_soon(datetime.now(UTC))
    assert office.keys.rotate(old.id, timedelta(days=90)) is not None
    again = office.keys.find(digest(office.key))
    assert again is not None
    assert again.expires_at == old.expires_at
    office.keys.revoke(made.id)
    assert office.keys.rotate(made.id) is None
    assert office.keys.rotate(99_999) is None


def test_the_day_a_key_was_last_used_is_noted(office: Office) -> None:
    assert office.code() == "ok"
    found = office.keys.find(digest(office.key))
    assert found is not None
    assert found.last_used == datetime.now(UTC).date().isoformat()


def test_an_application_that_is_shut_off_gets_in_by_none_of_its_ways(office: Office) -> None:
    written, mark = certificate()
    assert office.clients.pin(office.client.id, mark)
    office.opened(Trust(LOCAL, b"x-client-cert"))
    ways = [office.code, lambda: office.sends(office.signed()),
            lambda: office.sends({"X-Client-Cert": written})]  # fmt: skip
    assert [way() for way in ways] == ["ok", "ok", "ok"]
    assert office.clients.disable(office.client.id)
    office.anew()
    assert [way() for way in ways] == ["SHR-WRONG-KEY", "SHR-SIGN-WRONG", "SHR-CERTIFICATE"]
    assert office.clients.enable(office.client.id)
    office.anew()
    assert [way() for way in ways] == ["ok", "ok", "ok"]


def test_whoever_calls_is_known_by_department_application_key_and_proof(office: Office) -> None:
    found = asyncio.run(office.town.desk.callers.of(Shown(office.key)))
    assert found == Caller("tax", "hall", office.number, "key", office.client.id)
    assert found.who == f"key:{office.number}"
    plain = asyncio.run(office.town.desk.callers.of(Shown(office.town.keys["bank"])))
    assert (plain.client, plain.client_id) == ("test", None)


def test_an_application_is_called_from_its_networks_only_and_proxies_say_where_that_is(office: Office) -> None:
    def allow(*networks: str) -> None:
        assert office.clients.change(office.client.id, networks, ("key",))
        office.anew()

    forwarded = {"headers": {"X-Forwarded-For": "6.6.6.6, 10.2.3.4"}}
    allow("127.0.0.1")
    assert (office.code(), office.code(**forwarded)) == ("ok", "ok")  # a header from nobody we know says nothing
    allow("10.0.0.0/8")
    assert (office.code(), office.code(**forwarded)) == ("SHR-ADDRESS", "SHR-ADDRESS")
    office.opened(Trust(LOCAL))
    assert (office.code(), office.code(**forwarded)) == ("SHR-ADDRESS", "ok")
    assert office.code(headers={"X-Forwarded-For": "10.2.3.4, 6.6.6.6"}) == "SHR-ADDRESS"
    assert office.code(headers={"X-Forwarded-For": "10.2.3.4, nonsense"}) == "SHR-ADDRESS"
    doubled = [("X-Api-Key", office.key), ("X-Forwarded-For", "10.2.3.4"), ("X-Forwarded-For", "6.6.6.6")]
    assert office.sends(doubled) == "SHR-ADDRESS"
    assert office.sends([doubled[0], doubled[2], doubled[1]]) == "ok"
    assert office.sends(office.signed()) == "SHR-PROOF"
    with pytest.raises(ValueError, match=r"1\.2\.3\.4/8"):
        office.clients.change(office.client.id, ["1.2.3.4/8"], ("key",))


@BOTH
def test_a_signed_call_is_answered_once(office: Office, algorithm: str) -> None:
    body = f'{{"key": "{PERSON}"}}'.encode()
    post = office.signed("POST", "/v1/libraries/population/records", body=body, algorithm=algorithm)
    sent = {"path": "/v1/libraries/population/records", "method": "POST", "content": body}
    assert office.sends(post, **sent) == "ok"
    assert office.sends(post, **sent) == "SHR-SIGN-REPLAYED"
    asked = office.signed(query="fields=uscc%2Cent_name&grant=tax-firms", algorithm=algorithm)
    assert office.sends(asked, RECORD + "?grant=tax-firms&fields=uscc,ent_name") == "ok"
    office.opened(Trust())  # and a service that is started anew remembers
    assert office.sends(asked, RECORD + "?grant=tax-firms&fields=uscc,ent_name") == "SHR-SIGN-REPLAYED"
    assert office.town.calls()[0].key_id == office.number


def test_what_was_not_signed_so_is_refused(office: Office) -> None:
    refused = office.sends
    assert refused(office.signed(), RECORD + "?fields=phone") == "SHR-SIGN-WRONG"
    assert refused(office.signed(), f"{RECORD[:-1]}Z") == "SHR-SIGN-WRONG"
    assert refused(office.signed(body=b"x")) == "SHR-SIGN-WRONG"
    assert refused(office.signed(secret="guess")) == "SHR-SIGN-WRONG"
    assert refused(office.signed(number=99_999)) == "SHR-SIGN-WRONG"
    for skew in (-310, 310):
        assert refused(office.signed(at=time.time() + skew)) == "SHR-SIGN-STALE"
    assert refused(office.signed(at=time.time() + 250)) == "ok"
    for name in ("X-Timestamp", "X-Nonce", "X-Signature"):
        assert refused({**office.signed(), name: ""}) == "SHR-SIGN-HEADER"
    assert refused({**office.signed(), "X-Signature": "none=" + "0" * 64}) == "SHR-SIGN-HEADER"
    assert refused([*office.signed().items(), ("X-Key-Id", "1")]) == "SHR-SIGN-HEADER"
    office.keys.revoke(office.number)
    office.anew()
    unknown, revoked = (
        office.town.ask(RECORD, None, headers=office.signed(number=number)).json() for number in (99_999, None)
    )
    assert {**unknown, "request_id": ""} == {**revoked, "request_id": ""}


def test_signatures_are_compared_in_constant_time(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    plain = hmac.compare_digest
    monkeypatch.setattr("sharing.signed.hmac.compare_digest", lambda a, b: compared.append(1) or plain(a, b))
    assert office.sends(office.signed()) == "ok"
    assert compared


def test_a_certificate_counts_from_our_proxy_only(office: Office) -> None:
    written, mark = certificate()
    old, old_mark = certificate(days=-1)
    for one in (mark, old_mark):
        assert office.clients.pin(office.client.id, one)
    assert not office.clients.pin(office.client.id, mark)
    shown = {"X-Client-Cert": written}
    assert office.sends(shown) == "SHR-NO-KEY"  # no header of certificates is configured
    office.opened(Trust(LOCAL, b"x-client-cert"))
    assert office.sends(shown) == "ok"
    assert office.sends({"X-Client-Cert": mark.upper()}) == "ok"
    der = base64.b64encode(bytes.fromhex("30")).decode()
    for value in (old, certificate()[0], "nonsense", f":{der}:", "%%", "-----BEGIN CERTIFICATE-----"):
        assert office.sends({"X-Client-Cert": value}) == "SHR-CERTIFICATE"
    assert office.sends([("X-Client-Cert", mark), ("X-Client-Cert", mark)]) == "SHR-CERTIFICATE"
    office.opened(Trust((ipaddress.ip_network("10.0.0.0/8"),), b"x-client-cert"))
    assert office.sends(shown) == "SHR-CERTIFICATE-HEADER"
    assert office.code(headers=shown) == "SHR-CERTIFICATE-HEADER"
    office.opened(Trust(LOCAL, b"x-client-cert", b"a shared secret"))
    assert office.sends(shown) == "SHR-CERTIFICATE-HEADER"
    assert office.sends(shown | {"X-Proxy-Secret": "another"}) == "SHR-CERTIFICATE-HEADER"
    assert office.sends(shown | {"X-Proxy-Secret": "a shared secret"}) == "ok"
    assert "a shared secret" not in repr(Trust(LOCAL, b"x-client-cert", b"a shared secret"))
    assert office.clients.unpin(office.client.id, mark)
    office.anew()
    assert office.sends(shown | {"X-Proxy-Secret": "a shared secret"}) == "SHR-CERTIFICATE"


def test_headers_larger_than_any_call_needs_are_refused(office: Office) -> None:
    assert office.code(headers={"X-Padding": "a" * 40_000}) == "SHR-HEADERS"
    assert office.code(key="k" * 20_000) == "SHR-WRONG-KEY"


@pytest.mark.prove
def test_a_signed_call_is_answered_once_over_all_workers_of_a_real_server(office: Office) -> None:
    office.town.desk.close()
    with served(office.town) as (_, address), ThreadPoolExecutor(16) as crowd:
        for _ in range(10):
            headers = office.signed(query="fields=uscc")

            def send(_n: int, headers: dict[str, str] = headers) -> int:
                return httpx.get(f"{address}{RECORD}?fields=uscc", headers=headers, trust_env=False).status_code

            assert sorted(crowd.map(send, range(16))) == [200, *[401] * 15]


def test_calls_that_arrive_together_ask_the_state_database_for_their_key_once(office: Office) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    async def together(count: int) -> list[str]:
        callers = office.town.desk.callers
        found = await asyncio.gather(*(callers.of(Shown(key=office.key)) for _ in range(count)))
        return [caller.client for caller in found]

    assert asyncio.run(together(1)) == ["hall"]  # the first of a day is noted
    office.anew()
    sa.event.listen(office.town.config.engine, "before_cursor_execute", note)
    assert asyncio.run(together(1)) == ["hall"]
    alone = len(asked)
    office.anew()
    assert asyncio.run(together(50)) == ["hall"] * 50
    assert len(asked) == 2 * alone


def test_whom_a_look_did_not_find_that_began_before_is_looked_for_again(office: Office) -> None:
    callers, begun, go_on = office.town.desk.callers, threading.Event(), threading.Event()
    find = callers.keys.find

    def slow(digested: str) -> object:
        found = find(digested)
        if not begun.is_set():
            begun.set()
            assert go_on.wait(30)
        return found

    callers.keys.find = slow  # type: ignore[method-assign]
    key = secrets.token_urlsafe(32)

    async def run() -> list[object]:
        first = asyncio.create_task(callers.of(Shown(key=key)))
        await asyncio.to_thread(begun.wait, 30)
        with office.town.config.engine.begin() as connection:
            columns = sa.select(API_KEY).where(API_KEY.c.id == office.number)
            row = dict(connection.execute(columns).mappings().one())
            del row["id"]
            connection.execute(API_KEY.insert().values(row | {"hash": digest(key)}))
        second = asyncio.create_task(callers.of(Shown(key=key)))
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(run())
    assert isinstance(first, WrongKeyError)
    assert isinstance(second, Caller)
