"""Verify 核验: say whether what somebody claims of a subject is so, field by field, and never what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from schemas.values import Json
from sharing.answers import source
from sharing.call_refusals import guessed
from sharing.calls import until_midnight
from sharing.catalog import Published
from sharing.desk import KINDS, Desk, Target, Visit, kind_of, well_formed
from sharing.errors import MalformedError, UnavailableError
from sharing.grant_pace import fresh
from sharing.grant_refusals import not_verified
from sharing.grants import Plan
from sharing.guessing import OPERATION, written
from sharing.operations import LARGEST_BATCH, Question, Verb
from sharing.problems import Answer

NAMES: Final = frozenset({"key", "claims", "subjects"})  # of the body
LONGEST_CLAIM: Final = 200  # characters
MOST_FIELDS: Final = 50  # claimed of one subject
YES, NO, UNKNOWN = "yes", "no", "unknown"


@dataclass(frozen=True, slots=True)
class Claims:
    """What is claimed of one subject: field to value, as it was written."""

    key: str
    claims: Mapping[str, str]


async def _verify(desk: Desk, visit: Visit, target: Target, asked: Question) -> Answer:
    if "subjects" in asked.body:
        return await _many(desk, visit, target, asked)
    one, library = claims_of(asked.body), target.library
    kind = kind_of(library)
    formed = well_formed(kind, one.key)
    visit.call.key = desk.recorded(library, one.key, well_formed=formed)
    plan = desk.plan(visit, target.name, asked.grant, "verify")
    said = _plain(plan, one)
    if not formed:
        raise MalformedError.key(*KINDS.get(kind, ("键", "key")))
    desk.charge(visit, plan, 1)
    await _count(desk, visit, plan, [(one.key, said)])
    published, record = desk.read(target, one.key)
    fresh(plan.grant, published.freshness)
    return _told(visit, plan, published, _judged(plan, record, said), [said])


async def _many(desk: Desk, visit: Visit, target: Target, asked: Question) -> Answer:
    subjects, library = subjects_of(asked.body), target.library
    kind = kind_of(library)
    formed = [well_formed(kind, each.key) for each in subjects]
    visit.call.keys = [
        desk.recorded(library, one.key, well_formed=ok) for one, ok in zip(subjects, formed, strict=True)
    ]
    plan = desk.plan(visit, target.name, asked.grant, "verify")
    said = [_plain(plan, each) for each in subjects]
    for place, ok in enumerate(formed, 1):
        if not ok:
            raise MalformedError.key(*KINDS.get(kind, ("键", "key")), place=place)
    desk.charge(visit, plan, len(subjects))
    await _count(desk, visit, plan, [(each.key, claims) for each, claims in zip(subjects, said, strict=True)])
    published, records = desk.read_many(target, [each.key for each in subjects])
    fresh(plan.grant, published.freshness)
    data = [
        {"key": each.key, "result": _judged(plan, records.get(each.key), claims)}
        for each, claims in zip(subjects, said, strict=True)
    ]
    return _told(visit, plan, published, data, said)


def _told(visit: Visit, plan: Plan, published: Published, data: object, said: Sequence[Mapping[str, str]]) -> Answer:
    call = visit.call
    call.names, call.generation = sorted({name for claims in said for name in claims}), published.id
    body = orjson.dumps({"data": data, **source(visit, plan, published)}, default=str)
    return Answer(200, body, fields=sum(map(len, said)))


def _plain(plan: Plan, one: Claims) -> dict[str, str]:
    """The claims in the spelling that is compared. Raises FieldNotGrantedError (SHR-VERIFY)."""
    for name in one.claims:
        if name not in plan.verify:
            raise not_verified(name, plan.grant.id)
    return {name: plan.verify[name](value) for name, value in one.claims.items()}


def subjects_of(body: Mapping[str, object]) -> Sequence[Claims]:
    """What is claimed of each of many subjects. Raises MalformedError."""
    subjects = body["subjects"]
    if len(body) > 1:
        raise _malformed()
    if not isinstance(subjects, list) or not 0 < len(subjects) <= LARGEST_BATCH:
        most = LARGEST_BATCH
        raise MalformedError.verification(f"一次 1 至 {most} 个主体", f"1 to {most} subjects at a time")
    return [claims_of(each) for each in subjects]


def claims_of(told: object) -> Claims:
    """What is claimed of one subject. Raises MalformedError."""
    if not isinstance(told, dict) or told.keys() != {"key", "claims"}:
        raise _malformed()
    key, claims = told["key"], told["claims"]
    if not isinstance(key, str) or not isinstance(claims, dict) or not 0 < len(claims) <= MOST_FIELDS:
        raise _malformed()
    if not all(isinstance(value, str) and 0 < len(value.strip()) <= LONGEST_CLAIM for value in claims.values()):
        raise MalformedError.verification(
            f"待核验的值应为 1 至 {LONGEST_CLAIM} 字的文本", f"A claim is text of 1 to {LONGEST_CLAIM} characters"
        )
    return Claims(key, claims)


def _malformed() -> MalformedError:
    return MalformedError.verification(
        "请求体应为 key 与 claims，或 subjects", "The body has `key` and `claims`, or `subjects`"
    )


async def _count(desk: Desk, visit: Visit, plan: Plan, said: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    """Count the claims. Raises GuessingError when a field of a subject has had its claims of the day."""
    guesses, department, call = desk.guesses, plan.grant.department, visit.call
    marks = [guesses.mark(department, key, name, value) for key, claims in said for name, value in claims.items()]
    try:
        if not guesses.is_open(call.day):
            await asyncio.to_thread(guesses.open, call.day)
        beyond = guesses.take(call.day, marks)
    except OSError as error:
        desk.give_back(visit)
        raise UnavailableError.state() from error
    if beyond is not None:
        desk.give_back(visit)
        place, name = [(place, name) for place, (_, claims) in enumerate(said, 1) for name in claims][beyond]
        raise guessed(name, guesses.most, until_midnight(), place if call.keys else None)
    call.claims = [written(mark) for mark in marks]


def _judged(plan: Plan, record: Mapping[str, Json] | None, said: Mapping[str, str]) -> dict[str, str]:
    """Yes or no per field; unknown where nothing is recorded, of the field or of the subject, within the grant."""
    if record is None or not plan.admits(record):
        return dict.fromkeys(said, UNKNOWN)
    return {name: _verdict(plan, name, record.get(name), value) for name, value in said.items()}


def _verdict(plan: Plan, name: str, value: Json, claimed: str) -> str:
    if value is None or not str(value).strip():
        return UNKNOWN
    return YES if plan.verify[name](str(value)) == claimed else NO


VERIFY: Final = Verb(OPERATION, NAMES, _verify)
