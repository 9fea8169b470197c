"""Read one firm or person through every grant a caller has for a matter: each library a part, charged and recorded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.values import Json
from sharing.answers import Steps, steps_of
from sharing.catalog import Library, Published
from sharing.comparing import plain_of
from sharing.desk import KINDS, Desk, Target, Visit, well_formed
from sharing.errors import MalformedError, NotFoundError, SharingError
from sharing.grant_file import Grant
from sharing.grant_pace import fresh
from sharing.grants import Plan
from sharing.paging import read_page
from sharing.profile_refusals import no_grant_for, purpose_missing, wrong_kind
from sharing.seeking import Sought

KINDS_OF_KEY: Final[Mapping[str, str]] = {"firm": "uscc", "person": "citizen_id"}
MOST_RECORDS: Final = 20  # of one library, where it finds the subject by another field than its key
_OTHER_FIELDS: Final = {"firm": ("uscc",), "person": ("citizen_id", "id_number")}
_SOURCES: Final = "_sources"


@dataclass(frozen=True, slots=True)
class Subject:
    """A firm by its USCC, or a person by the citizen's number."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value as the grant shows it, the department it is from, and when that department's newest record landed."""

    value: object
    masked: bool
    source: str | None
    at: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """What one library shows of the subject, or why it shows nothing; `by` is the field the subject was found by."""

    visit: Visit
    target: Target
    plan: Plan | None = None
    published: Published | None = None
    by: str | None = None
    records: Sequence[Mapping[str, Value]] = ()
    more: bool = False
    refusal: SharingError | None = None


def subject_of(visit: Visit, desk: Desk, kind: object, key: object) -> Subject:
    """Who is asked about, noted in the call. Raises MalformedError, and where the purpose is not told, HeaderError."""
    if kind not in KINDS_OF_KEY or not isinstance(kind, str) or not isinstance(key, str):
        raise wrong_kind()
    formed = well_formed(KINDS_OF_KEY[kind], key)
    plain = kind == "firm" and formed
    visit.call.key = key if plain else desk.hidden(key.encode("utf-8", "surrogatepass"))
    if visit.call.matter_asked is None or visit.call.case is None:
        raise purpose_missing()
    if not formed:
        raise MalformedError.key(*KINDS[KINDS_OF_KEY[kind]])
    return Subject(kind, key)


def held(desk: Desk, visit: Visit) -> Mapping[str, Sequence[Grant]]:
    """The caller's grants for the matter of the call, by what they are for. Raises NoGrantError where it has none."""
    matter, found = visit.call.matter_asked or "", dict[str, list[Grant]]()
    mine = desk.grants.of(visit.call.department or "")
    for grant in mine:
        known = grant.subject in desk.config.libraries or grant.subject in desk.config.served
        if grant.matter == matter and known:
            found.setdefault(grant.subject, []).append(grant)
    if not found:
        raise no_grant_for(matter, sorted({grant.matter for grant in mine}))
    return found


def found_by(library: Library, kind: str, find: frozenset[str]) -> str | None:
    """The field the subject can be found by: the key, else an identifier the grant lets records be sought by."""
    standard = library.standard
    if standard.field(library.key_field).type == KINDS_OF_KEY[kind]:
        return library.key_field
    others = (one.name for one in standard.fields if one.type in _OTHER_FIELDS[kind] or one.mask in _OTHER_FIELDS[kind])
    return next((name for name in others if name in find), None)


async def read_part(
    desk: Desk, visit: Visit, subject: Subject, grants: Sequence[Grant], wanted: Sequence[str] | None
) -> Part | None:
    """What one library shows of the subject by the first of the grants that can be used now; None where it is none
    that subjects of this kind are found in. Refusals are told in the part.
    """
    name = grants[0].subject
    library = desk.config.libraries.get(name) or desk.config.served[name]
    usable = [(one, by) for one in grants if (by := found_by(library, subject.kind, one.find)) is not None]
    if not usable:
        return None
    part = visit.part()
    target = desk.library(part, name) if name in desk.config.libraries else desk.served(part, name)
    part.call.key = visit.call.key
    part.paid = visit.paid
    try:
        plan, by = _planned(desk, part, name, usable)
        return await _read(desk, part, target, plan, by, subject, wanted)
    except SharingError as error:
        part.call.status, part.call.code = error.status, error.code
        if error.status >= 500:  # noqa: PLR2004 our fault is not charged
            desk.give_back(part)
        return Part(part, target, refusal=error)
    finally:
        visit.paid = part.paid
        part.call.micros = (time.perf_counter_ns() - part.began) // 1000


def _planned(desk: Desk, part: Visit, name: str, usable: Sequence[tuple[Grant, str]]) -> tuple[Plan, str]:
    refused: SharingError | None = None
    for grant, by in usable:
        try:
            return desk.plan(part, name, grant.id), by
        except SharingError as error:
            refused = refused or error
    raise refused or NotFoundError.record(name)


async def _read(  # noqa: PLR0917 one of each
    desk: Desk, part: Visit, target: Target, plan: Plan, by: str, subject: Subject, wanted: Sequence[str] | None
) -> Part:
    steps = steps_of(plan, wanted)
    desk.charge(part, plan, 1)
    more = False
    if by == target.library.key_field:
        published, record = desk.read(target, subject.key)
        fresh(plan.grant, published.freshness)
        records = [record] if record is not None and plan.admits(record) else []
    else:
        sought = Sought({by: subject.key}, None, MOST_RECORDS, None)
        published, page = await read_page(desk, part, target, sought, plan)
        fresh(plan.grant, published.freshness)
        records, more = list(page.records), page.after is not None
        desk.charge(part, plan, max(0, len(records) - 1))
    if not records:
        raise NotFoundError.record(target.name)
    shown = [_shown(target, published, plan, steps, record) for record in records]
    part.call.status, part.call.generation = 200, published.id
    part.call.names, part.call.fields = [name for name, _ in steps], len(steps) * len(shown)
    return Part(part, target, plan, published, by, shown, more)


def _shown(
    target: Target, published: Published, plan: Plan, steps: Steps, record: Mapping[str, Json]
) -> Mapping[str, Value]:
    sources, freshness = record.get(_SOURCES), published.freshness
    only = next(iter(freshness)) if len(freshness) == 1 else target.name.partition(".")[0]
    masked = {name for name, mask in steps if mask is not None}
    told: dict[str, Value] = {}
    for name, value in plan.show(record, steps).items():
        said = sources.get(name) if isinstance(sources, Mapping) else None
        source = str(said[0]) if isinstance(said, list) and said else only if sources is None else None
        known = source if value is not None else None
        told[name] = Value(value, name in masked, known, freshness.get(known) if known else None)
    return told


def differing(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Fields of which the parts say different things: nothing is chosen, every word is shown with whose it is.

    Only what is shown whole is compared, so that no mask is seen through; a library that found the subject by another
    field than its key tells of other subjects, whose values differ rightly.
    """
    said: dict[str, dict[str, list[dict[str, object]]]] = {}
    for part in parts:
        if len(part.records) != 1 or part.by != part.target.library.key_field:
            continue
        for name, one in part.records[0].items():
            if one.value is None or one.masked:
                continue
            plain = plain_of(part.target.library.standard.field(name))[1](str(one.value))
            word = {"value": one.value, "from": part.target.name, "source": one.source, "at": one.at}
            said.setdefault(name, {}).setdefault(plain, []).append(word)
    return [
        {"field": name, "values": [word for every in words.values() for word in every]}
        for name, words in said.items()
        if len(words) > 1
    ]
