"""People of a deployment and their accounts: people.yaml says who they are, the state database how they get in."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from quality.orders_values import Actor
from runs.alarms.people import Person, read_people
from schemas.errors import StandardError
from sharing.people_refusals import PeopleError
from sharing.people_tables import ACCOUNT, EVENT
from sharing.sessions import SECRET_BYTES, Session, digest, end_sessions
from warehouse.clock import now_text
from warehouse.state.database import reading

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """How a person gets in; instants in Unix seconds. `secret` is the hash of the password, None without one."""

    person: str
    secret: str | None = field(repr=False)
    changed: float | None
    invited_until: float | None
    locked: float | None


@dataclass(frozen=True, slots=True)
class Verified:
    """A person who has proven who they are, and the session they did it for."""

    person: Person
    session: Session

    @property
    def actor(self) -> Actor:
        """As one who acts on orders, applications and grants."""
        return self.person.actor


@dataclass(frozen=True, slots=True)
class PersonEvent:
    """What happened to a person's account: at (ISO 8601), by whom, from where; `person` None: a name nobody has."""

    id: int
    at: str
    person: str | None
    event: str
    who: str
    address: str | None
    why: str | None


class People:
    """Who there is, as people.yaml says now; while it is wrong, as it said when it was last right."""

    def __init__(self, path: Path, departments: Collection[str]) -> None:
        self._path, self._departments = path, departments
        self._seen: tuple[int, int, int] | None = None
        self._people: dict[str, Person] | None = None

    def all(self) -> Collection[Person]:
        """Everybody. PeopleError: it was never right in this process."""
        return self._now().values()

    def find(self, person: str) -> Person | None:
        """The person of that id."""
        return self._now().get(person)

    def by_mail(self, mail: str) -> Person | None:
        """The one person of that mail address, whatever the case of its letters; None when there are two."""
        found = [one for one in self.all() if one.mail is not None and one.mail.casefold() == mail.casefold()]
        return found[0] if len(found) == 1 else None

    def _now(self) -> dict[str, Person]:
        try:
            said = self._path.stat()
            seen = (said.st_mtime_ns, said.st_size, said.st_ino)
        except FileNotFoundError:
            seen = (0, 0, 0)
        if seen != self._seen or self._people is None:
            try:
                found = read_people(self._path, self._departments)
                self._people = {one.id: one for one in found.people}
            except StandardError as error:
                _log.warning("people.yaml: %s", error.code)
                if self._people is None:
                    raise PeopleError.of() from error
            self._seen = seen
        return self._people


class Accounts:
    """The accounts of people, in the state database behind `engine`, and the record of what happened to them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, person: str) -> Account | None:
        """The account of a person, who may have none yet."""
        return self._one(ACCOUNT.c.person == person)

    def invited(self, code: str, now: float) -> Account | None:
        """Whose invitation it is, while it can be used."""
        return self._one(sa.and_(ACCOUNT.c.invitation == digest(code), ACCOUNT.c.invited_until > now))

    def every(self) -> dict[str, Account]:
        """All of them, by person."""
        with reading(self._engine) as connection:
            return {one.person: one for one in map(_account, connection.execute(_ACCOUNTS))}

    def invite(self, person: str, until: float) -> str:
        """A code, shown this once, with which the person sets a password; one given out before ends."""
        code = secrets.token_urlsafe(SECRET_BYTES)
        self._set(person, invitation=digest(code), invited_until=until)
        return code

    def redeem(self, code: str, secret: str, now: float) -> bool:
        """Give the account of the invitation that password, and end its sessions; False when somebody was faster."""
        mine = sa.and_(ACCOUNT.c.invitation == digest(code), ACCOUNT.c.invited_until > now, ACCOUNT.c.locked.is_(None))
        new = {"secret": secret, "changed": now, "invitation": None, "invited_until": None}
        with self._engine.begin() as connection:
            person = connection.execute(sa.select(ACCOUNT.c.person).where(mine)).scalar()
            if person is None or connection.execute(ACCOUNT.update().where(mine).values(new)).rowcount != 1:
                return False
            end_sessions(connection, person)
        return True

    def keep(self, person: str, secret: str, now: float) -> None:
        """Their password is another from now on, and an invitation given out before is over."""
        self._set(person, secret=secret, changed=now, invitation=None, invited_until=None)

    def rehash(self, person: str, was: str, secret: str) -> None:
        """The same password, hashed with the parameters of now."""
        with self._engine.begin() as connection:
            mine = sa.and_(ACCOUNT.c.person == person, ACCOUNT.c.secret == was)
            connection.execute(ACCOUNT.update().where(mine).values(secret=secret))

    def lock(self, person: str, now: float) -> int:
        """Nobody gets in by the account any more; its sessions and invitation end. How many sessions there were."""
        self._set(person, locked=now, invitation=None, invited_until=None)
        with self._engine.begin() as connection:
            return end_sessions(connection, person)

    def unlock(self, person: str) -> None:
        """The account is as it was before."""
        self._set(person, locked=None)

    def record(
        self, event: str, person: str | None, who: str, address: str | None = None, why: str | None = None
    ) -> None:
        """Write down what happened; lines are only ever added."""
        row = {"at": now_text(), "person": person, "event": event, "who": who, "address": address, "why": why}
        with self._engine.begin() as connection:
            connection.execute(EVENT.insert(), row)

    def events(self, person: str | None = None, limit: int = 100) -> list[PersonEvent]:
        """What happened, the newest first; to one person when named."""
        query = sa.select(EVENT).order_by(EVENT.c.id.desc()).limit(limit)
        if person is not None:
            query = query.where(EVENT.c.person == person)
        with reading(self._engine) as connection:
            return [PersonEvent(**row) for row in connection.execute(query).mappings()]

    def _one(self, which: sa.ColumnElement[bool]) -> Account | None:
        with reading(self._engine) as connection:
            row = connection.execute(_ACCOUNTS.where(which)).one_or_none()
        return _account(row) if row is not None else None

    def _set(self, person: str, **values: object) -> None:
        with self._engine.begin() as connection:
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            connection.execute(insert(ACCOUNT).values(person=person).on_conflict_do_nothing())
            connection.execute(ACCOUNT.update().where(ACCOUNT.c.person == person).values(values))


_ACCOUNTS = sa.select(ACCOUNT.c.person, ACCOUNT.c.secret, ACCOUNT.c.changed, ACCOUNT.c.invited_until, ACCOUNT.c.locked)


def standing_of(person: Person) -> str:
    """What a session is bound to: it ends when the person's department or roles are others."""
    return hashlib.sha256("\n".join((person.department, *sorted(person.roles))).encode()).hexdigest()


def _account(row: sa.Row[tuple[str, str | None, float | None, float | None, float | None]]) -> Account:
    return Account(*row)
