"""What the sharing service is given to share: libraries, directory entries and where everything lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from schemas.standard import Standard
from schemas.values import Json
from sharing.applications import Applications
from sharing.directory import Directory
from sharing.directory_values import Usage
from sharing.forms import Form
from sharing.ingest_terms import Counter
from sharing.operating import Operating
from sharing.people_door import PeopleDoor
from sharing.proxies import Network, Trust


class Published(Protocol):
    """The generation a library's answers come from; `freshness` says per department when its newest record landed."""

    @property
    def id(self) -> int | str:
        """Name of the generation."""
        ...

    @property
    def rows(self) -> int:
        """Records in it."""
        ...

    @property
    def published_at(self) -> str:
        """ISO 8601, Asia/Shanghai."""
        ...

    @property
    def freshness(self) -> Mapping[str, str]:
        """Department → ISO 8601."""
        ...


class Paged(Protocol):
    """A page of records; `after` is where the next one begins, None when there is none."""

    @property
    def records(self) -> Sequence[Mapping[str, Json]]:
        """In the order of what they were asked by."""
        ...

    @property
    def after(self) -> str | None:
        """A mark, not fit for callers' eyes."""
        ...


class Records(Protocol):
    """Keyed look-ups in one library: memory-fast, safe for threads. Values are JSON-ready.

    Raises a ShutongError that is retryable while the library cannot be read.
    """

    def get(self, key: str) -> Mapping[str, Json] | None:
        """The record under that key, or None."""
        ...

    def get_many(self, keys: Iterable[str]) -> Mapping[str, Mapping[str, Json]]:
        """The records found, by key, all of one generation."""
        ...

    def find(self, name: str, value: str, limit: int = 20) -> Sequence[Mapping[str, Json]]:
        """Up to `limit` records whose field `name` is exactly `value`."""
        ...

    def page(self, equal: Mapping[str, str], *, prefix: tuple[str, str] | None = None, limit: int = 100,
             after: str | None = None, keep: Callable[[Mapping[str, Json]], bool] | None = None) -> Paged:  # fmt: skip
        """Up to `limit` records that `keep` keeps, whose fields are `equal` to these and begin with `prefix`.

        Raises a ShutongError WH-NOT-INDEXED when none of the fields has an index.
        """
        ...

    def info(self) -> Published:
        """The generation in force; cheap enough for every call."""
        ...


class Changed(Protocol):
    """A record that changed between two generations, as it was and as it is then; None where there is none."""

    @property
    def place(self) -> bytes:
        """Where it stands among the changes, not fit for callers' eyes."""
        ...

    @property
    def was(self) -> Mapping[str, Json] | None:
        """The record before."""
        ...

    @property
    def now(self) -> Mapping[str, Json] | None:
        """The record after."""
        ...


class Changing(Protocol):
    """What changed in a library, from generation to generation; safe for threads.

    Raises a ShutongError: retryable while it cannot be read, WH-CHANGES-FORGOTTEN where it is not known any more.
    """

    def begin(self) -> tuple[str, int, Published]:
        """The log's own name, the number of the generation in force, and that generation."""
        ...

    def between(self, epoch: str, since: int, upto: int, after: bytes, limit: int) -> tuple[Sequence[Changed], bool]:
        """Up to `limit` changes after generation `since` up to `upto`, behind the place `after`; and whether all."""
        ...

    def named(self, generation: int) -> str:
        """The name of a generation, as Published.id."""
        ...


@dataclass(frozen=True, slots=True)
class Library:
    """A base library 基础库, or the landed records of a resource, that can be asked by key.

    `personal` ones are asked by POST only. The type of `key_field` in the standard says what a well-formed key is.
    """

    standard: Standard
    records: Records
    personal: bool
    key_field: str
    feed: Changing | None = None


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A resource as the directory 资源目录 shows it.

    `fields` are those it delivers, of its standard; `schedule` is a cron line or None; `freshness` is asked at each
    showing and returns JSON, for example `{"last_landed": "…", "expected_within": "26h", "late": false}`.
    """

    resource: str
    department: str
    title_zh: str
    title_en: str
    standard: Standard
    fields: tuple[str, ...]
    library: str | None = None
    schedule: str | None = None
    freshness: Callable[[], Mapping[str, Json]] = dict


@dataclass(frozen=True, slots=True)
class SharingConfig:
    """Everything `create_app` needs; `secret` (32 bytes or more) keys the HMAC of personal keys in the ledger."""

    engine: sa.Engine
    grants: Path
    meter: Path
    secret: bytes
    catalog: Sequence[CatalogEntry]
    libraries: Mapping[str, Library]
    segment_bytes: int = 16 << 20  # of call records to a file; about 40,000 calls
    pushes: Mapping[str, Counter] = field(default_factory=dict)  # resources that take pushed batches
    applications: Applications | None = None  # where the database has grants; without it the file's are all there are
    served: Mapping[str, Library] = field(default_factory=dict)  # resources whose landed records can be asked by key
    trust: Trust = field(default_factory=Trust)  # which proxies are believed, and the issuer of access tokens
    claims: int = 5  # different ones a day about one field of one subject, by one department
    forms: Mapping[str, Form] = field(default_factory=dict)  # that can be filled, by id
    webhook_networks: tuple[Network, ...] = ()  # where webhooks may lie; none: public https addresses only
    directory: Callable[[Usage], Directory] | None = None  # made when somebody first asks for it
    people: PeopleDoor | None = None  # who may log in; without it nobody
    operating: Operating = field(default_factory=Operating)  # limits, drain, metrics, access log, traces
