"""How call records lie on disk: framed, checksummed and hash-chained in segment files of one process each.

A segment is `<day>-<nanoseconds>-<process>-<random>.calls`, zero-filled when made. A record is `length u32 | seq u64 |
payload | crc32 u32 | chain 32 bytes`, little-endian; the crc covers length, seq and payload, the chain is SHA-256 over
the chain before it and the same bytes. Record 0 says which segment this is, which segment of the same process it
continues, and the heads of other segments nobody had witnessed yet: a file taken away or cut short later is missed.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SUFFIX = ".calls"
_HEAD = struct.Struct("<IQ")
_TAIL = struct.Struct("<I32s")
FRAME = _HEAD.size + _TAIL.size
LARGEST = 1 << 20  # bytes of payload; a batch of 1,000 hashed keys takes 70 KiB


class Place(NamedTuple):
    """A point between two records: byte offset, number of records before it, chain value there."""

    offset: int
    records: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """One record as found, and the place behind it."""

    payload: bytes
    after: Place


def start(name: str) -> Place:
    """The beginning of the segment of that file name; the name seeds its chain."""
    return Place(0, 0, hashlib.sha256(b"shutong calls " + name.encode()).digest())


def frame(payload: bytes, at: Place) -> tuple[bytes, Place]:
    """The bytes of a record to be written at `at`, and the place behind it."""
    head = _HEAD.pack(len(payload), at.records) + payload
    chain = hashlib.sha256(at.chain + head).digest()
    return head + _TAIL.pack(zlib.crc32(head), chain), Place(at.offset + FRAME + len(payload), at.records + 1, chain)


def scan(path: Path, at: Place, *, chained: bool = True) -> Iterator[Stored]:
    """The whole records from `at` on, up to the first that is missing, torn or wrong.

    `chained` False checks the crc alone: enough for counting, half the time.
    """
    with path.open("rb") as file:
        file.seek(at.offset)
        data = memoryview(file.read())
    base = at.offset
    while (stored := _record(data, at.offset - base, at, chained=chained)) is not None:
        yield stored
        at = stored.after


def grows(path: Path, at: Place) -> bool:
    """Whether anything was written behind that place, without reading the file: its unused rest is zero."""
    with path.open("rb") as file:
        file.seek(at.offset)
        return any(file.read(_HEAD.size))


def beyond(path: Path, at: Place) -> str | None:
    """What stands behind the last good record: None (zeros), `torn`, or `damaged` when it was whole once."""
    rest = path.read_bytes()[at.offset :]
    if not rest.strip(b"\0"):
        return None
    for number in range(at.records + 1, at.records + 4):
        sought, place = struct.pack("<Q", number), 0
        while (place := rest.find(sought, place)) >= 0:
            if place >= 4 and _record(memoryview(rest), place - 4, Place(0, number, b""), chained=False):  # noqa: PLR2004 the length before it
                return "damaged"
            place += 1
    return "damaged" if _whole(rest.rstrip(b"\0")) else "torn"


def replay(name: str, kept: Iterable[tuple[bytes, bytes]]) -> Iterator[Stored]:
    """The records of a segment from their payloads and chain values, up to the first that is not as it was."""
    at = start(name)
    for payload, chain in kept:
        _, at = frame(payload, at)
        if at.chain != chain:
            return
        yield Stored(payload, at)


def heads(folder: Path) -> Mapping[str, Place]:
    """For every segment, the furthest place that some later segment has witnessed."""
    firsts = (next(scan(path, start(path.name)), None) for path in sorted(folder.glob("*" + SUFFIX)))
    return witnessed(first.payload for first in firsts if first is not None)


def witnessed(headers: Iterable[bytes]) -> Mapping[str, Place]:
    """The same from the payloads of segments' first records."""
    known: dict[str, Place] = {}
    for told in headers:
        for name, (offset, records, chain) in orjson.loads(told).get("witness", {}).items():
            if name not in known or known[name].records < records:
                known[name] = Place(offset, records, bytes.fromhex(chain))
    return known


def unwitnessed(folder: Path) -> Mapping[str, Place]:
    """The segments that hold more than was witnessed so far, with their present heads: what a new header must name."""
    known, news = heads(folder), {}
    for path in sorted(folder.glob("*" + SUFFIX)):
        at = before = known.get(path.name, start(path.name))
        for stored in scan(path, at):
            at = stored.after
        if at != before:
            news[path.name] = at
    return news


def header(name: str, previous: tuple[str, Place] | None, witness: Mapping[str, Place]) -> bytes:
    """The payload of record 0."""
    seen = dict(witness) | ({previous[0]: previous[1]} if previous else {})
    told = {
        "segment": name,
        "version": 1,
        "previous": previous[0] if previous else None,
        "witness": {one: [at.offset, at.records, at.chain.hex()] for one, at in seen.items()},
    }
    return orjson.dumps(told)


def _whole(rest: bytes) -> bool:
    """Whether these bytes were once a finished record: a torn one ends early or has unwritten (zero) stretches."""
    if len(rest) < _HEAD.size or b"\0" * 8 in rest[_HEAD.size :]:
        return False
    # The chain may end in zero bytes, which cannot be told from the unwritten rest of the file: allow for three.
    expected = FRAME + _HEAD.unpack_from(rest)[0]
    return expected - 3 <= len(rest) <= expected or b"}" in rest[-_TAIL.size - 1 :][:4]


def _record(data: memoryview, offset: int, at: Place, *, chained: bool) -> Stored | None:
    if offset + FRAME > len(data):
        return None
    length, number = _HEAD.unpack_from(data, offset)
    end = offset + _HEAD.size + length
    if length == 0 or length > LARGEST or number != at.records or end + _TAIL.size > len(data):
        return None
    head = data[offset:end]
    crc, chain = _TAIL.unpack_from(data, end)
    if zlib.crc32(head) != crc or (chained and hashlib.sha256(at.chain + head).digest() != chain):
        return None
    return Stored(bytes(head[_HEAD.size :]), Place(at.offset + FRAME + length, at.records + 1, chain))
