"""Remember every file ever taken, for years of daily files, in a position of a few bytes each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from schemas.values import Json, Position

KEY = "taken"  # the one entry of the position; positions of version 0.1 had an entry per file
RECENT = 1_000  # files remembered in full; older ones are folded, this many at a time
_VERSION = 1
_LOW = np.uint64(0xFFFFFFFF)

_Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is remembered of a file taken lately."""

    sha256: str
    size: int
    mtime_ns: int


class Memory:
    """The files taken from one place: the latest content of each name.

    Files taken lately are kept in full, for people and audits. Older ones are twelve bytes: 32 bits each of a hash of
    the name, of name and content, and of name, size and time. That a replaced old file is mistaken for the one taken
    before has a chance of one in four thousand million, and costs nothing to a file of a new name.
    """

    def __init__(self, position: Position | None) -> None:
        cursor = position.cursor if position else {}
        said = cursor.get(KEY)
        self._recent: dict[str, Facts] = {}
        self._old, self._times = np.empty(0, np.uint64), np.empty(0, np.uint32)
        if isinstance(said, dict) and said.get("version") == _VERSION:
            files = cast("Mapping[str, Mapping[str, Json]]", said["files"])
            self._old = np.frombuffer(base64.b64decode(str(said["older"])), "<u8")
            self._times = np.frombuffer(base64.b64decode(str(said["times"])), "<u4")
        else:
            whole = {name: facts for name, facts in cursor.items() if isinstance(facts, dict) and "sha256" in facts}
            files = cast("Mapping[str, Mapping[str, Json]]", whole)
        for name, facts in files.items():
            self._recent[name] = Facts(
                str(facts["sha256"]), int(cast("int", facts["size"])), int(cast("int", facts["mtime_ns"]))
            )
        self._encode()

    def __len__(self) -> int:
        """How many files are remembered."""
        return len(self._recent) + len(self._old)

    def unchanged(self, name: str, size: int, mtime_ns: int) -> bool:
        """True when the file called `name` was taken and has had this size and time since."""
        known = self._recent.get(name)
        if known is not None:
            return (known.size, known.mtime_ns) == (size, mtime_ns)
        return bool((self._times[self._span(name)] == _hash32(f"{name}\0{size}\0{mtime_ns}")).any())

    def met(self, name: str) -> bool:
        """True when a file of this name was taken, and hardly ever otherwise."""
        return name in self._recent or self._old[self._span(name)].size > 0

    def took(self, name: str, sha256: str) -> bool:
        """True when this content is the latest taken under this name."""
        known = self._recent.get(name)
        if known is not None:
            return known.sha256 == sha256
        return bool(((self._old[self._span(name)] & _LOW) == _hash32(f"{name}\0{sha256}")).any())

    def remember(self, name: str, facts: Facts) -> None:
        """The file called `name` was taken with this content."""
        self._recent.pop(name, None)
        self._recent[name] = facts
        span = self._span(name)
        if self._old[span].size:
            self._old, self._times = np.delete(self._old, span), np.delete(self._times, span)
            self._encode()
        if len(self._recent) >= 2 * RECENT:
            self._fold()

    def position(self) -> Position:
        """What to remember once the files are durable."""
        files: dict[str, Json] = {
            name: {"sha256": facts.sha256, "size": facts.size, "mtime_ns": facts.mtime_ns}
            for name, facts in self._recent.items()
        }
        return Position({KEY: {"version": _VERSION, "files": files, "older": self._b64[0], "times": self._b64[1]}})

    def _span(self, name: str) -> slice:
        """Where the old files stand whose name hashes like this one's."""
        high = np.uint64(_hash32(name)) << np.uint64(32)
        return slice(int(np.searchsorted(self._old, high)), int(np.searchsorted(self._old, high | _LOW, side="right")))

    def _fold(self) -> None:
        """Keep only the hashes of the files taken longest ago."""
        oldest = list(self._recent)[:RECENT]
        folded = [(name, self._recent.pop(name)) for name in oldest]
        words = [_hash32(name) << 32 | _hash32(f"{name}\0{facts.sha256}") for name, facts in folded]
        times = [_hash32(f"{name}\0{facts.size}\0{facts.mtime_ns}") for name, facts in folded]
        old: _Words = np.concatenate([self._old, np.array(words, np.uint64)])
        order = np.argsort(old, kind="stable")
        self._old, self._times = old[order], np.concatenate([self._times, np.array(times, np.uint32)])[order]
        self._encode()

    def _encode(self) -> None:
        old, times = self._old.astype("<u8").tobytes(), self._times.astype("<u4").tobytes()
        self._b64 = base64.b64encode(old).decode(), base64.b64encode(times).decode()


def _hash32(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")
