"""Read one CSV file from its beginning: the header, blocks of columns, and records that go over blocks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import pyarrow as pa

from connectors.errors import SourceError
from connectors.files.ahead import ahead
from connectors.files.csv_columns import plain
from connectors.files.csv_lines import Feed, Lines, Record, Taken, stub, take
from connectors.files.csv_rejects import SHOWN, Giant, Rejects
from connectors.files.encoding import ESCAPED, Piece, escaped, likely, text_of
from connectors.rows import Reject, check_names, damaged, visible

Header = bool | tuple[str, ...]
Block = tuple[list[pa.Array], dict[int, Reject]]


class CsvReader:
    """The records of one file. `names` are the columns once `open` was called; lines that are empty hold no record."""

    def __init__(  # noqa: PLR0917 - one format makes it
        self, encoding: str, delimiter: str, header: Header, longest: int, where: str, written: str
    ) -> None:
        self._encoding, self._delimiter, self._header = encoding, delimiter, header
        self._longest, self._where, self._written = longest, where, written
        self._line = 0  # physical lines of the file before those in hand
        self._rest = b""  # ESCAPED: a record that is not complete yet
        self._giant: Giant | None = None
        self._rejects = Rejects(0, longest)
        self._hinted = False  # whether it was said which encoding undecodable bytes look like
        self.names: tuple[str, ...] = ()

    def open(self, stream: Iterator[Piece]) -> Iterator[Piece]:
        """Find the columns in the header, or in the first record where there is none; what is to be read comes back."""
        held = Piece(b"", "utf-8", whole=True)
        found = None
        for piece in stream:
            held = replace(piece, data=held.data + piece.data)
            found = self._first(held, last=False)
            if found is not None or len(held.data) > self._longest:
                break
        found = found or self._first(replace(held, whole=True), last=True)
        rest = held.data
        if found is None or self._header is not True:
            given = self._header if isinstance(self._header, tuple) else ()
            count = len(found.fields) if found else 0
            self.names = given or tuple(f"column_{at + 1}" for at in range(count))
        else:
            self.names = tuple(name or f"column_{at + 1}" for at, name in enumerate(self._named(found, held.data)))
            self._line = found.line + len(found.lines)
            rest = Lines(held.data, whole=held.whole).since(self._line)
        check_names(self.names, self._where)
        self._rejects = Rejects(len(self.names), self._longest)
        return chain([replace(held, data=rest)], stream) if found else iter(())

    def blocks(self, stream: Iterator[Piece]) -> Iterator[Block]:
        """Columns of some records and, by place among them, the rejects."""
        waiting: list[bytes] = []
        for piece, columns in ahead(stream, self._plain):
            if columns is not None and not self._rest and not waiting:
                self._line += piece.data.count(b"\n")
                yield columns, {}
                continue
            waiting.append(escaped(piece.data, piece.codec))
            # What is not complete is parsed again each time more has come: let there be as much again.
            if sum(map(len, waiting)) >= len(self._rest):
                yield from self._taken(b"".join(waiting), whole=piece.whole, last=False)
                waiting.clear()
        if self._rest or waiting:
            yield from self._taken(b"".join(waiting), whole=True, last=True)

    def _plain(self, piece: Piece) -> list[pa.Array] | None:
        if len(piece.data) > self._longest or not self._delimiter.isascii():
            return None
        return plain(piece, self.names, self._delimiter)

    def _taken(self, more: bytes, *, whole: bool, last: bool) -> Iterator[Block]:
        data, cut = self._rest + more, self._giant is not None
        taken = take(
            data, self.names, self._delimiter, whole=whole, last=last, longest=self._longest, cut=cut
        )  # fmt: skip
        if taken.columns or taken.odd:
            yield self._merged(taken)
        self._line += taken.passed
        self._rest = taken.rest
        if len(self._rest) > self._longest and not last:
            self._shorten()

    def _merged(self, taken: Taken) -> Block:
        """Plain and odd records in the order of their lines."""
        if not taken.odd:
            return taken.columns, {}
        values, reasons = zip(*map(self._odd, taken.odd), strict=True)
        odd = [pa.array(column, pa.string()) for column in zip(*values, strict=True)]
        places = np.concatenate([taken.plain, [record.line for record in taken.odd]]).astype(np.int64)
        order = np.argsort(places, kind="stable")
        columns = [pa.concat_arrays(both) for both in zip(taken.columns, odd, strict=True)] if taken.columns else odd
        at = np.empty(len(order), np.int64)
        at[order] = np.arange(len(order))
        rejects = {
            place: reason
            for place, reason in zip(at[len(taken.plain) :].tolist(), reasons, strict=True)
            if reason is not None
        }
        taken_in = pa.Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order)])
        return [column.take(taken_in) for column in columns], rejects

    def _odd(self, record: Record) -> tuple[list[str | None], Reject | None]:
        """What can be kept of a record, and why it is rejected if it is."""
        if self._giant is not None and record.line == 0:
            giant, self._giant = self._giant, None
            return [None] * len(self.names), self._rejects.giant(giant, record, self._line)
        if self._encoding == "utf-8" and not self._hinted and damaged("".join(record.fields)):
            self._hinted = True
            raw = "".join(record.lines).encode("utf-8", "surrogateescape")
            self._rejects = replace(self._rejects, likely=likely(self._encoding, raw, self._written))
        return self._rejects.values(record), self._rejects.reason(record, self._line)

    def _shorten(self) -> None:
        """Keep of an unfinished record that is too long only what says how it goes on: inside a quote or outside."""
        rest = self._rest
        if self._giant is None:
            self._giant = Giant(self._line, visible(text_of(rest[:SHOWN], ESCAPED)), 0)
        self._giant.size += len(rest)
        self._line += len(Lines(rest, whole=False))
        self._rest = stub(rest, self._delimiter)

    def _first(self, held: Piece, *, last: bool) -> Record | None:
        """The first record with anything in it, once it is complete or nothing follows."""
        feed = Feed(Lines(held.data, whole=held.whole), 0, held.codec)
        line = 0
        for fields in csv.reader(feed, delimiter=self._delimiter):
            if fields:
                whole = last or not feed.dry
                return Record(fields, line, tuple(feed.given[line:]), open=feed.dry) if whole else None
            line = feed.at
        return None

    def _named(self, header: Record, data: bytes) -> list[str]:
        text = "".join(header.lines)
        if damaged(text) or header.open:
            shown = visible(text).strip()[:200]
            zh, en = likely(self._encoding, data, self._written)
            raise SourceError(
                "SRC-HEADER",
                zh=f"{self._where} 的表头无法解码或没有写完：{shown}{zh}",
                en=f"the header of {self._where} cannot be decoded or is torn: {shown}{en}",
                fix_zh="请检查 encoding 与 delimiter 选项，或请来源部门重新投放",
                fix_en="Check the options encoding and delimiter, or ask the department to drop the file again.",
            )
        return header.fields
