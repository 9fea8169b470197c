"""The seam to a database's own log of changes: where it stands, what happened since, how far behind we are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.values import Batch, Check, Position


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the follower is behind: bytes of log not yet read, seconds since the oldest of them; None: not known."""

    bytes: int | None
    seconds: float | None


class ChangeFeed(Protocol):
    """The changes of one table, in the order they were committed.

    The first full read starts after `start` gave its position; changes are then read from there, so that what happened
    during the full read comes again and nothing is missed: rows are merged by their key.
    """

    def check(self) -> list[Check]:
        """Whether the log is on, complete and kept long enough, and the account may read it; what to ask the DBA."""
        ...

    def key(self) -> Sequence[str]:
        """The columns by which the log names a record: all that a deletion says."""
        ...

    def start(self) -> Position:
        """Where the log stands now; taken before the first full read. Reserves the log from there, if it can be."""
        ...

    def changes(self, position: Position, stop: Callable[[], bool], wait: float) -> Iterator[Batch]:
        """The changes after `position`, as text exactly as the reader of a full read gives it.

        Columns are those of the table, OP (DELETED for a delete, whose other columns may be null; else null) and the
        RAW_COLUMNS, `_row` counting from 1 in each batch. A batch ends where a transaction ends and carries the
        position after it. Without news a batch without rows may come, to move the position on. Ends when `stop` is
        true, or when nothing has come for `wait` seconds. SourceChanged (SRC-LOG-GONE) when the server no longer has
        the log at `position`: a full read has to come first.
        """
        ...

    def done(self, position: Position) -> None:
        """What lies before `position` is durable here: the server may forget it."""
        ...

    def lag(self, position: Position) -> Lag:
        """How far `position` is behind the log as it stands now."""
        ...

    def drop(self) -> None:
        """Give back what `start` reserved; changes cannot be read on from any position after that."""
        ...

    def close(self) -> None:
        """Give back connections; may be called twice. What `start` reserved stays."""
        ...
