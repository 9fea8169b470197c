"""Look once: let the clock act on orders, see what is wrong, write down what must be said, and send it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from quality.orders import QualityOrders
from quality.orders_values import DRIFT, LIVE
from runs.alarms.conditions import Condition, of_orders, of_runs, of_streams, undecided
from runs.alarms.people import Channel, Directory, Person
from runs.alarms.refusals import LineDown, Refused
from runs.alarms.spread import of_spread
from runs.alarms.store import Alarms
from runs.alarms.values import Message
from runs.resources import Resource
from schemas.errors import ShutongError
from warehouse.state.streams import Streams


class Sender(Protocol):
    """A channel over which messages go."""

    def send(self, message: Message, person: Person) -> None:
        """Deliver one message; raises NotDelivered or Refused."""
        ...

    def close(self) -> None:
        """Give back connections; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """What is looked at, and who is told over what."""

    engine: sa.Engine
    resources: Sequence[Resource]
    orders: QualityOrders
    alarms: Alarms
    directory: Directory
    senders: Mapping[Channel, Sender]
    further: Callable[[datetime], Sequence[Condition]] = lambda _at: ()  # of layers above, whose clocks run with this


@dataclass(frozen=True, slots=True)
class Round:
    """What one look came to: what is wrong, and how many messages were sent, put off, refused, dropped."""

    conditions: tuple[Condition, ...]
    messages: Mapping[str, int]


def look(watch: Watch, clock: Callable[[], datetime]) -> Round:
    """One round; safe to call from several processes at once, and again after a crash.

    Each message is written down with the alarm it is about, and recorded as sent once it is: a crash between sending
    and recording sends it again (with the same Message-ID or delivery number), none is ever lost.
    """
    at = clock()
    watch.orders.tick({one.id: one.orders for one in watch.resources}, at)
    _drift_orders(watch, at)
    found = (*conditions(watch, at), *watch.further(at))
    keys = {one.key for one in found}
    gone = [one.condition for one in watch.alarms.lasting() if one.condition.key not in keys]
    found += tuple(undecided(watch.engine, gone))
    watch.alarms.see(found, watch.directory, at)
    return Round(found, deliver(watch, clock))


def conditions(watch: Watch, at: datetime) -> list[Condition]:
    """What is wrong at that time."""
    levels = {one.id: one.orders.escalate_to for one in watch.resources}
    return [
        *of_runs(watch.engine, watch.resources, at, watch.directory.grace),
        *of_streams(Streams(watch.engine), watch.resources),
        *of_spread(watch.engine, watch.resources),
        *of_orders(watch.orders.overdue(at), {one.id: one for one in watch.resources}, levels, at),
    ]


def deliver(watch: Watch, clock: Callable[[], datetime]) -> Mapping[str, int]:
    """Send what waits. A server that takes nothing is asked once a round; what it should have taken keeps waiting."""
    came, down, alarms = Counter[str](), set[str](), watch.alarms
    try:
        for message in alarms.waiting(clock()):
            person = watch.directory.find(message.person)
            address = None if person is None else person.mail if message.channel == "mail" else person.webhook
            sender = watch.senders.get(message.channel)
            if person is None or address is None or sender is None:
                alarms.give_up(message, "dropped", "RUN-ALARM-NOBODY")
                came["dropped"] += 1
                continue
            line = "mail" if message.channel == "mail" else f"webhook {address}"
            if line in down or not alarms.lease(message, clock()):
                continue
            came[_sent(watch, sender, message, person, clock, down, line)] += 1
    finally:
        for sender in watch.senders.values():
            sender.close()
    return dict(came)


def _sent(  # noqa: PLR0917 - what goes to whom over what
    watch: Watch,
    sender: Sender,
    message: Message,
    person: Person,
    clock: Callable[[], datetime],
    down: set[str],
    line: str,
) -> str:
    try:
        sender.send(message, person)
    except Refused as error:
        watch.alarms.give_up(message, "refused", error.code)
        return "refused"
    except ShutongError as error:
        watch.alarms.put_off(message, error.code, clock())
        if isinstance(error, LineDown) or not error.retryable:  # a missing secret is missing for all of them
            down.add(line)
        return "put_off"
    watch.alarms.sent(message, clock())
    return "sent"


def _drift_orders(watch: Watch, at: datetime) -> None:
    """Open an order for a source that has other columns, close it when the source is read again."""
    streams = Streams(watch.engine)
    live = {
        one.resource: one for one in watch.orders.orders(states=(*LIVE, "waived"), limit=10**6) if one.rule == DRIFT
    }
    for one in watch.resources:
        seen, order = next(iter(streams.history(one.id, 1)), None), live.get(one.id)
        if seen is None or (order is None and seen.accepted):
            continue
        if seen.accepted:
            watch.orders.drift_over(one.id, seen.run, at)
        elif order is None or order.last_run != seen.run:
            zh = "来源结构有变：" + "；".join(change["zh"] for change in seen.changes)
            en = "The source changed: " + "; ".join(change["en"] for change in seen.changes)
            watch.orders.drifted(one.id, one.department, one.orders, seen.run, zh, en, at)
