"""Take each content of a dropped file once: plan what is new, and let nothing count that changed while it was read."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from connectors.files.place import Found, changing, gone, unreadable
from connectors.files.selection import Selection
from connectors.files.taken_memory import Facts, Memory
from connectors.files.taken_seal import compare, read_seal
from schemas.values import Batch, Json, Position, Split

_BLOCK = 1 << 20
UNSURE = -1  # remembered in place of a time so recent that a change in the same moment would not show
# Seconds within which a change may leave the time as it is: clocks that differ, and places that keep whole seconds.
_WHOLE_SECONDS, _FINER = 60.0, 2.0
_log = logging.getLogger(__name__)


class HashedFile(io.RawIOBase):
    """A file read once from its beginning, hashed as its bytes pass; `where` names it in errors."""

    def __init__(self, raw: io.RawIOBase, where: str, *, md5: bool = False) -> None:
        self.raw, self.where, self.passed = raw, where, 0
        self._sha = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer protocol
        """Read into `buffer` and hash what was read."""
        try:
            count = self.raw.readinto(buffer) or 0
        except OSError as error:
            raise unreadable(self.where, error) from error
        passing = memoryview(buffer)[:count]
        self._sha.update(passing)
        if self._md5 is not None:
            self._md5.update(passing)
        self.passed += count
        return count

    def drain(self) -> None:
        """Read what is left."""
        block = bytearray(_BLOCK)
        while self.readinto(block):
            pass

    def digests(self) -> dict[str, str]:
        """The SHA-256, and the MD5 if it was asked for, of what has passed."""
        return {"sha256": self._sha.hexdigest(), **({"md5": self._md5.hexdigest()} if self._md5 else {})}

    def close(self) -> None:
        """Close the file beneath."""
        self.raw.close()
        super().close()


@dataclass(frozen=True, slots=True)
class Taking:
    """A planned file being read: as it was found, open, and what its control file says."""

    found: Found
    file: HashedFile
    said: Mapping[str, str]
    replaced: bool


class TakenFiles:
    """The files of one selection, each taken once per content.

    The splits of a plan are read one after another: a position says everything taken up to it. Known is the latest
    content of each name, so a file that goes back to what it was before the last is taken again.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.memory = Memory(None)
        self.left_out = (
            False  # whether members of the zip being read were taken before: its rows are more than come now
        )

    def plan(self, position: Position | None) -> list[Split]:
        """One split for each file that is new or has changed, by name. A file of a new name is not read for this."""
        self.memory = Memory(position)
        look = self.selection.look()
        for name, (_, why) in look.wait.items():
            _log.info("%s waits: %s", self.selection.place.path(name), why)
        return [split for split in map(self._split, look.ready) if split is not None]

    def _split(self, found: Found) -> Split | None:
        if self.memory.unchanged(found.name, found.size, found.mtime_ns):
            return None
        replaced = self.memory.met(found.name)
        if replaced:
            facts = Facts(self._sha256(found), found.size, found.mtime_ns)
            if self.memory.took(found.name, facts.sha256):
                self.memory.remember(found.name, facts)
                return None
        mark = hashlib.sha256(f"{found.size}\0{found.mtime_ns}".encode()).hexdigest()[:12]
        options: dict[str, Json] = {
            "file": found.name,
            "size": found.size,
            "mtime_ns": found.mtime_ns,
            "replaced": replaced,
        }
        return Split(f"{found.name}@{mark}", options)

    def _sha256(self, found: Found) -> str:
        with closing(self.file(found.name)) as file:
            file.drain()
            return file.digests()["sha256"]

    def file(self, name: str, *, md5: bool = False) -> HashedFile:
        """The file called `name`, open."""
        place = self.selection.place
        return HashedFile(place.open(name), place.path(name), md5=md5)

    def take(self, split: Split) -> Taking:
        """Open a planned file: SRC-FILE-CHANGING unless it is as planned, SRC-FILE-MANIFEST if not of the size said."""
        name, place = str(split.options["file"]), self.selection.place
        found = self._as_planned(split)
        said = read_seal(place, name, self.selection.seal)
        compare(place.path(name), said, {"bytes": found.size})
        return Taking(found, self.file(name, md5="md5" in said), said, bool(split.options.get("replaced")))

    def _as_planned(self, split: Split) -> Found:
        name, place = str(split.options["file"]), self.selection.place
        found = place.stat(name)
        if found is None:
            raise gone(place.path(name))
        if (found.size, found.mtime_ns) != (split.options["size"], split.options["mtime_ns"]):
            raise changing(place.path(name))
        return found

    def finished(self, batches: Iterator[Batch], taking: Taking, split: Split) -> Iterator[Batch]:
        """The same batches; the last one carries the position, if the file still is what was planned and was said.

        The batches have read the file to its end.
        """
        rows = 0
        held: Batch | None = None
        for batch in batches:
            if held is not None:
                yield held
            held = batch
            rows += batch.rows.num_rows
        name, digests = taking.found.name, taking.file.digests()
        self._as_planned(split)
        if taking.file.passed != taking.found.size:
            raise changing(taking.file.where)
        compare(taking.file.where, taking.said, digests if self.left_out else {**digests, "rows": rows})
        mtime_ns = taking.found.mtime_ns if _settled(taking.found) else UNSURE
        self.memory.remember(name, Facts(digests["sha256"], taking.found.size, mtime_ns))
        if taking.replaced:
            _log.info("%s was replaced by the department and is taken again: %d records", taking.file.where, rows)
        if held is not None:
            yield replace(held, position=self.memory.position())


def _settled(found: Found) -> bool:
    """True when a change from now on must show in the file's time."""
    whole_seconds = found.mtime_ns % 1_000_000_000 == 0
    return abs(time.time() - found.mtime_ns / 1e9) > (_WHOLE_SECONDS if whole_seconds else _FINER)
