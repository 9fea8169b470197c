"""Remember every file ever taken, for years of daily files, in a position of sixteen bytes each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from schemas.values import Json, Position

KEY = "taken"  # the one entry of the position; positions of version 0.1 had an entry per file
RECENT = 1_000  # files remembered in full; older ones are folded, this many at a time
_VERSION = 1
_LOW = 0xFFFFFFFF
_WHOLE, _HALF = 8, 4  # bytes of a hash


@dataclass(frozen=True, slots=True)
class Facts:
    """What is remembered of a file taken lately."""

    sha256: str
    size: int
    mtime_ns: int


class Memory:
    """The files taken from one place: the latest content of each name.

    Files taken lately are kept in full, for people and audits. Older ones are sixteen bytes: a hash of 64 bits of the
    name, and 32 bits each of a hash of name and content and of name, size and time. That a replaced old file is
    mistaken for the one taken before has a chance of one in four thousand million; files of new names are safe.
    """

    def __init__(self, position: Position | None) -> None:
        cursor = position.cursor if position else {}
        said = cursor.get(KEY)
        self._recent: dict[str, Facts] = {}
        self._old: dict[int, int] = {}  # hash of the name → hashes of content and time
        if isinstance(said, dict) and said.get("version") == _VERSION:
            files = cast("Mapping[str, Mapping[str, Json]]", said["files"])
            self._old = dict(zip(_words(str(said["names"])), _words(str(said["marks"])), strict=True))
        else:
            whole = {name: facts for name, facts in cursor.items() if isinstance(facts, dict) and "sha256" in facts}
            files = cast("Mapping[str, Mapping[str, Json]]", whole)
        for name, facts in files.items():
            self._recent[name] = Facts(
                str(facts["sha256"]), int(cast("int", facts["size"])), int(cast("int", facts["mtime_ns"]))
            )
        self._encoded: tuple[str, str] | None = None

    def __len__(self) -> int:
        """How many files are remembered."""
        return len(self._recent) + len(self._old)

    def unchanged(self, name: str, size: int, mtime_ns: int) -> bool:
        """True when the file called `name` was taken and has had this size and time since."""
        known = self._recent.get(name)
        if known is not None:
            return (known.size, known.mtime_ns) == (size, mtime_ns)
        mark = self._old.get(_hash(name, _WHOLE))
        return mark is not None and mark & _LOW == _hash(f"{name}\0{size}\0{mtime_ns}", _HALF)

    def met(self, name: str) -> bool:
        """True when a file of this name was taken."""
        return name in self._recent or _hash(name, _WHOLE) in self._old

    def took(self, name: str, sha256: str) -> bool:
        """True when this content is the latest taken under this name."""
        known = self._recent.get(name)
        if known is not None:
            return known.sha256 == sha256
        mark = self._old.get(_hash(name, _WHOLE))
        return mark is not None and mark >> 32 == _hash(f"{name}\0{sha256}", _HALF)

    def remember(self, name: str, facts: Facts) -> None:
        """The file called `name` was taken with this content."""
        self._recent.pop(name, None)
        self._recent[name] = facts
        if self._old.pop(_hash(name, _WHOLE), None) is not None:
            self._encoded = None
        if len(self._recent) >= 2 * RECENT:
            self._fold()

    def position(self) -> Position:
        """What to remember once the files are durable."""
        files: dict[str, Json] = {
            name: {"sha256": facts.sha256, "size": facts.size, "mtime_ns": facts.mtime_ns}
            for name, facts in self._recent.items()
        }
        if self._encoded is None:
            self._encoded = _text(self._old.keys()), _text(self._old.values())
        names, marks = self._encoded
        return Position({KEY: {"version": _VERSION, "files": files, "names": names, "marks": marks}})

    def _fold(self) -> None:
        """Keep only the hashes of the files taken longest ago."""
        for name in list(self._recent)[:RECENT]:
            facts = self._recent.pop(name)
            content, time = f"{name}\0{facts.sha256}", f"{name}\0{facts.size}\0{facts.mtime_ns}"
            self._old[_hash(name, _WHOLE)] = _hash(content, _HALF) << 32 | _hash(time, _HALF)
        self._encoded = None


def _words(text: str) -> list[int]:
    return cast("list[int]", np.frombuffer(base64.b64decode(text), "<u8").tolist())


def _text(words: Collection[int]) -> str:
    return base64.b64encode(np.fromiter(words, "<u8", len(words)).tobytes()).decode()


def _hash(text: str, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest(), "little")
