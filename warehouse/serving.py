"""Look records up by key: a library's published generation, an immutable LMDB file; readers follow a switch."""

from __future__ import annotations

import hashlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import lmdb
import orjson
import zstandard

from schemas.values import Json
from warehouse.errors import WarehouseError

CURRENT = "CURRENT"  # file that names the generation in force; replaced by rename only
SUFFIX = ".lmdb"
RECORDS, ABOUT, INDEX = b"records", b"about", "index:"  # databases inside a generation
LONGEST_KEY = 480  # bytes; LMDB takes 511, longer values are indexed by their digest
MAX_DATABASES = 32


class NotPublishedError(WarehouseError):
    """The library has no serving generation yet; the same call works once it has been published."""

    retryable: ClassVar[bool] = True

    def __init__(self, library: str) -> None:
        super().__init__(
            "WH-NOT-PUBLISHED",
            zh=f"基础库 {library} 尚未发布，暂不能按键查询",
            en=f"library {library} is not published yet, so it cannot be looked up",
            fix_zh="先接入并归并该库的资源，再执行发布：shutong library publish " + library,
            fix_en="Ingest and merge its resources, then publish it: shutong library publish " + library,
        )


class NotIndexedError(WarehouseError):
    """A look-up by a field for which the generation has no secondary key."""

    def __init__(self, library: str, name: str, known: Iterable[str]) -> None:
        listed = ", ".join(known) or "-"
        super().__init__(
            "WH-NOT-INDEXED",
            zh=f"基础库 {library} 不能按 {name} 查询",
            en=f"library {library} cannot be looked up by {name}",
            fix_zh=f"可用的查询字段：{listed}",
            fix_en=f"Fields it can be looked up by: {listed}",
        )


class TornGenerationError(WarehouseError):
    """The generation that CURRENT names is missing or cannot be read."""

    def __init__(self, library: str, generation: int, why: str) -> None:
        super().__init__(
            "WH-TORN-GENERATION",
            zh=f"基础库 {library} 的发布文件 {generation} 无法读取（{why}）",
            en=f"the published file {generation} of library {library} cannot be read ({why})",
            fix_zh=f"重新发布：shutong library publish {library}",
            fix_en=f"Publish it again: shutong library publish {library}",
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """What a serving generation holds.

    `fields` are the names of a record's values in order; `indexed` those `find` takes; `snapshot` identifies the
    released base table it was built from; `digest` is the SHA-256 over keys and records; `freshness` says for each
    contributing department when its newest record landed (ISO 8601); `published_at` is ISO 8601, Asia/Shanghai.
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


class _Opened:
    """One open generation; LMDB closes it when the last reader lets go of it."""

    def __init__(self, path: Path) -> None:
        # No lock file: the file never changes, so there is no writer to keep clear of.
        self.env = lmdb.open(str(path), subdir=False, readonly=True, lock=False, create=False, max_dbs=MAX_DATABASES)
        self.records = self.env.open_db(RECORDS, create=False)
        about = self.env.open_db(ABOUT, create=False)
        with self.env.begin(db=about) as read:
            told, trained = read.get(b"generation") or b"{}", read.get(b"dictionary")
        self.info = generation_from(told)
        self.indexes = {
            name: self.env.open_db((INDEX + name).encode(), create=False, dupsort=True) for name in self.info.indexed
        }
        self.dictionary = zstandard.ZstdCompressionDict(trained) if trained else None
        self._idle: deque[zstandard.ZstdDecompressor] = deque(maxlen=64)

    def record(self, read: Any, key: bytes) -> dict[str, Json] | None:  # noqa: ANN401 (an LMDB transaction)
        packed = read.get(key, db=self.records)
        return None if packed is None else self.unpack(packed)

    def unpack(self, packed: bytes) -> dict[str, Json]:
        # A decompressor serves one thread at a time, and it lets go of the interpreter lock while it works.
        try:
            zstd = self._idle.pop()
        except IndexError:
            zstd = zstandard.ZstdDecompressor(dict_data=self.dictionary)
        values = orjson.loads(zstd.decompress(packed))
        self._idle.append(zstd)
        return dict(zip(self.info.fields, values, strict=True))


_opened: weakref.WeakValueDictionary[tuple[str, int, int], _Opened] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def open_once(path: Path) -> _Opened:
    """The open generation of that file; LMDB must not open one file twice in a process."""
    with _opening:
        seen = path.stat()
        name = (str(path.resolve()), seen.st_dev, seen.st_ino)
        held = _opened.get(name)
        if held is None:
            held = _opened[name] = _Opened(path)
        return held


class ServingStore:
    """Keyed look-ups in one library, safe for many threads.

    It follows the published generation: CURRENT is read again at most every `check_every` seconds. Each call is
    answered from one generation, whole. Raises NotPublishedError while nothing is published.
    """

    def __init__(self, folder: Path, library: str, check_every: float = 0.2) -> None:
        self.folder, self.library, self.check_every = Path(folder) / library, library, check_every
        self._held: _Opened | None = None
        self._number = 0
        self._next_check = 0.0
        self._switching = threading.Lock()

    def get(self, key: str) -> Mapping[str, Json] | None:
        """The record with that key, or None. Dates are ISO text, decimals exact text, identifiers text."""
        held = self._current()
        name = index_key(key)
        if not name:
            return None
        with held.env.begin(buffers=True) as read:
            return held.record(read, name)

    def get_many(self, keys: Iterable[str]) -> dict[str, Mapping[str, Json]]:
        """The records found, by key, all from one generation; keys that are not there are left out."""
        held = self._current()
        found: dict[str, Mapping[str, Json]] = {}
        with held.env.begin(buffers=True) as read:
            for key in keys:
                record = held.record(read, index_key(key)) if key else None
                if record is not None:
                    found[key] = record
        return found

    def find(self, name: str, value: str, limit: int = 20) -> list[Mapping[str, Json]]:
        """Up to `limit` records whose field `name` is exactly `value`, in the order of their keys."""
        held = self._current()
        if name == held.info.key:
            record = self.get(value)
            return [] if record is None else [record][:limit]
        if name not in held.indexes:
            raise NotIndexedError(self.library, name, (held.info.key, *held.info.indexed))
        records: list[Mapping[str, Json]] = []
        with held.env.begin(buffers=True) as read, read.cursor(db=held.indexes[name]) as cursor:
            if not value or limit < 1 or not cursor.set_key(index_key(value)):
                return records
            for key in cursor.iternext_dup():
                record = held.record(read, bytes(key))
                if record is not None:
                    records.append(record)
                if len(records) >= limit:
                    break
        return records

    def info(self) -> Generation:
        """What the generation in force holds and how fresh it is."""
        return self._current().info

    def refresh(self) -> Generation:
        """Look at CURRENT now instead of when the next check is due."""
        self._next_check = 0.0
        return self._current().info

    def _current(self) -> _Opened:
        held = self._held
        if held is not None and time.monotonic() < self._next_check:
            return held
        with self._switching:
            if self._held is None or time.monotonic() >= self._next_check:
                self._follow()
                self._next_check = time.monotonic() + self.check_every
            return cast("_Opened", self._held)

    def _follow(self) -> None:
        named = 0
        for _ in range(20):  # a publisher may replace CURRENT and drop the old file between our two steps
            before, named = named, current(self.folder)
            if not named:
                raise NotPublishedError(self.library)
            if self._held is not None and named == self._number:
                return
            try:
                self._held, self._number = open_once(generation_file(self.folder, named)), named
            except FileNotFoundError:
                time.sleep(0.01 if before == named else 0)
            except lmdb.Error as error:
                raise TornGenerationError(self.library, named, type(error).__name__) from error
            else:
                return
        raise TornGenerationError(self.library, named, "missing")


def current(folder: Path) -> int:
    """The number of the generation that a library's folder names as the one in force; 0 when none ever was."""
    try:
        return int((folder / CURRENT).read_text("ascii"))
    except FileNotFoundError:
        return 0


def generation_file(folder: Path, number: int) -> Path:
    """Where a library's folder keeps the generation of that number."""
    return folder / f"{number:09d}{SUFFIX}"


def index_key(text: str) -> bytes:
    """What stands for a value in an LMDB key: its UTF-8, or its digest where that would be too long."""
    key = text.encode("utf-8", "surrogatepass")
    return key if len(key) <= LONGEST_KEY else b"sha256:" + hashlib.sha256(key).hexdigest().encode()


def generation_from(told: bytes) -> Generation:
    """The Generation that a serving file tells about itself."""
    values = orjson.loads(told)
    return Generation(**{**values, "fields": tuple(values["fields"]), "indexed": tuple(values["indexed"])})
