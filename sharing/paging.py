"""Find records by the fields a grant lets them be sought by, a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson

from schemas.errors import ShutongError
from sharing import seeking
from sharing.answers import answer, steps_of
from sharing.catalog import Paged, Published
from sharing.desk import Desk, Target, Visit, kind_of, well_formed
from sharing.errors import InternalError, MalformedError, UnavailableError
from sharing.formats import JSON, Form, form_of
from sharing.grant_pace import fresh
from sharing.grants import Plan
from sharing.operations import Question, Verb, fields_of
from sharing.problems import Answer
from sharing.seeking import Sought


async def page(
    desk: Desk, visit: Visit, target: Target, sought: Sought, *, wanted: Sequence[str] | None, grant: str | None,
    form: Form = JSON,
) -> Answer:  # fmt: skip
    """A page of the records sought, of the grant's rows; each costs one unit, an empty page one too."""
    name, library = target.name, target.library
    visit.call.key = desk.hidden(sought.said)
    plan = desk.plan(visit, name, grant)
    steps = steps_of(plan, wanted)
    sought.allowed_by(plan)
    about = orjson.dumps([plan.grant.department, name, plan.grant.id, sought.said.decode()])
    after = desk.marks.opened(sought.after, about) if sought.after is not None else None
    desk.charge(visit, plan, 1)
    published, found = await read_page(desk, visit, target, replace(sought, after=after), plan)
    fresh(plan.grant, published.freshness)
    desk.charge(visit, plan, max(0, len(found.records) - 1))
    keys = [str(one[library.key_field]) for one in found.records]
    visit.call.keys = [desk.recorded(library, key, well_formed=well_formed(kind_of(library), key)) for key in keys]
    data = [plan.show(one, steps) for one in found.records]
    mark = desk.marks.sealed(found.after, about) if found.after else None
    return answer(visit, plan, steps, published, data, after=mark, form=form, standard=library.standard)


async def read_page(desk: Desk, visit: Visit, target: Target, sought: Sought, plan: Plan) -> tuple[Published, Paged]:
    """A page and the generation it is of, read in a thread: it looks at many records, and other calls do not wait.

    Raises MalformedError (SHR-NOT-INDEXED), UnavailableError, InternalError.
    """
    records = target.library.records

    def read() -> tuple[Published, Paged]:
        while True:
            published = records.info()
            found = records.page(sought.equal, prefix=sought.prefix, limit=sought.limit, after=sought.after,
                                 keep=plan.admits)  # fmt: skip
            if records.info().id == published.id:
                return published, found

    try:
        return await asyncio.to_thread(read)
    except ShutongError as error:
        if error.code == "WH-NOT-INDEXED":
            desk.give_back(visit)
            raise MalformedError.not_indexed(target.name) from error
        raise (UnavailableError.store(target.name) if error.retryable else InternalError.of()) from error


async def _query(desk: Desk, visit: Visit, target: Target, asked: Question) -> Answer:
    form = form_of(asked.headers)
    sought, wanted = seeking.read(asked.body), fields_of(asked.body)
    return await page(desk, visit, target, sought, wanted=wanted, grant=asked.grant, form=form)


QUERY = Verb("query", seeking.NAMES, _query)
