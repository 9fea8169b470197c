"""The values that cross a step: what a source yields, what is kept, what a check found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # most commands handle no rows
    import pyarrow as pa

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
Severity = Literal["error", "warning", "info"]
Decision = Literal["pass", "warn", "hold"]

ROW = "_row"  # int64, 1-based position of the record in its batch (data records; a header is not counted)
REJECT = "_reject"  # string or null: rule id of a structural defect the reader met (row_shape, bad_bytes, torn_row, …)
DETAIL = "_detail"  # string or null: what exactly was wrong, for a person
LINE = "_line"  # string or null: the rejected record as received
RAW_COLUMNS = (ROW, REJECT, DETAIL, LINE)
OP = "_op"  # string, a column only some sources add: DELETED where the source no longer has the record, else null
DELETED = "D"
ORDER = "_order"  # string, text that sorts as the source orders its changes; only in tables of sources that say so
RECEIVED = "raw:"  # prefix of a source column as received, in a standardised table
BAD, REPAIRED = "__bad", "__repaired"  # suffixes of the boolean columns that standardising adds beside a field


@dataclass(frozen=True, slots=True)
class Position:
    """How far a source has been read: small JSON that `plan` understands when the next run starts."""

    cursor: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split:
    """A piece of a source that can be read, and read again, by itself: a table, a key range, a file, a run of pages."""

    id: str
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of one split as received.

    `rows` holds every source column as text (null where the source has null) and the four RAW_COLUMNS. A record the
    reader could not take apart is a row too, with `_reject` set and as many columns filled as could be read: nothing
    is dropped. A source that knows of deletes adds the column `_op`; a DELETED row may have its key columns only.
    `position` is what may be remembered once these rows are durable; None: not yet a place to resume from.
    """

    rows: pa.RecordBatch
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a connection test: what was tried, whether it worked, what to ask the department for.

    `warns`: it works, and something should be changed all the same.
    """

    name: str
    ok: bool
    zh: str
    en: str
    warns: bool = False


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What `discover` found: a table, file pattern, sheet or endpoint with its columns (name → source type).

    `title` and `comments` (column → text) are what the system itself says of them, often 中文名; `nullable` are the
    columns that may be null as far as the system says; `cursors` the columns a cursor could follow, the likeliest
    first; `rows` an estimate. `declared`: the system itself says which columns there are; else they were seen in the
    first records, and others may have more.
    """

    name: str
    columns: Mapping[str, str]
    key: Sequence[str] = ()
    rows: int | None = None
    title: str = ""
    comments: Mapping[str, str] = field(default_factory=dict)
    nullable: Sequence[str] = ()
    cursors: Sequence[str] = ()
    declared: bool = True


class Source(Protocol):
    """One departmental system, as one resource reads it."""

    def check(self) -> list[Check]:
        """Try reachability, login, the table or files, and the expected columns."""
        ...

    def discover(self) -> list[StreamInfo]:
        """List what could be read."""
        ...

    def preview(self, rows: int = 20) -> pa.Table:
        """The first rows as received, RAW_COLUMNS included."""
        ...

    def stream(self) -> StreamInfo:
        """What this resource reads now, its columns in order; cheap, so that drift is seen before anything is read."""
        ...

    def estimate(self) -> int | None:
        """About how many rows a full read would yield; None when the source cannot say."""
        ...

    def plan(self, position: Position | None) -> list[Split]:
        """The splits to read now, given what was read before; empty when there is nothing new."""
        ...

    def read(self, split: Split) -> Iterator[Batch]:
        """Yield the split's records; `_row` counts on from 1 over the split."""
        ...

    def close(self) -> None:
        """Give back connections, snapshots and temporary files; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pull made durable: immutable evidence.

    `batch` names the content (resource, splits and SHA-256 of what was received), so the same input is known again;
    `files` are Parquet paths relative to the warehouse; `sha256` is over the files; `position` is where the source
    stands once this batch counts.
    """

    resource: str
    run: str
    batch: str
    rows: int
    bytes: int
    sha256: str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    position: Position
    pulled_at: str  # ISO 8601 with offset, Asia/Shanghai


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How one rule came out over one batch: rows violating it, rows it looked at, or why it could not be evaluated."""

    rule: str
    severity: Severity
    rows: int
    evaluated: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.

    `violations` has one row per record that violates anything: `_row` int64 and `rules` list of text, by `_row`,
    rules in the order of the standard. `quarantine` (int64) are the `_row`s that must not land: a violated rule is an
    error and is not forgiven for that row. `results` is the Great Expectations result, JSON-ready.
    """

    rows: int
    counts: tuple[RuleCount, ...]
    violations: pa.Table
    quarantine: pa.Array
    decision: Decision
    reason_zh: str
    reason_en: str
    results: Mapping[str, Json]
