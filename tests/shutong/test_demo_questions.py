"""The demo's questions know what each department may see, by themselves and not from the answer."""

from __future__ import annotations

import pytest

from schemas.load import find_standard
from sharing.grants import Grants
from shutong.demo import systems
from shutong.demo.questions import Question, questions, shown_well
from shutong.layout import examples

STANDARDS = {name: find_standard(f"{name}@1") for name in ("legal_person", "population")}


@pytest.fixture(scope="module")
def answered(tmp_path_factory) -> list[Question]:
    home = tmp_path_factory.mktemp("questions")
    return [one for one in questions(systems.generate(home, firms=50, persons=50)) if one.status == 200]


def body_of(one: Question) -> dict[str, object]:
    plan = Grants(examples() / "zhejiang" / "grants.yaml", STANDARDS, {}).plan(str(one.department), one.library)
    return {"data": dict.fromkeys(plan.grant.fields), "masked": list(plan.masked)}


def test_the_grants_that_ship_show_what_the_questions_expect(answered):
    assert len(answered) == 4
    assert [shown_well(one, body_of(one)) for one in answered] == [[]] * 4


def test_an_answer_without_its_masks_or_without_a_field_is_told(answered):
    for one in answered:
        body = body_of(one)
        assert len(shown_well(one, {"data": {}, "masked": body["masked"]})) == 1
        assert len(shown_well(one, {"data": body["data"], "masked": ["uscc"]})) == 1
