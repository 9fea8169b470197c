"""What comes back: data, where it is from, and the receipt that proves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shutong_client.receipts import Receipt

Record = Mapping[str, object]
Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class Proof:
    """The receipt of a call as it travelled and as it reads; `receipt` is None where it was not to be checked."""

    text: str
    receipt: Receipt | None


@dataclass(frozen=True, slots=True)
class Answer(Generic[Data]):
    """One answer; `told` is all that the exchange said beside the data: grant, generation, freshness, masked fields."""

    data: Data
    told: Record = field(default_factory=dict)
    proof: Proof | None = None

    @property
    def request_id(self) -> str:
        """The exchange's number of the call."""
        return str(self.told.get("request_id", ""))

    @property
    def masked(self) -> Sequence[str]:
        """The fields that are shown in part."""
        found = self.told.get("masked", ())
        return [str(one) for one in found] if isinstance(found, list | tuple) else []


@dataclass(frozen=True, slots=True)
class Line:
    """One key of a batch; `record` is None where nothing was found within the grant."""

    key: str
    found: bool
    record: Record | None


@dataclass(frozen=True, slots=True)
class Change:
    """A record that changed: `change` is "changed", or "gone" when it is deleted or has left the grant's rows."""

    key: str
    change: str
    record: Record | None


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of changes; ask again with `cursor`, at once while there is `more`."""

    rows: Sequence[Change]
    cursor: str
    more: bool
