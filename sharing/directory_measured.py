"""What is measured of the entries of the directory, from what the platform knows anyway: nobody writes it by hand."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from quality.scores import QualityScores, Scope
from quality.scores_profile import profile, scores
from quality.scores_values import Sum
from quality.store import QUALITY_RUN
from runs.facts import OURS
from schemas.errors import ShutongError
from sharing.calls import SHANGHAI
from sharing.catalog import Library
from sharing.directory_values import Measured, Usage
from warehouse.state.schema import RELEASE, RUN

DAYS, MONTHS = 30, 6  # of usage, of the trend
COMPLETENESS = "02"  # the dimension of GB/T 36344-2018


class Measures:
    """Asked at each showing; scores and landings are read again only when there is another check, run or release.

    `usage` says the calls and units of each library and resource since a day; safe for threads.
    """

    def __init__(
        self, engine: sa.Engine, stores: Mapping[str, Library], usage: Usage, formerly: Mapping[str, str]
    ) -> None:
        self._engine, self._stores, self._usage = engine, stores, usage
        self._scores = QualityScores(engine, formerly)
        self._known: tuple[object, Mapping[str, Measured]] = (None, {})
        self._reading = threading.Lock()

    def __call__(self) -> Mapping[str, Measured]:
        """By id of the resource or name of the library. Raises what the state database raises."""
        found = dict(self._slow())
        today = datetime.now(SHANGHAI).date()
        for name, (calls, units) in self._usage((today - timedelta(days=DAYS - 1)).isoformat()).items():
            found[name] = replace(found.get(name, Measured()), calls=calls, units=units)
        for name, library in self._stores.items():
            try:
                info = library.records.info()
            except ShutongError:
                continue  # a library nobody can ask has no records to show; health says why
            known = found.get(name, Measured())
            found[name] = replace(known, records=info.rows, last_landed=known.last_landed or info.published_at)
        return found

    def _slow(self) -> Mapping[str, Measured]:
        newest = sa.select(
            sa.select(sa.func.max(RELEASE.c.id)).scalar_subquery(),
            sa.select(sa.func.max(QUALITY_RUN.c.checked_at)).scalar_subquery(),
            sa.select(sa.func.max(RUN.c.finished_at)).scalar_subquery(),
        )
        with self._reading:
            with self._engine.execution_options(reading=True).connect() as connection:
                mark = tuple(connection.execute(newest).one())
            if self._known[0] != mark:
                self._known = (mark, self._read())
            return self._known[1]

    def _read(self) -> Mapping[str, Measured]:
        since = (datetime.now(SHANGHAI).date().replace(day=1) - timedelta(days=30 * (MONTHS - 1))).isoformat()
        found: dict[str, Measured] = {}
        for group in ("resource", "library"):
            for name, months in _by_month(self._scores.sums(scope=Scope(since=since), group=group, by="month")).items():
                if name:
                    found[name] = _scored(months)
        landed = (
            sa.select(RUN.c.resource, sa.func.max(RUN.c.finished_at))
            .where(RUN.c.status == "done", RUN.c.trigger.not_in(OURS))
            .group_by(RUN.c.resource)
        )
        with self._engine.execution_options(reading=True).connect() as connection:
            for name, at in connection.execute(landed):
                found[name] = replace(found.get(name, Measured()), last_landed=at)
        return found


def _by_month(sums: Iterable[Sum]) -> Mapping[str, Mapping[str, list[Sum]]]:
    found: dict[str, dict[str, list[Sum]]] = defaultdict(lambda: defaultdict(list))
    for one in sums:
        found[one.group][one.period].append(one)
    return found


def _scored(months: Mapping[str, list[Sum]]) -> Measured:
    made = {month: scores(profile(), sums) for month, sums in sorted(months.items())}
    trend = tuple((month, _points(one.total)) for month, one in made.items() if one.total is not None)
    newest = list(made.values())[-1]
    complete = next((one.score for one in newest.dimensions if one.code == COMPLETENESS), None)
    total = newest.total
    return Measured(
        completeness=None if complete is None else _points(complete),
        score=None if total is None else _points(total),
        trend=trend,
    )


def _points(score: float) -> float:
    """With two decimals, and never rounded up to full marks."""
    return score if score >= 100 else min(round(score, 2), 99.99)  # noqa: PLR2004 - full marks
