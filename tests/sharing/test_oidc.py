"""People log in at an identity provider; answers that are forged, foreign, stale or sent twice let nobody in."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from identity_provider import CLIENT, IdentityProvider, Lies
from joserfc.jwk import RSAKey
from people_town import TERMS, Browser, PeopleTown, peopled
from sharing_town import build

from schemas.errors import StandardError
from sharing import oidc, people_door
from sharing.lockout import Delays, Pace
from sharing.people_tables import FLOW
from sharing.people_terms import LoginTerms, OidcTerms, read_terms


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    made = IdentityProvider()
    yield made
    made.close()


@pytest.fixture
def provider(running: IdentityProvider) -> IdentityProvider:
    running.lies, running.person, running.asked = Lies(), "wang", []
    return running


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeopleTown]:
    town = build(tmp_path_factory.mktemp("oidc"))
    made = peopled(town)
    yield made.begin()
    made.begin()
    town.desk.close()
    town.config.engine.dispose()


@pytest.fixture
def office(hall: PeopleTown, provider: IdentityProvider) -> PeopleTown:
    return hall.begin(oidc=OidcTerms(provider.issuer, CLIENT, "oidc"))


def begin(browser: Browser) -> str:
    answer = browser.ask("POST", "/v1/session/oidc")
    assert answer.status_code == 200, answer.text
    return answer.json()["go"]


def back(browser: Browser, query: dict[str, str]) -> str:
    answer = browser.ask("GET", "/v1/session/oidc/callback", params=query)
    return answer.json()["person"] if answer.status_code == 200 else answer.json()["code"]


def test_whom_the_provider_names_is_logged_in(office: PeopleTown, provider: IdentityProvider) -> None:
    browser = office.browser()
    url = begin(browser)
    assert parse_qs(urlsplit(url).query)["redirect_uri"] == ["https://town/v1/session/oidc/callback"]
    assert back(browser, provider.visit(url)) == "wang"
    assert (browser.who, browser.ask("GET", "/v1/session").json()["way"]) == ("wang", "oidc")
    assert browser.ask("DELETE", "/v1/session").status_code == 200
    assert office.events() == [("login", "wang"), ("logout", "wang")]
    assert provider.asked == ["/.well-known/openid-configuration", "/token", "/jwks"]


def test_an_answer_counts_once_and_in_the_browser_that_asked(office: PeopleTown, provider: IdentityProvider) -> None:
    victim, thief = office.browser(), office.browser()
    query = provider.visit(begin(victim))
    begin(thief)
    assert back(thief, query) == "SHR-LOGIN-PROVIDER"  # log-in of a victim into the thief's session, and the reverse
    assert back(office.browser(), query) == "SHR-LOGIN-PROVIDER"
    assert back(victim, query | {"state": query["state"] + "x"}) == "SHR-LOGIN-PROVIDER"
    asked = provider.codes[query["code"]]
    assert back(victim, query) == "wang"
    provider.codes[query["code"]] = asked  # a provider that takes its codes twice
    assert back(victim, query) == "SHR-LOGIN-PROVIDER"
    with office.engine.connect() as connection:
        kept = str(connection.execute(sa.select(FLOW)).all())
    assert victim.cookies["__Host-shutong-login"] not in kept
    assert thief.cookies["__Host-shutong-login"] not in kept


def test_a_code_that_was_stolen_or_used_is_worth_nothing(office: PeopleTown, provider: IdentityProvider) -> None:
    victim, thief = office.browser(), office.browser()
    stolen = provider.visit(begin(victim))["code"]
    own = provider.visit(begin(thief))
    assert back(thief, own | {"code": stolen}) == "SHR-LOGIN-PROVIDER"  # the verifier is not that of the code
    again = office.browser()
    query = provider.visit(begin(again))
    del provider.codes[query["code"]]
    assert back(again, query) == "SHR-LOGIN-PROVIDER"
    refused = office.browser()
    state = provider.visit(begin(refused))["state"]
    assert back(refused, {"error": "access_denied", "state": state}) == "SHR-LOGIN-PROVIDER"
    mixed = office.browser()
    assert back(mixed, provider.visit(begin(mixed)) | {"iss": "https://other"}) == "SHR-LOGIN-PROVIDER"


def test_tokens_that_are_not_the_providers_for_us_and_now_let_nobody_in(
    office: PeopleTown, provider: IdentityProvider
) -> None:
    def part(told: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")

    now = int(time.time())
    good = {"iss": provider.issuer, "sub": "1", "aud": CLIENT, "exp": now + 300, "iat": now,
            "preferred_username": "wang", "nonce": "x"}  # fmt: skip
    public = provider.keys["one"].as_pem(private=False)
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(good)}"
    mark = base64.urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).decode().rstrip("=")
    confused = f"{signed}.{mark}"
    lies = [
        Lies(claims={"nonce": "another"}), Lies(claims={"iss": "https://other"}), Lies(claims={"aud": "other"}),
        Lies(claims={"aud": [CLIENT, "other"]}), Lies(claims={"aud": [CLIENT, "other"], "azp": "other"}),
        Lies(claims={"azp": "other"}), Lies(claims={"exp": now - 90}), Lies(claims={"iat": now + 90}),
        Lies(claims={"nbf": now + 90}), Lies(without=("nonce",)), Lies(without=("exp",)), Lies(without=("sub",)),
        Lies(without=("preferred_username",)), Lies(claims={"preferred_username": ["wang"]}),
        Lies(key=provider.stranger), Lies(header={"kid": "two"}), Lies(header={"alg": "RS512"}, key=RSAKey.import_key(provider.keys["one"].as_pem(private=True))),
        Lies(token=f"{part({'alg': 'none', 'kid': 'one'})}.{part(good)}."), Lies(token=confused),
        Lies(token="x"), Lies(token="x" * 40_000),
    ]  # fmt: skip
    for number, lie in enumerate(lies):
        browser = office.browser(f"10.0.0.{number}")
        query = provider.visit(begin(browser))
        provider.lies = lie
        assert back(browser, query) == "SHR-LOGIN-PROVIDER", lie
        provider.lies = Lies()
        assert browser.who == "SHR-SESSION"
    small = office.browser()
    provider.lies = Lies(claims={"exp": now - 30, "aud": [CLIENT, "other"], "azp": CLIENT})
    assert back(small, provider.visit(begin(small))) == "wang"  # clocks differ a little


def test_people_nobody_knows_and_those_locked_are_refused(office: PeopleTown, provider: IdentityProvider) -> None:
    office.door.lock("wang", "chen", "left")
    for person in ("nobody", "wang", "WANG", ""):
        provider.person = person
        browser = office.browser()
        assert back(browser, provider.visit(begin(browser))) == "SHR-LOGIN-PROVIDER"
    assert office.events()[1:] == [("refused", None), ("refused", "wang"), ("refused", None), ("refused", None)]


def test_a_new_key_of_the_provider_is_fetched_when_it_is_met(
    office: PeopleTown, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = office.browser()
    assert back(browser, provider.visit(begin(browser))) == "wang"
    other = provider.stranger.as_dict(private=True)
    provider.keys["two"] = RSAKey.import_key(other, {"kid": "two", "use": "sig", "alg": "RS256"})
    provider.kid = "two"
    try:
        assert back(browser, provider.visit(begin(browser))) == "SHR-LOGIN-PROVIDER"  # asked a moment ago
        monkeypatch.setattr(oidc, "AGAIN_SECONDS", 0.0)
        assert back(browser, provider.visit(begin(browser))) == "wang"
    finally:
        provider.kid = "one"
        del provider.keys["two"]


def test_a_provider_that_is_another_or_broken_is_not_believed(hall: PeopleTown, provider: IdentityProvider) -> None:
    for lie in (
        Lies(issuer="https://other"), Lies(metadata={"jwks_uri": "ftp://x"}), Lies(metadata={"token_endpoint": None}),
        Lies(status=500),
    ):  # fmt: skip
        provider.lies = lie
        office = hall.begin(oidc=OidcTerms(provider.issuer, CLIENT, "oidc"), word=None)
        answer = office.browser().ask("POST", "/v1/session/oidc")
        assert (answer.status_code, answer.json()["code"]) == (503, "SHR-PROVIDER")
    nowhere = hall.begin(oidc=OidcTerms("http://127.0.0.1:9", CLIENT), word=None)
    assert nowhere.browser().ask("POST", "/v1/session/oidc").json()["code"] == "SHR-PROVIDER"
    without = hall.begin(word=None)
    assert without.browser().ask("POST", "/v1/session/oidc").json()["code"] == "SHR-LOGIN-PROVIDER"


def test_people_are_found_by_mail_where_the_deployment_says_so(hall: PeopleTown, provider: IdentityProvider) -> None:
    terms = OidcTerms(provider.issuer, CLIENT, "oidc", claim="email", matches="mail")
    office = hall.begin(oidc=terms, word=None)
    provider.lies = Lies(
        claims={"email": "LI@example.gov.cn", "email_verified": True},
        metadata={"token_endpoint_auth_methods_supported": ["client_secret_post"]},
    )
    browser = office.browser()
    assert back(browser, provider.visit(begin(browser))) == "li.na"
    provider.lies.claims["email_verified"] = False
    assert back(browser, provider.visit(begin(browser))) == "SHR-LOGIN-PROVIDER"


def test_one_network_cannot_begin_without_end(office: PeopleTown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_door, "FLOWS", Pace(3, 60.0))
    codes = [office.browser().ask("POST", "/v1/session/oidc").status_code for _ in range(4)]
    assert codes == [200] * 3 + [429]
    cross = office.browser("10.5.5.5").ask("POST", "/v1/session/oidc", headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.json()["code"] == "SHR-CSRF"


def test_answers_nobody_asked_for_are_counted_and_then_not_looked_at(
    office: PeopleTown, provider: IdentityProvider
) -> None:
    away = replace(TERMS, network=Delays(free=3, first=600.0))
    office.begin(away, office.door.provider.terms)
    stranger = office.browser("10.9.9.9")
    assert [back(stranger, {"state": "x", "code": "y"}) for _ in range(6)] == [
        *["SHR-LOGIN-PROVIDER"] * 4, *["SHR-WAIT"] * 2,
    ]  # fmt: skip
    assert [event for event, _ in office.events()].count("refused") == 4
    for _ in range(6):
        browser = office.browser()
        assert back(browser, provider.visit(begin(browser))) == "wang", "who is let in has not failed"


def test_login_yaml_is_read_and_what_is_unsafe_in_it_refused(tmp_path: Path) -> None:
    path = tmp_path / "login.yaml"
    assert read_terms(path, "http://127.0.0.1:8600") == LoginTerms("http://127.0.0.1:8600")
    path.write_text(
        "public: https://share.example.gov.cn/\nidle: 15m\nlongest: 8h\npasswords: false\naccount: {free: 3, most: 2h}\n"
        "oidc: {issuer: 'https://idp.example.gov.cn', client_id: shutong, algorithm: ES256, scopes: [profile]}\n", "utf-8",
    )  # fmt: skip
    found = read_terms(path, "http://127.0.0.1:8600")
    assert (found.public, found.secure, found.idle, found.longest) == (
        "https://share.example.gov.cn",
        True,
        900,
        28_800,
    )
    assert (found.passwords, found.account.free, found.account.most) == (False, 3, 7200)
    assert found.oidc is not None
    assert (found.oidc.algorithm, found.oidc.scopes, found.oidc.client_secret) == ("ES256", ("openid", "profile"), None)
    for wrong in (
        "public: http://share.example.gov.cn", "public: share", "idle: soon", "account: {free: 0}",
        "oidc: {issuer: 'http://idp.example.gov.cn', client_id: x}", "oidc: {issuer: 'https://a?b', client_id: x}",
        "oidc: {issuer: 'https://idp', client_id: x, algorithm: HS256}",
        "oidc: {issuer: 'https://idp', client_id: x, algorithm: none}",
    ):  # fmt: skip
        path.write_text(wrong, "utf-8")
        with pytest.raises(StandardError):
            read_terms(path, "https://town")


def test_where_passwords_are_off_only_the_provider_lets_people_in(hall: PeopleTown) -> None:
    office = hall.begin(replace(TERMS, passwords=False))
    assert office.browser().log_in("wang").json()["code"] == "SHR-LOGIN"
    code, _ = office.door.invite(office.door.people.find("wang"), "chen")
    answer = office.browser().ask("POST", "/v1/session/invitation", {"code": code, "password": "a good long one"})
    assert answer.json()["code"] == "SHR-INVITATION"
