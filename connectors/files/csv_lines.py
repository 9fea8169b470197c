"""Take CSV that is not plain apart: plain lines at once, each odd one exactly as Python's csv module does."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.files.csv_columns import CR, LF, QUOTE, neighbours, parsed
from connectors.files.encoding import ESCAPED, text_of

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_MARK = b"\xef\xbb\xbf"
_LEAD, _SURROGATE = 0xED, 0xA0  # how a lone surrogate begins in ESCAPED bytes

csv.field_size_limit(2**31 - 1)  # what is too long for a field is said by the option max_field_bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A record the csv module took: its fields and the physical lines it stands on, from `line` (0-based) on.

    `open`: the text ended inside a quote. `unended`: it ended without an end of line.
    """

    fields: list[str]
    line: int
    lines: tuple[str, ...]
    open: bool = False
    unended: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some bytes: `columns` of the plain lines, which stand on `plain`; the `odd` records; the rest.

    `rest` is a record that is not complete yet, beginning on line `passed`.
    """

    columns: list[pa.Array]
    plain: Places
    odd: list[Record]
    passed: int
    rest: bytes


class Lines:
    """The physical lines of ESCAPED bytes: an end is LF, CR LF or a CR alone."""

    def __init__(self, data: bytes, *, whole: bool) -> None:
        self.data, self.block = data, np.frombuffer(data, np.uint8)
        ends = self.block == LF
        if b"\r" in data:
            carriage = np.flatnonzero(self.block == CR)
            lone = carriage[neighbours(self.block, carriage, 1) != LF]
            ends[lone] = True
            if whole and data.endswith(b"\r"):
                ends[-1] = True
        self.ends: Places = np.flatnonzero(ends) + 1
        self.unended = whole and bool(data) and not data.endswith((b"\n", b"\r"))
        if self.unended:
            self.ends = np.append(self.ends, len(data))
        self.starts: Places = np.concatenate([np.zeros(1, np.int64), self.ends])[: len(self.ends)]
        # A line holds a record when anything but its end stands on it.
        first = self.block[self.starts] if len(self.ends) else self.block[:0]
        self.filled = (first != LF) & (first != CR)

    def __len__(self) -> int:
        return len(self.ends)

    def line(self, at: int) -> bytes:
        """One line with its end."""
        return self.data[self.starts[at] : self.ends[at]]

    def of(self, places: Places) -> Places:
        """The line each byte at `places` stands on; the number of lines for a byte behind the last end."""
        return np.searchsorted(self.ends, places, "right")

    def since(self, at: int) -> bytes:
        """What follows from the beginning of line `at`."""
        return self.data[self.starts[at] if at < len(self) else (self.ends[-1] if len(self) else 0) :]


def take(
    data: bytes, names: Sequence[str], delimiter: str, *, whole: bool, last: bool, longest: int, cut: bool = False
) -> Taken:
    """Take the records of ESCAPED `data`, which begins where a record does, or with what stands for a `cut` one.

    `last`: nothing follows, so what is open stays so. A line longer than `longest` goes through the csv module, where
    the size of its fields can be seen.
    """
    lines = Lines(data, whole=whole or last)
    odd = _odd(lines, delimiter, len(names), longest)
    odd[:1] |= cut
    for _ in range(2):
        records, stop, eaten = _through_csv(lines, odd, delimiter, last=last)
        even = lines.filled & ~odd & ~eaten
        even[stop:] = False
        try:
            columns = (
                parsed(_joined(lines, even), names, delimiter, quoted=b'"' in data, text=True) if even.any() else []
            )
        except pa.ArrowInvalid:
            columns = []
        count = int(even.sum())
        if not count or (columns and len(columns[0]) == count):
            break
        odd = np.ones(len(lines), bool)  # the csv module is right whatever the bytes are
    return Taken(columns, np.flatnonzero(even), records, stop, lines.since(stop))


def _odd(lines: Lines, delimiter: str, width: int, longest: int) -> Flags:
    """True for each line that has to go through the csv module."""
    block, count = lines.block, len(lines)
    if not delimiter.isascii():
        return np.ones(count, bool)
    odd = (lines.ends - lines.starts) > longest
    lead = np.flatnonzero(block == _LEAD)
    odd[_within(lines.of(lead[neighbours(block, lead, 1) >= _SURROGATE]), count)] = True
    marks = np.flatnonzero(block[lines.starts] == _MARK[0]) if count else lines.starts
    odd[[at for at in marks if lines.data.startswith(_MARK, lines.starts[at])]] = True
    quotes = np.flatnonzero(block == QUOTE)
    delimiters = np.flatnonzero(block == ord(delimiter))
    of_delimiter = lines.of(delimiters)
    if len(quotes):
        of_quote = lines.of(quotes)
        odd[_within(of_quote[_misplaced(lines, quotes, of_quote, ord(delimiter))], count)] = True
        earlier = np.searchsorted(quotes, delimiters) - np.searchsorted(of_quote, of_delimiter)
        of_delimiter = of_delimiter[earlier % 2 == 0]
    found = np.bincount(_within(of_delimiter, count), minlength=count)
    ragged: Flags = lines.filled & (found != width - 1)
    return odd | ragged


def _within(of: Places, count: int) -> Places:
    return of[of < count]


def _misplaced(lines: Lines, quotes: Places, of: Places, delimiter: int) -> Flags:
    """True for each quote that neither opens a field of its line, nor closes it, nor is doubled inside it."""
    rank = np.arange(len(quotes)) - np.searchsorted(of, of)
    before, after = neighbours(lines.block, quotes, -1), neighbours(lines.block, quotes, 1)
    follows = np.concatenate([[False], (quotes[1:] == quotes[:-1] + 1)]) & (rank > 0)
    precedes = np.concatenate([follows[1:], [False]])
    begins = (before == delimiter) | (before == LF) | (before == CR)
    finishes = (after == delimiter) | (after == LF) | (after == CR)
    opening = rank % 2 == 0
    right = np.where(opening, begins | follows, finishes | precedes)
    lonely = opening & np.concatenate([of[1:] != of[:-1], [True]])  # no quote closes what this one opens
    misplaced: Flags = ~right | lonely
    return misplaced


def _joined(lines: Lines, wanted: Flags) -> bytes:
    """The bytes of the wanted lines."""
    if wanted.all():
        return lines.data[: lines.ends[-1]]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    runs = zip(lines.starts[edges[0::2]].tolist(), lines.ends[edges[1::2] - 1].tolist(), strict=True)
    return b"".join(lines.data[start:end] for start, end in runs)


@dataclass(slots=True)
class Feed:
    """Gives lines from `at` on to the csv module; keeps which it gave, and says when it was asked for one too many."""

    lines: Lines
    at: int
    codec: str = ESCAPED
    dry: bool = False
    given: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        while self.at < len(self.lines):
            self.at += 1
            self.given.append(text_of(self.lines.line(self.at - 1), self.codec))
            yield self.given[-1]
        self.dry = True


def stub(rest: bytes, delimiter: str) -> bytes:
    """A few bytes after which the csv module takes what follows as it would after `rest`, an unfinished record."""
    # Quotes and a carriage return at the very end mean what comes behind them makes of them.
    body = rest.rstrip(b'"\r')
    tail = rest[len(body) :]
    feed = Feed(Lines(body, whole=True), 0)
    next(csv.reader(feed, delimiter=delimiter), None)
    start = '"' if feed.dry else f"x{delimiter}" if body.endswith(delimiter.encode()) else "x"
    return start.encode() + tail[-2 - len(tail) % 2 :]


def _through_csv(lines: Lines, odd: Flags, delimiter: str, *, last: bool) -> tuple[list[Record], int, Flags]:
    """Records that begin on odd lines, the line where they stop being complete, and the lines they took."""
    records: list[Record] = []
    eaten = np.zeros(len(lines), bool)
    done = 0
    for start in np.flatnonzero(odd).tolist():
        if start < done:
            continue
        feed = Feed(lines, start)
        reader = csv.reader(feed, delimiter=delimiter)
        # From one odd line to the next: between two records the csv module holds nothing.
        while feed.at == start or (feed.at < len(lines) and odd[feed.at]):
            line = feed.at
            fields = next(reader)
            if feed.dry and not last:
                return records, line, eaten
            if fields:
                unended = lines.unended and feed.at == len(lines)
                records.append(Record(fields, line, tuple(feed.given), open=feed.dry, unended=unended))
            feed.given.clear()
            eaten[line : feed.at] = True
            if feed.dry:
                break
        done = feed.at
    return records, len(lines), eaten
