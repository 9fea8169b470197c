"""A sample 样例 of what a resource delivers, made up from its standard alone: no record of anybody has a part in it.

Check characters are right, so that programs can be tried on it. Identifiers name the division 000000, which is no
place, and organisation codes begin with EX: nobody takes them for issued ones. An entry always gets the same sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from random import Random

from schemas.code_lists import load
from schemas.standard import Field
from schemas.validators.scalar import check_character
from schemas.validators.spec import CITIZEN_ID, ORG_CODE, USCC, Weighted
from schemas.values import Json
from sharing.calls import SHANGHAI
from sharing.directory_values import Entry

MOST = 100  # rows
_NOWHERE = "000000"
_FIRST, _DAYS = date(2000, 1, 1), 9000
_ADULT, _LIFE = date(1950, 1, 1), 18_000
_NEVER = "N"  # the share of fields that nobody gets, and of which there is no sample


def sample(entry: Entry, rows: int) -> list[dict[str, Json]]:
    """So many made-up records of what may be shared, at most MOST."""
    chosen = {one.name for one in entry.items}
    fields = [one for one in entry.listed.standard.fields if one.name in chosen and one.share != _NEVER]
    random = Random(entry.id)  # noqa: S311 - a sample must come out the same, not be hard to guess
    folders = entry.listed.standard.folders
    codes = {one.codes: sorted(load(one.codes, folders).codes) for one in fields if one.codes}
    return [
        {one.name: _value(one, number, random, codes) for one in fields} for number in range(1, min(rows, MOST) + 1)
    ]


def _value(one: Field, number: int, random: Random, codes: Mapping[str, Sequence[str]]) -> Json:
    if one.codes and codes.get(one.codes):
        return random.choice(codes[one.codes])
    if one.type in _MAKERS:
        return _MAKERS[one.type](random)
    text = f"示例{one.zh}{number}"
    return text if one.length is None else text[: one.length]


def _uscc(random: Random) -> str:
    body = f"91{_NOWHERE}{_org_code(random)}"
    return body + _check(USCC.check, body)


def _org_code(random: Random) -> str:
    body = f"EX{random.randrange(10**6):06}"
    return body + _check(ORG_CODE.check, body)


def _citizen_id(random: Random) -> str:
    born = _ADULT + timedelta(days=random.randrange(_LIFE))
    body = f"{_NOWHERE}{born:%Y%m%d}{random.randrange(1000):03}"
    return body + _check(CITIZEN_ID.check, body)


def _check(check: Weighted | None, body: str) -> str:
    assert check is not None  # noqa: S101 - the three have one
    return check_character(check, body)


def _day(random: Random) -> date:
    return _FIRST + timedelta(days=random.randrange(_DAYS))


_MAKERS: Mapping[str, Callable[[Random], Json]] = {
    "uscc": _uscc,
    "org_code": _org_code,
    "citizen_id": _citizen_id,
    "integer": lambda random: random.randrange(1, 1000),
    "decimal": lambda random: f"{random.randrange(1, 100_000)}.{random.randrange(100):02}",
    "capital": lambda random: f"{random.randrange(1, 100_000)}.{random.randrange(100):02}",
    "date": lambda random: _day(random).isoformat(),
    "datetime": lambda random: datetime.combine(_day(random), time(9), SHANGHAI).isoformat(),
    "boolean": lambda random: random.random() < 0.5,  # noqa: PLR2004 - as often as not
}
