"""Sessions of people: random numbers of which only hashes are kept, with ends, and the values bound to them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from sharing.people_tables import ACCOUNT, SESSION
from warehouse.state.database import reading

TOUCH: Final = 60.0  # seconds after which it is noted again that a session is used
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is listed; `begun`, `seen` and `until` in Unix seconds, `standing` the roles it began with."""

    number: int
    person: str
    way: str
    address: str
    standing: str
    begun: float
    seen: float
    until: float


@dataclass(frozen=True, slots=True)
class Cookie:
    """How the browser keeps a value: for this host and this path alone, out of scripts' reach, not for other sites.

    `secure` is off only where people open the platform over plain HTTP, on the machine itself.
    """

    name: str
    secure: bool = True
    same_site: str = "Lax"
    path: str = "/"

    @property
    def full_name(self) -> str:
        """With the prefix that has browsers refuse it from other hosts and over plain HTTP."""
        return f"__Host-{self.name}" if self.secure else self.name

    def set(self, value: str, seconds: int) -> str:
        """The value of Set-Cookie."""
        safe = "; Secure" if self.secure else ""
        kept = f"Path={self.path}; Max-Age={seconds}; HttpOnly; SameSite={self.same_site}{safe}"
        return f"{self.full_name}={value}; {kept}"

    def clear(self) -> str:
        """The value of Set-Cookie that makes the browser forget it."""
        return self.set("", 0)

    def of(self, header: bytes | None) -> str | None:
        """The value in a Cookie header; None when it is not there, or there twice."""
        found = [
            value.strip()
            for name, _, value in (part.partition("=") for part in (header or b"").decode("latin-1").split(";"))
            if name.strip() == self.full_name
        ]
        return found[0] if len(found) == 1 and found[0] else None


class Sessions:
    """The sessions of a deployment, in the state database.

    A session's secret carries 256 random bits, so its SHA-256 is enough to keep: whoever reads the table can neither
    use a session nor work out its CSRF token.
    """

    def __init__(self, engine: sa.Engine, idle: float, longest: float) -> None:
        self._engine, self._idle, self.longest = engine, idle, longest

    def begin(self, person: str, way: str, address: str, standing: str, now: float) -> str | None:
        """A new session's secret, seen this once; None when the account was locked meanwhile."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        row = {"hash": digest(secret), "person": person, "way": way, "address": address, "standing": standing,
               "begun": now, "seen": now, "until": now + self.longest}  # fmt: skip
        with self._engine.begin() as connection:
            query = sa.select(ACCOUNT.c.locked).where(ACCOUNT.c.person == person).with_for_update()
            if connection.execute(query).scalar() is not None:
                return None
            connection.execute(SESSION.delete().where(self._over(now)))
            connection.execute(SESSION.insert(), row)
        return secret

    def find(self, secret: str, now: float) -> Session | None:
        """The session of that secret, unless it was idle too long, its time is over or the account is locked."""
        shut = sa.exists().where(ACCOUNT.c.person == SESSION.c.person, ACCOUNT.c.locked.is_not(None))
        query = sa.select(SESSION).where(SESSION.c.hash == digest(secret), sa.not_(self._over(now)), ~shut)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        found = _session(row)
        if abs(now - found.seen) >= TOUCH:
            with self._engine.begin() as connection:
                connection.execute(SESSION.update().where(SESSION.c.number == found.number).values(seen=now))
        return found

    def of(self, person: str | None, now: float) -> list[Session]:
        """The sessions that last, the newest first; of one person when named."""
        query = sa.select(SESSION).where(sa.not_(self._over(now))).order_by(SESSION.c.number.desc())
        if person is not None:
            query = query.where(SESSION.c.person == person)
        with reading(self._engine) as connection:
            return [_session(row) for row in connection.execute(query)]

    def end(self, number: int, person: str | None = None) -> bool:
        """End a session, of that person when named; False when there is none."""
        mine = SESSION.c.number == number if person is None else sa.and_(
            SESSION.c.number == number, SESSION.c.person == person
        )  # fmt: skip
        with self._engine.begin() as connection:
            return connection.execute(SESSION.delete().where(mine)).rowcount == 1

    def end_all(self, person: str, but: Collection[int] = ()) -> int:
        """End every session of a person, but for those; how many there were."""
        with self._engine.begin() as connection:
            return end_sessions(connection, person, but)

    def _over(self, now: float) -> sa.ColumnElement[bool]:
        return sa.or_(SESSION.c.until <= now, SESSION.c.seen <= now - self._idle)


def end_sessions(connection: sa.Connection, person: str, but: Collection[int] = ()) -> int:
    """As Sessions.end_all, within a transaction."""
    gone = SESSION.delete().where(SESSION.c.person == person, SESSION.c.number.not_in(but))
    return connection.execute(gone).rowcount


def digest(secret: str) -> str:
    """The hash under which a secret of 256 bits is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def csrf_of(secret: str) -> str:
    """The CSRF token of a session, worked out from its secret, which pages cannot read and the table does not have."""
    mark = hmac.digest(secret.encode("utf-8", "surrogatepass"), b"shutong csrf", "sha256")
    return urlsafe_b64encode(mark).decode().rstrip("=")


def csrf_holds(secret: str, shown: str | None) -> bool:
    """Whether it is that session's token, compared in constant time."""
    return hmac.compare_digest(csrf_of(secret).encode(), (shown or "").encode("utf-8", "surrogatepass"))


def _session(row: sa.Row[tuple[object, ...]]) -> Session:
    told = dict(row._mapping)  # noqa: SLF001 the documented way to a row's names
    del told["hash"]
    return Session(**told)
