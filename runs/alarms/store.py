"""Keep alarms, their messages and silences in the state database: what is seen and what must be said is one step."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import sqlalchemy as sa

from quality.orders_refusals import plain_words
from quality.orders_values import DATA_MANAGER, day_of
from runs.alarms.conditions import Condition
from runs.alarms.messages import What, worded
from runs.alarms.people import Channel, Directory, Person
from runs.alarms.refusals import silence_until
from runs.alarms.tables import ALARM, MESSAGE, SILENCE
from runs.alarms.values import Alarm, Message, Silence, written
from warehouse.state.database import reading, serialised

LEASE = timedelta(minutes=5)  # a sender that died is taken to have sent nothing after that
PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
LONGEST_SILENCE = timedelta(days=366)
_ROUND = 500  # messages that one round sends at most
_ONCE = frozenset({"expiring"})  # kinds that are told once: nothing is wrong, and their end is no recovery


class Alarms:
    """The alarms of one state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def see(self, conditions: Sequence[Condition], directory: Directory, at: datetime) -> None:
        """Open, keep and end alarms as the conditions say, and write down every message that follows, in one step.

        One message per alarm, person and channel when it begins, one after each `directory.remind` while it lasts, one
        when it is over. Who is silenced then gets nothing; if the alarm lasts longer than the silence, it begins for
        them when that ends.
        """
        now = written(at)
        with serialised(self._engine) as connection:
            silences = _silences(connection, now)
            lasting = {row.open_key: row.id for row in connection.execute(_open()).all()}
            wanted = {one.key: one for one in conditions}
            for key, condition in wanted.items():
                alarm = lasting.get(key)
                if alarm is None:
                    alarm = _begin(connection, condition, now)
                else:
                    said = {"condition": asdict(condition)}
                    connection.execute(sa.update(ALARM).where(ALARM.c.id == alarm).values(**said))
                _tell(connection, alarm, condition, directory, silences, at)
            for key in lasting.keys() - wanted.keys():
                _end(connection, lasting[key], directory, silences, now)

    def lasting(self) -> list[Alarm]:
        """The alarms that last, the oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(ALARM).where(ALARM.c.ended_at.is_(None)).order_by(ALARM.c.opened_at))
            return [_alarm(row) for row in rows.mappings()]

    def history(self, limit: int = 100) -> list[Alarm]:
        """Alarms that last or lasted, the newest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(ALARM).order_by(ALARM.c.id.desc()).limit(limit))
            return [_alarm(row) for row in rows.mappings()]

    # messages

    def waiting(self, at: datetime) -> list[Message]:
        """Messages to send now, oldest first; one that waits keeps later ones of its alarm from overtaking it."""
        waits = sa.select(MESSAGE).where(MESSAGE.c.state == "waiting").order_by(MESSAGE.c.id)
        with reading(self._engine) as connection:
            rows = [Message(**row) for row in connection.execute(waits).mappings()]
        first: dict[tuple[int, str, str], Message] = {}
        for one in rows:
            first.setdefault((one.alarm, one.person, one.channel), one)
        return [one for one in first.values() if one.next_at <= written(at)][:_ROUND]

    def lease(self, message: Message, at: datetime) -> bool:
        """Take a message to send it; False when another process has it."""
        same = sa.and_(MESSAGE.c.id == message.id, MESSAGE.c.state == "waiting", MESSAGE.c.next_at == message.next_at)
        with self._engine.begin() as connection:
            taken = sa.update(MESSAGE).where(same).values(next_at=written(at + LEASE), attempts=message.attempts + 1)
            return connection.execute(taken).rowcount == 1

    def sent(self, message: Message, at: datetime) -> None:
        """Record that it was delivered."""
        self._record(message, {"state": "sent", "sent_at": written(at), "error": None})

    def put_off(self, message: Message, code: str, at: datetime) -> None:
        """Record that it could not be delivered; it is tried again after a pause that grows to an hour."""
        pause = min(PAUSE * 2 ** min(message.attempts, 10), LONGEST_PAUSE)
        self._record(message, {"next_at": written(at + pause), "error": code})

    def give_up(self, message: Message, state: str, code: str) -> None:
        """Record that it will not be delivered: refused, or dropped."""
        self._record(message, {"state": state, "error": code})

    def messages(self, limit: int = 100, states: Sequence[str] = ()) -> list[Message]:
        """The newest messages, newest first."""
        query = sa.select(MESSAGE).order_by(MESSAGE.c.id.desc()).limit(limit)
        if states:
            query = query.where(MESSAGE.c.state.in_(states))
        with reading(self._engine) as connection:
            return [Message(**row) for row in connection.execute(query).mappings()]

    def _record(self, message: Message, new: Mapping[str, object]) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.update(MESSAGE).where(MESSAGE.c.id == message.id).values(**new))

    # silences

    def silence(
        self,
        until: datetime,
        who: str,
        why: str,
        at: datetime,
        *,
        kind: str | None = None,
        resource: str | None = None,
        person: str | None = None,
    ) -> Silence:
        """Silence a kind, resources of a pattern and a person, or any of these (None: all), until then.

        RUN-ALARM-UNTIL for what has passed already or lasts too long, QUA-ORDER-WORDS without a reason.
        """
        if not at < until <= at + LONGEST_SILENCE:
            raise silence_until(until, LONGEST_SILENCE.days)
        why = plain_words(why, day_of(at))
        said = {"kind": kind, "resource": resource, "person": person, "until": written(until), "who": who, "why": why}
        with self._engine.begin() as connection:
            made = connection.execute(
                sa.insert(SILENCE).values(**said, made_at=written(at)).returning(SILENCE.c.id)
            ).scalar_one()
            row = connection.execute(sa.select(SILENCE).where(SILENCE.c.id == made)).mappings().one()
            return Silence(**row)

    def lift(self, silence_id: int, at: datetime, who: str) -> bool:
        """End a silence before its time, as `who` wants; False when there is none of that number that lasts."""
        same = sa.and_(SILENCE.c.id == silence_id, SILENCE.c.lifted_at.is_(None), SILENCE.c.until > written(at))
        with self._engine.begin() as connection:
            over = sa.update(SILENCE).where(same).values(lifted_at=written(at), lifted_by=who)
            return connection.execute(over).rowcount == 1

    def silences(self, at: datetime) -> list[Silence]:
        """The silences that last."""
        with reading(self._engine) as connection:
            return _silences(connection, written(at))

    def silenced(self, limit: int = 100) -> list[Silence]:
        """The newest silences, those that are over too, newest first."""
        query = sa.select(SILENCE).order_by(SILENCE.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [Silence(**row) for row in connection.execute(query).mappings()]


def _open() -> sa.Select[tuple[int, str]]:
    return sa.select(ALARM.c.id, ALARM.c.open_key).where(ALARM.c.open_key.is_not(None))


def _alarm(row: sa.RowMapping) -> Alarm:
    return Alarm(row["id"], Condition(**row["condition"]), row["opened_at"], row["ended_at"])


def _silences(connection: sa.Connection, now: str) -> list[Silence]:
    lasts = sa.and_(SILENCE.c.until > now, SILENCE.c.lifted_at.is_(None))
    return [Silence(**row) for row in connection.execute(sa.select(SILENCE).where(lasts)).mappings()]


def _begin(connection: sa.Connection, condition: Condition, now: str) -> int:
    said = {"condition": asdict(condition), "kind": condition.kind, "resource": condition.resource}
    made = sa.insert(ALARM).values(**said, opened_at=now, open_key=condition.key).returning(ALARM.c.id)
    return int(connection.execute(made).scalar_one())


def _tell(  # noqa: PLR0917 - which alarm, to whom, and when
    connection: sa.Connection,
    alarm: int,
    condition: Condition,
    directory: Directory,
    silences: Sequence[Silence],
    at: datetime,
) -> None:
    """Write down what has to be said about an alarm that lasts."""
    told: dict[tuple[str, str], list[sa.RowMapping]] = {}
    before = sa.select(MESSAGE).where(MESSAGE.c.alarm == alarm).order_by(MESSAGE.c.id)
    for row in connection.execute(before).mappings():
        told.setdefault((row["person"], row["channel"]), []).append(row)
    for person in directory.people:
        if not _concerns(condition, person, directory) or any(one.covers(condition, person.id) for one in silences):
            continue
        for channel in person.channels:
            last = next(reversed(told.get((person.id, channel), [])), None)
            if last is None:
                _write(connection, alarm, condition, person, channel, "begin", 0, at)
            elif (
                condition.kind not in _ONCE
                and last["state"] != "waiting"
                and (last["sent_at"] or last["created_at"]) <= written(at - directory.remind)
            ):
                _write(connection, alarm, condition, person, channel, "reminder", last["number"] + 1, at)


def _concerns(condition: Condition, person: Person, directory: Directory) -> bool:
    """An escalation, or a grant's end, is for whom it goes to, and for whoever asked for such; anything else for
    whoever hears it.

    Where nobody who can be reached is meant, a slip in `escalate_to` or an office nobody holds, data managers hear it.
    """
    if person.hears(condition.kind, condition.resource):
        return True
    if condition.kind not in {"escalated", *_ONCE}:
        return False
    to, of = condition.to, condition.department
    all_of_it = condition.kind in _ONCE
    there = [one for one in directory.people if one.channels]
    meant = [one for one in there if (one.department == of if all_of_it else one.is_named(to, of))]
    return person in meant if meant else DATA_MANAGER in person.roles


def _end(connection: sa.Connection, alarm: int, directory: Directory, silences: Sequence[Silence], now: str) -> None:
    """End an alarm, and write down that it is over for everybody who was told of it."""
    connection.execute(sa.update(ALARM).where(ALARM.c.id == alarm).values(ended_at=now, open_key=None))
    row = connection.execute(sa.select(ALARM).where(ALARM.c.id == alarm)).mappings().one()
    condition = Condition(**row["condition"])
    if condition.kind in _ONCE:
        return
    begun = sa.and_(MESSAGE.c.alarm == alarm, MESSAGE.c.what == "begin", MESSAGE.c.state.in_(("waiting", "sent")))
    for person_id, channel in connection.execute(sa.select(MESSAGE.c.person, MESSAGE.c.channel).where(begun)).tuples():
        person = directory.find(person_id)
        if person is None:
            continue
        quiet = [one.until for one in silences if one.covers(condition, person_id)]
        at = datetime.fromisoformat(max(quiet, default=now))
        _write(connection, alarm, condition, person, channel, "recovery", 0, at, now)


def _write(  # noqa: PLR0917 - what is said to whom
    connection: sa.Connection,
    alarm: int,
    condition: Condition,
    person: Person,
    channel: Channel,
    what: What,
    number: int,
    at: datetime,
    ended_at: str | None = None,
) -> None:
    words = worded(condition, what, person.lang, ended_at)
    said = {"alarm": alarm, "person": person.id, "channel": channel, "what": what, "number": number}
    said |= {"subject": words.subject, "body": words.body, "delivery": uuid.uuid4().hex, "state": "waiting"}
    connection.execute(
        sa.insert(MESSAGE).values(**said, attempts=0, created_at=ended_at or written(at), next_at=written(at))
    )
