"""A REST service is read whole or not at all: every page, every digit, the right error for every way it fails."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest

from connectors import SourceChanged, SourceError, SourceRefused, SourceUnavailable, open_source
from schemas.values import RAW_COLUMNS

TOKEN, PASSWORD = "tok-9f8e7d", "pass/密word"
PAGED = {"style": "page", "size": 2, "total": "data.total"}


class Vault:
    def get(self, name):
        return {"tax_token": TOKEN, "tax_password": PASSWORD}[name]


@pytest.fixture
def service():
    """A real HTTP server; `answer(path, query, headers, body)` gives (status, headers, bytes)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            server.asked.append((url.path, query))
            status, headers, content = server.answer(url.path, query, self.headers, body)
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def source(service, auth=None, **options):
    wanted = {
        "path": "/taxpayers",
        "records": "data.items",
        "retries": {"attempts": 3, "wait": 0.01, "max_wait": 1},
        **options,
    }
    return open_source("rest", wanted, {"url": service.url, "auth": auth}, Vault())


def ok(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return 200, {}, text.encode()


def paged(records, total=None):
    def answer(_path, query, _headers, _body):
        page, size = int(query.get("page", 1)), int(query.get("size", 500))
        items = records[(page - 1) * size : page * size]
        return ok({"data": {"items": items, "total": len(records) if total is None else total}})

    return answer


def read(src):
    batches = [batch for split in src.plan(None) for batch in src.read(split)]
    assert [batch.position is None for batch in batches] == [True] * (len(batches) - 1) + [False]
    return pa.Table.from_batches([batch.rows for batch in batches])


def received(tab):
    return [tuple(row[n] for n in tab.column_names if n not in RAW_COLUMNS) for row in tab.to_pylist()]


def test_every_page_is_read_once_and_rows_count_on(service):
    service.answer = paged([{"id": str(n), "名": f"𠮷{n}"} for n in range(5)])
    src = source(service, page=PAGED)
    tab = read(src)
    assert received(tab) == [(str(n), f"𠮷{n}") for n in range(5)]
    assert tab["_row"].to_pylist() == [1, 2, 3, 4, 5]
    assert [query["page"] for _, query in service.asked] == ["1", "2", "3"]
    assert src.estimate() == 5
    assert src.preview(1).num_rows == 1
    assert [line.ok for line in src.check()] == [True]
    assert dict(src.discover()[0].columns) == {"id": "json", "名": "json"}


def test_a_service_that_caps_the_page_size_is_read_to_its_end(service):
    records = [{"id": str(n)} for n in range(7)]

    def capped(_path, query, _headers, _body):
        start = int(query["offset"])
        return ok({"data": {"items": records[start : start + 2]}})

    service.answer = capped
    assert received(read(source(service, page={"style": "offset", "size": 100}))) == [(str(n),) for n in range(7)]


def test_a_cursor_is_followed_to_its_end(service):
    pages = {None: (["1"], "b"), "b": (["2"], "c"), "c": (["3"], None)}

    def answer(_path, query, _headers, _body):
        items, following = pages[query.get("after")]
        return ok({"data": {"items": [{"id": n} for n in items], "next": following}})

    service.answer = answer
    src = source(service, page={"style": "cursor", "cursor_param": "after", "next": "data.next"})
    assert received(read(src)) == [("1",), ("2",), ("3",)]


def test_numbers_keep_every_digit_and_nested_values_are_json(service):
    text = (
        '[{"id": 330127199001011234, "cap": 1.10, "big": 1E+400, "ok": true, "none": null, "in": {"金": [1.0, "x"]}}]'
    )
    service.answer = lambda *_: ok(text)
    tab = read(source(service, records=None))
    assert received(tab) == [("330127199001011234", "1.10", "1E+400", "true", None, '{"金": [1.0, "x"]}')]


def test_keys_missing_from_some_records_are_null_and_odd_records_are_kept(service):
    service.answer = paged([{"a": "1"}, {"a": "2", "b": "x"}, "stray", {"a": "\ud800"}])
    tab = read(source(service, page=PAGED))
    assert received(tab) == [("1", None), ("2", "x"), (None, None), ("\\uD800", None)]
    assert tab["_reject"].to_pylist() == [None, None, "row_shape", "bad_bytes"]
    assert tab["_line"][2].as_py() == '"stray"'


def test_a_column_no_record_has_is_a_change_at_the_source(service):
    service.answer = paged([{"taxpayer_name": "x"}])
    with pytest.raises(SourceChanged, match=r"taxpayername; it has: taxpayer_name.*Nearest: taxpayer_name"):
        read(source(service, columns=["taxpayername"]))


def test_no_records_are_no_rows_and_no_error(service):
    service.answer = paged([])
    assert read(source(service, page=PAGED)).num_rows == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_not_retried_and_not_shown(service, status):
    service.answer = lambda _p, _q, headers, _b: (status, {}, f"bad token {headers['Authorization']}".encode())
    src = source(service, auth={"bearer": "tax_token"})
    with pytest.raises(SourceRefused, match=rf"SRC-REST-REFUSED.*HTTP {status}.*bad token Bearer \*\*\*") as caught:
        read(src)
    assert not caught.value.retryable
    assert TOKEN not in str(caught.value)
    assert len(service.asked) == 1
    assert [(line.name, line.ok) for line in src.check()] == [("login", False)]


def test_a_failing_service_is_retried_a_few_times_and_may_be_tried_later(service):
    service.answer = lambda *_: (500, {}, b"boom")
    with pytest.raises(SourceUnavailable, match=r"SRC-REST-UNAVAILABLE.*HTTP 500 boom") as caught:
        read(source(service))
    assert caught.value.retryable
    assert len(service.asked) == 3


def test_a_service_that_recovers_is_read(service):
    fine = paged([{"id": "1"}])
    service.answer = lambda *call: (503, {}, b"") if len(service.asked) < 3 else fine(*call)
    assert received(read(source(service))) == [("1",)]


def test_retry_after_is_respected_up_to_what_a_worker_may_wait(service):
    fine = paged([{"id": "1"}])
    service.answer = lambda *call: (429, {"Retry-After": "0.3"}, b"") if len(service.asked) < 2 else fine(*call)
    start = time.monotonic()
    assert received(read(source(service))) == [("1",)]
    assert time.monotonic() - start >= 0.3
    service.asked.clear()
    service.answer = lambda *_: (429, {"Retry-After": "3600"}, b"slow down")
    with pytest.raises(SourceUnavailable, match="3600"):
        read(source(service))
    assert len(service.asked) == 1


def test_an_unreachable_service_may_be_tried_later(service):
    src = source(service)
    src._service.base = "http://127.0.0.1:1"
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        read(src)


def test_a_service_too_slow_to_answer_may_be_tried_later(service):
    def slow(*_):
        time.sleep(0.3)
        return ok({"data": {"items": []}})

    service.answer = slow
    with pytest.raises(SourceUnavailable, match="ReadTimeout"):
        read(source(service, timeout=0.05, retries={"attempts": 1}))


def test_invalid_json_names_the_page_and_shows_its_beginning_without_secrets(service):
    fine = paged([{"id": str(n)} for n in range(4)])

    def answer(path, query, headers, body):
        if query["page"] == "2":
            return 200, {}, f"<html>系统维护 {headers['Authorization']} {'x' * 500}".encode()
        return fine(path, query, headers, body)

    service.answer = answer
    with pytest.raises(SourceError, match=r"SRC-REST-JSON.*page 2.*<html>系统维护 Bearer \*\*\*") as caught:
        read(source(service, auth={"bearer": "tax_token"}, page=PAGED))
    assert not caught.value.retryable
    assert TOKEN not in str(caught.value)
    assert "x" * 200 not in str(caught.value)


def test_answers_in_gbk_are_decoded_as_gb18030(service):
    content = json.dumps([{"名": "王镕𠮷"}], ensure_ascii=False).encode("gb18030")
    service.answer = lambda *_: (200, {"Content-Type": "application/json; charset=GBK"}, content)
    assert received(read(source(service, records=None))) == [("王镕𠮷",)]


def test_an_answer_without_the_records_says_what_came_instead(service):
    service.answer = lambda *_: ok({"code": 4001, "msg": "接口已升级"})
    with pytest.raises(SourceChanged, match=r"page 1.*data\.items; it has: code, msg.*接口已升级"):
        read(source(service))


def test_a_service_that_ignores_paging_is_stopped(service):
    service.answer = lambda *_: ok({"data": {"items": [{"id": "1"}, {"id": "2"}]}})
    with pytest.raises(SourceError, match=r"SRC-REST-LOOP.*page 2"):
        read(source(service, page={"style": "page", "size": 2}))
    assert len(service.asked) == 2


@pytest.mark.parametrize("total", [3, 6])
def test_fewer_or_more_records_than_the_service_said_are_not_taken(service, total):
    service.answer = paged([{"id": str(n)} for n in range(4)], total)
    src = source(service, page={**PAGED, "size": 4})
    with pytest.raises(SourceError, match=rf"SRC-REST-INCOMPLETE.*says {total} records and sent 4"):
        next(src.read(src.plan(None)[0]))


def test_a_login_gives_the_token_and_is_repeated_once_when_it_runs_out(service):
    fine = paged([{"id": str(n)} for n in range(4)])
    issued = []

    def answer(path, query, headers, body):
        if path == "/login":
            assert json.loads(body) == {"username": "exchange", "password": PASSWORD}
            issued.append(f"t{len(issued)}-secret")
            return ok({"data": {"token": issued[-1]}})
        if headers["Authorization"] != f"Bearer {issued[-1]}" or (query["page"] == "2" and len(issued) == 1):
            return 401, {}, b"expired"
        return fine(path, query, headers, body)

    service.answer = answer
    login = {"path": "/login", "username": "exchange", "password_secret": "tax_password", "token": "data.token"}
    assert received(read(source(service, auth={"login": login}, page=PAGED))) == [(str(n),) for n in range(4)]
    assert issued == ["t0-secret", "t1-secret"]


def test_a_refused_login_shows_no_password(service):
    service.answer = lambda _p, _q, _h, body: (401, {}, b"wrong: " + json.loads(body)["password"].encode())
    login = {"path": "/login", "username": "exchange", "password_secret": "tax_password"}
    with pytest.raises(SourceRefused, match=r"/login.*wrong: \*\*\*") as caught:
        read(source(service, auth={"login": login}))
    assert PASSWORD not in str(caught.value)


def test_any_other_status_is_an_error_nobody_retries(service):
    service.answer = lambda *_: (404, {}, b"no such path")
    with pytest.raises(SourceError, match=r"SRC-REST-STATUS.*404.*no such path") as caught:
        read(source(service))
    assert not caught.value.retryable
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"record": "x"}, r"source\.record .*records"),
        ({"page": {"style": "pages"}}, r"source\.page\.style.*none, page, offset, cursor"),
        ({"page": {"limit": 3}}, r"source\.page\.limit.*size"),
        ({"auth": {"digest": "x"}}, r"source\.auth\.digest.*bearer"),
        ({"timeout": "long"}, r"source\.timeout"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(service, options, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        source(service, **options)
