"""The seam between a dropped file and how its records are written: bytes in, batches of text columns out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from schemas.values import Batch


class Format(Protocol):
    """One way records are written in a file."""

    patterns: tuple[str, ...]  # globs of the files meant when a resource names none

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one file, at most `size` (> 0) in a batch, `_row` from 1; at least one batch, be it empty.

        `file` is read forwards only and to its end. `name` stands in errors and rejects. Batches carry no position.
        SourceError when nothing of the file can be used; a record that cannot be taken apart is a reject.
        """
        ...
