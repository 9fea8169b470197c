"""Lock-out and pace of log-ins: attempts are counted before they are judged, exactly, over every worker and host."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from sharing.people_tables import ATTEMPT
from sharing.proxies import Address
from warehouse.state.database import reading

SWEEP: Final = 600.0  # seconds between two looks for rows that no longer count
IPV6_PREFIX: Final = 64  # bits: what one household or office gets


@dataclass(frozen=True, slots=True)
class Delays:
    """How long one waits after failures, in seconds: the first `free` cost nothing, the next `first`, each further
    twice as long up to `most`; after `forget` without one all are forgotten. From `alarm` on somebody is told.
    """

    free: int = 5
    first: float = 30.0
    most: float = 3600.0
    forget: float = 86_400.0
    alarm: int = 10

    def after(self, failures: int) -> float:
        """The wait after so many failures."""
        over = failures - self.free
        return 0.0 if over < 1 else min(self.most, self.first * 2.0 ** min(over - 1, 40))


@dataclass(frozen=True, slots=True)
class Pace:
    """So many in so many seconds, and no more."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Door:
    """What attempts are counted for: an account or a network; `told` is its name for whoever is told of it."""

    place: str
    rule: Delays | Pace
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Whether an attempt may be made: at once, or after `wait` seconds; `shut` names doors that came to their alarm."""

    wait: float = 0.0
    shut: tuple[str, ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Besieged:
    """An account or network with so many failures that somebody must know; `since` and `until` in Unix seconds."""

    told: str
    count: int
    since: float
    until: float


class Gate:
    """Counts attempts in the state database; `clock` gives Unix seconds.

    An attempt is counted as failed when it begins and taken back when it was right, so that any number of attempts
    at once, over any number of workers, gets no more tries than attempts one after another.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine, self._clock, self._swept = engine, clock, 0.0

    def enter(self, *doors: Door) -> Entry:
        """Count an attempt at every door, unless one of them is shut: then at none."""
        now = self._clock()
        with self._engine.begin() as connection:
            held = [(door, self._held(connection, door, now)) for door in sorted(doors, key=lambda one: one.place)]
            wait = max(_wait(door.rule, row, now) for door, row in held)
            if wait > 0:
                return Entry(wait)
            shut = []
            for door, row in held:
                count = row[0] + 1
                if isinstance(door.rule, Delays):
                    until = now + door.rule.after(count)
                else:
                    until = row[1] + door.rule.seconds if count >= door.rule.count else 0.0
                values = {"count": count, "last": now, "until": until, "told": door.told}
                connection.execute(ATTEMPT.update().where(ATTEMPT.c.place == door.place).values(values))
                if isinstance(door.rule, Delays) and count == door.rule.alarm and door.told is not None:
                    shut.append(door.told)
        self._sweep(now)
        return Entry(0.0, tuple(shut), now)

    def right(self, entry: Entry, own: Door | None, *others: Door) -> None:
        """The attempt was right: its `own` door, if any, forgets all failures, the `others` only this one."""
        with self._engine.begin() as connection:
            if own is not None:
                connection.execute(ATTEMPT.delete().where(ATTEMPT.c.place == own.place))
            for door in sorted(others, key=lambda one: one.place):
                mine = sa.and_(ATTEMPT.c.place == door.place, ATTEMPT.c.count > 0)
                connection.execute(ATTEMPT.update().where(mine).values(count=ATTEMPT.c.count - 1))
                alone = sa.and_(ATTEMPT.c.place == door.place, ATTEMPT.c.last == entry.at)
                connection.execute(ATTEMPT.update().where(alone).values(until=0.0))

    def open(self, place: str) -> bool:
        """Forget every failure there; False when there were none."""
        with self._engine.begin() as connection:
            return connection.execute(ATTEMPT.delete().where(ATTEMPT.c.place == place)).rowcount == 1

    def besieged(self, rules: Mapping[str, Delays]) -> list[Besieged]:
        """What has come to the alarm of its rule and is not forgotten yet, the oldest first; rules by kind of place."""
        now = self._clock()
        there = [
            sa.and_(ATTEMPT.c.place.startswith(f"{kind}:"), ATTEMPT.c.count >= rule.alarm,
                    ATTEMPT.c.last > now - rule.forget)
            for kind, rule in rules.items()
        ]  # fmt: skip
        query = sa.select(ATTEMPT.c.told, ATTEMPT.c.count, ATTEMPT.c.since, ATTEMPT.c.until)
        query = query.where(ATTEMPT.c.told.is_not(None), sa.or_(*there)).order_by(ATTEMPT.c.since, ATTEMPT.c.place)
        with reading(self._engine) as connection:
            return [Besieged(*row) for row in connection.execute(query)]

    def _held(self, connection: sa.Connection, door: Door, now: float) -> sa.Row[tuple[int, float, float, float]]:
        """The row of a door, locked; a new one, or one whose time is over, begins at nothing."""
        fresh = {"count": 0, "since": now, "last": now, "until": 0.0}
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(insert(ATTEMPT).values(place=door.place, told=door.told, **fresh).on_conflict_do_nothing())
        span = door.rule.forget if isinstance(door.rule, Delays) else door.rule.seconds
        began = ATTEMPT.c.last if isinstance(door.rule, Delays) else ATTEMPT.c.since
        over = sa.or_(began <= now - span, began > now + span)  # the clock may have been moved back
        connection.execute(ATTEMPT.update().where(ATTEMPT.c.place == door.place, over).values(fresh))
        query = sa.select(ATTEMPT.c.count, ATTEMPT.c.since, ATTEMPT.c.last, ATTEMPT.c.until)
        return connection.execute(query.where(ATTEMPT.c.place == door.place).with_for_update()).one()

    def _sweep(self, now: float) -> None:
        if 0 <= now - self._swept < SWEEP:
            return
        self._swept = now
        gone = sa.and_(ATTEMPT.c.until < now, ATTEMPT.c.last < now - Delays().forget)
        with self._engine.begin() as connection:
            connection.execute(ATTEMPT.delete().where(gone))


def network_of(address: Address | None) -> str:
    """The network that attempts from an address are counted for: the address, of IPv6 the first 64 bits."""
    if address is None:
        return "-"
    if address.version == 4:  # noqa: PLR2004 IPv4
        return str(address)
    shift = 128 - IPV6_PREFIX
    return f"{type(address)((int(address) >> shift) << shift)}/{IPV6_PREFIX}"


def _wait(rule: Delays | Pace, row: sa.Row[tuple[int, float, float, float]], now: float) -> float:
    most = rule.most if isinstance(rule, Delays) else rule.seconds
    return max(0.0, min(most, float(row[3]) - now))
