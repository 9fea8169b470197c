"""What a step tells its caller: small values, ready for JSON and for Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class PullReport:
    """What a pull made durable; `repeated` when the source holds exactly what an earlier run brought."""

    run: str
    resource: str
    batch: str | None
    pulled: int
    repeated: bool

    def as_dict(self) -> dict[str, object]:
        """The report as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a batch, or of all batches a step worked on.

    A row has exactly one fate: pulled = landed + quarantined + superseded + held. `rules` counts violating rows per
    rule, `errors` says why a rule could not be evaluated, `unparsed` lists every spelling not understood, per field,
    with its count. `changed` is true when readers see something new.
    """

    run: str
    resource: str
    batch: str | None = None
    pulled: int = 0
    landed: int = 0
    quarantined: int = 0
    superseded: int = 0
    held: int = 0
    decision: str | None = None
    reason_zh: str = ""
    reason_en: str = ""
    rules: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    unparsed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    repeated: bool = False
    changed: bool = False

    def as_dict(self) -> dict[str, object]:
        """The report as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LibraryReport:
    """What a merge or a publication did; `changed` is false when nothing was to do."""

    run: str
    library: str
    records: int
    changed: bool
    conflicts: int = 0
    unlinked: int = 0
    generation: int | None = None

    def as_dict(self) -> dict[str, object]:
        """The report as JSON-ready data."""
        return asdict(self)
