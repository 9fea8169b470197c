"""By which rights a bulk job was answered, and whether its grant still shows as much: a result is a file of then."""

from __future__ import annotations

import orjson

from sharing.answers import Steps, steps_of
from sharing.bulk_refusals import NarrowedError
from sharing.grants import Plan


def rights(plan: Plan, steps: Steps) -> bytes:
    """What the plan showed of those fields: the ones shown whole, those as join keys, and of which rows."""
    whole = sorted(name for name, mask in steps if mask is None)
    joined = sorted(name for name, _ in steps if name in plan.grant.token)
    rows = sorted((name, sorted(values)) for name, values in plan.grant.rows.items())
    return orjson.dumps([whole, joined, rows])


def still(plan: Plan, fields: tuple[str, ...], before: list[bytes]) -> None:
    """Raises NarrowedError, or FieldNotGrantedError, where the plan of now shows less than was shown `before`."""
    steps = steps_of(plan, list(fields))
    whole, joined, rows = orjson.loads(rights(plan, steps))
    for line in before:
        whole_then, joined_then, rows_then = orjson.loads(line)
        if not ({*whole_then} <= {*whole} and {*joined_then} <= {*whole, *joined} and rows in ([], rows_then)):
            raise NarrowedError.of(plan.grant.id)
