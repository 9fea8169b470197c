"""Every way of showing who asks: what travels, what is made anew, what never shows in a message."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_service import SECRETS, ids, ok, serving, source

from connectors import SourceError, SourceRefused
from connectors.services import signing

FINE = {"items": [{"id": "1"}]}


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


@pytest.fixture
def service(server):
    server.clear()
    server.answer = lambda *_: ok(FINE)
    return server


def hexed(text):
    return bytes.fromhex(text)


@pytest.mark.parametrize(
    ("algorithm", "content", "expected"),
    [
        ("sm3", b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),  # GB/T 32905-2016, A.1
        ("sm3", b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),  # A.2
        ("sha256", b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),  # FIPS 180-4
    ],
)
def test_hashes_are_those_of_the_standards(algorithm, content, expected):
    assert signing.digest(algorithm, content).hex() == expected


LETTERS = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"


@pytest.mark.parametrize(
    ("algorithm", "key", "content", "expected"),
    [  # GM/T 0042-2015 D.3 and RFC 4231
        ("sm3", hexed("".join(f"{n:02x}" for n in range(1, 33))), LETTERS * 2,
         "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"),
        ("sm3", hexed("".join(f"{n:02x}" for n in range(1, 38))), b"\xcd" * 50,
         "220bf579ded555393f0159f66c99877822a3ecf610d1552154b41d44b94db3ae"),
        ("sha256", b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ("sha256", b"Jefe", b"what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ],
)  # fmt: skip
def test_signatures_are_those_of_the_standards(algorithm, key, content, expected):
    assert signing.sign(algorithm, key, content).hex() == expected


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hmac_sm3_is_two_hashes_with_padded_keys(key, content):
    block = (signing.digest("sm3", key) if len(key) > 64 else key).ljust(64, b"\0")
    inner = signing.digest("sm3", bytes(b ^ 0x36 for b in block) + content)
    assert signing.sign("sm3", key, content) == signing.digest("sm3", bytes(b ^ 0x5C for b in block) + inner)


def test_a_machine_without_sm3_says_so(monkeypatch):
    def without(*_):
        raise ValueError("unsupported hash type sm3")

    monkeypatch.setattr(hashlib, "new", without)
    with pytest.raises(SourceError, match=r"SRC-SM3.*OpenSSL 3"):
        signing.digest("sm3", b"")


def test_an_api_key_goes_into_a_header_or_the_query_and_never_into_a_message(service):
    assert ids(source(service, {"api_key": {"secret": "token", "header": "appKey"}})) == ["1"]
    assert service.headers[-1]["appKey"] == SECRETS["token"]
    assert ids(source(service, {"api_key": {"secret": "token", "query": "key"}})) == ["1"]
    assert service.asked[-1][1] == {"key": SECRETS["token"]}
    service.answer = lambda _p, query, _h, _b: (404, {}, f"no key {query['key']}".encode())
    with pytest.raises(SourceError, match=r"no key \*\*\*") as caught:
        ids(source(service, {"api_key": {"secret": "token", "query": "key"}}))
    assert SECRETS["token"] not in str(caught.value)


def test_no_secret_is_logged_at_any_level(service, caplog):
    caplog.set_level("DEBUG")
    left = [(503, {}, SECRETS["token"].encode())]
    service.answer = lambda *_: left.pop() if left else ok(FINE)
    auth = {"api_key": {"secret": "token", "query": "key"}, "hmac": {"secret": "key"}, "bearer": "password"}
    assert ids(source(service, auth)) == ["1"]
    assert "attempt 1 failed (Passing), the next one is in" in caplog.text
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
    told = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert not [name for name, value in SECRETS.items() if value in told]


def test_a_password_travels_as_basic_and_never_into_a_message(service):
    auth = {"basic": {"username": "交换", "password_secret": "password"}}
    assert ids(source(service, auth)) == ["1"]
    shown = service.headers[-1]["Authorization"]
    assert base64.b64decode(shown.removeprefix("Basic ")).decode() == "交换:" + SECRETS["password"]
    service.answer = lambda _p, _q, headers, _b: (403, {}, headers["Authorization"].encode())
    with pytest.raises(SourceRefused) as caught:
        ids(source(service, auth))
    assert shown.removeprefix("Basic ") not in str(caught.value)


class Issuer:
    """An OAuth2 server and a list behind it; tokens live `life` seconds, and `uses` calls at most."""

    def __init__(self, life=3600, uses=1000):
        self.life, self.uses, self.issued, self.left = life, uses, 0, 0
        self.grants = []

    def __call__(self, path, query, headers, body):
        if path == "/oauth/token":
            self.grants.append((headers.get("Authorization"), body.decode()))
            self.issued, self.left = self.issued + 1, self.uses
            return ok({"access_token": f"t{self.issued}-secret", "expires_in": self.life, "token_type": "bearer"})
        if headers.get("Authorization") != f"Bearer t{self.issued}-secret" or not self.left:
            return 401, {}, f"expired {headers.get('Authorization')}".encode()
        self.left -= 1
        return ok({"items": [{"id": query["page"]}] if int(query["page"]) <= 3 else []})


OAUTH = {"oauth2": {"path": "/oauth/token", "client_id": "a b", "secret": "key", "scope": "read"}}


def test_client_credentials_bring_a_token_that_serves_all_pages(service):
    service.answer = issuer = Issuer()
    assert ids(source(service, OAUTH, page={"style": "page"})) == ["1", "2", "3"]
    shown, body = issuer.grants[0]
    assert base64.b64decode(shown.removeprefix("Basic ")).decode() == "a%20b:k3y%20%E5%AF%86%E9%92%A5"
    assert body == "grant_type=client_credentials&scope=read"
    assert issuer.issued == 1


def test_client_credentials_may_travel_in_the_body(service):
    service.answer = issuer = Issuer()
    ids(source(service, {"oauth2": {**OAUTH["oauth2"], "send": "body"}}, page={"style": "page"}))
    assert issuer.grants[0][0] is None
    assert "client_id=a+b&client_secret=k3y+" in issuer.grants[0][1]


def test_a_token_is_renewed_before_it_ends(service):
    service.answer = issuer = Issuer(life=0)
    assert ids(source(service, OAUTH, page={"style": "page"})) == ["1", "2", "3"]
    assert issuer.issued == 4
    assert issuer.uses - issuer.left == 1


def test_a_token_refused_before_its_time_is_renewed_once_for_each_call(service):
    service.answer = issuer = Issuer(uses=2)
    assert ids(source(service, OAUTH, page={"style": "page"})) == ["1", "2", "3"]
    assert issuer.issued == 2
    service.answer = issuer = Issuer(uses=0)
    with pytest.raises(SourceRefused, match=r"SRC-REST-REFUSED.*expired Bearer \*\*\*") as caught:
        ids(source(service, OAUTH, page={"style": "page"}))
    assert issuer.issued == 2
    assert "secret" not in str(caught.value)


def test_a_token_endpoint_that_refuses_is_not_asked_again(service):
    service.answer = lambda path, *_: (400, {}, b'{"error": "invalid_client"}')
    with pytest.raises(SourceError, match=r"SRC-REST-STATUS.*/oauth/token.*invalid_client"):
        ids(source(service, OAUTH))
    assert len(service.asked) == 1


def gateway(algorithm, seen, failures=0):
    """A gateway that checks the signature of each call as its manual says, and wants each nonce once."""

    def answer(path, query, headers, body):
        for name in ("X-Timestamp", "X-Nonce", "X-Signature"):
            assert headers[name]
        content = "\n".join([
            "GET", path, signing.query_text(query), headers["X-Timestamp"], headers["X-Nonce"],
            hashlib.new(algorithm, body).hexdigest(),
        ])  # fmt: skip
        expected = hmac.digest(SECRETS["key"].encode(), content.encode(), algorithm).hex()
        fresh = headers["X-Nonce"] not in [nonce for nonce, _ in seen]
        seen.append((headers["X-Nonce"], headers["X-Signature"]))
        if headers["X-Signature"] != expected or not fresh or abs(time.time() - int(headers["X-Timestamp"])) > 60:
            return 403, {}, b"bad signature"
        return (503, {}, b"busy") if len(seen) <= failures else ok({"items": [{"id": "1"}]})

    return answer


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_a_signed_call_is_signed_anew_each_time_it_is_repeated(service, algorithm):
    seen = []
    service.answer = gateway(algorithm, seen, failures=2)
    auth = {"hmac": {"secret": "key", "key_id": "swj", "algorithm": algorithm}}
    assert ids(source(service, auth, params={"名": "a/b c", "A": "1"})) == ["1"]
    assert len(seen) == 3
    assert len(set(seen)) == 3
    assert {headers["X-App-Id"] for headers in service.headers} == {"swj"}
    assert all(SECRETS["key"] not in str(headers) for headers in service.headers)


def test_a_gateway_says_what_is_signed_and_where_it_goes(service):
    auth = {
        "bearer": "token",
        "hmac": {
            "secret": "key",
            "key_id": "swj",
            "text": "{query_plain}&body={body}&t={timestamp}",
            "headers": {"Sign": "HMAC {key_id}:{signature}", "T": "{timestamp}"},
            "encoding": "base64",
            "timestamp": "milliseconds",
        },
    }  # fmt: skip
    assert ids(source(service, auth, method="POST", params={"b": "2", "a": "1"}, headers={"X-Own": "y"})) == ["1"]
    sent, body = service.headers[-1], service.bodies[-1]
    assert json.loads(body) == {"b": "2", "a": "1"}
    content = f"&body={body.decode()}&t={sent['T']}"
    expected = base64.b64encode(hmac.digest(SECRETS["key"].encode(), content.encode(), "sha256")).decode()
    assert sent["Sign"] == f"HMAC swj:{expected}"
    assert len(sent["T"]) == 13
    assert (sent["Authorization"], sent["X-Own"]) == (f"Bearer {SECRETS['token']}", "y")


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ({"hmac": {"secret": "key", "text": "{verb}"}}, r"source\.auth\.hmac\.text.*\{verb\}.*method, path"),
        ({"hmac": {"secret": "key", "headers": {"S": "{nonce}"}}}, r"source\.auth\.hmac\.headers.*\{signature\}"),
        ({"hmac": {"secret": "key", "algorithm": "md5"}}, r"source\.auth\.hmac\.algorithm.*sha256, sm3"),
        ({"bearer": "token", "basic": {"username": "a", "password_secret": "b"}}, r"auth.*bearer, login"),
        ({"basic": "x"}, r"source\.auth\.basic.*username, password_secret"),
    ],
)
def test_a_wrong_option_is_named(service, auth, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        source(service, auth)


def test_a_redirect_within_the_host_is_signed_again_and_one_to_another_host_is_not_followed(service):
    def answer(path, query, headers, body):
        if path == "/list":
            return 302, {"Location": "/v2/list?x=1"}, b""
        return gateway("sha256", [])(path, query, headers, body)

    service.answer = answer
    auth = {"hmac": {"secret": "key"}}
    assert ids(source(service, auth)) == ["1"]
    assert service.asked == [("/list", {}), ("/v2/list", {"x": "1"})]
    elsewhere = service.url.replace("127.0.0.1", "localhost")
    service.answer = lambda *_: (302, {"Location": f"{elsewhere}/list"}, b"")
    service.asked.clear()
    with pytest.raises(SourceError, match=r"SRC-REST-REDIRECT.*http://localhost"):
        ids(source(service, auth))
    assert len(service.asked) == 1
    service.answer = lambda path, *_: (302, {"Location": path}, b"")
    with pytest.raises(SourceError, match="redirects"):
        ids(source(service, auth, retries={"attempts": 1}))


def test_a_login_page_instead_of_json_is_a_refusal(service):
    page = b"<!DOCTYPE html><html><form><input type='password' name='p'></form></html>"
    service.answer = lambda *_: (200, {"Content-Type": "text/html"}, page)
    with pytest.raises(SourceRefused, match=r"with a login page") as caught:
        ids(source(service, {"bearer": "token"}))
    assert not caught.value.retryable
    assert len(service.asked) == 1
