"""Every row of the list of fields stands in a standard as the list says, or in the table of deviations with a reason."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from schemas.load import find_standard, known_standards
from schemas.standard import Field, Standard

HERE = Path(__file__).parent
ROWS = list(csv.DictReader((HERE / "fields.csv").read_text("utf-8").splitlines()))
DEVIATIONS = YAML(typ="base").load((HERE / "fields_deviations.yaml").read_text("utf-8"))
NAMES = {"frk_base": "legal_person", "rkk_base": "population", "_control": "control"}
TYPES = {
    "string": ("text", "boolean", "code", "uscc", "org_code", "citizen_id"),
    "text": ("text",),
    "int": ("integer",),
    "date": ("date",),
    "datetime": ("datetime",),
}
LISTS = {
    "GB/T 2260": "division",
    "GB/T 2261.1": "gb_t_2261_1",
    "GB/T 2261.2": "gb_t_2261_2",
    "GB/T 3304": "gb_t_3304",
    "GB/T 4658": "gb_t_4658",
    "GB/T 4761": "gb_t_4761",
    "GB/T 12402": "gb_t_12402",
    "GB/T 12406": "gb_t_12406",
    "GB/T 20091": "gb_t_20091",
    "GB/T 2659": "gb_t_2659_1",
    "GA/T 2000.156": "ga_t_2000_156",
}


def standard_of(row: dict[str, str]) -> Standard:
    return find_standard(f"{NAMES.get(row['resource'], row['resource'])}@1")


def place(row: dict[str, str]) -> str:
    return f"{row['resource']}/{row['name_en']}"


def differences(row: dict[str, str]) -> Iterator[str]:
    """What differs between a row of the list and the field of the standard, one word each."""
    standard = standard_of(row)
    field = next((one for one in standard.fields if one.name == row["name_en"].lower()), None)
    if field is None:
        yield "split"
        return
    rules = {rule.id: rule for rule in standard.rules}
    if field.type not in TYPES.get(row["type"], ("decimal", "capital")):
        yield "type"
    yield from length(row, field)
    yield from codes(row, field)
    if row["level_1to4"] != str(field.level):
        yield "level"
    if row["share"][0] != field.share:
        yield "share"
    spellings = {one.casefold() for one in (field.name, *field.aliases)}
    if (
        not {one.strip().casefold() for one in re.split("[,/]", row["source_col"]) if one.strip().isidentifier()}
        <= spellings
    ):
        yield "alias"
    yield from required(row, field, f"{field.name}_required" in rules or f"{field.name}_check" in rules)


def length(row: dict[str, str], field: Field) -> Iterator[str]:
    """A length in brackets is what is usual; 200/18 are the lengths of two columns; yes or no has none."""
    said = re.match("[0-9]+", row["max_len"])
    if field.type == "boolean" and row["max_len"] == "1":
        return
    if "/" in row["max_len"] or (said and field.length != int(said[0])):
        yield "length"


def codes(row: dict[str, str], field: Field) -> Iterator[str]:
    cited = next((name for said, name in LISTS.items() if said in row["code_list"]), None)
    if cited and not (field.codes or "").startswith(cited):
        yield "codes"
    if "万元" in row["code_list"] and field.unit != "万元":
        yield "unit"


def required(row: dict[str, str], field: Field, ruled: bool) -> Iterator[str]:
    if row["required"] == "Y" and not (field.required or ruled):
        yield "required"
    if row["required"].startswith("C") and not ruled:
        yield "required"
    if row["required"] == "N" and field.required:
        yield "required"


@pytest.mark.parametrize("row", ROWS, ids=map(place, ROWS))
def test_a_field_stands_in_its_standard_as_the_list_says(row: dict[str, str]) -> None:
    said = DEVIATIONS.get(place(row), {})
    assert sorted(differences(row)) == sorted(said.get("differs", [])), place(row)
    assert bool(said) is bool(said.get("why"))
    for name, expected in said.get("fields", {}).items():
        field = standard_of(row).field(name)
        for key, value in expected.items():
            assert str(getattr(field, key)) == value, (name, key)


def test_every_row_is_looked_at_and_no_deviation_is_left_over() -> None:
    assert len(ROWS) == 303
    assert set(DEVIATIONS) <= set(map(place, ROWS))
    assert {standard_of(row).id for row in ROWS} == set(known_standards())
    assert len({row["resource"] for row in ROWS}) == 20


def test_personal_data_is_masked() -> None:
    """Numbers and addresses of persons, level 4, have a mask; so have names of persons."""
    bare = [
        f"{name}.{field.name}"
        for name in known_standards()
        for field in find_standard(name).fields
        if not field.mask and (field.type == "citizen_id" or field.zh.endswith(("姓名", "住址", "身份证件号码")))
    ]
    assert bare == []


def test_every_standard_names_the_departments_that_answer_for_it() -> None:
    assert [name for name in known_standards() if not find_standard(name).authority] == []
