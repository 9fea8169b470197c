"""What a step tells its caller: small values, ready for JSON and for Airflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

COUNTS = ("pulled", "landed", "quarantined", "superseded", "deleted", "held", "rejected")
DECISIONS = (None, "pass", "warn", "hold")


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

    A row has exactly one fate: pulled = landed + quarantined + superseded + deleted + held + rejected. `rules` counts
    violating rows per rule, `errors` says why a rule could not be evaluated, `unparsed` lists every spelling not
    understood, per field, with its count; of personal fields, and of what holds a long number, it tells the shape
    (`9{17}A`) alone. `changed` is true when readers see something new.
    """

    run: str
    resource: str
    batch: str | None = None
    pulled: int = 0
    landed: int = 0
    quarantined: int = 0
    superseded: int = 0
    deleted: int = 0
    held: int = 0
    rejected: int = 0
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


def together(reports: Sequence[Report]) -> Report:
    """Several batches of one run as one report: counts add up, the gravest decision stands; its batch is the last."""
    if len(reports) == 1:
        return reports[0]
    gravest = max(reports, key=lambda one: DECISIONS.index(one.decision))
    rules, unparsed = Counter[str](), dict[str, Counter[str]]()
    for one in reports:
        rules.update(one.rules)
        for name, said in one.unparsed.items():
            unparsed.setdefault(name, Counter()).update(said)
    return replace(
        reports[-1],
        **{name: sum(getattr(one, name) for one in reports) for name in COUNTS},
        decision=gravest.decision,
        reason_zh=gravest.reason_zh,
        reason_en=gravest.reason_en,
        rules=dict(rules),
        errors={rule: error for one in reports for rule, error in one.errors.items()},
        unparsed={name: dict(said.most_common()) for name, said in unparsed.items()},
        changed=any(one.changed for one in reports),
    )


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
