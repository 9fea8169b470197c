"""The seeded world behind the demonstration: firms 法人 and persons 人口 as they truly are, before any department errs.

Nothing here imports Shutong's validators: check digits are worked out by this file's own code, because what is made
here is what the demonstration is judged by.
"""

# ruff: noqa: PLR2004 - shares and years of an invented world; naming each would tell nothing more

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from shutong.demo.vocabulary import (
    BRANDS,
    DIVISIONS,
    EDUCATIONS,
    GIVEN,
    MARITAL,
    NATIONS,
    RARE,
    ROADS,
    STATES,
    SURNAMES,
    TRADES,
)

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015, 31 characters
FEWEST_BODIES = 150
LAST_DAY = date(2024, 12, 31)  # nothing in the world happened later, so the clock of the machine does not matter


@dataclass(frozen=True, slots=True)
class Person:
    """One resident 自然人; `id_no` is a valid 18-digit number that agrees with `birth_date` and `sex`."""

    id_no: str
    name: str
    used_name: str | None
    sex: str
    ethnic: str
    birth_date: date
    native_division: str
    education: str
    marital: str
    phone: str
    county: str
    address: str


@dataclass(frozen=True, slots=True)
class Firm:
    """One legal person 法人; `capital` is in 万元 of `currency` (ISO 4217); its codes are valid and agree."""

    uscc: str
    org_code: str
    reg_no: str
    subject_id: str
    name: str
    kind: str  # company | individual | cooperative | institution | social
    state: str
    rep: Person
    capital: Decimal
    currency: str
    est_date: date
    appr_date: date
    cancel_date: date | None
    revoke_date: date | None
    op_from: date
    op_to: date | None
    division: str
    reg_org: str
    address: str
    section: str
    industry: str
    scope: str
    phone: str
    tax_phone: str | None  # what the tax bureau knows where it differs from the registry
    tax_address: str | None  # likewise: firms that moved told one of the two


@dataclass(frozen=True, slots=True)
class World:
    """Everybody and everything: `firms` are market regulation's, `bodies` civil affairs' 事业单位 and 社会组织."""

    firms: tuple[Firm, ...]
    bodies: tuple[Firm, ...]
    persons: tuple[Person, ...]


def uscc_check(first17: str) -> str:
    """The 18th character of a unified social credit code (GB 32100-2015, MOD 31)."""
    total = sum(USCC_ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(first17))
    return USCC_ALPHABET[-total % 31]


def org_check(first8: str) -> str:
    """The 9th character of an organisation code (GB 11714, MOD 11; letters count from A=10)."""
    total = sum(int(char, 36) * weight for char, weight in zip(first8, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    return "0123456789X"[-total % 11]


def id_check(first17: str) -> str:
    """The 18th character of a citizen identity number (GB 11643-1999, ISO 7064 MOD 11-2)."""
    remainder = 0
    for char in first17:
        remainder = (remainder + int(char)) * 2 % 11
    return "0123456789X"[(1 - remainder) % 11]


def reg_no_check(first14: str) -> str:
    """The 15th digit of a registration number 注册号 (ISO 7064 MOD 11,10)."""
    carry = 10
    for char in first14:
        carry = (carry + int(char)) % 10 or 10
        carry = carry * 2 % 11
    return str((11 - carry) % 10)


def make_world(seed: int, *, firms: int = 3000, persons: int = 5000) -> World:
    """The world of that seed: the same seed and sizes give the same world on every machine.

    Civil affairs get one body for every five firms, and never so few that one defect of each kind holds the batch.
    """
    people = _people(Random(f"{seed}:persons"), persons)  # noqa: S311 - a reproducible world, not a secret
    adults = [person for person in people if person.birth_date.year <= 1985]
    rng = Random(f"{seed}:firms")  # noqa: S311 - as above
    taken: set[str] = set()
    registered = tuple(_firm(rng, adults, taken, _kind(rng)) for _ in range(firms))
    bodies = tuple(
        _firm(rng, adults, taken, "institution" if place % 5 < 3 else "social")
        for place in range(max(firms // 5, FEWEST_BODIES))
    )
    return World(registered, bodies, people)


def person_name(rng: Random) -> str:
    """A name of two or three characters; about one in sixty holds a rare one (𠮷, 㐂, 䶮 …)."""
    given = rng.choice(GIVEN) + (rng.choice(GIVEN) if rng.random() < 0.7 else "")
    if rng.random() < 1 / 60:
        given = rng.choice(RARE)
    return rng.choice(SURNAMES) + given


def mobile(rng: Random) -> str:
    """A mobile number of eleven digits."""
    return f"1{rng.choice('3589')}{rng.randrange(10**9):09d}"


def make_person(rng: Random, taken: set[str]) -> Person:
    """One person whose identity number is not in `taken`; adds it."""
    while True:
        code, city, county = rng.choice(DIVISIONS)
        birth = date(1938, 1, 1) + timedelta(days=rng.randrange(366 * 66))
        order = rng.randrange(1, 1000)
        stem = f"{code}{birth:%Y%m%d}{order:03d}"
        id_no = stem + id_check(stem)
        if id_no not in taken:
            taken.add(id_no)
            break
    home, home_city, home_county = (code, city, county) if rng.random() < 0.8 else rng.choice(DIVISIONS)
    return Person(
        id_no=id_no,
        name=person_name(rng),
        used_name=person_name(rng) if rng.random() < 0.03 else None,
        sex="1" if order % 2 else "2",
        ethnic=rng.choice(NATIONS),
        birth_date=birth,
        native_division=code,
        education=rng.choice(EDUCATIONS),
        marital=rng.choice(MARITAL) if birth.year <= 1998 else "10",
        phone=mobile(rng),
        county=home,
        address=f"浙江省{home_city}{home_county}{rng.choice(ROADS)}{rng.randrange(1, 400)}号{rng.randrange(1, 30)}室",
    )


def _people(rng: Random, count: int) -> tuple[Person, ...]:
    taken: set[str] = set()
    return tuple(make_person(rng, taken) for _ in range(count))


def _kind(rng: Random) -> str:
    return rng.choices(("company", "individual", "cooperative"), (80, 15, 5))[0]


_PAIRS = {
    "company": ("91",),
    "individual": ("92",),
    "cooperative": ("93",),
    "institution": ("12",),
    "social": ("51", "52", "53"),
}


def _codes(rng: Random, division: str, kind: str, taken: set[str]) -> tuple[str, str, str]:
    """A unified social credit code, its organisation code and a registration number, none of them used before."""
    while True:
        body = "MA" + "".join(rng.choices(USCC_ALPHABET, k=6)) if rng.random() < 0.7 else f"{rng.randrange(10**8):08d}"
        org_code = body + org_check(body)
        if org_code in taken:
            continue
        taken.add(org_code)
        stem = rng.choice(_PAIRS[kind]) + division + org_code
        number = f"{division}{rng.randrange(10**8):08d}"
        return stem + uscc_check(stem), org_code, number + reg_no_check(number)


def _firm(rng: Random, adults: list[Person], taken: set[str], kind: str) -> Firm:
    division, city, county = rng.choice(DIVISIONS)
    uscc, org_code, reg_no = _codes(rng, division, kind, taken)
    trade, section, industry, scope = rng.choice(TRADES)
    est = date(2006, 1, 4) + timedelta(days=rng.randrange(365 * 16))
    approved = min(est + timedelta(days=rng.randrange(1, 1100)), LAST_DAY)
    state = rng.choice(STATES) if kind in {"company", "individual", "cooperative"} else "1"
    foreign = rng.random() < 0.02
    phone = mobile(rng)
    return Firm(
        uscc=uscc,
        org_code=org_code,
        reg_no=reg_no,
        subject_id=str(uuid.UUID(int=rng.getrandbits(128))),
        name=_firm_name(rng, city, county, trade, kind),
        kind=kind,
        state=state,
        rep=rng.choice(adults),
        capital=Decimal(rng.choice((1, 3, 10, 50, 100, 200, 500, 1000, 2000, 5000))) + Decimal(rng.randrange(4)) / 4,
        currency=rng.choice(("USD", "HKD", "EUR")) if foreign and kind == "company" else "CNY",
        est_date=est,
        appr_date=approved,
        cancel_date=approved if state == "4" else None,
        revoke_date=approved if state == "2" else None,
        op_from=est,
        op_to=est.replace(day=min(est.day, 28), year=est.year + rng.choice((20, 30, 50)))
        if rng.random() < 0.5
        else None,
        division=division,
        reg_org=f"{city}{county}市场监督管理局" if kind not in {"institution", "social"} else f"{city}{county}民政局",
        address=f"浙江省{city}{county}{rng.choice(ROADS)}{rng.randrange(1, 2000)}号",
        section=section,
        industry=industry,
        scope=scope,
        phone=phone,
        tax_phone=mobile(rng) if rng.random() < 0.3 else None,
        tax_address=f"浙江省{city}{county}{rng.choice(ROADS)}{rng.randrange(2000, 3000)}号"
        if rng.random() < 0.15
        else None,
    )


def _firm_name(rng: Random, city: str, county: str, trade: str, kind: str) -> str:
    brand = "".join(rng.choices(BRANDS, k=rng.choice((2, 3))))
    if rng.random() < 0.01:
        brand = rng.choice(RARE) + brand[:1]
    serial = f"{rng.randrange(10**4):04d}"
    place = city.removesuffix("市")
    match kind:
        case "individual":
            return f"{county}{brand}{trade}经营部{serial}"
        case "cooperative":
            return f"{place}{brand}农业专业合作社{serial}"
        case "institution":
            return f"{county}{brand}{rng.choice(('中学', '小学', '卫生院', '图书馆'))}{serial}"
        case "social":
            return f"{place}{brand}{trade}{rng.choice(('协会', '商会', '基金会'))}{serial}"
        case _:
            return f"{place}{brand}{trade}有限公司{serial}"
