"""One file of a serving store: a sealed LMDB file that never changes, opened once in a process and read by many."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import lmdb
import orjson
import zstandard

from schemas.values import Json

CURRENT = "CURRENT"  # file that names the generation in force; replaced by rename only
SUFFIX, SEAL = ".lmdb", ".seal"
RECORDS, ABOUT, INDEX = b"records", b"about", "index:"  # databases inside a file
BESIDE = b"\n"  # between a record's values and those to be read when asked for; JSON has it only as an escape
GONE = b""  # what a file of changes holds in the place of a record that went
LONGEST_KEY = 240  # bytes; LMDB takes 511, a value and a key of a secondary key among them
BEGINNING = 40  # characters of a longer value, which its digest follows
MAX_DATABASES = 64
CLOSED_WITHIN = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Generation:
    """What a serving generation holds.

    `fields` are the names of a record's values in order; `indexed` those that records can be found by; `snapshot` says
    which released snapshot, in which shape, it holds; `read` names the snapshots of the tables it was read from;
    `digest` sums up the records, the same for the same records in whatever way they came; `freshness` says for each
    contributing department when its newest record landed (ISO 8601); `published_at` is ISO 8601, Asia/Shanghai. `base`
    is the generation whose file holds all records but `changed` of them, which are in this one's; 0 where one file
    holds everything. `beside` are the fields whose values stand behind those of the others, to be read when asked for.
    """

    id: int
    library: str
    key: str
    rows: int
    fields: tuple[str, ...]
    indexed: tuple[str, ...]
    published_at: str
    release: int
    snapshot: str
    digest: str
    freshness: Mapping[str, str] = field(default_factory=dict)
    read: Mapping[str, int] = field(default_factory=dict)
    base: int = 0
    changed: int = 0
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seal:
    """What a file was when it was made: its bytes, their SHA-256, and the file of the generation it builds on."""

    size: int
    sha256: str
    base: int = 0


class DamagedFileError(Exception):
    """A file is not what was sealed; `args[0]` says why."""


Record = Mapping[str, Json]  # by field, in the order of the fields


class LateRecord(Record):
    """A record some of whose values are read late; it shares the names of its fields with all of its file.

    The first `first` of its values are read at once, those beside them when one is asked for. Raises ValueError.
    """

    __slots__ = ("_beside", "_places", "_values")

    def __init__(self, places: Mapping[str, int], first: int, text: bytes) -> None:
        told, _, self._beside = text.partition(BESIDE)
        self._places = places
        self._values: list[Json] = orjson.loads(told)
        if len(self._values) != first:
            raise ValueError(len(self._values))

    def __getitem__(self, name: str) -> Json:
        """The field's value."""
        values = self._values
        try:
            return values[self._places[name]]
        except IndexError:  # one of those beside
            beside: list[Json] = orjson.loads(self._beside)
            self._values = values + beside
            return self._values[self._places[name]]

    def get(self, name: str, default: Json = None) -> Json:  # type: ignore[override]  # Mapping's own costs twice this
        """The field's value, or `default` where there is no such field."""
        place = self._places.get(name)
        if place is None:
            return default
        values = self._values
        return values[place] if place < len(values) else self[name]

    def __iter__(self) -> Iterator[str]:
        """The fields."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many fields."""
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        """Whether there is a field of that name."""
        return name in self._places

    def __repr__(self) -> str:
        """As a dict is shown."""
        return repr(dict(self))


def record_of(places: Mapping[str, int], first: int, text: bytes) -> Record:
    """The record of a text whose first values are read at once. Raises ValueError."""
    if first == len(places):
        return dict(zip(places, orjson.loads(text), strict=True))
    return LateRecord(places, first, text)


class OpenFile:
    """One open file; LMDB closes it when the last reader lets go of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path.resolve(), path.stat().st_size
        sealed = seal_of(path)
        if sealed is not None and sealed.size != self.size:
            raise DamagedFileError("size")  # LMDB would read beyond its end, which kills the process
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        # No lock file: the file never changes, so there is no writer to keep clear of.
        self.env = lmdb.open(str(path), subdir=False, readonly=True, lock=False, create=False, max_dbs=MAX_DATABASES)
        self.records = self.env.open_db(RECORDS, create=False)
        about = self.env.open_db(ABOUT, create=False)
        with self.env.begin(db=about) as read:
            told, self.trained = read.get(b"generation") or b"{}", read.get(b"dictionary")
        try:
            self.info = generation_from(told)
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedFileError("about") from error
        self.indexes = {name: self.env.open_db((INDEX + name).encode(), create=False) for name in self.info.indexed}
        self.dictionary = zstandard.ZstdCompressionDict(self.trained) if self.trained else None
        first = [one for one in self.info.fields if one not in self.info.beside]
        places = {name: place for place, name in enumerate((*first, *self.info.beside))}
        self.places, self.first = {name: places[name] for name in self.info.fields}, len(first)
        self._idle: deque[zstandard.ZstdDecompressor] = deque(maxlen=64)

    def unpack(self, packed: bytes) -> Record:
        """A record by field."""
        zstd = self._decompressor()
        text = zstd.decompress(packed)
        self._idle.append(zstd)
        return record_of(self.places, self.first, text)

    def texts(self, packed: Sequence[bytes]) -> Iterable[zstandard.BufferSegment]:
        """The texts of many records, each where it was, by one call."""
        if not packed:
            return ()
        zstd = self._decompressor()
        texts = zstd.multi_decompress_to_buffer(packed)  # type: ignore[arg-type]
        self._idle.append(zstd)
        return cast("Iterable[zstandard.BufferSegment]", texts)

    def _decompressor(self) -> zstandard.ZstdDecompressor:
        # A decompressor serves one thread at a time, and it lets go of the interpreter lock while it works.
        try:
            return self._idle.pop()
        except IndexError:
            return zstandard.ZstdDecompressor(dict_data=self.dictionary)

    def begin(self) -> Any:  # noqa: ANN401 (an LMDB transaction)
        """A transaction for reading records. Raises DamagedFileError where somebody cut the file: it is mapped."""
        if os.lseek(self._file, 0, os.SEEK_END) != self.size:  # a fifth of a microsecond
            raise DamagedFileError("size")
        return self.env.begin(db=self.records)


_opened: weakref.WeakValueDictionary[tuple[str, int, int], OpenFile] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def open_once(path: Path) -> OpenFile:
    """The open file; LMDB must not open one file twice in a process. Raises OSError, lmdb.Error, DamagedFileError."""
    with _opening:
        seen = path.stat()
        name = (str(path.resolve()), seen.st_dev, seen.st_ino)
        held = _opened.get(name)
        if held is None:
            held = _opened[name] = _opened_anew(path)
        if held.size != seen.st_size:
            raise DamagedFileError("size")
        return held


def _opened_anew(path: Path) -> OpenFile:
    # The last reader in another thread may have let go of it while LMDB has not closed it yet.
    until = time.monotonic() + CLOSED_WITHIN
    while True:
        try:
            return OpenFile(path)
        except lmdb.Error as error:
            if "already open" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.0005)


def current(folder: Path) -> int:
    """The number of the generation that a library's folder names as the one in force; 0 when none ever was."""
    try:
        return int((folder / CURRENT).read_text("ascii"))
    except (FileNotFoundError, ValueError):  # a name nobody can read names nothing
        return 0


def generation_file(folder: Path, number: int) -> Path:
    """Where a library's folder keeps the file of the generation of that number."""
    return folder / f"{number:09d}{SUFFIX}"


def seal_of(path: Path) -> Seal | None:
    """What the file was when it was made; None for one made before files were sealed. Raises DamagedFileError."""
    try:
        return Seal(**orjson.loads(path.with_suffix(SEAL).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DamagedFileError("seal") from error


def seal(made: Path, target: Path, base: int = 0) -> None:
    """Give a finished file its place, durable and with its seal beside it; it is there whole or not at all."""
    with made.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    told = made.with_suffix(SEAL)
    told.write_bytes(orjson.dumps(Seal(made.stat().st_size, digest, base)))
    for one in (made, told):
        sync(one)
    told.replace(target.with_suffix(SEAL))
    made.replace(target)
    sync(target.parent)


def damage(path: Path) -> str | None:
    """Why a file is not what was sealed; None when every byte is. It reads the whole file."""
    try:
        sealed = seal_of(path)
        if sealed is None:
            return "seal"
        if path.stat().st_size != sealed.size:
            return "size"
        with path.open("rb") as stream:
            return None if hashlib.file_digest(stream, "sha256").hexdigest() == sealed.sha256 else "sha256"
    except FileNotFoundError:
        return "missing"
    except DamagedFileError as error:
        return str(error)


def index_key(text: str) -> bytes:
    """What stands for a value in an LMDB key: its UTF-8, or its beginning and its digest where it would be too long."""
    if len(text) <= LONGEST_KEY and text.isascii() and "\0" not in text:
        return text.encode()
    key = text.encode("utf-8", "surrogatepass")
    if len(key) <= LONGEST_KEY and b"\0" not in key:
        return key
    return shortened(text) + b"\1" + hashlib.sha256(key).hexdigest().encode()


def index_keys(texts: Sequence[str]) -> list[bytes]:
    """The same for many."""
    whole = "".join(texts)
    if whole.isascii() and "\0" not in whole and max(map(len, texts), default=0) <= LONGEST_KEY:
        return list(map(str.encode, texts))
    return list(map(index_key, texts))


def shortened(text: str) -> bytes:
    """The beginning that the LMDB key of every text with that beginning has."""
    return text[:BEGINNING].replace("\0", "").encode("utf-8", "surrogatepass")


def generation_from(told: bytes) -> Generation:
    """The Generation that a serving file tells about itself."""
    values = orjson.loads(told)
    listed = {name: tuple(values.get(name, ())) for name in ("fields", "indexed", "beside")}
    return Generation(**{**values, **listed})


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
