"""A source that is followed by its database's log, as the steps see it: first read in full, then change by change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from connectors.changes.feed import ChangeFeed
from connectors.manners import insist_on_all
from schemas.values import RAW_COLUMNS, ROW, Batch, Check, Position, Source, Split, StreamInfo

LOG = "log"  # in a position: where the log has been read to
SINCE = "~since"  # in a position, while the first full read goes on: where the log stood before it
_SWEEP, _END = "~sweep", "~log"


def begun(position: Position | None) -> bool:
    """Whether the full read is done, so that changes can be read after `position`."""
    return position is not None and LOG in position.cursor and not position.cursor.get(SINCE)


class Followed:
    """What the full read and the changes of a table have in common: everything but what is read."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def check(self) -> list[Check]:
        """As the table's own source says."""
        return self._source.check()

    def discover(self) -> list[StreamInfo]:
        """As the table's own source says."""
        return self._source.discover()

    def preview(self, rows: int = 20) -> pa.Table:
        """As the table's own source says."""
        return self._source.preview(rows)

    def stream(self) -> StreamInfo:
        """As the table's own source says."""
        return self._source.stream()

    def estimate(self) -> int | None:
        """As the table's own source says."""
        return self._source.estimate()

    def plan(self, position: Position | None) -> list[Split]:  # noqa: ARG002 - nothing to read is nothing
        """Nothing: what earlier runs left is still checked and landed."""
        return []

    def read(self, split: Split) -> Iterator[Batch]:
        """Nothing."""
        raise NotImplementedError(split.id)

    def close(self) -> None:
        """Give back what the table's own source holds."""
        self._source.close()


class InFull(Followed):
    """The whole table; the log is reserved before, so that nothing is missed in between.

    `sweep` says which records landed earlier are no longer in the table; None where none has landed.
    """

    def __init__(self, source: Source, feed: ChangeFeed, sweep: Callable[[], Iterator[Batch]] | None) -> None:
        super().__init__(source)
        self._feed, self._sweep = feed, sweep
        self._since: Position | None = None

    def plan(self, position: Position | None) -> list[Split]:
        """The table's own splits, or what is left of them; then the end of the full read."""
        kept = dict(position.cursor) if position else {}
        since = kept.pop(SINCE, None)
        kept.pop(LOG, None)
        self._since = Position({LOG: since}) if since else self._feed.start()
        own = self._source.plan(Position(kept) if since else None)
        return [*own, *([Split(_SWEEP)] if self._sweep else []), Split(_END)]

    def read(self, split: Split) -> Iterator[Batch]:
        """The batches of the split; those that can be resumed remember where the log stood."""
        if self._since is None:
            raise RuntimeError("planned first")
        since = self._since.cursor[LOG]
        if split.id == _SWEEP and self._sweep is not None:
            yield from (replace(batch, position=None) for batch in self._sweep())
        elif split.id == _END:
            insist_on_all(self._source)
            yield Batch(_nothing(list(self.stream().columns)), Position({LOG: since, SINCE: None}))
        else:
            for batch in self._source.read(split):
                place = batch.position
                yield batch if place is None else Batch(batch.rows, Position({**place.cursor, SINCE: since}))


class Changes(Followed):
    """One `batch` of changes and those that follow until a place to resume from."""

    def __init__(self, source: Source, batch: Batch, more: Iterator[Batch]) -> None:
        super().__init__(source)
        self._batch, self._more = batch, more

    def plan(self, position: Position | None) -> list[Split]:  # noqa: ARG002 - the feed knows where it is
        """The one batch."""
        return [Split("changes")]

    def read(self, split: Split) -> Iterator[Batch]:  # noqa: ARG002 - there is one
        """The batch and what belongs to its transaction."""
        yield self._batch
        if self._batch.position is None:
            for batch in self._more:
                yield batch
                if batch.position is not None:
                    return


def _nothing(columns: Sequence[str]) -> pa.RecordBatch:
    fields = [pa.field(name, pa.string()) for name in columns] + [pa.field(ROW, pa.int64())]
    fields += [pa.field(name, pa.string()) for name in RAW_COLUMNS[1:]]
    return pa.RecordBatch.from_pylist([], pa.schema(fields))
