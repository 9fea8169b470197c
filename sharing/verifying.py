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
    one, subjects = read(asked.body)
    kind, library, call = kind_of(target.library), target.library, visit.call
    formed = [well_formed(kind, each.key) for each in subjects]
    keys = [desk.recorded(library, each.key, well_formed=ok) for each, ok in zip(subjects, formed, strict=True)]
    if one:
        call.key = keys[0]
    else:
        call.keys = keys
    plan = desk.plan(visit, target.name, asked.grant, "verify")
    for each in subjects:
        for name in each.claims:
            if name not in plan.verify:
                raise not_verified(name, plan.grant.id)
    for place, ok in enumerate(formed, 1):
        if not ok:
            raise MalformedError.key(*KINDS.get(kind, ("键", "key")), place=None if one else place)
    plain = [{name: plan.verify[name](value) for name, value in each.claims.items()} for each in subjects]
    desk.charge(visit, plan, len(subjects))
    await _count(desk, visit, plan, subjects, plain)
    records: Mapping[str, Mapping[str, Json] | None]
    if one:
        published, record = desk.read(target, subjects[0].key)
        records = {subjects[0].key: record}
    else:
        published, records = desk.read_many(target, [each.key for each in subjects])
    fresh(plan.grant, published.freshness)
    found = [_judged(plan, records.get(each.key), said) for each, said in zip(subjects, plain, strict=True)]
    call.names, call.generation = sorted({name for each in subjects for name in each.claims}), published.id
    data = found[0] if one else [{"key": s.key, "result": told} for s, told in zip(subjects, found, strict=True)]
    told = {"data": data, **source(visit, plan, published)}
    return Answer(200, orjson.dumps(told, default=str), fields=sum(map(len, found)))


def read(body: Mapping[str, object]) -> tuple[bool, Sequence[Claims]]:
    """Whether one subject is asked about, and what is claimed of each. Raises MalformedError."""
    if ("subjects" in body) == ("key" in body or "claims" in body):
        raise _malformed()
    if "subjects" not in body:
        return True, [_claims(body)]
    subjects = body["subjects"]
    if not isinstance(subjects, list) or not 0 < len(subjects) <= LARGEST_BATCH:
        most = LARGEST_BATCH
        raise MalformedError.verification(f"一次 1 至 {most} 个主体", f"1 to {most} subjects at a time")
    return False, [_claims(each) for each in subjects]


def _claims(told: object) -> Claims:
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


async def _count(
    desk: Desk, visit: Visit, plan: Plan, subjects: Sequence[Claims], plain: Sequence[Mapping[str, str]]
) -> None:
    """Count the claims. Raises GuessingError when a field of a subject has had its claims of the day."""
    guesses, department, call = desk.guesses, plan.grant.department, visit.call
    said = [
        (place, name, guesses.mark(department, each.key, name, value))
        for place, (each, values) in enumerate(zip(subjects, plain, strict=True), 1)
        for name, value in values.items()
    ]
    marks = [mark for _, _, mark in said]
    try:
        if not guesses.is_open(call.day):
            await asyncio.to_thread(guesses.open, call.day)
        beyond = guesses.take(call.day, marks)
    except OSError as error:
        desk.give_back(visit)
        raise UnavailableError.state() from error
    if beyond is not None:
        desk.give_back(visit)
        place, name, _ = said[beyond]
        raise guessed(name, guesses.most, until_midnight(), place if len(subjects) > 1 else None)
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
