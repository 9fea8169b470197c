"""The three back ends of the validators say the same about every text, and what they say is right."""

from __future__ import annotations

import random
import time
from datetime import date, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stdnum.cn import ric, uscc
from stdnum.iso7064 import mod_37_36

from schemas.validators import arrow, scalar, sql
from schemas.validators.spec import KINDS

TODAY = date(2026, 3, 1)
BATCH, EXAMPLES = 480, 42  # six kinds × 42 examples × 480 texts: 120,960 strings
ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"
PAIRS = ["11", "12", "31", "51", "53", "91", "92", "93", "A1", "N1", "N2", "N3", "Y1"]


# --- valid texts, made without the code under test ---------------------------------------------------------------------
def org_code(random_: random.Random) -> str:
    body = "".join(random_.choice(ALNUM[:10] * 3 + "ABCDEFGHJKMN") for _ in range(8))
    total = sum(int(one, 36) * weight for one, weight in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    return body + {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11))


def social_credit_code(random_: random.Random) -> str:
    body = random_.choice(PAIRS) + "330106" + org_code(random_)
    total = sum(
        USCC.index(one) * weight
        for one, weight in zip(body, (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28), strict=True)
    )
    return body + (USCC + "0")[31 - total % 31]


def last_of(body: str) -> str:
    return ric.calc_check_digit(body + "0")  # stdnum wants the number with a check character and ignores it


def citizen_id(random_: random.Random) -> str:
    born = date(1900, 1, 1) + timedelta(days=random_.randrange((TODAY - date(1900, 1, 1)).days + 1))
    beginning = random_.choice(["330106", "810000", "820000", "830000", "110101", "330113"])
    body = beginning + f"{born:%Y%m%d}{random_.randrange(1000):03d}"
    if random_.random() < 0.1:  # a foreigner's permanent residence card
        body = f"9{random_.randrange(10**16):016d}"
    return body + last_of(body)


def elicense_id(random_: random.Random) -> str:
    issuer = random_.choice([social_credit_code(random_), "330106"])
    serial = "".join(random_.choice(ALNUM) for _ in range(random_.choice([1, 8, 32, 64])))
    parts = [social_credit_code(random_) + "001", issuer, serial, "001"]
    return "1.2.156.3005.2." + ".".join([*parts, mod_37_36.calc_check_digit("".join(parts))])


MAKERS = {
    "uscc": social_credit_code,
    "uscc_pair": social_credit_code,
    "uscc_org_code": social_credit_code,
    "org_code": org_code,
    "citizen_id": citizen_id,
    "elicense_id": elicense_id,
}
STRANGE = [
    "",
    " ",
    "𠮷",
    "９",
    "ｘ",
    "\0",
    "x",
    "é",
    "\n",
    "-",
    ".",
    "'",
    '"',
    "O",
    "I",
    "Ⅹ",
    "٣",
    "\u3000",
    "\U0010ffff",
]


def wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


def mutated(text: str, random_: random.Random) -> str:
    at = random_.randrange(len(text))
    other = random_.randrange(len(text))
    swapped = list(text)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    return random_.choice(
        [
            text[:at] + random_.choice(ALNUM) + text[at + 1 :],
            text[:at] + random_.choice(STRANGE) + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
            "".join(swapped),
            text.lower(),
            wide(text),
            text[:at] + wide(text[at]) + text[at + 1 :],
            text + random_.choice(STRANGE),
            random_.choice(STRANGE) + text,
            "".join(random_.choice(ALNUM) for _ in text),
            "".join(random_.choice(ALNUM[:10]) for _ in text),
            text[:6] + f"{random_.randrange(10**8):08d}" + text[14:],
            random_.choice(STRANGE),
        ]
    )


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        yield connection


def in_duckdb(database: duckdb.DuckDBPyConnection, kind: str, texts: list[str | None]) -> list[bool | None]:
    database.register("texts", pa.table({"n": range(len(texts)), "odd name": pa.array(texts, pa.string())}))
    condition = sql.condition(kind, '"odd name"', TODAY)
    answers = database.execute(f"SELECT {condition} FROM texts ORDER BY n").fetchall()
    database.unregister("texts")
    return [answer for (answer,) in answers]


def by_scalar(kind: str, texts: list[str | None]) -> list[bool | None]:
    return [None if text is None else scalar.valid(kind, text, TODAY) for text in texts]


# --- equality ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), words=st.lists(st.text(max_size=20) | st.none(), max_size=20))
def test_the_three_back_ends_agree_on_every_text(database, kind, seed, words):
    random_ = random.Random(seed)
    good = [MAKERS[kind](random_) for _ in range(BATCH // 3)]
    texts: list[str | None] = [*good, *(mutated(random_.choice(good), random_) for _ in range(BATCH - len(good) - 2))]
    texts += [None, "", *words]
    random_.shuffle(texts)
    expected = by_scalar(kind, texts)
    assert arrow.valid(kind, pa.array(texts, pa.string()), TODAY).to_pylist() == expected
    assert in_duckdb(database, kind, texts) == expected
    assert all(scalar.valid(kind, text, TODAY) for text in good)
    assert expected.count(False) > BATCH // 6
    assert expected.count(None) >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_neither_full_width_nor_lower_case_nor_padding_is_forgiven(database, kind):
    random_ = random.Random(7)
    good = [text for text in (MAKERS[kind](random_) for _ in range(400)) if any(one.isalpha() for one in text)]
    wrong = [form for text in good for form in (wide(text), text.lower(), f" {text}", f"{text}\u3000", f"{text}\n")]
    wrong += ["", "𠮷" * 18, "𠮷"]
    assert len(good) > 20
    assert arrow.valid(kind, pa.array(wrong), TODAY).true_count == 0
    assert not any(in_duckdb(database, kind, wrong))
    assert not any(by_scalar(kind, wrong))


@pytest.mark.parametrize("kind", KINDS)
def test_every_arrow_layout_gets_the_same_answer(kind):
    random_ = random.Random(11)
    texts = [None if n % 7 == 0 else MAKERS[kind](random_) if n % 3 else "𠮷无效" for n in range(150)]
    expected = by_scalar(kind, texts)
    plain = pa.array(texts, pa.string())
    layouts = {
        "large": plain.cast(pa.large_string()),
        "dictionary": plain.dictionary_encode(),
        "chunked": pa.chunked_array([plain[:40], plain[40:41], plain[41:41], plain[41:]]),
        "view": plain.cast(pa.string_view()),
    }
    for name, layout in layouts.items():
        assert arrow.valid(kind, layout, TODAY).to_pylist() == expected, name
    assert arrow.valid(kind, plain[13:77], TODAY).to_pylist() == expected[13:77]
    assert arrow.valid(kind, pa.nulls(3), TODAY).to_pylist() == [None, None, None]
    assert arrow.valid(kind, pa.array([], pa.string()), TODAY).to_pylist() == []
    assert arrow.valid(kind, pa.chunked_array([], pa.string()), TODAY).to_pylist() == []


def test_columns_longer_than_a_block_keep_their_order():
    good = social_credit_code(random.Random(3))
    texts = [good if n % 5 else good[:-1] for n in range(150_001)]
    answers = arrow.valid("uscc", pa.array(texts), TODAY).to_pylist()
    assert answers == [n % 5 != 0 for n in range(150_001)]


# --- oracles -----------------------------------------------------------------------------------------------------------
def test_check_characters_are_those_of_stdnum():
    random_ = random.Random(5)
    for _ in range(500):
        code = social_credit_code(random_)
        if code[:8].isdigit():  # stdnum turns letters in the first eight places down, wrongly
            assert uscc.calc_check_digit(code[:-1]) == code[-1]
        assert [last for last in USCC if scalar.valid("uscc", code[:-1] + last, TODAY)] == [code[-1]]
        number = citizen_id(random_)
        assert [last for last in "0123456789X" if scalar.valid("citizen_id", number[:-1] + last, TODAY)] == [
            ric.calc_check_digit(number)
        ]
        licence = elicense_id(random_)
        assert [last for last in ALNUM if scalar.valid("elicense_id", licence[:-1] + last, TODAY)] == [licence[-1]]


def test_a_remainder_of_zero_gives_the_check_character_zero():
    random_ = random.Random(17)
    codes = [social_credit_code(random_) for _ in range(400)]
    assert any(code.endswith("0") for code in codes)
    assert all(scalar.valid("uscc", code, TODAY) for code in codes)


# --- what the standards say, one example each --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("uscc", "91350100M000100Y43", True),  # the example GB 32100-2015 itself works through
        ("uscc", "91350100M000100Y44", False),
        ("uscc", "91350100m000100y43", False),
        ("uscc", "91350100M000I00Y43", False),
        ("uscc", "330106000012345", False),  # a 15-digit registration number
        ("uscc", "", False),
        ("uscc_pair", "91350100M000100Y43", True),
        ("uscc_pair", "99350100M000100Y43", False),
        ("uscc_pair", "N2350100M000100Y43", True),
        ("uscc_pair", "91", False),
        ("uscc_org_code", "91350100M000100Y43", True),
        ("uscc_org_code", "91350100M000100X43", False),
        ("org_code", "M000100Y4", True),
        ("org_code", "M000100Y-4", False),
        ("citizen_id", "11010519491231002X", True),  # the example in GB 11643
        ("citizen_id", "11010519491231002x", False),
        ("citizen_id", "440524188001010014", False),  # its other one: right check digit, born before 1900
        ("citizen_id", "110105491231002", False),
        ("citizen_id", "990101000000000000", False),
    ],
)
def test_the_examples_of_the_standards(database, kind, text, expected):
    assert scalar.valid(kind, text, TODAY) is expected
    assert arrow.valid(kind, pa.array([text]), TODAY).to_pylist() == [expected]
    assert in_duckdb(database, kind, [text]) == [expected]


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        ("19000101", True),
        ("18991231", False),
        ("19000229", False),
        ("20000229", True),
        ("20230229", False),
        ("20230230", False),
        ("20231301", False),
        ("20230001", False),
        ("20230100", False),
        ("20230431", False),
        ("20260301", True),
        ("20260302", False),
        ("20270101", False),
        ("00000000", False),
    ],
)
def test_a_citizen_is_born_on_a_real_day_up_to_today(database, born, expected):
    body = f"330106{born}001"
    number = body + last_of(body)
    assert scalar.valid("citizen_id", number, TODAY) is expected
    assert arrow.valid("citizen_id", pa.array([number]), TODAY).to_pylist() == [expected]
    assert in_duckdb(database, "citizen_id", [number]) == [expected]


def test_every_day_of_four_centuries_is_judged_like_the_calendar(database):
    bodies = [
        f"330106{year}{month:02d}{day:02d}001"
        for year in (1900, 1999, 2000, 2024)
        for month in range(14)
        for day in range(33)
    ]
    numbers = [body + last_of(body) for body in bodies]
    expected = []
    for body in bodies:
        try:
            expected.append(date(int(body[6:10]), int(body[10:12]), int(body[12:14])) <= TODAY)
        except ValueError:
            expected.append(False)
    assert expected.count(True) == 365 + 365 + 366 + 366
    assert by_scalar("citizen_id", numbers) == expected
    assert arrow.valid("citizen_id", pa.array(numbers), TODAY).to_pylist() == expected
    assert in_duckdb(database, "citizen_id", numbers) == expected


def test_a_foreigners_permanent_residence_card_has_no_birth_and_needs_only_its_check_digit():
    body = "98401199999999999"
    assert scalar.valid("citizen_id", body + last_of(body), TODAY)
    wrong = "0" if last_of(body) != "0" else "1"
    assert not scalar.valid("citizen_id", body + wrong, TODAY)


def test_an_unknown_kind_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        scalar.valid("passport", "E12345678", TODAY)
    with pytest.raises(KeyError):
        arrow.valid("passport", pa.array(["E12345678"]), TODAY)
    with pytest.raises(KeyError):
        sql.condition("passport", "x", TODAY)


def test_a_million_codes_take_about_a_second():
    texts = pa.array([social_credit_code(random.Random(n)) for n in range(2_000)] * 500)
    began = time.process_time()
    assert arrow.valid("uscc", texts, TODAY).true_count == 1_000_000
    assert time.process_time() - began < 5  # about 0.1 s when the machine is idle
