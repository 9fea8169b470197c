"""XML records come back as columns exactly, in whatever encoding is declared, and hostile files are refused in words."""

import functools
import io
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import SourceChanged, SourceError
from connectors.files import encoding, xml_format
from connectors.files.names import Names
from connectors.options import Options
from schemas.values import RAW_COLUMNS


def table(data, size=1000, record="/list/firm", **options):
    data = data if isinstance(data, bytes) else data.encode()
    form = xml_format.open_format(Options({"record": record, **options}, xml_format.OPTIONS))
    batches = list(form.batches(io.BytesIO(data), "t.xml", size))
    assert all(batch.rows.num_rows <= size for batch in batches)
    tab = pa.concat_tables([pa.Table.from_batches([batch.rows]) for batch in batches], promote_options="default")
    assert tab["_row"].to_pylist() == list(range(1, tab.num_rows + 1))
    return tab


def received(tab):
    names = [name for name in tab.column_names if name not in RAW_COLUMNS]
    return [{name: row[name] for name in names if row[name] is not None} for row in tab.to_pylist()]


def rejects(tab):
    return [(r["_row"], r["_reject"], r["_detail"]) for r in tab.to_pylist() if r["_reject"]]


# What XML itself may hold and gives back unchanged: no control characters, and CR and LF become one.
text = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), st.sampled_from("𠮷㐂０<&>\"'\n ")),
    max_size=8,
)


@settings(max_examples=120, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(["名称", "code", "a.b", "备注-1"]), text, min_size=1), min_size=1, max_size=8
    ),
    codec=st.sampled_from(
        [("utf-8", "utf-8"), ("gb18030", "gb18030"), ("gbk", "gb18030"), ("gb2312", "gb18030"), ("utf-16", "utf-16")]
    ),
    piece=st.integers(5, 60),
    size=st.integers(1, 5),
)
def test_every_record_comes_back_exactly_in_every_declared_encoding(rows, codec, piece, size):
    declared, used = codec
    firms = "".join(
        f"<firm id={quoteattr(str(at))}>"
        + "".join(f"<{name}>{escape(of)}</{name}>" for name, of in row.items())
        + "</firm>"
        for at, row in enumerate(rows)
    )
    data = f'<?xml version="1.0" encoding="{declared}"?>\n<list>{firms}</list>'.encode(used)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "PIECE", piece if used != "utf-16" else 4096)
        tab = table(data, size)
    assert received(tab) == [{"@id": str(at), **row} for at, row in enumerate(rows)]
    assert rejects(tab) == []


def test_children_attributes_lists_and_nested_elements_become_columns():
    tab = table(
        '<list xmlns:g="urn:x" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        '<g:firm id="1"><name lang="zh">甲</name><g:tel>1</g:tel><g:tel>2</g:tel><empty/><gone xsi:nil="true"/>'
        "<address><city>杭州</city><no>018</no></address><![CDATA[ ]]></g:firm>\n</list>"
    )
    assert received(tab) == [
        {
            "@id": "1", "name": "甲", "name@lang": "zh", "tel": '["1", "2"]', "empty": "",
            "address": '{"city": "杭州", "no": "018"}',
        }
    ]  # fmt: skip
    assert tab["gone"].to_pylist() == [None]


@pytest.mark.parametrize(("record", "found"), [("firm", 2), ("/list/firm", 1), ("group/firm", 1), ("list/firm", 1)])
def test_a_path_names_records_from_the_root_or_wherever_they_are(record, found):
    assert table("<list><firm/><group><firm/></group></list>", record=record).num_rows == found


def test_columns_that_come_later_are_added():
    tab = table("<list><firm><a>1</a></firm><firm><b>2</b></firm></list>", size=1)
    assert received(tab) == [{"a": "1"}, {"b": "2"}]


def test_bad_bytes_and_control_characters_reject_their_record_alone():
    data = (
        "<list><firm><a>甲</a></firm>\n<firm><a>乙X</a></firm>\n<firm><a>\x02丙</a></firm><firm><a>丁</a></firm></list>"
    )
    tab = table(data.encode("gb18030").replace(b"X", b"\xff"), encoding="gb18030")
    assert [row["a"] for row in received(tab)] == ["甲", "乙\\xFF", "\\x02丙", "丁"]
    assert [(row, rule) for row, rule, _ in rejects(tab)] == [(2, "bad_bytes"), (3, "bad_bytes")]
    assert "line 2" in rejects(tab)[0][2]


BOMB = '<!DOCTYPE list [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
) + "]><list><firm><x>&m;</x></firm></list>"  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        BOMB,
        '<!DOCTYPE list [<!ENTITY f SYSTEM "file:///etc/hostname">]><list><firm><x>&f;</x></firm></list>',
        '<!DOCTYPE list SYSTEM "http://127.0.0.1:9/x.dtd"><list><firm><x>&nbsp;</x></firm></list>',
    ],
)
def test_entities_are_refused_before_anything_is_expanded_or_fetched(data):
    with pytest.raises(SourceError, match="SRC-FILE-XML-DTD"):
        table(data)


def test_a_doctype_without_declarations_does_no_harm():
    assert received(table('<!DOCTYPE list SYSTEM "list.dtd"><list><firm><a>1</a></firm></list>')) == [{"a": "1"}]


@pytest.mark.parametrize(
    "data", ["<list><firm><a>1</a></firm>", "<list><firm></list>", "", "  ", "a,b\n1,2\n", "<list/><list/>"]
)
def test_a_torn_or_empty_file_is_no_whole_xml(data):
    with pytest.raises(SourceError, match="SRC-FILE-XML") as caught:
        table(data)
    assert "t.xml" in caught.value.zh


def test_another_root_is_named_with_what_is_there():
    with pytest.raises(SourceChanged, match=r"/list/firm.*rows/row"):
        table("<rows><row><a>1</a></row></rows>")


def test_a_list_without_records_has_no_rows():
    assert table("<list></list>").num_rows == 0
    assert table("<list><total>0</total></list>").num_rows == 0


def test_records_of_another_name_are_a_change_and_not_an_empty_list():
    with pytest.raises(SourceChanged, match=r"/list/firm.*list/company"):
        table("<list><company><n>1</n></company><company><n>2</n></company></list>")
    assert table("<list><head><count>0</count></head><page>1</page><page>2</page></list>").num_rows == 0
    assert table("<list><x><n>1</n></x><x><n>2</n></x><firm><n>3</n></firm></list>").num_rows == 1


def test_an_enormous_field_is_a_reject_that_was_never_held(monkeypatch):
    monkeypatch.setattr(encoding, "PIECE", 1 << 12)
    data = "<list><firm><id>1</id><x>" + "经" * 50_000 + "</x><y>z</y></firm><firm><id>2</id></firm></list>"
    tab = table(data, max_field_bytes=1000)
    assert received(tab) == [{"id": "1"}, {"id": "2"}]
    [(row, rule, detail)] = rejects(tab)
    assert (row, rule) == (1, "field_size")
    assert "150002 bytes" in detail


def test_three_thousand_columns_and_deep_elements():
    wide = "".join(f"<c{n}>{n}</c{n}>" for n in range(3_000))
    deep = "<d>" * 5_000 + "</d>" * 5_000
    tab = table(f"<list><firm>{wide}</firm><firm><a>1</a>{deep}</firm><firm><a>2</a></firm></list>")
    assert tab.num_columns >= 3_004
    assert [row.get("a") for row in received(tab)] == [None, "1", "2"]
    [(row, rule, detail)] = rejects(tab)
    assert (row, rule) == (2, "row_shape")
    assert "100" in detail


def test_more_names_than_fields_can_have_are_rejects(monkeypatch):
    monkeypatch.setattr(xml_format, "Names", functools.partial(Names, most=5))
    tab = table("<list>" + "".join(f"<firm><c{n}>1</c{n}></firm>" for n in range(8)) + "</list>")
    assert [(row, rule) for row, rule, _ in rejects(tab)] == [(n, "row_shape") for n in (6, 7, 8)]


def test_the_check_says_which_encoding_is_declared():
    form = xml_format.open_format(Options({"record": "a"}, xml_format.OPTIONS))
    [check] = form.checks(b'<?xml version="1.0" encoding="GB2312"?><a/>')
    assert "gb18030" in check.en
    assert "UTF-8" in form.checks("<a>经</a>".encode())[0].en
    with pytest.raises(SourceError, match="big5"):
        form.checks(b'<?xml version="1.0" encoding="big5"?><a/>')
