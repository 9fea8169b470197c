"""Look up records by their keys: one as the hot path, or up to 1,000 in one call."""

from __future__ import annotations

from collections.abc import Sequence

from sharing.answers import answer, steps_of
from sharing.desk import KINDS, Desk, Target, Visit, kind_of, well_formed
from sharing.errors import MalformedError, NotFoundError
from sharing.formats import JSON, Form, form_of
from sharing.grant_pace import fresh
from sharing.operations import Question, Verb, fields_of, keys_of
from sharing.problems import Answer

NAMES = frozenset({"key", "keys", "fields"})  # of a body


def one(
    desk: Desk, visit: Visit, target: Target, key: str, *, wanted: Sequence[str] | None, grant: str | None
) -> Answer:
    """The record under `key` as the caller's grant shows it; `wanted` None is every granted field."""
    name, library = target.name, target.library
    kind = kind_of(library)
    formed = well_formed(kind, key)
    visit.call.key = desk.recorded(library, key, well_formed=formed)
    plan = desk.plan(visit, name, grant)
    steps = steps_of(plan, wanted)
    if not formed:
        raise MalformedError.key(*KINDS.get(kind, ("键", "key")))
    desk.charge(visit, plan, 1)
    published, record = desk.read(target, key)
    fresh(plan.grant, published.freshness)
    if record is None or not plan.admits(record):
        raise NotFoundError.record(name)
    return answer(visit, plan, steps, published, plan.show(record, steps))


def many(
    desk: Desk, visit: Visit, target: Target, keys: Sequence[str], *, wanted: Sequence[str] | None, grant: str | None,
    form: Form = JSON,
) -> Answer:  # fmt: skip
    """The records under up to 1,000 keys, in the order asked; a key costs one unit whether found or not."""
    name, library = target.name, target.library
    kind = kind_of(library)
    formed = [well_formed(kind, key) for key in keys]
    visit.call.keys = [desk.recorded(library, key, well_formed=ok) for key, ok in zip(keys, formed, strict=True)]
    plan = desk.plan(visit, name, grant, "batch")
    steps = steps_of(plan, wanted)
    for place, ok in enumerate(formed, 1):
        if not ok:
            raise MalformedError.key(*KINDS.get(kind, ("键", "key")), place=place)
    desk.charge(visit, plan, len(keys))
    published, records = desk.read_many(target, keys)
    fresh(plan.grant, published.freshness)
    data: list[dict[str, object]] = []
    for key in keys:
        record = records.get(key)
        found = record is not None and plan.admits(record)
        data.append({"key": key, "found": found, "record": plan.show(record, steps) if found and record else None})
    return answer(visit, plan, steps, published, data, form=form, standard=library.standard)


async def _batch(desk: Desk, visit: Visit, target: Target, asked: Question) -> Answer:
    form = form_of(asked.headers)
    return many(desk, visit, target, keys_of(asked.body), wanted=fields_of(asked.body), grant=asked.grant, form=form)


BATCH = Verb("batch", NAMES, _batch)
