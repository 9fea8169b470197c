"""Rows of MySQL as they come off the wire, in any pieces: each value as sent, or an error and never a short table."""

import struct

import pyarrow as pa
import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.databases import mysql_wire
from connectors.databases.mysql_rows import Column, taken
from connectors.databases.mysql_wire import Wire, blocks

MARKER = "\x01marker:"
FULL = 0xFFFFFF
END = b"\xfe\x00\x00\x02\x00"
LONG = [250, 251, 252, 5_000, 0xFFFF, 0x10000]  # around what a length of one byte and of two holds
VALUES = st.none() | st.binary(max_size=9) | st.sampled_from(LONG).map(lambda size: b"x" * size)


class Sent:
    """A socket on which these bytes come in pieces of these sizes, turn about, and then nothing."""

    def __init__(self, content, sizes=(1 << 30,), *, hangs=0):
        self.content, self.sizes, self.turn, self.hangs = memoryview(content), sizes, 0, hangs

    def recv_into(self, room):
        if self.hangs:
            self.hangs -= 1
            raise TimeoutError
        size = min(self.sizes[self.turn % len(self.sizes)], len(self.content), len(room))
        room[:size] = self.content[:size]
        self.content, self.turn = self.content[size:], self.turn + 1
        return size


def spelt(value):
    if value is None:
        return b"\xfb"
    size = len(value)
    for mark, form, least in ((b"\xfe", "<Q", 1 << 24), (b"\xfd", "<I", 1 << 16), (b"\xfc", "<H", 251)):
        if size >= least:
            return mark + struct.pack(form, size)[: 3 if mark == b"\xfd" else None] + value
    return bytes([size]) + value


def stream(payloads, number=0):
    """The payloads as packets; the number counts on from packet to packet."""
    made = bytearray()
    for payload in payloads:
        left = memoryview(payload)
        while True:
            part, left = left[:FULL], left[FULL:]
            made += struct.pack("<I", len(part) | number << 24) + part
            number = (number + 1) % 256
            if len(part) < FULL:
                break
    return bytes(made)


def rows_of(link, columns, *, size=1 << 16, number=0, works=lambda: True):
    found = []
    for block in blocks(Wire(link, 0.1, works), number, size):
        for one in taken(block, columns, MARKER):
            found += zip(*(column.to_pylist() for column in one.batch.columns), strict=True)
    return found


def raw(count):
    return [Column(f"c{at}", is_bytes=True) for at in range(count)]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[VALUES] * width), max_size=8)),
    sizes=st.lists(st.integers(1, 10_000), min_size=1, max_size=4),
    number=st.integers(0, 255),
)
def test_values_arrive_as_sent_in_whatever_pieces_they_come(rows, sizes, number):
    content = stream([*(b"".join(map(spelt, row)) for row in rows), END], number)
    width = len(rows[0]) if rows else 1
    assert rows_of(Sent(content, sizes), raw(width), number=number, size=1 << 13) == rows


@pytest.mark.parametrize("size", [FULL - 4, FULL - 3, FULL + 5])
def test_a_row_of_more_than_one_packet_is_joined(size):
    rows = [(b"a",), (b"x" * size,), (b"b",)]
    assert rows_of(Sent(stream([*(spelt(one) for (one,) in rows), END])), raw(1)) == rows


def test_text_that_is_no_utf8_is_marked_and_its_neighbours_stay():
    content = stream([spelt("数".encode()), spelt(b"\xff"), spelt(None), END])
    (one,) = taken(next(blocks(Wire(Sent(content), 0.1, bool), 0, 1 << 16)), [Column("名")], MARKER)
    assert one.batch.to_pydict() == {"名": ["数", f"{MARKER}uff", None]}
    assert one.marked == {0}


def test_numbers_are_spelt_as_arrow_spells_them():
    content = stream([spelt(b"1.2345678901234567e300") + spelt(b"1.2345670461654663"), END])
    columns = [Column("d", is_float=True), Column("f", is_float=True, is_single=True)]
    assert rows_of(Sent(content), columns) == [("1.2345678901234567e+300", "1.234567")]


def test_rows_that_trickle_are_handed_over_before_the_block_is_full(monkeypatch):
    monkeypatch.setattr(mysql_wire, "_LINGER", -1)
    wire = Wire(Sent(stream([spelt(b"a"), spelt(b"b"), END]), [6]), 0.1, bool)
    assert [len(block.starts) for block in blocks(wire, 0, 1 << 16)] == [1, 1]


def test_what_the_server_says_went_wrong_is_raised_after_the_rows_before_it():
    error = b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted"
    with pytest.raises(pymysql.err.Error, match="1317"):
        rows_of(Sent(stream([spelt(b"a"), error])), raw(1))


@pytest.mark.parametrize(
    "content",
    [
        stream([spelt(b"abc"), END])[:6],  # within a row
        stream([spelt(b"abc"), END])[:8],  # between rows
        stream([spelt(b"x" * 100_000)])[:80_000],  # within a long one
    ],
)
def test_a_connection_that_ends_early_is_no_end_of_the_table(content):
    with pytest.raises(pymysql.err.OperationalError, match="2013"):
        rows_of(Sent(content), raw(1))


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (stream([spelt(b"a")]) + stream([spelt(b"b")], 7), 1),  # a packet is missing
        (stream([spelt(b"x" * 100_000), END], 7), 1),
        (stream([spelt(b"a") + spelt(b"b"), END]), 1),  # more values than columns
        (stream([spelt(b"a"), END]), 2),  # fewer
        (stream([b"\x09a", END]), 1),  # a value that is longer than its row
        (stream([b"", END]), 1),
    ],
)
def test_what_is_no_row_is_an_error(content, columns):
    with pytest.raises(pymysql.err.OperationalError, match="2027"):
        rows_of(Sent(content + stream([END], 2) * (columns == 1)), raw(columns))


@pytest.mark.parametrize("before", [[], [spelt(b"a")], [spelt(b"x" * 100_000)]])
def test_an_end_whose_number_says_that_rows_before_it_are_missing_is_an_error(before):
    with pytest.raises(pymysql.err.OperationalError, match="2027"):
        rows_of(Sent(stream(before) + stream([END], 7)), raw(1))


def test_a_row_of_more_bytes_than_arrow_counts_is_an_error_before_it_is_held(monkeypatch):
    monkeypatch.setattr(mysql_wire, "_MOST", 100_000)
    with pytest.raises(pymysql.err.DataError, match="100000 bytes"):
        rows_of(Sent(stream([spelt(b"x" * 100_000), END])), raw(1))


def test_the_server_is_asked_when_nothing_comes_and_waited_for_while_it_works():
    asked = []
    link = Sent(stream([spelt(b"a"), END]), hangs=3)
    assert rows_of(link, raw(1), works=lambda: asked.append(1) or True) == [(b"a",)]
    assert len(asked) == 3


def test_a_query_the_server_does_not_know_is_given_up(monkeypatch):
    monkeypatch.setattr(mysql_wire, "_STARTS", -1)
    wire = Wire(Sent(b"", hangs=3), -1, lambda: False)
    with pytest.raises(TimeoutError):
        wire.read(1)


def test_a_batch_has_a_row_limit_where_rows_are_short(monkeypatch):
    monkeypatch.setattr("connectors.databases.mysql_rows.ROWS", 2)
    block = next(blocks(Wire(Sent(stream([spelt(b"a")] * 5 + [END])), 0.1, bool), 0, 1 << 16))
    batches = [one.batch for one in taken(block, raw(1), MARKER)]
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    assert pa.Table.from_batches(batches)["c0"].to_pylist() == [b"a"] * 5
