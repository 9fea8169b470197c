"""API keys: shown once when issued, kept only as a SHA-256 hash, revocable, with an end date."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from warehouse.state.database import reading

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "st_"
LIFE = timedelta(days=365)
WARNING = timedelta(days=30)  # before its end a key is listed as ending
OVERLAP = timedelta(days=7)  # for which a rotated key still works

METADATA = sa.MetaData()
API_KEY = sa.Table(
    "api_key",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("department", sa.String(64), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("revoked_at", sa.String(40)),
    sa.Column("expires_at", sa.String(40)),
    sa.Column("client", sa.Integer),
    sa.Column("last_used", sa.String(10)),
)
_SHOWN = [column for column in API_KEY.c if column.name != "hash"]


@dataclass(frozen=True, slots=True)
class Key:
    """An issued key without its secret; times are ISO 8601 UTC text.

    `client` is the application it belongs to, if any; `last_used` the newest day it was used, `2026-01-31`, UTC.
    """

    id: int
    department: str
    label: str
    created_at: str
    revoked_at: str | None
    expires_at: str | None
    client: int | None = None
    last_used: str | None = None

    def alive(self, now: datetime) -> bool:
        """Neither revoked nor past its end."""
        return self.revoked_at is None and (self.expires_at is None or now < datetime.fromisoformat(self.expires_at))

    def ends_soon(self, now: datetime) -> bool:
        """It still works, and will not in WARNING."""
        return self.alive(now) and not self.alive(now + WARNING)


class Keys:
    """The keys of a deployment, in table `api_key` of the state database behind `engine`.

    A key carries 256 random bits, so a plain SHA-256 is enough to store: there is nothing to guess from the hash.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def issue(self, department: str, label: str, life: timedelta | None = LIFE, client: int | None = None) -> str:
        """A new key for the department, in clear: this is the only time it is seen. `life` None: it does not expire.

        `client` is the number of the department's application that the key is for.
        """
        key, row = _new(department, label, life, client)
        with self._engine.begin() as connection:
            connection.execute(API_KEY.insert(), row)
        return key

    def rotate(self, key_id: int, overlap: timedelta = OVERLAP, life: timedelta | None = LIFE) -> str | None:
        """A new key in place of one that still works `overlap` longer; None when there is none alive of that number."""
        now = datetime.now(UTC)
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(*_SHOWN).where(API_KEY.c.id == key_id).with_for_update()).one_or_none()
            old = _key(row) if row is not None else None
            if old is None or not old.alive(now):
                return None
            key, made = _new(old.department, old.label, life, old.client)
            connection.execute(API_KEY.insert(), made)
            end = (now + overlap).isoformat()
            if old.expires_at is None or old.alive(now + overlap):
                connection.execute(API_KEY.update().where(API_KEY.c.id == key_id).values(expires_at=end))
        return key

    def department_of(self, key: str) -> str | None:
        """The department a key speaks for; None when it is unknown, revoked or past its end."""
        found = self.find(digest(key))
        return found.department if found and found.alive(datetime.now(UTC)) else None

    def find(self, digested: str) -> Key | None:
        """The key with that `digest`, dead or alive."""
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(*_SHOWN).where(API_KEY.c.hash == digested)).one_or_none()
        return _key(row) if row is not None else None

    def numbered(self, key_id: int) -> tuple[Key, str] | None:
        """The key of that number, dead or alive, and its `digest`."""
        with reading(self._engine) as connection:
            digested = connection.execute(sa.select(API_KEY.c.hash).where(API_KEY.c.id == key_id)).scalar_one_or_none()
        found = self.find(digested) if digested is not None else None
        return (found, digested) if found is not None and digested is not None else None

    def used(self, key: Key, day: str) -> None:
        """It was used on that day, `2026-01-31`."""
        change = (
            API_KEY.update()
            .where(API_KEY.c.id == key.id, sa.or_(API_KEY.c.last_used.is_(None), API_KEY.c.last_used < day))
            .values(last_used=day)
        )
        with self._engine.begin() as connection:
            connection.execute(change)

    def revoke(self, key_id: int) -> bool:
        """Revoke a key from now on; False when there is no such key or it was revoked before."""
        change = (
            API_KEY.update()
            .where(API_KEY.c.id == key_id, API_KEY.c.revoked_at.is_(None))
            .values(revoked_at=datetime.now(UTC).isoformat())
        )
        with self._engine.begin() as connection:
            return connection.execute(change).rowcount == 1

    def list(self, department: str | None = None) -> Sequence[Key]:
        """All keys ever issued, oldest first; of one department when it is named."""
        query = sa.select(*_SHOWN).order_by(API_KEY.c.id)
        if department is not None:
            query = query.where(API_KEY.c.department == department)
        with reading(self._engine) as connection:
            return [_key(row) for row in connection.execute(query)]


def digest(key: str) -> str:
    """The hash under which a key is stored: SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _new(department: str, label: str, life: timedelta | None, client: int | None) -> tuple[str, dict[str, object]]:
    key, now = PREFIX + secrets.token_urlsafe(32), datetime.now(UTC)
    return key, {
        "department": department,
        "label": label,
        "hash": digest(key),
        "created_at": now.isoformat(),
        "expires_at": (now + life).isoformat() if life is not None else None,
        "client": client,
    }


def _key(row: sa.Row[tuple[object, ...]]) -> Key:
    return Key(**row._mapping)  # noqa: SLF001 the documented way to a row's names
