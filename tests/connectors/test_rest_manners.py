"""A service that is slow, tired, torn or strange is asked politely, and never believed when it breaks off."""

import datetime as dt
import email.utils
import gzip
import ipaddress
import json
import socket
import ssl
import threading
import time
import zlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from loopback_service import ids, ok, serving, source

from connectors import SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.services import manners
from connectors.services.manners import Breaker, Rate

FINE = {"items": [{"id": "王镕𠮷"}]}
ONCE = {"attempts": 1}


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


@pytest.fixture
def service(server):
    server.clear()
    return server


def then_fine(*answers):
    """Those answers one after the other, then the right one."""
    left = list(answers)
    return lambda *_: left.pop(0) if left else ok(FINE)


class Hands:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


def test_a_bucket_gives_its_burst_at_once_and_then_so_many_a_second():
    clock = Hands()
    bucket = Rate(4, 2, clock)
    assert [bucket.wait() for _ in range(4)] == [0, 0, 0.25, 0.5]
    clock.now += 10
    assert [bucket.wait() for _ in range(3)] == [0, 0, 0.25]
    assert [Rate(0, 1, clock).wait() for _ in range(3)] == [0, 0, 0]


def test_calls_keep_to_the_rate(service):
    service.answer = lambda _p, query, *_: ok({"items": [{"id": query["page"]}] if int(query["page"]) < 5 else []})
    start = time.monotonic()
    assert len(ids(source(service, rate={"per_second": 25, "burst": 2}, page={"style": "page"}))) == 4
    assert time.monotonic() - start >= 0.12


def test_a_breaker_opens_lets_one_caller_try_and_closes_when_it_works():
    clock = Hands()
    breaker = Breaker(3, 60, clock)
    for _ in range(2):
        breaker.came_out(well=False)
    assert breaker.closed_for() == 0
    breaker.came_out(well=False)
    assert breaker.closed_for() == 60
    clock.now += 60
    assert [breaker.closed_for(), breaker.closed_for()] == [0, 60]
    breaker.came_out(well=False, stay_away=300)
    assert breaker.closed_for() == 300
    clock.now += 300
    assert breaker.closed_for() == 0
    breaker.came_out(well=True)
    assert [breaker.closed_for(), breaker.closed_for()] == [0, 0]


def test_a_host_that_keeps_failing_is_left_alone_and_the_message_says_until_when(service):
    service.answer = lambda *_: (500, {}, b"boom")
    src = source(service, breaker={"failures": 2, "pause": "1s"})
    with pytest.raises(SourceUnavailable, match=r"SRC-REST-PAUSED.*until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d Asia/Shanghai"):
        ids(src)
    assert len(service.asked) == 2
    other = source(service, path="/other", breaker={"failures": 2, "pause": "1s"})
    with pytest.raises(SourceUnavailable, match="SRC-REST-PAUSED") as caught:
        ids(other)
    assert caught.value.retryable
    assert len(service.asked) == 2
    service.answer = lambda *_: ok(FINE)
    time.sleep(1.01)
    assert ids(other) == ids(src) == ["王镕𠮷"]


def test_a_date_in_retry_after_is_waited_for(service):
    soon = email.utils.formatdate(time.time() + 1.5, usegmt=True)
    service.answer = then_fine((503, {"Retry-After": soon}, b""))
    start = time.monotonic()
    assert ids(source(service, retries={"attempts": 2, "wait": 0, "max_wait": 3})) == ["王镕𠮷"]
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize("said", ["9" * 20, "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_whoever_is_told_to_stay_away_for_ever_asks_again_the_day_after(service, said):
    service.answer = lambda *_: (503, {"Retry-After": said}, b"")
    src = source(service, breaker={"failures": 1, "pause": "1s"}, path=f"/{said[:9]}")
    with pytest.raises(SourceUnavailable, match="come back in 86400 seconds"):
        ids(src)
    with pytest.raises(SourceUnavailable, match="SRC-REST-PAUSED"):
        ids(src)
    manners._breakers.clear()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://me:hunter2@10.0.0.1/", "may hold no account or password"),
        ("http://[::1", "is no valid address"),
        ("http://10.0.0.1:99999", "is no valid address"),
        ("https:///list", "is no valid address"),
    ],
)
def test_an_address_that_cannot_be_called_or_holds_a_password_is_refused_without_showing_it(url, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*connection\.url {said}") as refused:
        open_source("rest", {"path": "/list"}, {"url": url}, None)
    assert "hunter2" not in str(refused.value)


def test_a_certificate_nobody_vouches_for_is_not_tried_again_until_its_authority_is_named(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "department")])
    day, now = dt.timedelta(days=1), dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    certificate, ours = tmp_path / "department.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    ours.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, ours)
    with serving() as service:
        service.socket = context.wrap_socket(service.socket, server_side=True)
        service.url, service.answer = service.url.replace("http:", "https:"), lambda *_: ok(FINE)
        with pytest.raises(SourceRefused, match=r"SRC-REST-CERTIFICATE.*option ca"):
            ids(source(service))
        assert ids(source(service, ca=str(certificate))) == ["王镕𠮷"]


def test_a_header_that_cannot_be_sent_is_not_tried_again(service):
    with pytest.raises(SourceError, match=r"SRC-OPTION.*header") as refused:
        ids(source(service, headers={"X-A": "a\nb"}))
    assert not isinstance(refused.value, SourceUnavailable)


def test_a_storm_of_429_ends_after_the_attempts_allowed(service):
    service.answer = lambda *_: (429, {"Retry-After": "0"}, b"slow down")
    with pytest.raises(SourceUnavailable, match="HTTP 429 slow down"):
        ids(source(service))
    assert len(service.asked) == 3


WHOLE = json.dumps(FINE, ensure_ascii=False).encode()
PACKED = gzip.compress(WHOLE)


@pytest.mark.parametrize(
    "torn",
    [
        (200, {"Content-Length": str(len(WHOLE) + 10)}, WHOLE),
        (200, {"Content-Length": None}, WHOLE[:-5]),
        (200, {"Content-Length": None}, WHOLE[:20]),
        (200, {"Content-Length": str(len(WHOLE) - 2)}, WHOLE),
        (200, {}, b""),
        (200, {"Content-Encoding": "gzip"}, PACKED[:-9]),
        (200, {"Content-Encoding": "gzip"}, PACKED[:20] + b"\0" + PACKED[21:]),
        (200, {"Content-Encoding": "gzip"}, WHOLE),
        (200, {"Content-Encoding": "br"}, WHOLE),
    ],
    ids=["promised more", "torn object", "torn text", "length too short", "empty", "gzip torn", "gzip damaged",
         "not gzip", "not asked for"],
)  # fmt: skip
def test_a_torn_answer_is_asked_for_again_and_never_taken(service, torn):
    service.answer = then_fine(torn)
    assert ids(source(service)) == ["王镕𠮷"]
    assert len(service.asked) == 2
    service.answer = lambda *_: torn
    with pytest.raises(SourceUnavailable, match="SRC-REST-UNAVAILABLE"):
        ids(source(service, retries=ONCE))


def test_an_answer_packed_in_several_parts_is_one(service):
    parts = gzip.compress(WHOLE[:9]) + gzip.compress(WHOLE[9:])
    service.answer = lambda *_: (200, {"Content-Encoding": "gzip"}, parts)
    assert ids(source(service)) == ["王镕𠮷"]


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}], ids=["said", "not said"])
def test_packed_answers_are_unpacked(service, headers):
    service.answer = lambda *_: (200, headers, PACKED)
    assert ids(source(service)) == ["王镕𠮷"]
    assert service.headers[-1]["Accept-Encoding"] == "gzip"


def test_an_answer_beyond_the_limit_is_not_held_in_memory(service):
    bomb = zlib.compressobj(wbits=31)
    content = bomb.compress(b" " * 30_000_000) + bomb.flush()
    for answer in ((200, {"Content-Encoding": "gzip"}, content), (200, {}, b" " * 200_000)):
        service.answer = lambda *_, answer=answer: answer
        with pytest.raises(SourceError, match=r"SRC-REST-TOO-LARGE.*/list.*100000 bytes.*page\.size") as caught:
            ids(source(service, largest=100_000))
        assert not caught.value.retryable


@pytest.mark.parametrize(
    ("content", "headers", "options"),
    [
        (WHOLE.decode().encode("gb18030"), {"Content-Type": "application/json;charset=gb2312"}, {}),
        (WHOLE.decode().encode("gb18030"), {}, {"encoding": "GBK"}),
        (b"\xef\xbb\xbf" + WHOLE, {}, {}),
        (WHOLE.decode().encode("utf-16"), {}, {}),
    ],
    ids=["said", "in the options", "BOM", "UTF-16"],
)
def test_every_encoding_gives_the_same_text(service, content, headers, options):
    service.answer = lambda *_: (200, headers, content)
    assert ids(source(service, **options)) == ["王镕𠮷"]


def test_an_encoding_that_is_not_what_it_says_is_told_with_the_option_to_write(service):
    service.answer = lambda *_: (
        200,
        {"Content-Type": "application/json; charset=utf-8"},
        '[{"id": "王镕企业"}]'.encode("gbk"),
    )
    with pytest.raises(SourceError, match=r"SRC-REST-CHARSET.*utf-8.*encoding: gb18030"):
        ids(source(service, records=None))
    with pytest.raises(SourceError, match=r"SRC-REST-CHARSET.*utf-99"):
        ids(source(service, records=None, encoding="utf-99"))


def test_one_bad_byte_makes_one_reject_and_not_a_dead_run(service):
    service.answer = lambda *_: (200, {}, '[{"id": "甲"}, {"id": "乙?"}, {"id": "丙"}]'.encode().replace(b"?", b"\xff"))
    src = source(service, records=None)
    (batch,) = src.read(src.plan(None)[0])
    assert batch.rows.column("id").to_pylist() == ["甲", "乙\\xFF", "丙"]
    assert batch.rows.column("_reject").to_pylist() == [None, "bad_bytes", None]


def test_a_name_said_twice_and_a_raw_line_break_lose_nothing(service):
    service.answer = lambda *_: ok('[{"id": "1", "id": "2"}, {"id": "two\nlines"}]')
    src = source(service, records=None)
    (batch,) = src.read(src.plan(None)[0])
    assert batch.rows.column("_reject").to_pylist() == ["row_shape", None]
    assert batch.rows.column("id").to_pylist()[1] == "two\nlines"
    assert "twice" in batch.rows.column("_detail")[0].as_py()
    assert batch.rows.column("_line")[0].as_py() == '{"id": "1", "id": "2"}'


def drip(seconds, content):
    """A server that answers a byte at a time."""
    sock = socket.create_server(("127.0.0.1", 0))

    def serve():
        with sock, sock.accept()[0] as line:
            line.recv(65536)
            try:
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
                for byte in content:
                    line.sendall(bytes([byte]))
                    time.sleep(seconds)
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    return f"http://127.0.0.1:{sock.getsockname()[1]}", thread


def test_an_answer_that_drips_for_ever_ends_at_the_total_timeout(service):
    service.url, real = (address := drip(0.02, b" " * 200))[0], service.url
    try:
        with pytest.raises(SourceUnavailable, match=r"timeout\.total"):
            ids(source(service, timeout={"read": 5, "total": 0.2}, retries=ONCE))
    finally:
        service.url = real
        address[1].join()


def test_a_service_not_there_at_all_is_told_by_the_kind_of_failure(service):
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts and never answers
        service.url, real = f"http://127.0.0.1:{deaf.getsockname()[1]}", service.url
        try:
            with pytest.raises(SourceUnavailable, match="ReadTimeout"):
                ids(source(service, timeout={"connect": 1, "read": 0.1}, retries=ONCE))
        finally:
            service.url = real
