"""A small town made from a seed: persons, organisations and their numbers, worked out without Shutong's own code."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pyarrow as pa

TODAY = date(2025, 6, 30)
USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015
ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PAIRS = frozenset(
    authority + kind
    for authority, kinds in {
        "1": "1239", "2": "19", "3": "123459", "4": "19", "5": "1239", "6": "129", "7": "129", "8": "19", "9": "123",
        "A": "19", "N": "1239", "Y": "1",
    }.items()
    for kind in kinds
)  # fmt: skip
CODES = Path(__file__).parents[2] / "schemas" / "codes"
HOME = "330106"  # 西湖区
SURNAMES, GIVEN = "赵钱孙李周吴郑王冯陈𠮷㐂", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚"


def uscc_last(body: str) -> str:
    """The check character of 17 characters: (31 - sum mod 31) mod 31 with the weights 3^i mod 31."""
    total = sum(USCC.index(one) * pow(3, place, 31) for place, one in enumerate(body))
    return USCC[-total % 31]


def uscc_right(text: str) -> bool:
    """GB 32100-2015: 18 characters of the alphabet, the last one checks."""
    return len(text) == 18 and all(one in USCC for one in text) and uscc_last(text[:17]) == text[17]


def org_last(body: str) -> str:
    """The check character of an organisation code's first eight characters (GB 11714-1997)."""
    total = sum(ALNUM.index(one) * weight for one, weight in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    return "0123456789X"[-total % 11]


def org_right(text: str) -> bool:
    """Eight characters and the one that checks them."""
    return len(text) == 9 and all(one in ALNUM for one in text[:8]) and org_last(text[:8]) == text[8]


def id_last(body: str) -> str:
    """The check character of 17 digits (GB 11643-1999)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(one) * weight for one, weight in zip(body, weights, strict=True)) % 11]


def id_right(text: str) -> bool:
    """18 characters that check, born on a day from 1900 to today; a number that begins with 9 has no date of birth."""
    if len(text) != 18 or not (text[:17].isascii() and text[:17].isdigit()) or id_last(text[:17]) != text[17]:
        return False
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return text[0] == "9"
    return text[0] == "9" or date(1900, 1, 1) <= born <= TODAY


def mod_37_36(text: str) -> str:
    """The check character of ISO 7064 MOD 37,36."""
    product = 36
    for one in text:
        total = (product + ALNUM.index(one)) % 36 or 36
        product = total * 2 % 37
    return ALNUM[(37 - product) % 36]


@cache
def code_list(name: str) -> dict[str, tuple[str, ...]]:
    """The codes of a list as its file has them: code → other spellings, its name first."""
    with (CODES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: (row["zh"], *filter(None, row["aliases"].split(";"))) for row in csv.DictReader(file)}


def organisation(number: int, pair: str = "91", division: str = HOME) -> str:
    """A valid unified social credit code."""
    body = "MA" + "".join(USCC[number // 31**place % 31] for place in reversed(range(6)))
    first = pair + division + body + org_last(body)
    return first + uscc_last(first)


def citizen(number: int, *, man: bool, division: str = HOME) -> str:
    """A valid identity number that never ends in 000."""
    born = date(1955, 1, 1) + timedelta(days=number % 10_000)
    order = number // 10_000 * 20 + (11 if man else 12)
    body = f"{division}{born:%Y%m%d}{order:03d}"
    return body + id_last(body)


@dataclass(frozen=True)
class Person:
    """Somebody of the population."""

    id_no: str
    name: str
    sex: str

    @property
    def born(self) -> date:
        """As the identity number says."""
        return date(int(self.id_no[6:10]), int(self.id_no[10:12]), int(self.id_no[12:14]))


@dataclass(frozen=True)
class Firm:
    """An organisation of the legal-person library; `capital` in 万元."""

    uscc: str
    subject: str
    name: str
    founded: date
    capital: int
    state: str = "1"


class Town:
    """Persons and firms of one seed; those of two seeds have nothing in common."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seed, self._next = seed, seed * 20_357  # so that those of two seeds are born on other days
        self.persons: list[Person] = []
        self.dead: list[Person] = []
        self.dishonest: list[Person] = []
        self.firms: list[Firm] = []

    def number(self) -> int:
        """A number nobody else has."""
        self._next += 1
        return self._next

    def stranger(self, *, man: bool = True) -> Person:
        """Somebody whom no library knows."""
        name = self.rng.choice(SURNAMES) + "".join(self.rng.choices(GIVEN, k=self.rng.randint(1, 2)))
        return Person(citizen(self.number(), man=man), name, "1" if man else "2")

    def person(self, *, man: bool = True, dead: bool = False) -> Person:
        """Somebody of the population."""
        one = self.stranger(man=man)
        self.persons.append(one)
        if dead:
            self.dead.append(one)
        return one

    def firm(self, state: str = "1") -> Firm:
        """An organisation of the library."""
        number = self.number()
        founded = date(2001, 1, 1) + timedelta(days=self.rng.randrange(5000))
        name = f"杭州第{number}号有限公司"
        made = Firm(organisation(number), f"S-{number}", name, founded, self.rng.randint(10, 9000), state)
        self.firms.append(made)
        return made


def relations(towns: list[Town]) -> dict[str, pa.Table]:
    """What rules of a batch look at besides: libraries, registers and the code list of divisions."""
    persons = [one for town in towns for one in town.persons]
    dead = {one.id_no for town in towns for one in town.dead}
    firms = [one for town in towns for one in town.firms]
    with (CODES / "division.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["code"], row["zh"], row["valid_from"], row["valid_to"]) for row in csv.DictReader(file)]
    day = [[date.fromisoformat(row[place]) if row[place] else None for row in rows] for place in (2, 3)]
    return {
        "population": pa.table(
            {
                "id_no": pa.array([one.id_no for one in persons], pa.string()),
                "name": pa.array([one.name for one in persons], pa.string()),
                "death_flag": pa.array([one.id_no in dead for one in persons], pa.bool_()),
            }
        ),
        "legal_person": pa.table(
            {
                "uscc": pa.array([one.uscc for one in firms], pa.string()),
                "subject_id": pa.array([one.subject for one in firms], pa.string()),
                "ent_name": pa.array([one.name for one in firms], pa.string()),
                "reg_state": pa.array([one.state for one in firms], pa.string()),
                "est_date": pa.array([one.founded for one in firms], pa.date32()),
                "reg_capital": pa.array([one.capital for one in firms], pa.decimal128(38, 6)),
            }
        ),
        "rkk_death": pa.table(
            {
                "id_no": pa.array(sorted(dead), pa.string()),
                "death_time": pa.array([1_500_000_000_000_000] * len(dead), pa.timestamp("us", "Asia/Shanghai")),
            }
        ),
        "dishonest_person": pa.table(
            {"id_no": pa.array([one.id_no for town in towns for one in town.dishonest], pa.string())}
        ),
        "license": pa.table({"lic_no": pa.array(["JY1"])}),
        "elicense": pa.table({"certificate_number": pa.array(["E-1"])}),
        "division@2026": pa.table(
            {
                "code": pa.array([row[0] for row in rows]),
                "zh": pa.array([row[1] for row in rows]),
                "en": pa.array([""] * len(rows)),
                "valid_from": pa.array(day[0], pa.date32()),
                "valid_to": pa.array(day[1], pa.date32()),
            }
        ),
    }
