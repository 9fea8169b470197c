"""Webhooks of departments in the state database: where they want to be told of changes, and what was sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal, cast

import sqlalchemy as sa

from sharing.calls import SHANGHAI
from sharing.keys import METADATA
from warehouse.state.database import reading, serialised

MARK: Final = "webhooks"
MOST: Final = 20  # webhooks of a department
PAUSES: Final = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400)  # seconds before each further attempt
LEASE: Final = 60  # seconds for which a message is its sender's, should that die
TEST: Final = '{"type":"test",'  # how the body of a test begins
GIVE_UP: Final = timedelta(days=5)  # of nothing but failures: then the webhook is switched off

HOOK = sa.Table(
    "share_webhook",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("department", sa.String(64), nullable=False),
    sa.Column("client", sa.String(200)),
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("grant_id", sa.String(80)),
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("cursor", sa.JSON),
    sa.Column("failing_since", sa.String(40)),
    sa.Column("disabled_at", sa.String(40)),
)
MESSAGE = sa.Table(
    "share_webhook_message",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("webhook", sa.Integer, nullable=False, index=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.String(40), nullable=False),
    sa.Column("answer", sa.String(64)),
    sa.Column("ended_at", sa.String(40)),
)


@dataclass(frozen=True, slots=True)
class Hook:
    """An address that is told when something within a grant of its department changed.

    `client` None is any application of the department, `grant_id` None the first grant in force for the `subject`.
    `cursor` is how far the changes were told; `failing_since` when deliveries began to fail without one that did not.
    """

    id: int
    department: str
    client: str | None
    url: str
    kind: Literal["libraries", "resources"]
    subject: str
    grant_id: str | None
    salt: str
    created_at: str
    cursor: Mapping[str, object] | None
    failing_since: str | None
    disabled_at: str | None

    def told(self) -> dict[str, object]:
        """As its department is told of it: without what its secret is made from."""
        kind = "library" if self.kind == "libraries" else "resource"
        return {"id": self.id, "url": self.url, kind: self.subject, "grant": self.grant_id,
                "created_at": self.created_at, "failing_since": self.failing_since,
                "disabled_at": self.disabled_at}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to a webhook; its id and body stay the same however often it is sent."""

    id: str
    webhook: int
    body: str
    attempts: int


_NAMES = tuple(one.name for one in fields(Hook))


class HookStore:
    """The webhooks of a deployment, in the state database behind `engine`; for any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, department: str, client: str | None, url: str, subject: tuple[str, str], grant: str | None
            ) -> Hook | None:  # fmt: skip
        """A new webhook for a subject (`libraries` or `resources`, and its name); None where there are MOST."""
        with serialised(self._engine) as connection:
            mine = sa.select(sa.func.count()).select_from(HOOK).where(HOOK.c.department == department)
            if connection.execute(mine).scalar_one() >= MOST:
                return None
            made = connection.execute(HOOK.insert().values(
                department=department, client=client, url=url, kind=subject[0], subject=subject[1], grant_id=grant,
                salt=secrets.token_hex(16), created_at=_at(),
            ))  # fmt: skip
            number = int(made.inserted_primary_key[0])  # type: ignore[index]  # of an insert of one row
        return self.get(number)

    def get(self, number: int) -> Hook | None:
        """The webhook of that number."""
        found = self._where(HOOK.c.id == number)
        return found[0] if found else None

    def of(self, department: str | None = None) -> list[Hook]:
        """Those of a department, or all."""
        return self._where(sa.true() if department is None else HOOK.c.department == department)

    def remove(self, number: int) -> bool:
        """Take a webhook away with its messages; False when there is none."""
        with self._engine.begin() as connection:
            connection.execute(MESSAGE.delete().where(MESSAGE.c.webhook == number))
            return connection.execute(HOOK.delete().where(HOOK.c.id == number)).rowcount == 1

    def enable(self, number: int) -> bool:
        """Let one that was switched off be told again, from now on."""
        with self._engine.begin() as connection:
            told = HOOK.update().where(HOOK.c.id == number).values(disabled_at=None, failing_since=None, cursor=None)
            return connection.execute(told).rowcount == 1

    def idle(self) -> list[Hook]:
        """Those that are on and have no message waiting: what changes meanwhile is told in the next one."""
        waiting = sa.select(MESSAGE.c.webhook).where(MESSAGE.c.state == "waiting")
        return self._where(sa.and_(HOOK.c.disabled_at.is_(None), HOOK.c.id.not_in(waiting)))

    def moved(self, hook: Hook, cursor: Mapping[str, object], body: str | None) -> bool:
        """Write down how far the changes were told, and the message that tells, together; False: another was first."""
        with serialised(self._engine) as connection:
            now = connection.execute(sa.select(HOOK.c.cursor).where(HOOK.c.id == hook.id)).first()
            if now is None or now[0] != hook.cursor:
                return False
            connection.execute(HOOK.update().where(HOOK.c.id == hook.id).values(cursor=dict(cursor)))
            if body is not None:
                connection.execute(MESSAGE.insert().values(_letter(hook.id, body)))
        return True

    def post(self, number: int, body: str) -> str:
        """A test message of that body; its id. Tests do not pile up: one that waits is sent instead, and soon."""
        row = _letter(number, body)
        mine = sa.and_(MESSAGE.c.webhook == number, MESSAGE.c.state == "waiting", MESSAGE.c.body.startswith(TEST))
        with serialised(self._engine) as connection:
            waiting = connection.execute(sa.select(MESSAGE.c.id).where(mine)).scalar()
            if waiting is None:
                connection.execute(MESSAGE.insert().values(row))
            else:  # not before the lease of a sender that may be at it
                later = sa.and_(mine, MESSAGE.c.next_at > _at(LEASE))
                connection.execute(MESSAGE.update().where(later).values(next_at=_at()))
        return str(waiting or row["id"])

    def take(self) -> tuple[Hook, Letter] | None:
        """A message that is due, for LEASE seconds this sender's alone; None when none is."""
        now = _at()
        due = sa.and_(MESSAGE.c.state == "waiting", MESSAGE.c.next_at <= now)
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(MESSAGE).where(due).order_by(MESSAGE.c.next_at).limit(20)).all()
        for row in rows:
            mine = sa.and_(MESSAGE.c.id == row.id, MESSAGE.c.next_at == row.next_at, MESSAGE.c.state == "waiting")
            with self._engine.begin() as connection:
                told = MESSAGE.update().where(mine).values(next_at=_at(LEASE), attempts=row.attempts + 1)
                taken = connection.execute(told).rowcount == 1
            hook = self.get(row.webhook) if taken else None
            if hook is not None:
                return hook, Letter(row.id, row.webhook, row.body, row.attempts + 1)
        return None

    def arrived(self, letter: Letter, answer: str) -> None:
        """It was taken."""
        with self._engine.begin() as connection:
            connection.execute(_ended(letter, "sent", answer))
            connection.execute(HOOK.update().where(HOOK.c.id == letter.webhook).values(failing_since=None))

    def failed(self, hook: Hook, letter: Letter, answer: str, *, over: bool = False) -> None:
        """It was not taken: again later, or dead after the last attempt. `over`, or days of it: the webhook is off."""
        now = datetime.now(SHANGHAI)
        since = datetime.fromisoformat(hook.failing_since) if hook.failing_since else now
        off = over or now - since > GIVE_UP
        with self._engine.begin() as connection:
            if off or letter.attempts > len(PAUSES):
                connection.execute(_ended(letter, "dead", answer))
            else:
                again = _at(PAUSES[letter.attempts - 1])
                told = MESSAGE.update().where(MESSAGE.c.id == letter.id).values(next_at=again, answer=answer)
                connection.execute(told)
            said = {"failing_since": hook.failing_since or _at(), **({"disabled_at": _at()} if off else {})}
            connection.execute(HOOK.update().where(HOOK.c.id == hook.id).values(said))

    def letters(self, number: int) -> list[dict[str, object]]:
        """The messages of a webhook, the newest first, without their bodies."""
        names = ("id", "created_at", "state", "attempts", "next_at", "answer", "ended_at")
        mine = sa.select(*(MESSAGE.c[name] for name in names)).where(MESSAGE.c.webhook == number)
        with reading(self._engine) as connection:
            rows = connection.execute(mine.order_by(MESSAGE.c.created_at.desc()).limit(100)).all()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def troubled(self) -> list[Hook]:
        """Those that were switched off, or fail for a day."""
        before = (datetime.now(SHANGHAI) - timedelta(days=1)).isoformat(timespec="microseconds")
        return self._where(sa.or_(HOOK.c.disabled_at.is_not(None), HOOK.c.failing_since < before))

    def forget(self, days: int = 30) -> None:
        """Messages that ended long ago."""
        before = (datetime.now(SHANGHAI) - timedelta(days=days)).isoformat(timespec="microseconds")
        with self._engine.begin() as connection:
            connection.execute(MESSAGE.delete().where(MESSAGE.c.ended_at < before))

    def _where(self, which: sa.ColumnElement[bool]) -> list[Hook]:
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(HOOK).where(which).order_by(HOOK.c.id)).mappings().all()
        return [Hook(**cast("dict[str, object]", {name: row[name] for name in _NAMES})) for row in rows]  # type: ignore[arg-type]


def marked(home: Path) -> None:
    """Leave a mark in the deployment's folder that there is somebody to tell: whoever starts programs looks for it."""
    (home / MARK).touch()


def _letter(number: int, body: str) -> dict[str, object]:
    return {"id": f"msg_{secrets.token_hex(12)}", "webhook": number, "body": body, "created_at": _at(),
            "state": "waiting", "attempts": 0, "next_at": _at()}  # fmt: skip


def _ended(letter: Letter, state: str, answer: str) -> sa.Update:
    return MESSAGE.update().where(MESSAGE.c.id == letter.id).values(state=state, answer=answer, ended_at=_at())


def _at(seconds: float = 0) -> str:
    return (datetime.now(SHANGHAI) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")
