"""The same rows come as JSON, CSV or Arrow, compressed or not, and a look-up may say that nothing has changed."""

from __future__ import annotations

import csv
import hashlib
import io
import zlib

import orjson
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from sharing_town import FAR_FIRM, FIRM, FIRMS, PERSON, Town, firm, uscc

from schemas.standard import Field, Standard
from sharing.formats import ARROW, CSV, FORMULA, JSON, arrow_of, csv_of, form_of, table_of
from sharing.formats_coding import LEAST, coding_of
from sharing.formats_refusals import NotAcceptableError
from sharing.receipts import check

ARROW_TYPE = ARROW.media.decode()
NAMES = ["uscc", "ent_name", "legal_rep_name", "legal_rep_id", "phone", "secret_note", "division"]


def batch(town: Town, accept: str | None, **said: object):
    headers = {"Accept": accept} if accept is not None else {}
    body = {"keys": [FIRM, FAR_FIRM]} | said
    return town.ask("/v1/libraries/legal_person/records:batch", "tax", "POST", json=body, headers=headers)


def test_a_batch_comes_as_csv_with_its_source_in_a_header_and_text_that_stays_text(town: Town) -> None:
    town.firms.rows[FIRM] = firm(FIRM, "330106", name='=HYPERLINK("http://x","𠮷")') | {"phone": None}
    told = batch(town, "text/csv")
    assert told.headers["content-type"].startswith("text/csv; charset=utf-8")
    rows = list(csv.DictReader(io.StringIO(told.text)))
    assert list(rows[0]) == ["_key", "_found", *NAMES]
    assert rows[0]["ent_name"] == '\'=HYPERLINK("http://x","𠮷")'
    assert (rows[0]["legal_rep_id"], rows[0]["legal_rep_name"]) == ("110***********002X", "欧阳𠮷")
    assert rows[1] == {"_key": FAR_FIRM, "_found": "false"} | dict.fromkeys(NAMES, "")
    assert f'"{FIRM}","true"' in told.text, "what is there stands in quotation marks"
    source = orjson.loads(told.headers["x-provenance"])
    assert (source["grant"], source["generation"], source["request_id"]) == (
        "tax-firms", "g1", told.headers["x-request-id"],
    )  # fmt: skip
    assert "phone" in source["masked"]
    call = town.calls()[-1]
    assert (call.units, call.fields, call.size, call.operation) == (2, 7, len(told.content), "batch")
    assert not told.content.startswith(b"\xef\xbb\xbf")
    assert batch(town, "text/csv;bom=1").content.startswith(b"\xef\xbb\xbf")


def test_a_batch_comes_as_an_arrow_stream_with_its_source_in_the_schema(town: Town) -> None:
    told = batch(town, ARROW_TYPE)
    table = pa.ipc.open_stream(told.content).read_all()
    assert told.headers["content-type"] == ARROW_TYPE
    assert table.column_names == ["_key", "_found", *NAMES]
    assert table.column("_found").to_pylist() == [True, False]
    assert table.column("ent_name").to_pylist() == ["杭州𠮷野家餐饮有限公司", None]
    source = orjson.loads(table.schema.metadata[b"shutong"])
    assert source == orjson.loads(told.headers["x-provenance"])
    assert table.schema.field("phone").metadata[b"masked"] == b"true"
    assert table.schema.field("ent_name").metadata[b"zh"] == "名称".encode()


def test_whole_numbers_truth_and_dates_have_their_types_and_decimals_keep_each_digit() -> None:
    kinds = ("integer", "boolean", "date", "decimal", "text")
    standard = Standard("s", 1, "", "", tuple(Field(kind, kind, kind, type=kind) for kind in kinds), (), ("text",))
    row = {"integer": 3, "boolean": True, "date": "2026-01-31", "decimal": "1234567890.0100", "text": "018"}
    steps = [(kind, None) for kind in kinds]
    table = table_of([row, dict.fromkeys(kinds)], steps, standard, batch=False)
    assert [str(one) for one in table.schema.types] == ["int64", "bool", "date32[day]", "string", "string"]
    assert csv_of(table).decode().splitlines()[1:] == ['"3","true","2026-01-31","1234567890.0100","018"', ",,,,"]
    odd = table_of([row | {"integer": 2**63, "date": "约2020年"}], steps, standard, batch=False)
    assert [str(one) for one in odd.schema.types] == ["string", "bool", "string", "string", "string"]
    hidden = table_of([{"integer": "***"}], [("integer", str)], standard, batch=False)
    assert hidden.schema.field("integer").type == pa.string()


@settings(max_examples=20, deadline=None)  # the first one imports Arrow
@given(st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=6))
def test_csv_and_arrow_give_every_text_back_and_no_cell_begins_a_formula(values: list[str | None]) -> None:
    rows = [{"uscc": str(place), "ent_name": value} for place, value in enumerate(values)]
    table = table_of(rows, [("uscc", None), ("ent_name", None)], FIRMS, batch=False)
    assert pa.ipc.open_stream(arrow_of(table)).read_all().column(1).to_pylist() == values
    cells = [row[1] for row in csv.reader(io.StringIO(csv_of(table).decode(), newline=""))][1:]
    assert not any(cell.startswith(tuple(FORMULA)) for cell in cells)
    assert [cell.removeprefix("'") for cell in cells] == [value or "" for value in values]


def test_one_column_of_nothing_still_has_its_rows() -> None:
    table = table_of([{"phone": None}, {"phone": "1"}], [("phone", None)], FIRMS, batch=False)
    assert csv_of(table).decode().splitlines() == ['"phone"', '""', '"1"']


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "json"), ("", "json"), ("text/csv", "csv"), ("text/*", "csv"), ("text/csv, */*", "csv"),
        ("text/csv;q=0.4, application/json;q=0.5", "json"), ("application/*;q=0.3, text/csv;q=0.2", "json"),
        (f"application/json;q=0.9,{ARROW_TYPE}", "arrow"), ("application/json;q=0, */*", "csv"),
        ("TEXT/CSV ; Q=0.8", "csv"),
    ],
)  # fmt: skip
def test_the_form_is_the_one_the_caller_likes_best(accept: str, form: str) -> None:
    assert form_of([(b"accept", accept.encode())]).name == form


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "json", "application/xml, text/html;q=0.9", ";;,"])
def test_what_nobody_can_give_is_refused_before_anything_is_counted(town: Town, accept: str) -> None:
    with pytest.raises(NotAcceptableError):
        form_of([(b"accept", accept.encode())])
    told = batch(town, accept)
    assert (told.status_code, told.json()["code"]) == (406, "SHR-NOT-ACCEPTABLE")
    assert town.calls()[-1].units == 0


def test_no_accept_header_means_json() -> None:
    assert form_of([]) is JSON
    assert form_of([(b"accept", b"text/csv; bom=1")]) == CSV.__class__("csv", CSV.media, bom=True)


def test_long_answers_are_compressed_as_accepted_and_the_receipt_is_of_what_was_compressed(town: Town) -> None:
    keys = [FIRM, *(uscc(f"91330100MA2B{number:05d}") for number in range(60))]
    path, body = "/v1/libraries/legal_person/records:batch", {"keys": keys}
    codes = {"zstd": zstandard.ZstdDecompressor().decompress, "gzip": lambda raw: zlib.decompress(raw, wbits=31)}
    for code in codes:
        told = town.ask(path, "tax", "POST", json=body, headers={"Accept-Encoding": code})
        assert (told.headers["content-encoding"], told.headers["vary"]) == (code, "Accept-Encoding")
        assert int(told.headers["content-length"]) < len(told.content) / 3
        assert len(told.json()["data"]) == 61, "the client undoes it"
        receipt = check(told.headers["x-receipt"], town.desk.receipts.public(), answer=told.content)
        assert receipt.units == 61
        assert town.calls()[-1].size == len(told.content)
    plain = town.ask(path, "tax", "POST", json=body, headers={"Accept-Encoding": "br"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Accept-Encoding"
    short = batch(town, None)
    assert len(short.content) < LEAST
    assert "content-encoding" not in short.headers


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("gzip, deflate, br, zstd", "zstd"), ("gzip;q=1.0, zstd;q=0.5", "gzip"), ("*", "zstd"), ("identity", None),
        ("zstd;q=0, *;q=0.1", "gzip"), ("gzip;q=x", None), ("", None),
    ],
)  # fmt: skip
def test_the_coding_is_the_one_the_caller_likes_best(said: str, code: str | None) -> None:
    assert coding_of([(b"accept-encoding", said.encode())]) == code


def look_up(town: Town, key: str = FIRM, tag: str | None = None, path: str = "", who: str = "tax"):
    headers = {"If-None-Match": tag} if tag is not None else {}
    return town.ask(f"/v1/libraries/legal_person/records/{key}{path}", who, headers=headers)


def test_a_look_up_that_would_say_the_same_is_a_304_that_is_counted_and_has_a_receipt(town: Town) -> None:
    tag = look_up(town).headers["etag"]
    assert tag.startswith('W/"')
    for said in (tag, f'"else", {tag}', tag.removeprefix("W/"), "*"):
        told = look_up(town, tag=said)
        assert (told.status_code, told.content, told.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in told.headers
        assert "content-length" not in told.headers
        receipt = check(told.headers["x-receipt"], town.desk.receipts.public(), answer=b"")
        assert (receipt.status, receipt.units) == (304, 1)
        assert receipt.answer == check(told.headers["x-receipt"], town.desk.receipts.public()).answer
        call = town.calls()[-1]
        assert (call.status, call.units, call.fields, call.size, call.key) == (304, 1, 0, 0, FIRM)
    assert look_up(town, tag='W/"else"').status_code == 200


def test_another_generation_other_fields_or_another_wording_of_the_grant_is_another_tag(town: Town) -> None:
    tag = look_up(town).headers["etag"]
    narrow = look_up(town, tag=tag, path="?fields=uscc")
    assert (narrow.status_code, look_up(town, path="?fields=uscc").headers["etag"]) == (200, narrow.headers["etag"])
    assert narrow.headers["etag"] != tag
    assert look_up(town, tag=tag, path="?grant=tax-wide").status_code == 200
    town.firms.generation = "g2"
    assert look_up(town, tag=tag).status_code == 200
    town.firms.generation = "g1"
    assert look_up(town, tag=tag).status_code == 304
    text = town.config.grants.read_text("utf-8")
    town.config.grants.write_text(text.replace("clear: [legal_rep_name]", "clear: [legal_rep_name, phone]"), "utf-8")
    told = look_up(town, tag=tag)
    assert (told.status_code, told.json()["data"]["phone"]) == (200, "13812345678")


def test_a_tag_says_nothing_about_records_that_are_not_there_or_not_granted(town: Town) -> None:
    tag = look_up(town).headers["etag"]
    assert look_up(town, FAR_FIRM, "*").status_code == 404, "of another district"
    assert look_up(town, uscc("91330100MA2C000" + "1X"), tag).status_code == 404
    assert look_up(town, tag="*", who="bank").status_code == 403
    posted = town.ask("/v1/libraries/population/records", "tax", "POST", json={"key": PERSON},
                      headers={"If-None-Match": "*"})  # fmt: skip
    assert (posted.status_code, "etag" in posted.headers) == (200, False)


def test_the_hash_of_an_empty_answer_is_that_of_nothing(town: Town) -> None:
    tag = look_up(town).headers["etag"]
    town_call = look_up(town, tag=tag)
    assert town.calls()[-1].answer == town.desk.keyed(hashlib.sha256(b"").digest())
    assert town_call.status_code == 304
