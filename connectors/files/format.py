"""The seam between a dropped file and how its records are written: bytes in, batches of text columns out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from connectors.errors import changed
from schemas.values import Batch, Check

HEAD = 1 << 20  # bytes of a file's beginning that `checks` is shown, at most
MAX_FIELD_BYTES = 64 << 20  # where `max_field_bytes` is not written


class Format(Protocol):
    """One way records are written in a file.

    A module of a format has OPTIONS, the names of its options in a resource file, and `open_format(Options) -> Format`.
    """

    patterns: tuple[str, ...]  # globs of the files meant when a resource names none

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one file, at most `size` (> 0) in a batch, `_row` from 1; at least one batch, be it empty.

        `file` is read forwards only and to its end, by one thread at a time. `name` stands in errors and rejects.
        Batches carry no position. SourceError when nothing of the file can be used; a record that cannot be taken
        apart is a reject.
        """
        ...

    def checks(self, head: bytes) -> list[Check]:
        """What the first bytes of a file (HEAD at most, unpacked) show: the encoding and why; empty: nothing to say."""
        ...


def expect(columns: Sequence[str], found: Sequence[str], where: str) -> None:
    """Refuse a file without one of the `columns` its resource relies on (SRC-CHANGED); an empty file may lack all."""
    lost = [name for name in columns if name not in found]
    if lost and found:
        raise changed(("列", "column"), where, lost, found)
