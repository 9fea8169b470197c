"""The change feed 变更订阅: what changed in a library since a cursor, as far as a grant goes, a page at a time."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from schemas.errors import ShutongError
from sharing.answers import Steps, source, steps_of
from sharing.catalog import Changed, Changing, Library, Published
from sharing.desk import Desk, Target, Visit, kind_of, well_formed
from sharing.errors import InternalError, MalformedError, SharingError, UnavailableError
from sharing.etag import version_of
from sharing.feed_refusals import KeyHiddenError, NoFeedError, ResyncError
from sharing.grant_pace import fresh
from sharing.grants import Plan
from sharing.operations import Path, Question
from sharing.problems import Answer
from sharing.seeking import Marks

LARGEST: Final = 1000  # changes of a page
USUAL: Final = 100
AT_ONCE: Final = 1000  # changes looked at in one go
LOOKED_AT: Final = 20_000  # changes a page looks at, at most; it ends there and says that there is more
_FORGOTTEN: Final = "WH-CHANGES-FORGOTTEN"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the changes of one library: all up to generation `since` is known.

    While those up to `upto` are being read (0: none are), `after` is the place behind which to go on. `epoch` names the
    log they are kept in, `version` the wording of the grant and the fields asked for.
    """

    epoch: str
    since: int
    upto: int = 0
    after: str = ""
    version: str = ""

    @property
    def place(self) -> bytes:
        """`after` as the log takes it."""
        return base64.b64decode(self.after)


@dataclass(frozen=True, slots=True)
class Page:
    """Changes that a grant shows, in the order of their keys, and where to go on; `done`: nothing is left of them."""

    rows: Sequence[Mapping[str, object]]
    cursor: Cursor
    done: bool


def version(plan: Plan, steps: Steps) -> str:
    """What a cursor is bound to: with other rows or fields, records would come into view that did not change."""
    return base64.b64encode(version_of(plan)[:12]).decode() + ":" + ",".join(name for name, _ in steps)


def seal(marks: Marks, cursor: Cursor, plan: Plan) -> str:
    """A cursor as it travels: nobody can read or make one, and it is of use under its grant only."""
    return marks.sealed(orjson.dumps(asdict(cursor)).decode(), _about(plan))


def opened(marks: Marks, text: str, plan: Plan) -> Cursor:
    """The cursor again. Raises MalformedError."""
    return Cursor(**orjson.loads(marks.opened(text, _about(plan))))


def shown(one: Changed, plan: Plan, steps: Steps, key_field: str) -> Mapping[str, object] | None:
    """A change as the grant shows it; None where it touches nothing that the grant shows.

    A record that is not there any more, or has left the rows of the grant, is `gone`; one that was never among them is
    not spoken of.
    """
    before = plan.show(one.was, steps) if one.was is not None and plan.admits(one.was) else None
    after = plan.show(one.now, steps) if one.now is not None and plan.admits(one.now) else None
    if before == after:
        return None
    record = one.now if after is not None else one.was
    key = record[key_field] if record is not None else None
    return {"key": key, "change": "changed" if after is not None else "gone", "record": after}


def read(library: Library, cursor: Cursor, plan: Plan, steps: Steps, limit: int) -> Page:
    """A page of changes. Raises what the feed raises, ResyncError; it reads files, so call it in a thread."""
    feed = _feed(library, plan.grant.subject)
    epoch, newest, _ = feed.begin()
    if epoch != cursor.epoch:
        raise ResyncError.of(plan.grant.subject)
    upto = cursor.upto or newest
    rows: list[Mapping[str, object]] = []
    place, looked, done = cursor.place, 0, cursor.since >= upto
    while not done and len(rows) < limit and looked < LOOKED_AT:
        found, done = feed.between(cursor.epoch, cursor.since, upto, place, AT_ONCE)
        for one in found:
            row, place, looked = shown(one, plan, steps, library.key_field), one.place, looked + 1
            if row is not None:
                rows.append(row)
                if len(rows) == limit:
                    done = done and one is found[-1]
                    break
    if done:
        return Page(rows, Cursor(cursor.epoch, max(upto, cursor.since), 0, "", cursor.version), done=True)
    after = base64.b64encode(place).decode()
    return Page(rows, Cursor(cursor.epoch, cursor.since, upto, after, cursor.version), done=False)


def start(library: Library, plan: Plan, steps: Steps) -> Cursor:
    """The cursor of now: whatever changes from now on comes after it. Raises what the feed raises."""
    epoch, generation, _ = _feed(library, plan.grant.subject).begin()
    return Cursor(epoch, generation, version=version(plan, steps))


def key_whole(library: Library, plan: Plan, steps: Steps) -> None:
    """Raises KeyHiddenError unless the grant shows keys whole: nobody could say whose record is gone."""
    if dict(steps).get(library.key_field, str) is not None:
        raise KeyHiddenError.of(library.key_field, plan.grant.id)


async def changes(desk: Desk, visit: Visit, asked: Question) -> Answer:
    """A page of changes since a cursor, or the cursor of now; each change shown costs one unit, none costs nothing."""
    kind, name = asked.parts
    target = desk.library(visit, name) if kind == "libraries" else desk.served(visit, name)
    library = target.library
    plan = desk.plan(visit, name, asked.grant, "feed")
    steps = steps_of(plan, _listed(asked.parameters.get("fields")))
    key_whole(library, plan, steps)
    feed = _feed(library, name)
    limit, since = _limit(asked.parameters.get("limit")), asked.parameters.get("since")
    cursor = opened(desk.marks, since[0], plan) if since else None
    page, published = await _read(target, cursor, plan, steps, limit)
    fresh(plan.grant, published.freshness)
    desk.charge(visit, plan, len(page.rows))
    call = visit.call
    call.names, call.generation = [one for one, _ in steps], feed.named(page.cursor.upto or page.cursor.since)
    keys = [str(row["key"]) for row in page.rows]
    call.keys = [desk.recorded(library, key, well_formed=well_formed(kind_of(library), key)) for key in keys]
    told = {
        "data": page.rows,
        "cursor": seal(desk.marks, page.cursor, plan),
        "more": not page.done,
        "masked": [one for one, mask in steps if mask is not None],
        **source(visit, plan, published),
        "generation": call.generation,
    }
    there = sum(row["record"] is not None for row in page.rows)
    return Answer(200, orjson.dumps(told, default=str), fields=len(steps) * there)


async def _read(target: Target, cursor: Cursor | None, plan: Plan, steps: Steps, limit: int) -> tuple[Page, Published]:
    library = target.library
    if cursor is not None and cursor.version != version(plan, steps):
        raise ResyncError.of(target.name)

    def work() -> tuple[Page, Published]:
        if cursor is None:
            return Page((), start(library, plan, steps), done=True), library.records.info()
        return read(library, cursor, plan, steps, limit), library.records.info()

    try:
        return await asyncio.to_thread(work)
    except SharingError:
        raise
    except ShutongError as error:
        if error.code == _FORGOTTEN:
            raise ResyncError.of(target.name) from error
        raise (UnavailableError.store(target.name) if error.retryable else InternalError.of()) from error


def _feed(library: Library, name: str) -> Changing:
    if library.feed is None:
        raise NoFeedError.of(name)
    return library.feed


def _about(plan: Plan) -> bytes:
    grant = plan.grant
    return orjson.dumps(["changes", grant.department, grant.subject, grant.id])


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else [name.strip() for value in values for name in value.split(",")]


def _limit(values: Sequence[str] | None) -> int:
    text = values[0] if values else str(USUAL)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST)) and 1 <= int(text) <= LARGEST):
        raise MalformedError.parameter("limit")
    return int(text)


CHANGES: Final = Path(
    "changes", re.compile(r"/v1/(libraries|resources)/([^/]*)/changes"), frozenset(), changes, method="GET"
)
