"""Keep profiles of runs in the state database, and tell what changed from one to the next."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from quality.profile import Bin, Count, FieldProfile

METADATA = sa.MetaData()
# migrations/versions/0009_profiles.py makes it.
PROFILE = sa.Table(
    "quality_profile",
    METADATA,
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("run", sa.String(200), primary_key=True),
    sa.Column("made_at", sa.String(40), nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
)
_POINT = 0.01  # of all rows: less is no change worth telling
_MANY = 0.2  # of the values there were


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed in a field: `what` is appeared, vanished, filled, distinct, longest, new_shape or lost_shape."""

    field: str
    what: str
    before: str
    now: str


class ProfileStore:
    """The profiles of one state database: one per resource and run."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(self, resource: str, run: str, made_at: str, fields: Sequence[FieldProfile]) -> None:
        """Keep the profile of a run; fields that were profiled before and are not now stay as they were."""
        with self._engine.begin() as connection:
            same = sa.and_(PROFILE.c.resource == resource, PROFILE.c.run == run)
            before = connection.execute(sa.select(PROFILE.c.fields).where(same)).scalar()
            told = {**(json.loads(before) if before else {}), **{one.field: asdict(one) for one in fields}}
            connection.execute(sa.delete(PROFILE).where(same))
            said = {"resource": resource, "run": run, "made_at": made_at}
            connection.execute(sa.insert(PROFILE).values(**said, fields=json.dumps(told, ensure_ascii=False)))

    def get(self, resource: str, run: str) -> tuple[FieldProfile, ...]:
        """The profile of a run; empty when it was not profiled."""
        same = sa.and_(PROFILE.c.resource == resource, PROFILE.c.run == run)
        # The state database's SQLite engine locks for writing at BEGIN unless it is told.
        with self._engine.execution_options(reading=True).connect() as connection:
            text = connection.execute(sa.select(PROFILE.c.fields).where(same)).scalar()
        return tuple(_profile(one) for one in json.loads(text).values()) if text else ()

    def before(self, resource: str, run: str) -> str | None:
        """The run profiled last before that one; None when there is none."""
        with self._engine.execution_options(reading=True).connect() as connection:
            query = sa.select(PROFILE.c.run).where(PROFILE.c.resource == resource, PROFILE.c.run != run)
            return connection.execute(query.order_by(PROFILE.c.made_at.desc()).limit(1)).scalar()


def compare_profiles(before: Sequence[FieldProfile], now: Sequence[FieldProfile]) -> tuple[Difference, ...]:
    """What changed between two profiles; empty where one of them is."""
    if not before or not now:
        return ()
    then, today = ({one.field: one for one in some if one.error is None} for some in (before, now))
    found: list[Difference] = []
    for name in dict.fromkeys((*then, *today)):
        if name not in then or name not in today:
            found.append(Difference(name, "appeared" if name in today else "vanished", "", ""))
        else:
            found += _changes(then[name], today[name])
    return tuple(found)


def _changes(then: FieldProfile, now: FieldProfile) -> Iterator[Difference]:
    shares = [one.filled / one.rows if one.rows else 0.0 for one in (then, now)]
    if abs(shares[0] - shares[1]) >= _POINT or (shares[0] != shares[1] and 1.0 in shares):
        yield Difference(now.field, "filled", *(f"{share:.2%}" for share in shares))
    if abs(now.distinct - then.distinct) > _MANY * max(then.distinct, 1):
        yield Difference(now.field, "distinct", f"{then.distinct:,}", f"{now.distinct:,}")
    if then.longest != now.longest:
        yield Difference(now.field, "longest", str(then.longest or 0), str(now.longest or 0))
    old, new = ({one.text: one.rows for one in some.shapes} for some in (then, now))
    for what, here, there, of in (("new_shape", new, old, now), ("lost_shape", old, new, then)):
        for text, rows in here.items():
            if text not in there and rows >= _POINT * of.filled:
                told = f"{text} ({rows:,})"
                yield Difference(now.field, what, *(("", told) if what == "new_shape" else (told, "")))


def _profile(told: Mapping[str, Any]) -> FieldProfile:
    counts = {name: tuple(Count(**one) for one in told[name]) for name in ("shapes", "top")}
    bins = tuple(Bin(**one) for one in told["bins"])
    return FieldProfile(**{**told, **counts, "bins": bins, "quantiles": tuple(told["quantiles"])})
