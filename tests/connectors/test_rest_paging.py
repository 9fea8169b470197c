"""Every dialect of paging reads each record once, and notices when the list changes or the service goes in circles."""

from datetime import UTC, datetime

import pytest
from loopback_service import Handler, ids, ok, serving, source

from connectors import SourceChanged, SourceError, SourceUnavailable
from connectors.services import listing, standing, windows
from schemas.values import Position

RECORDS = [{"id": str(n)} for n in range(7)]
ALL = [record["id"] for record in RECORDS]


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


@pytest.fixture
def service(server):
    server.clear()
    return server


def cut(start, size=3):
    return RECORDS[start : start + size]


def test_a_cursor_in_a_header_is_followed(service):
    def answer(_path, query, _headers, _body):
        start = int(query.get("from", 0))
        following = {"X-Next": str(start + 3)} if start + 3 < len(RECORDS) else {}
        return ok({"items": cut(start)}, **following)

    service.answer = answer
    assert ids(source(service, page={"style": "cursor_header", "cursor_param": "from", "next": "X-Next"})) == ALL


def test_link_headers_are_followed_with_the_parameters_the_service_gives(service):
    def answer(_path, query, _headers, _body):
        start = int(query.get("start", 0))
        links = f'</list?start=0>; rel="first", <{service.url}/list?start={start + 3}&k=a%20b>; rel="next"'
        return ok({"items": cut(start)}, **({"Link": links} if start + 3 < 7 else {}))

    service.answer = answer
    assert ids(source(service, params={"type": "firm"}, page={"style": "link", "size": 3})) == ALL
    assert service.asked[0][1] == {"type": "firm", "size": "3"}
    assert service.asked[1][1] == {"start": "3", "k": "a b"}


def test_a_link_keeps_names_said_twice_and_bytes_that_are_no_utf8(service, monkeypatch):
    seen, usual = [], Handler.do_GET
    monkeypatch.setattr(Handler, "do_GET", lambda self: (seen.append(self.path), usual(self)))
    odd = "/list?st=A&st=B&k=%D6%D0"
    service.answer = lambda *_: ok(
        {"items": cut(len(seen))}, **({"Link": f'<{odd}>; rel="next"'} if not seen[1:] else {})
    )
    ids(source(service, page={"style": "link"}))
    assert seen[1] == odd
    seen.clear()
    service.answer = lambda path, *_: (302, {"Location": odd}, b"") if path == "/moved" else ok({"items": cut(0)})
    ids(source(service, path="/moved"))
    assert seen[1] == odd


def test_a_next_address_in_the_body_may_be_relative(service):
    def answer(_path, query, _headers, _body):
        start = int(query.get("start", 0))
        return ok({"items": cut(start), "links": {"next": f"?start={start + 3}" if start + 3 < 7 else None}})

    service.answer = answer
    assert ids(source(service, page={"style": "json_link", "next": "links.next"})) == ALL


def test_a_next_address_on_another_host_is_not_called_with_our_token(service):
    service.answer = lambda *_: ok({"items": cut(0), "next": "http://elsewhere.invalid/list?start=3"})
    with pytest.raises(SourceError, match=r"SRC-REST-REDIRECT.*http://elsewhere\.invalid") as caught:
        ids(source(service, {"bearer": "token"}, page={"style": "json_link"}))
    assert not caught.value.retryable


@pytest.mark.parametrize("option", [{"pages": "pages"}, {"more": "more"}])
def test_the_number_of_pages_or_a_sign_of_more_ends_the_reading(service, option):
    def answer(_path, query, _headers, _body):
        page = int(query["page"])
        return ok({"items": cut((page - 1) * 3), "pages": 3, "more": page < 3})

    service.answer = answer
    assert ids(source(service, page={"style": "page", **option})) == ALL
    assert len(service.asked) == 3


def test_parameters_may_travel_as_a_json_body_or_a_form(service):
    def answer(_path, _query, headers, body):
        page = int(body.decode().split("page")[1].strip('":= ')[0])
        return ok({"items": cut((page - 1) * 3)})

    service.answer = answer
    for send, kind in (("json", "application/json"), ("form", "application/x-www-form-urlencoded")):
        assert ids(source(service, method="POST", send=send, page={"style": "page", "size": 3})) == ALL
        assert service.headers[-1]["Content-Type"] == kind
    assert {query for _, query in ((p, str(q)) for p, q in service.asked)} == {"{}"}


def test_a_cursor_that_goes_in_a_circle_is_stopped_though_its_pages_are_empty(service):
    service.answer = lambda *_: ok({"items": [], "next": "same"})
    with pytest.raises(SourceError, match=r"SRC-REST-LOOP.*page 3"):
        ids(source(service, page={"style": "cursor"}))


@pytest.mark.parametrize("style", ["page", "offset", "cursor", "cursor_header", "json_link"])
def test_a_service_that_gives_the_same_records_for_ever_is_stopped_at_their_second_coming(service, style):
    turns = iter(range(10**6))

    def answer(*_):
        turn = next(turns)
        page = {"items": [{"name": "甲"}, {"name": "乙"}], "next": f"/list?turn={turn}" if "link" in style else turn}
        return ok(page, **{"X-Next-Cursor": str(turn)})

    service.answer = answer
    with pytest.raises(SourceError, match=r"SRC-REST-LOOP.*page 2"):
        ids(source(service, page={"style": style, "size": 2}))
    assert len(service.asked) == 2


def test_a_service_that_has_no_records_and_no_end_is_stopped(service, monkeypatch):
    monkeypatch.setattr(listing, "EMPTY", 5)
    turns = iter(range(10**6))
    service.answer = lambda *_: ok({"items": [{"id": "0"}] if (turn := next(turns)) == 3 else [], "next": turn})
    with pytest.raises(SourceError, match=r"SRC-REST-ENDLESS.*page 10"):
        ids(source(service, page={"style": "cursor"}))


@pytest.mark.parametrize("style", ["page", "cursor"])
def test_a_service_whose_records_change_in_every_answer_is_stopped_all_the_same(service, monkeypatch, style):
    monkeypatch.setattr(standing, "PAGES", 5)
    turns = iter(range(10**6))

    def answer(*_):
        turn = next(turns)
        named = [{"id": f"{one}", "name": f"n{one}", "now": f"{turn}:{one}", "day": "today"} for one in range(3)]
        return ok({"items": named, "next": turn})

    service.answer = answer
    with pytest.raises(SourceError, match=r"SRC-REST-LOOP.*page 6"):
        ids(source(service, page={"style": style, "size": 3}))


def test_a_list_that_numbers_the_rows_of_each_page_is_read_to_its_end(service, monkeypatch):
    monkeypatch.setattr(standing, "PAGES", 2)
    pages = [[{"no": f"{one}", "id": f"{page}-{one}", "all": "x"} for one in range(3)] for page in range(9)]
    service.answer = lambda _p, query, *_: ok({"items": pages[at] if (at := int(query["page"]) - 1) < 9 else []})
    assert len(ids(source(service, page={"style": "page", "size": 3}))) == 27


def test_a_read_of_more_pages_than_the_resource_file_allows_is_stopped(service):
    service.answer = lambda _p, query, *_: ok({"items": [{"id": query["page"]}]})
    with pytest.raises(SourceError, match=r"SRC-REST-PAGES.*4 页（4 条记录）.*page\.most.*4 pages \(4 records\)"):
        ids(source(service, page={"style": "page", "most": 4}))
    assert len(service.asked) == 4


def test_a_service_that_gives_far_more_than_it_says_there_is_is_stopped(service, monkeypatch):
    monkeypatch.setattr(listing, "EMPTY", 5)
    turns = iter(range(10**6))
    service.answer = lambda *_: ok({"items": [{"id": str(turn := next(turns))}], "next": turn, "total": 10})
    with pytest.raises(SourceError, match=r"SRC-REST-INCOMPLETE.*says 10 records and sent 26"):
        ids(source(service, page={"style": "cursor", "total": "total"}))


def test_a_list_that_shrinks_while_it_is_read_is_read_again_from_its_beginning(service):
    records = list(RECORDS)

    def answer(_path, query, _headers, _body):
        start = int(query["offset"])
        if start and len(records) == 7:
            del records[0]  # everything moves up: the next page would begin one record too late
        return ok({"items": records[start : start + 3], "total": len(records)})

    service.answer = answer
    assert ids(source(service, page={"style": "offset", "size": 3, "total": "total"})) == ALL[1:]


def test_a_list_that_never_rests_is_not_taken(service):
    totals = iter(range(100, 0, -1))
    pages = iter(range(1000))
    service.answer = lambda *_: ok({"items": [{"id": str(next(pages))}], "total": next(totals)})
    with pytest.raises(SourceUnavailable, match="SRC-REST-MOVED") as caught:
        ids(source(service, page={"style": "page", "total": "total"}))
    assert caught.value.retryable


def test_a_result_code_in_the_body_is_believed_rather_than_http_200(service):
    codes = {"path": "code", "values": [0], "busy": ["E-BUSY"]}
    service.answer = lambda *_: ok({"code": 0, "items": cut(0)})
    assert ids(source(service, success=codes)) == ALL[:3]
    service.answer = lambda *_: ok({"code": "E-17", "msg": "未授权的字段", "items": []})
    with pytest.raises(SourceError, match=r"SRC-REST-SAID-NO.*E-17.*未授权的字段") as refused:
        ids(source(service, success=codes))
    assert not refused.value.retryable
    service.answer = lambda *_: ok({"code": "E-BUSY", "items": []})
    with pytest.raises(SourceUnavailable):
        ids(source(service, success=codes))
    service.answer = lambda *_: ok({"code": True, "items": cut(0)})
    assert ids(source(service, success={"path": "code", "values": [True]})) == ALL[:3]
    service.answer = lambda *_: ok({"items": []})
    with pytest.raises(SourceChanged, match="result code"):
        ids(source(service, success=codes))


def test_pages_beyond_memory_wait_in_a_file_and_come_out_as_they_came(service, monkeypatch):
    monkeypatch.setattr("connectors.services.spool.IN_MEMORY", 1000)
    monkeypatch.setattr("connectors.services.spool.BATCH_ROWS", 5)
    service.answer = lambda _p, query, _h, _b: ok({
        "items": [{"id": f"𠮷{n}", f"only{n}": "x" * 50} for n in range(20)[int(query["offset"]) :][:3]]
    })  # fmt: skip
    src = source(service, page={"style": "offset"})
    batches = list(src.read(src.plan(None)[0]))
    assert [row for batch in batches for row in batch.rows.column("id").to_pylist()] == [f"𠮷{n}" for n in range(20)]
    assert [row for batch in batches for row in batch.rows.column("_row").to_pylist()] == list(range(1, 21))
    assert len({tuple(batch.rows.schema.names) for batch in batches}) == 1
    assert {batch.rows.column("only19").null_count for batch in batches[:-1]} == {6}
    assert [batch.position is None for batch in batches] == [True] * (len(batches) - 1) + [False]


def test_a_full_temporary_folder_is_told_and_nothing_is_taken(service, monkeypatch):
    class Full:
        def write(self, _content):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda **_: Full())
    service.answer = lambda *_: ok({"items": cut(0)})
    with pytest.raises(SourceUnavailable, match=r"SRC-SPOOL.*is full.*TMPDIR"):
        ids(source(service))


# windows of time and newest values


@pytest.fixture
def noon(monkeypatch):
    """It is 2024-03-04 12:00 in Shanghai."""
    monkeypatch.setattr(windows.Windows.__init__, "__defaults__", (lambda: datetime(2024, 3, 4, 4, tzinfo=UTC),))


WINDOW = {"from_param": "a", "to_param": "b", "start": "2024-03-01", "span": "1d", "lag": "10m"}


def spans(service, src, position=None):
    service.asked.clear()
    service.answer = lambda *_: ok({"items": [{"id": "1"}]})
    last = [list(src.read(split))[-1].position for split in src.plan(position)]
    return [(query["a"], query["b"]) for _, query in service.asked], last


def test_windows_follow_on_each_other_and_a_run_goes_on_where_the_last_one_ended(service, noon):
    src = source(service, window=WINDOW)
    asked, positions = spans(service, src)
    assert asked == [
        ("2024-03-01 00:00:00", "2024-03-02 00:00:00"),
        ("2024-03-02 00:00:00", "2024-03-03 00:00:00"),
        ("2024-03-03 00:00:00", "2024-03-04 00:00:00"),
        ("2024-03-04 00:00:00", "2024-03-04 11:50:00"),
    ]
    assert positions[-1].cursor == {"window": "2024-03-04T11:50:00+08:00"}
    assert spans(service, src, positions[1])[0] == asked[2:]
    assert src.plan(positions[-1]) == []


def test_a_clock_that_went_back_reads_nothing_twice(service, noon):
    assert source(service, window=WINDOW).plan(Position({"window": "2024-03-05T00:00:00+08:00"})) == []


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ({"ends": "inclusive"}, ("2024-03-01 00:00:00", "2024-03-01 23:59:59"), ("2024-03-04 00:00:00", "2024-03-04 11:49:59")),
        ({"format": "%Y%m%d", "ends": "inclusive"}, ("20240301", "20240301"), ("20240303", "20240303")),
        ({"format": "epoch_ms"}, ("1709222400000", "1709308800000"), ("1709481600000", "1709524200000")),
        ({"format": "iso", "zone": "UTC", "start": "2024-03-01T00:00:00+00:00", "span": "7d"},
         ("2024-03-01T00:00:00+00:00", "2024-03-04T03:50:00+00:00"), ("2024-03-01T00:00:00+00:00", "2024-03-04T03:50:00+00:00")),
        ({"at_most": 1, "span": "12h"}, ("2024-03-01 00:00:00", "2024-03-01 12:00:00"), ("2024-03-01 00:00:00", "2024-03-01 12:00:00")),
    ],
)  # fmt: skip
def test_windows_are_said_the_way_the_service_wants(service, noon, options, first, last):
    asked, _ = spans(service, source(service, window={**WINDOW, **options}))
    assert (asked[0], asked[-1]) == (first, last)


def test_an_overlap_is_read_again(service, noon):
    src = source(service, window={**WINDOW, "overlap": "2h", "span": "7d"})
    asked, _ = spans(service, src, Position({"window": "2024-03-04T11:00:00+08:00"}))
    assert asked == [("2024-03-04 09:00:00", "2024-03-04 11:50:00")]


def test_the_newest_value_is_where_the_next_run_begins_less_the_lag(service):
    records = [
        {"id": str(n), "at": at} for n, at in enumerate(["2024-01-02 10:00:00", "坏", "2024-01-10 09:00:00", None])
    ]
    service.answer = lambda *_: ok({"items": records})
    src = source(service, since={"param": "since", "field": "at", "start": "2020-01-01 00:00:00", "lag": "10m"})
    position = list(src.read(src.plan(None)[0]))[-1].position
    assert position.cursor == {"since": "2024-01-10 09:00:00"}
    service.answer = lambda *_: ok({"items": []})
    again = list(src.read(src.plan(position)[0]))[-1].position
    assert [query["since"] for _, query in service.asked] == ["2020-01-01 00:00:00", "2024-01-10 08:50:00"]
    assert again == position


def test_a_time_that_is_still_to_come_hides_no_later_change(service):
    far = [{"id": "1", "at": "2024-01-01 00:00:00"}, {"id": "2", "at": "9999-12-31 00:00:00"}]
    service.answer = lambda *_: ok({"items": far})
    rest = source(service, since={"param": "since", "field": "at", "lag": "10m"})
    (batch,) = rest.read(rest.plan(None)[0])
    assert batch.rows.num_rows == 2
    assert batch.position == Position({"since": "2024-01-01 00:00:00"})
    ids(rest, Position({"since": "0001-01-01 00:00:00"}))  # a lag does not reach before the first day


def test_numbers_are_compared_as_numbers(service):
    service.answer = lambda *_: ok({"items": [{"id": "9"}, {"id": "330127199001011234"}, {"id": "10"}]})
    src = source(service, since={"param": "after", "field": "id", "type": "number"})
    position = list(src.read(src.plan(None)[0]))[-1].position
    assert position.cursor == {"since": "330127199001011234"}
    assert service.asked[0][1] == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": {**WINDOW, "start": "gestern"}}, r"source\.window\.start"),
        ({"window": {**WINDOW, "span": "a day"}}, r"source\.window\.span.*1d"),
        ({"window": {**WINDOW, "zone": "Hangzhou"}}, r"source\.window\.zone.*Asia/Shanghai"),
        ({"window": WINDOW, "since": {"param": "a", "field": "b"}}, r"source\.since.*window"),
        ({"since": {"param": "a", "field": "b", "type": "text", "lag": "1m"}}, r"source\.since\.lag"),
        ({"success": {"path": "code", "values": [{}]}}, r"source\.success\.values"),
        ({"params": {"a": {}}}, r"source\.params"),
    ],
)
def test_a_wrong_option_is_named(service, options, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        source(service, **options)
