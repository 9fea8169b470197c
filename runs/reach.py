"""Measure a library as it stands: departments that agree, records that can be asked for; and note it day by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from quality.scores import QualityScores
from warehouse.serving import NotPublishedError, ServingStore

if TYPE_CHECKING:
    from runs.batch import Parts

AGREE, SERVED = "0401/departments", "0602/records"


def standing(parts: Parts, library: str) -> Iterator[tuple[str, int, int]]:
    """What is measured of a library: (measure, met, base); nothing of one without records.

    Two departments agree where they say the same about a field of a record; of a library that came in a bundle these
    are the departments of its sender. A record counts as served where it can be
    asked for; a library that was released and could not be published has some that cannot.
    """
    from warehouse.merge import agreeing, base_table

    name = base_table(library)
    released = parts.state.released(name)
    rows = 0 if released is None else parts.tables.row_count(name, released)
    if not rows:
        return
    same = agreeing(parts.tables, library) or _told(parts, library)
    if same is not None and same[1]:
        yield AGREE, *same
    try:
        served = ServingStore(parts.serving, library).info().rows
    except NotPublishedError:
        served = 0
    yield SERVED, min(served, rows), rows


def _told(parts: Parts, library: str) -> tuple[int, int] | None:
    """The same of a library that came in a bundle, as it was counted where the library was merged."""
    from warehouse.library_state import newest
    from warehouse.merge import compared

    made = newest(parts.state, library)
    if made is None:
        return None
    every = compared(made)
    return sum(one.records - one.differing for one in every), sum(one.records for one in every)


def note(parts: Parts, library: str, at: datetime) -> None:
    """Note how the library stands, in place of what was noted of it on this day before."""
    QualityScores(parts.state.engine).stands(library, at, list(standing(parts, library)))
