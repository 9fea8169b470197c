"""Applications get access tokens for their keys; forged, stale, foreign and revoked tokens speak for nobody."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import replace

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sharing_town import FIRM, SECRET, Town

from sharing.app import create_app
from sharing.callers import Caller
from sharing.clients import Clients
from sharing.keys import Keys, digest
from sharing.proxies import Trust
from sharing.shown import Shown
from sharing.tokens import Tokens

RECORD = f"/v1/libraries/legal_person/records/{FIRM}"
FORM = {"grant_type": "client_credentials"}


class Hall:
    """An application of the tax department that asks for tokens."""

    def __init__(self, town: Town) -> None:
        self.town, self.keys, self.clients = town, Keys(town.config.engine), Clients(town.config.engine)
        client = self.clients.add("tax", "hall")
        assert client is not None
        self.client = client
        self.key = self.keys.issue("tax", "hall", client=client.id)
        found = self.keys.find(digest(self.key))
        assert found is not None
        self.number = found.id
        self.tokens: Tokens = town.desk.callers.tokens

    def asked(self, form: dict[str, str] | None = None, **kwargs: object) -> httpx.Response:
        said = FORM | {"client_id": str(self.client.id), "client_secret": self.key} if form is None else form
        return self.town.ask("/oauth/token", None, "POST", data=said, **kwargs)

    def token(self) -> str:
        told: dict[str, str] = self.asked().json()
        return told["access_token"]

    def uses(self, token: str) -> str:
        answer = self.town.ask(RECORD, None, headers={"Authorization": f"Bearer {token}"})
        return "ok" if answer.status_code == 200 else answer.json()["code"]


@pytest.fixture
def hall(town: Town) -> Hall:
    return Hall(town)


def test_a_key_is_changed_for_a_token_that_answers_calls(hall: Hall) -> None:
    answer = hall.asked()
    told = answer.json()
    assert (answer.status_code, told["token_type"], told["expires_in"]) == (200, "Bearer", 3600)
    assert answer.headers["cache-control"] == "no-store"
    assert hall.uses(told["access_token"]) == "ok"
    found = asyncio.run(hall.town.desk.callers.of(Shown(told["access_token"])))
    assert found == Caller("tax", "hall", hall.number, "token", hall.client.id)
    assert next((one.operation, one.department, one.key_id) for one in hall.town.calls()) == (
        "token", "tax", hall.number,
    )  # fmt: skip
    basic = httpx.BasicAuth(str(hall.client.id), hall.key)
    written = next(basic.auth_flow(httpx.Request("POST", "http://town"))).headers["Authorization"]
    assert hall.asked(FORM, headers={"Authorization": written}).status_code == 200


def test_whoever_asks_wrongly_gets_no_token_and_learns_nothing_of_applications(hall: Hall) -> None:
    stranger = hall.town.keys["bank"]
    told = []
    for number, secret in ((99_999, hall.key), (hall.client.id, stranger), (hall.client.id, "x"), (hall.client.id, "")):
        answer = hall.asked(FORM | {"client_id": str(number), "client_secret": secret})
        assert "www-authenticate" in answer.headers
        told.append((answer.status_code, answer.text))
    assert set(told) == {(401, '{"error":"invalid_client"}')}
    right = FORM | {"client_id": str(hall.client.id), "client_secret": hall.key}
    for wrong, error in (
        ({"grant_type": "password"}, "unsupported_grant_type"), ({"scope": "all"}, "invalid_scope"),
        ({"grant_type": ["client_credentials"] * 2}, "invalid_request"),
    ):  # fmt: skip
        assert hall.asked(right | wrong).json() == {"error": error}
    assert hall.asked({"client_id": "1"}).json() == {"error": "invalid_request"}
    basic = {"Authorization": "Basic " + base64.b64encode(b"1:x").decode()}
    assert hall.asked(right, headers=basic).json() == {"error": "invalid_request"}
    assert hall.asked(FORM, headers={"Authorization": "Basic %%%"}).json() == {"error": "invalid_client"}
    assert hall.town.ask("/oauth/token", None, "POST", json=right).json() == {"error": "invalid_request"}
    assert hall.asked(right | {"pad": "a" * 9000}).status_code == 413
    hall.clients.change(hall.client.id, ["10.0.0.0/8"], ("token",))
    assert hall.asked().json() == {"error": "invalid_client"}
    hall.clients.change(hall.client.id, [], ("key", "signature"))
    assert hall.asked().json() == {"error": "invalid_client"}
    assert hall.keys.find(digest(hall.key)) is not None


def test_the_public_key_checks_tokens_anywhere(hall: Hall) -> None:
    (jwk,) = hall.town.ask("/.well-known/jwks.json", None).json()["keys"]
    public = jwt.PyJWK(jwk).key
    token = hall.token()
    told = jwt.decode(token, public, algorithms=["EdDSA"], audience="urn:shutong:sharing")
    assert (told["sub"], told["key"]) == (str(hall.client.id), hall.number)
    assert jwt.get_unverified_header(token)["kid"] == jwk["kid"]
    assert "d" not in jwk


def test_forged_tokens_speak_for_nobody(hall: Hall) -> None:
    now = int(time.time())
    kid = hall.tokens.kid
    head = {"kid": kid, "typ": "at+jwt"}
    good = {"iss": "urn:shutong:sharing", "aud": "urn:shutong:sharing", "sub": str(hall.client.id), "key": hall.number,
            "iat": now, "exp": now + 600, "jti": "x"}  # fmt: skip
    ours = hall.tokens._private
    raw = ours.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    body = hall.token().split(".")

    def part(told: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")

    def made(claims: dict[str, object], headers: dict[str, str] = head, key: Ed25519PrivateKey = ours) -> str:
        return jwt.encode(claims, key, "EdDSA", headers)

    assert hall.uses(made(good)) == "ok"
    confused = jwt.encode(good, raw, "HS256", head)
    forged = [
        jwt.encode(good, None, "none", head), f"{part({'alg': 'none', **head})}.{part(good)}.", confused,
        made(good, key=Ed25519PrivateKey.generate()), made(good, {"kid": "other", "typ": "at+jwt"}),
        made(good, {"kid": kid, "typ": "JWT"}), made(good | {"aud": "urn:other"}), made(good | {"iss": "urn:other"}),
        made(good | {"aud": ["urn:shutong:sharing", "urn:other"]}), made(good | {"exp": now - 60}),
        made(good | {"iat": now + 600, "exp": now + 900}), made(good | {"sub": "99999"}), made(good | {"key": 1}),
        made({name: value for name, value in good.items() if name != "exp"}), made(good | {"sub": "x"}),
        made(good | {"key": None}), f"{body[0]}.{part(good | {'sub': '1'})}.{body[2]}", f"{body[0]}.{body[1]}.",
        "eyJ", "eyJ..", "eyJ" + "a" * 5000,
    ]  # fmt: skip
    assert {hall.uses(token) for token in forged} == {"SHR-WRONG-KEY"}
    foreign = Tokens(b"another deployment of 32 bytes !", "urn:shutong:sharing")
    assert hall.uses(foreign.make(hall.client.id, hall.number, now)) == "SHR-WRONG-KEY"
    assert Tokens(SECRET, "urn:shutong:sharing").kid == kid


def test_tokens_end_with_their_time_their_key_and_their_application(hall: Hall) -> None:
    now = time.time()
    assert hall.uses(hall.tokens.make(hall.client.id, hall.number, now - 3500)) == "ok"
    assert hall.uses(hall.tokens.make(hall.client.id, hall.number, now - 3700)) == "SHR-WRONG-KEY"
    token = hall.token()
    assert hall.uses(token) == "ok"
    hall.clients.disable(hall.client.id)
    hall.town.desk.forget_keys()
    assert (hall.uses(token), hall.asked().status_code) == ("SHR-WRONG-KEY", 401)
    hall.clients.enable(hall.client.id)
    hall.town.desk.forget_keys()
    assert hall.uses(token) == "ok"
    hall.keys.revoke(hall.number)
    hall.town.desk.forget_keys()
    assert hall.uses(token) == "SHR-WRONG-KEY"


def test_a_revocation_elsewhere_counts_within_a_second(hall: Hall) -> None:
    token = hall.token()
    assert hall.uses(token) == "ok"
    hall.keys.revoke(hall.number)
    deadline = time.monotonic() + 1.5
    while hall.uses(token) == "ok":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_tokens_of_one_deployment_are_not_those_of_another_name(hall: Hall) -> None:
    token = hall.token()
    hall.town.desk.close()
    hall.town.app = create_app(replace(hall.town.config, trust=Trust(issuer="urn:other")))
    assert hall.uses(token) == "SHR-WRONG-KEY"
