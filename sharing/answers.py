"""Put an answer together: which granted fields are shown, and what is told of where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from schemas.standard import Standard
from sharing.catalog import Published
from sharing.desk import Visit
from sharing.errors import FieldNotGrantedError
from sharing.formats import JSON, Form, written
from sharing.grants import Plan
from sharing.masks import Mask
from sharing.problems import Answer

Steps = Sequence[tuple[str, Mask | None]]


def steps_of(plan: Plan, wanted: Sequence[str] | None) -> Steps:
    """The steps of the plan for the fields `wanted`, all of them for None. Raises FieldNotGrantedError."""
    if wanted is None:
        return plan.steps
    granted = dict(plan.steps)
    for name in wanted:
        if name not in granted:
            raise FieldNotGrantedError.of(name, plan.grant.id)
    return [(name, granted[name]) for name in dict.fromkeys(wanted)]


def answer(
    visit: Visit,
    plan: Plan,
    steps: Steps,
    published: Published,
    data: dict[str, object] | Sequence[Mapping[str, object]],
    *,
    after: str | None = None,
    form: Form = JSON,
    standard: Standard | None = None,
) -> Answer:
    """The answer over `data`, with its source; what was sent is noted in the call. `after` is the mark of a page.

    Lists of rows can have another `form`, whose columns are typed by `standard`.
    """
    page = visit.call.operation == "query"
    visit.call.names, visit.call.generation = [name for name, _ in steps], published.id
    told = {
        "data": data,
        **({"after": after} if page else {}),
        "masked": [field for field, mask in steps if mask is not None],
        **source(visit, plan, published),
    }
    records = 1 if isinstance(data, dict) else sum(1 for line in data if page or line["found"])
    if form is JSON or standard is None or isinstance(data, dict):
        return Answer(200, orjson.dumps(told, default=str), fields=len(steps) * records)
    body, headers = written(form, told, data, steps, standard, batch=not page)
    return Answer(200, body, form.media, headers, fields=len(steps) * records)


def source(visit: Visit, plan: Plan, published: Published) -> dict[str, object]:
    """Where an answer comes from: library or resource, grant, generation, freshness, and the call's number."""
    return {
        **({"resource": visit.call.resource} if visit.call.resource else {"library": visit.call.library}),
        "grant": plan.grant.id,
        "generation": published.id,
        "published_at": published.published_at,
        "freshness": published.freshness,
        "request_id": visit.call.id,
    }
