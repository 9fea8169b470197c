"""Parquet drops arrive as exact text: every digit, every date, nested values as JSON."""

import datetime as dt
import errno
import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import SourceError
from connectors.files import parquet_format
from connectors.options import Options
from schemas.values import RAW_COLUMNS


def stored(table, **options):
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def read(data, size=1000, **options):
    form = parquet_format.open_format(Options(options, parquet_format.OPTIONS))
    batches = list(form.batches(io.BytesIO(data), "t.parquet", size))
    assert all(batch.rows.num_rows <= size for batch in batches)
    tab = pa.Table.from_batches([batch.rows for batch in batches])
    assert {str(kind) for name, kind in zip(tab.column_names, tab.schema.types, strict=True) if name != "_row"} == {
        "string"
    }
    return tab


def column(values, kind, **options):
    return read(stored(pa.table({"x": pa.array(values, kind)})), **options)["x"].to_pylist()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("𠮷㐂０")),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.decimals(-(10**27), 10**27, places=10),
            st.none() | st.datetimes(),
            st.none() | st.dates(),
            st.none() | st.floats(),
        ),
        min_size=1,
        max_size=10,
    ),
    size=st.integers(1, 4),
)
def test_every_typed_value_can_be_read_back_from_its_text(rows, size):
    kinds = [pa.string(), pa.int64(), pa.decimal128(38, 10), pa.timestamp("us"), pa.date32(), pa.float64()]
    table = pa.table(
        {
            f"c{at}": pa.array(values, kind)
            for at, (values, kind) in enumerate(zip(zip(*rows, strict=True), kinds, strict=True))
        }
    )
    tab = read(stored(table, row_group_size=3), size)
    assert tab["_reject"].null_count == tab.num_rows == len(rows)
    back = [str, int, Decimal, dt.datetime.fromisoformat, dt.date.fromisoformat, float]
    for at, (values, parse) in enumerate(zip(zip(*rows, strict=True), back, strict=True)):
        found = [None if text is None else parse(text) for text in tab[f"c{at}"].to_pylist()]
        assert found == [value if value == value else pytest.approx(value, nan_ok=True) for value in values]  # noqa: PLR0124


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ([Decimal("1E-10")], pa.decimal128(38, 10), "0.0000000001"),
        ([Decimal(10) ** 70], pa.decimal256(76, 2), "1" + "0" * 70 + ".00"),
        ([2**64 - 1], pa.uint64(), "18446744073709551615"),
        ([330102199001011234], pa.int64(), "330102199001011234"),
        ([True], pa.bool_(), "true"),
        ([0.1], pa.float32(), "0.1"),
        ([dt.date(2020, 2, 29)], pa.date32(), "2020-02-29"),
        ([dt.time(1, 2, 3)], pa.time64("us"), "01:02:03"),
        ([dt.datetime.fromisoformat("2020-01-02T03:04:05")], pa.timestamp("ns"), "2020-01-02 03:04:05"),
        ([dt.datetime.fromisoformat("2020-01-02T03:04:05.000006")], pa.timestamp("us"), "2020-01-02 03:04:05.000006"),
        ([dt.datetime(2020, 1, 2, tzinfo=dt.UTC)], pa.timestamp("us", "Asia/Shanghai"), "2020-01-02 08:00:00+0800"),
        (["甲"], pa.dictionary(pa.int8(), pa.string()), "甲"),
        (["甲"], pa.large_string(), "甲"),
        (["𠮷".encode()], pa.binary(), "𠮷"),
        ([[1, None]], pa.list_(pa.int64()), "[1, null]"),
        (
            [{"金额": Decimal("1.50"), "日": dt.date(2020, 1, 2)}],
            pa.struct([("金额", pa.decimal128(5, 2)), ("日", pa.date32())]),
            '{"金额": 1.50, "日": "2020-01-02"}',
        ),
        ([[("a", 1)]], pa.map_(pa.string(), pa.int64()), '[["a", 1]]'),
        ([None], pa.null(), None),
    ],
)
def test_a_value_of_each_type_is_exact_text(values, kind, text):
    assert column([*values, None], kind) == [text, None]


def test_bytes_are_text_in_the_given_encoding_or_hex():
    assert column(["名".encode("gbk"), None], pa.binary(), bytes="gb18030") == ["名", None]
    assert column([b"\x00\xff"], pa.binary(), bytes="hex") == ["00ff"]


def test_undecodable_bytes_reject_their_record_alone():
    tab = read(stored(pa.table({"x": pa.array([b"a", b"\xff", None], pa.binary()), "y": ["1", "2", "3"]})))
    assert tab["x"].to_pylist() == ["a", "\\xFF", None]
    assert tab["_reject"].to_pylist() == [None, "bad_bytes", None]
    assert "record 2: column x" in tab["_detail"][1].as_py()


@pytest.mark.parametrize(
    ("storage", "kind"),
    [
        (pa.array([0, 10**18], pa.int64()), pa.timestamp("us")),
        (pa.array([[0], [10**7]], pa.list_(pa.int32())), pa.list_(pa.date32())),
        (pa.array([0, 10**15], pa.int64()), pa.duration("s")),
    ],
    ids=["time", "list of dates", "duration"],
)
def test_a_time_beyond_every_calendar_rejects_its_record_alone(storage, kind):
    tab = read(stored(pa.table({"x": storage.cast(kind)})))
    assert tab["_reject"].to_pylist() == [None, "type_unreadable"]
    assert "record 2: column x" in tab["_detail"][1].as_py()
    assert tab["x"][0].as_py()
    assert tab["x"][1].as_py() is None


def test_undecodable_bytes_in_a_list_reject_their_record_and_in_a_name_the_file():
    liar = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    tab = read(stored(pa.table({"x": pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), liar)})))
    assert tab["_reject"].to_pylist() == ["type_unreadable"]
    with pytest.raises(SourceError, match="SRC-FILE-PARQUET"):
        read(stored(pa.table({"aaaa": [1]})).replace(b"aaaa", b"\xff\xfe\xff\xfe"))


def test_a_field_too_large_is_a_reject():
    tab = read(stored(pa.table({"x": ["a", "经" * 100], "y": ["1", "2"]})), max_field_bytes=200)
    assert tab["x"].to_pylist() == ["a", None]
    assert tab["y"].to_pylist() == ["1", "2"]
    assert tab["_reject"].to_pylist() == [None, "field_size"]
    assert "300 bytes" in tab["_detail"][1].as_py()


def test_three_thousand_columns_and_no_rows():
    assert read(stored(pa.table({f"c{n}": ["1"] for n in range(3_000)}))).num_columns == 3_004
    assert read(stored(pa.table({"x": pa.array([], pa.int64())}))).column_names == ["x", *RAW_COLUMNS]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"a,b\n1,2\n" * 100, stored(pa.table({"x": list(range(1000))}))[:-50]])
def test_what_is_no_whole_parquet_file_says_so(data):
    with pytest.raises(SourceError, match=r"SRC-FILE-PARQUET.*t\.parquet"):
        read(data)


def test_a_full_disk_is_told_with_the_folder_to_free(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(SourceError, match=r"SRC-FILE-SPOOL.*t\.parquet.*No space left.*TMPDIR"):
        read(stored(pa.table({"x": [1]})))


def test_a_reserved_column_name_is_refused():
    with pytest.raises(SourceError, match="SRC-HEADER"):
        read(stored(pa.table({"_row": [1]})))
