"""Fill a form 表单预填: what the caller's grants show, each with its source, and what the citizen is still asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from sharing.desk import Desk, Visit
from sharing.errors import FieldNotGrantedError
from sharing.forms import Form, Place, formatted
from sharing.forms import Question as Asking
from sharing.grant_file import Grant
from sharing.operations import Path, Question
from sharing.problems import Answer
from sharing.profile import told, whole
from sharing.profile_refusals import no_form
from sharing.subject_parts import Part, Value, differing, held, read_part, subject_of

NAMES: Final = frozenset({"key"})  # of the body
_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


async def _fill(desk: Desk, visit: Visit, asked: Question) -> Answer:
    form = desk.config.forms.get(asked.parts[0])
    if form is None:
        raise no_form(asked.parts[0])
    subject = subject_of(visit, desk, form.kind, asked.body.get("key"))
    grants = held(desk, visit)
    wanted = _wanted(form, grants)
    parts: dict[str, Part] = {}
    for name, fields in wanted.items():
        able = [one for one in grants[name] if set(fields) <= set(one.fields)]
        part = await read_part(desk, visit, subject, able, fields)
        if part is not None:
            parts[name] = part
    data = {
        "form": form.id,
        "fields": [_answer(one, parts) for one in form.questions],
        "parts": [_told(part) for part in parts.values()],
        "conflicts": differing(list(parts.values())),
    }
    return whole(visit, list(parts.values()), data)


def _wanted(form: Form, grants: Mapping[str, Sequence[Grant]]) -> Mapping[str, Sequence[str]]:
    """What is read of each library: the fields of the form that one of the grants shows whole.

    Raises FieldNotGrantedError when a question's every place is outside the grants, before anything is read.
    """
    found: dict[str, list[str]] = {}
    for one in form.questions:
        places = [place for place in one.places if _granted(place, grants)]
        if one.places and not places:
            place = one.places[0]
            raise FieldNotGrantedError.of(f"{place.subject}.{place.field}", _named(grants, place))
        for place in places:
            if place.field not in found.setdefault(place.subject, []):
                found[place.subject].append(place.field)
    return {name: _together(fields, grants[name]) for name, fields in found.items()}


def _granted(place: Place, grants: Mapping[str, Sequence[Grant]]) -> bool:
    return any(place.field in one.fields for one in grants.get(place.subject, ()))


def _together(fields: Sequence[str], grants: Sequence[Grant]) -> Sequence[str]:
    """The fields that one grant shows together: the most of them, by the first grant that shows so many."""
    best = max(grants, key=lambda one: len(set(fields) & set(one.fields)))
    return [name for name in fields if name in best.fields]


def _named(grants: Mapping[str, Sequence[Grant]], place: Place) -> str:
    return ", ".join(one.id for one in grants.get(place.subject, ())) or "-"


def _answer(one: Asking, parts: Mapping[str, Part]) -> dict[str, object]:
    """The first place that has a value shown whole answers; a mask would put stars into the form, so it does not."""
    shown: dict[str, object] = {"name": one.name, "zh": one.zh, "en": one.en, "required": one.required}
    for place in one.places:
        value = _value(place, parts)
        if value is not None:
            return shown | {
                "status": "filled", "value": formatted(value.value, one.format), "from": place.subject,
                "source": value.source, "at": value.at,
            }  # fmt: skip
    return shown | {"status": "ask", "value": None, "why": _why(one, parts)}


def _value(place: Place, parts: Mapping[str, Part]) -> Value | None:
    part = parts.get(place.subject)
    if part is None or len(part.records) != 1:
        return None
    value = part.records[0].get(place.field)
    return value if value is not None and value.value is not None and not value.masked else None


def _why(one: Asking, parts: Mapping[str, Part]) -> str:
    """Why the citizen is asked: `nowhere` is the answer kept, it is `masked`, or it is `missing` where it would be."""
    if not one.places:
        return "nowhere"
    for place in one.places:
        part = parts.get(place.subject)
        value = part.records[0].get(place.field) if part is not None and len(part.records) == 1 else None
        if value is not None and value.masked:
            return "masked"
    return "missing"


def _told(part: Part) -> object:
    """Where the answers come from, without the records: the fields of the form hold all that is shown."""
    shown = orjson.loads(orjson.dumps(told(part)))
    return {name: value for name, value in shown.items() if name != "records"}


async def _list(desk: Desk, visit: Visit, _asked: Question) -> Answer:
    forms = [
        {
            "form": one.id, "zh": one.zh, "en": one.en, "about": one.kind,
            "fields": [
                {"name": each.name, "zh": each.zh, "en": each.en, "required": each.required,
                 "from": [f"{place.subject}.{place.field}" for place in each.places]}
                for each in one.questions
            ],
        }
        for one in desk.config.forms.values()
    ]  # fmt: skip
    return Answer(200, orjson.dumps({"forms": forms, "request_id": visit.call.id}))


FILL: Final = Path("fill", re.compile(rf"/v1/forms/({_ID}):fill"), NAMES, _fill)
FORMS: Final = Path("forms", re.compile(r"/v1/forms"), frozenset(), _list, "GET")
