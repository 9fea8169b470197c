"""The messes really met in shared tables, put into right records, with the rules that each of them violates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from random import Random

from exact_cases import PLACED, Placed
from exact_laws import NOTHING, NUMBERS, Shape, empty, kept, other, shapes, violated
from exact_records import RECORDS, Record
from exact_town import Town, citizen, code_list
from exact_twins import TWINS, Twins

Received = tuple[str, set[str]]  # what is received instead, and the rules this violates
Spoil = Callable[[str, str, Shape, Random], Received | None]  # (standard, value, field, chance)


@dataclass
class Entry:
    """One line of the log: what was done, to which records, and the rules each of them violates."""

    what: str
    rows: list[Record]
    rules: list[set[str]] = field(default_factory=list)


REJECTS = ("row_shape", "bad_bytes", "torn_row", "float_id", "field_size", "type_unreadable")  # seen by a reader
ANY = "甲乙丙丁戊己庚辛壬癸"


def wide(text: str) -> str:
    """ASCII as full-width characters."""
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


# --- any field ---------------------------------------------------------------------------------------------------------
def nothing(standard: str, _value: str, shape: Shape, chance: Random) -> Received | None:
    words = sorted(NOTHING) + (["[]号", "11111111"] if (standard, shape.name) == ("legal_person", "uscc") else [])
    return chance.choice(words), empty(standard, shape.name)


def unreadable(standard: str, _value: str, shape: Shape, chance: Random) -> Received | None:
    words = {
        "date": ["无处罚期限", "202011", "2021-02-30", "2021-13-01", "11111111", "45678", "2021-3", "2021/02-03"],
        "datetime": ["202011", "2021-02-30 10:00:00", "2021-03-04 25:00:00", "刚才"],
        "integer": ["不详", "1e3", "5,00", "1.5", "1.10101E+17"],
        "decimal": ["5,000000", "-1e-05", "不详", "1.2.3"],
        "capital": ["5,000000", "-1e-05", "约5万左右", "PIERRE"],
        "boolean": ["不详", "2", "男"],
    }[shape.type]  # fmt: skip
    return chance.choice(words), {f"{shape.name}_format"} | empty(standard, shape.name)


def padded(_standard: str, value: str, shape: Shape, chance: Random) -> Received | None:
    return chance.choice(["\u3000{}", " {} ", "{}\u3000", "\t{}"]).format(value), {f"{shape.name}_repaired"}


def widened(_standard: str, value: str, shape: Shape, _chance: Random) -> Received | None:
    said = wide(value) if shape.type != "text" else re.sub("[0-9A-Za-z]+", lambda found: wide(found[0]), value)
    return (said, {f"{shape.name}_repaired"}) if said != value else None


# --- texts, codes, numbers of things -----------------------------------------------------------------------------------
def too_long(standard: str, _value: str, shape: Shape, chance: Random) -> Received | None:
    return (
        ("".join(chance.choices(ANY, k=shape.length + 1)), {f"{shape.name}_length"} | other(standard, shape.name))
        if shape.length
        else None
    )


def meaningless(standard: str, _value: str, shape: Shape, chance: Random) -> Received | None:
    word = "".join(chance.choices(ANY, k=min(shape.length or 20, 20)))
    return "@" if shape.codes else word, other(standard, shape.name)


def by_name(_standard: str, value: str, shape: Shape, chance: Random) -> Received | None:
    """The name of the code, or another spelling of it."""
    said = [one for one in code_list(shape.codes).get(value, ()) if one not in ("", value)]
    return (chance.choice(said), {f"{shape.name}_repaired"}) if said and shape.codes != "division" else None


def truth_in_words(_standard: str, value: str, _shape: Shape, chance: Random) -> Received | None:
    return chance.choice({"0": ["否", "N", "false"], "1": ["是", "Y", "TRUE"]}[value]), set()


def grouped(_standard: str, value: str, _shape: Shape, _chance: Random) -> Received | None:
    found = re.fullmatch(r"(-?[0-9]+)(\D.*)?", value)
    return (f"{int(found[1]):,}{found[2] or ''}", set()) if found else None


def in_yuan(_standard: str, value: str, _shape: Shape, _chance: Random) -> Received | None:
    """元 in place of 万元."""
    amount = Decimal(re.sub("[^0-9.-]", "", value)) * 10_000
    return f"{amount.normalize():f}元人民币", set()


# --- dates -------------------------------------------------------------------------------------------------------------
def spelled(_standard: str, value: str, shape: Shape, chance: Random) -> Received | None:
    """The same day or instant as other systems write it."""
    digits = re.sub(r"\D", "", value)
    year, month, day, clock = digits[:4], digits[4:6], digits[6:8], digits[8:]
    plain, odd = (
        [f"{year}{month}{day}"],
        [f"{int(year)}年{int(month)}月{int(day)}日", f"{year}/{int(month)}/{int(day)}"],
    )
    odd.append(f"{year}.{month}.{day}")
    if shape.type == "datetime":
        hours = f"{clock[:2]}:{clock[2:4]}:{clock[4:]}"
        plain = [f"{year}{month}{day}{clock}", f"{year}-{month}-{day}T{hours}", f"{year}-{month}-{day} {hours}.000"]
        odd = [f"{one} {hours}" for one in odd] + [f"{year}-{month}-{day} {hours[:5]};{hours[6:]}"]
    else:
        plain += [f"{year}{month}{day}000000", f"{year}-{month}-{day} 00:00:00"]
        odd += [f"{year}-{month}-{day} 00:00;00", f"{year}年{month}月{day}日 12时00分"]
    said = chance.choice(plain + odd)
    return said, {f"{shape.name}_repaired"} if said in odd else set()


# --- identifiers -------------------------------------------------------------------------------------------------------
def _joined(code: str) -> str:
    return f"{code}、{code[:8]}{code[9:]}0"


def _masked(code: str, _chance: Random) -> str:
    return f"{code[:6]}******{code[12:]}"


def _lower(number: str, _chance: Random) -> str:
    return number.lower()


def _wide(number: str, _chance: Random) -> str:
    return wide(number)


def _next(last: str, alphabet: str) -> str:
    return alphabet[(alphabet.index(last) + 1) % len(alphabet)]


IDENTIFIERS: Mapping[str, Mapping[str, Callable[[str, Random], str]]] = {
    "uscc": {
        "wrong check": lambda code, _chance: code[:-1] + _next(code[-1], "0123456789ABCDEFGHJKLMNPQRTUWXY"),
        "lower case": _lower,
        "full width": _wide,
        "hyphen and blanks": lambda code, _chance: f" {code[:8]}-{code[8:]}\u3000",
        "O for 0": lambda code, _chance: code[:2] + code[2:].replace("0", "O", 1),
        "I for 1": lambda code, _chance: code[:2] + code[2:].replace("1", "I", 1),
        "17 characters": lambda code, _chance: code[:9] + code[10:],
        "two by 、": lambda code, _chance: _joined(code),
        "two by /": lambda code, _chance: _joined(code).replace("、", "/"),
        "an identity number": lambda _code, chance: citizen(chance.randrange(10_000), man=True),
        "a registration number": lambda _code, chance: f"330106{chance.randrange(10**9):09d}",
        "masked": _masked,
        "Excel's number": lambda _code, chance: f"9.{chance.randrange(10**5, 10**9)}E+17",
        "Excel's tail": lambda _code, chance: f"91330106{chance.randrange(10**7):07d}000",
        "organisation code": lambda code, _chance: code[8:17],
    },
    "org_code": {
        "hyphen": lambda code, _chance: f"{code[:8]}-{code[8]}",
        "seven characters": lambda code, _chance: code[:7],
        "unified code": lambda code, _chance: f"91330106{code}0",
        "wrong check": lambda code, _chance: code[:8] + _next(code[8], "0123456789X"),
        "full width": _wide,
        "lower case": _lower,
    },
    "citizen_id": {
        "wrong check": lambda number, _chance: number[:-1] + _next(number[-1], "0123456789X"),
        "15 digits": lambda number, _chance: number[:6] + number[8:17],
        "15 digits, no such day": lambda number, _chance: number[:6] + "991332" + number[14:17],
        "lower-case x": _lower,
        "full width": _wide,
        "first digit lost": lambda number, _chance: number[1:],
        "first digit doubled": lambda number, _chance: number[0] + number,
        "a digit lost": lambda number, _chance: number[:9] + number[10:],
        "neighbours swapped": lambda number, _chance: number[:4] + number[5] + number[4] + number[6:],
        "division alone": lambda _number, chance: f"33{chance.randrange(10**4):04d}",
        "passport": lambda _number, chance: f"E{chance.randrange(10**8):08d}",
        "Excel's tail": lambda number, _chance: number[:15] + "000",
        "Excel's number": lambda _number, chance: f"1.{chance.randrange(10**5, 10**9)}E+17",
        "blanks": lambda number, _chance: f" {number[:6]} {number[6:14]} {number[14:]}\u3000",
        "no such day": lambda number, _chance: number[:10] + "0230" + number[14:],
        "not born yet": lambda number, _chance: f"{number[:6]}2031{number[10:]}",
        "two by /": lambda number, _chance: f"{number}/{number}",
    },
}

SPOILS: Mapping[str, tuple[Spoil, ...]] = {
    "text": (nothing, padded, widened, too_long, meaningless),
    "code": (nothing, padded, widened, meaningless, by_name),
    "date": (nothing, padded, widened, unreadable, spelled),
    "datetime": (nothing, padded, widened, unreadable, spelled),
    "integer": (nothing, padded, widened, unreadable, grouped),
    "decimal": (nothing, padded, widened, unreadable),
    "capital": (nothing, padded, widened, unreadable, grouped, in_yuan),
    "boolean": (nothing, padded, widened, unreadable, truth_in_words),
    "uscc": (nothing,),
    "org_code": (nothing,),
    "citizen_id": (nothing,),
}  # fmt: skip


def log(standard: str, town: Town, *, every: bool = False) -> list[Entry]:
    """Right records and spoilt ones, each with at most one mess; `every`: each mess in every field it can befall.

    Otherwise each kind of mess befalls one field of its type, by chance, and each particular one every third seed.
    """
    particular = [*_identifiers(standard, town), *_placed(standard, town), *_twins(standard, town)]
    made = [*_fields(standard, town, every=every)]
    made += [make() for place, make in enumerate(particular) if every or (place + town.seed) % 3 == 0]
    made += [Entry(one, [{**RECORDS[standard](town), "_reject": one}], [{one}]) for one in REJECTS]
    made += [Entry("right", [RECORDS[standard](town)], [set()]) for _ in range(len(made) // 3 + 5)]
    town.rng.shuffle(made)
    return made


def tails(standard: str, entries: Sequence[Entry]) -> None:
    """Note the rule about numbers that Excel spoilt: it is the share of such numbers in the batch that violates it."""
    for name, field_, rule, tail in (
        ("population", "id_no", "id_no_excel_tail", "000$"),
        ("legal_person", "uscc", "uscc_excel_tail", "^[0-9]{15}000$"),
    ):
        if name != standard:
            continue
        kind = shapes(name)[field_].type
        held = [
            (kept(kind, row[field_]), rules) for one in entries for row, rules in zip(one.rows, one.rules, strict=True)
        ]
        numbers = [
            one for one in held if one[0] and (kind != "uscc" or not re.fullmatch("[0-9]{13}|[0-9]{15}", one[0]))
        ]
        hits = [rules for number, rules in numbers if re.search(tail, number)]
        if len(numbers) >= 100 and len(hits) > len(numbers) / 100:
            for rules in hits:
                rules.add(rule)


def _fields(standard: str, town: Town, *, every: bool) -> Iterator[Entry]:
    right = RECORDS[standard](town)
    filled = [one for one in shapes(standard).values() if right[one.name]]
    for type_, spoils in SPOILS.items():
        able = [one for one in filled if one.type == type_]
        for spoil in spoils:
            town.rng.shuffle(able)
            for shape in able:
                record = RECORDS[standard](town)
                done = spoil(standard, record[shape.name], shape, town.rng)
                if done is None:
                    continue
                yield Entry(f"{shape.name}: {spoil.__name__}", [{**record, shape.name: done[0]}], [done[1]])
                if not every:
                    break


def _identifiers(standard: str, town: Town) -> Iterator[Callable[[], Entry]]:
    for shape in shapes(standard).values():
        for what, spoil in IDENTIFIERS.get(shape.type, {}).items():
            if shape.name in NUMBERS.get(standard, {}):
                yield partial(_misread, standard, town, shape, what, spoil)


def _misread(standard: str, town: Town, shape: Shape, what: str, spoil: Callable[[str, Random], str]) -> Entry:
    record = RECORDS[standard](town)
    received = spoil(record[shape.name], town.rng)
    rules = violated(standard, shape.name, received, record)
    return Entry(f"{shape.name}: {what}", [{**record, shape.name: received}], [rules])


def _placed(standard: str, town: Town) -> Iterator[Callable[[], Entry]]:
    for changes, rules in PLACED.get(standard, ()):
        yield partial(_changed, standard, town, changes, rules)


def _changed(standard: str, town: Town, changes: Placed, rules: str) -> Entry:
    record = RECORDS[standard](town)
    done = changes(town, record) if callable(changes) else changes
    return Entry(str(done), [{**record, **done}], [set(rules.split())])


def _twins(standard: str, town: Town) -> Iterator[Callable[[], Entry]]:
    for changes, both in TWINS.get(standard, ()):
        yield partial(_doubled, standard, town, changes, both)


def _doubled(standard: str, town: Town, changes: Twins, both: str) -> Entry:
    record = RECORDS[standard](town)
    first, second = changes(town, record)
    rules = [set(both.split()) for _ in range(2)]
    return Entry(f"twins: {second}", [{**record, **first}, {**record, **first, **second}], rules)
