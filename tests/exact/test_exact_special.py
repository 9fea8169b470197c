"""Numbers that are valid though public validators refuse them are accepted by every rule, whole lists at a time."""

from __future__ import annotations

from exact_records import legal_person, population
from exact_town import HOME, PAIRS, Town, code_list, id_last, org_last, uscc_last
from test_exact_rules import found

from schemas.load import find_standard

TODAY_BORN = "20250630"  # the day of the check
BORN = ["19000101", "19491231", "19600229", "19991231", "20000229", TODAY_BORN]
PERMITS = ("810000", "820000", "830000")  # residence permits for people of Hong Kong, Macao, Taiwan


def holder(town: Town, prefix: str, born: str, order: str = "123") -> dict[str, str]:
    """A record of whoever has this number."""
    body = prefix + born + order
    other = {"id_no": body + id_last(body), "sex": "1" if int(order) % 2 else "2"}
    return {**population(town), **other, "birth_date": f"{born[:4]}-{born[4:6]}-{born[6:]}"}


def test_an_identity_number_may_begin_with_every_division_there_ever_was_and_with_those_of_permits() -> None:
    town = Town(1)
    rows = [holder(town, code, "19700101") for code in code_list("division") if code[0] not in "89"]
    assert len(rows) > 6_000
    rows += [holder(town, prefix, born, order) for prefix in PERMITS for born in BORN[1:] for order in ("121", "122")]
    rows += [holder(town, HOME, born) for born in BORN]
    said = found(find_standard("population@1"), rows, [town], "id_no")
    assert [(row["id_no"], rules) for row, rules in zip(rows, said, strict=True) if rules] == []


def test_numbers_of_15_digits_are_read_as_those_of_18_that_replaced_them() -> None:
    town = Town(2)
    rows = [holder(town, code, "19991231") for code in code_list("division") if code.startswith("33")]
    rows += [holder(town, HOME, "19640229", "002"), holder(town, HOME, "19060101")]
    short = [{**row, "id_no": row["id_no"][:6] + row["id_no"][8:17]} for row in rows]
    said = found(find_standard("population@1"), short, [town], "id_no")
    assert len(rows) > 20
    assert said == [{"id_no_repaired"}] * len(rows)


def test_a_card_of_permanent_residence_that_begins_with_9_needs_no_date_of_birth() -> None:
    town, rows = Town(3), []
    for number in range(40):
        body = f"9{156 + number:03d}{number * 7919:013d}"
        rows.append({**population(town), "id_no": body + id_last(body), "id_type": "553"})
    assert not any(found(find_standard("population@1"), rows, [town], "id_no"))
    wrong = [{**row, "id_no": row["id_no"][:17] + ("1" if row["id_no"][17] != "1" else "2")} for row in rows]
    assert found(find_standard("population@1"), wrong, [town], "id_no") == [{"id_no_check"}] * len(wrong)


def test_a_code_may_begin_with_every_pair_and_name_every_division_there_ever_was() -> None:
    town, rows = Town(4), []
    divisions = sorted(code_list("division"))
    bodies = ["MA2K0001", "00000000", "12345678", "MF123456", "MD000001"]
    pairs = sorted(PAIRS)
    assert len(pairs) == 36
    for place, division in enumerate([*divisions[::3], "100000", *[HOME] * len(pairs)]):
        first = pairs[place % len(pairs)] + division + bodies[place % 5]
        first += org_last(first[8:])
        code = first + uscc_last(first)
        more = {"uscc": code, "org_code": code[8:17], "tax_no": code, "org_type": "", "ent_type_name": ""}
        rows.append({**legal_person(town), **more})
    said = found(find_standard("legal_person@1"), rows, [town], "uscc")
    cut = {"uscc_excel_tail"}
    active = {"one_active_name_per_uscc"}  # some codes of this list are alike
    assert [(row["uscc"], rules) for row, rules in zip(rows, said, strict=True) if rules - cut - active] == []


def test_a_pair_that_nobody_registers_is_named_and_nothing_else() -> None:
    town, rows = Town(5), []
    for pair in ("00", "15", "22", "36", "54", "63", "73", "82", "94", "99", "A2", "N4", "Y2"):
        first = pair + HOME + "MA2K0001"
        first += org_last(first[8:])
        code = first + uscc_last(first)
        rows.append({**legal_person(town), "uscc": code, "org_code": code[8:17], "tax_no": code, "org_type": ""})
    assert found(find_standard("legal_person@1"), rows, [town], "uscc") == [{"uscc_pair_known"}] * len(rows)
