"""The one-ID profile 一证通办: everything the caller's grants for a matter show about one firm or person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import orjson

from sharing.answers import source
from sharing.desk import Desk, Visit
from sharing.operations import Path, Question
from sharing.problems import Answer
from sharing.subject_parts import Part, differing, held, read_part, subject_of

NAMES: Final = frozenset({"key", "kind"})  # of the body


async def _profile(desk: Desk, visit: Visit, asked: Question) -> Answer:
    subject = subject_of(visit, desk, asked.body.get("kind"), asked.body.get("key"))
    read = [await read_part(desk, visit, subject, grants, None) for grants in held(desk, visit).values()]
    parts = [part for part in read if part is not None]
    data = {"kind": subject.kind, "parts": [told(part) for part in parts], "conflicts": differing(parts)}
    return whole(visit, parts, data)


def whole(visit: Visit, parts: Sequence[Part], data: object) -> Answer:
    """The answer over the parts; the fields in it are those of its parts."""
    call = visit.call
    body = {"data": data, "matter": call.matter_asked, "case": call.case, "request_id": call.id}
    return Answer(200, orjson.dumps(body, default=str), fields=sum(part.visit.call.fields for part in parts))


def told(part: Part) -> orjson.Fragment:
    """A part as the answer has it; its size is noted in its own record."""
    call = part.visit.call
    if part.plan is None or part.published is None:
        error = part.refusal
        name = {"resource": call.resource} if call.resource else {"library": call.library}
        said = {"code": error.code, "zh": error.zh, "en": error.en, "retryable": error.retryable} if error else None
        shown: dict[str, object] = {**name, "grant": call.grant, "refused": said, "request_id": call.id}
    else:
        standard = part.target.library.standard
        shown = {
            **source(part.visit, part.plan, part.published),
            "title": {"zh": standard.zh, "en": standard.en},
            "found_by": part.by,
            "more": part.more,
            "records": part.records,
        }
    body = orjson.dumps(shown, default=str)
    call.size = len(body)
    return orjson.Fragment(body)


PROFILE: Final = Path("profile", re.compile(r"/v1/profile"), NAMES, _profile)
