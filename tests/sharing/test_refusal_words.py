"""Refusals say in plain words what is wrong and what to send instead."""

from __future__ import annotations

import importlib
import pkgutil
import re

from sharing_town import FIRM, Town

import sharing
from sharing.contract import example_of
from sharing.errors import SharingError
from sharing.session_routes import LoginBody

BATCH = "/v1/libraries/legal_person/records:batch"


def _kinds(kind: type[SharingError]) -> set[type[SharingError]]:
    return {kind}.union(*(_kinds(one) for one in kind.__subclasses__()))


def test_no_title_is_the_name_of_a_class() -> None:
    for one in pkgutil.iter_modules(sharing.__path__):
        if one.name == "errors" or one.name.endswith("refusals"):
            importlib.import_module(f"sharing.{one.name}")
    for kind in _kinds(SharingError):
        assert not re.search(r"[a-z]Error", kind.title_en), kind
        assert re.search(r"[\u4e00-\u9fff]", kind.title_zh), kind


def test_the_contract_gives_reasons_in_words(town: Town) -> None:
    for path in town.ask("/openapi.json").json()["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                assert not re.search(r"[a-z]Error", answer["description"])


def test_a_parameter_that_is_not_allowed_is_named(town: Town) -> None:
    for path, name in (("/v1/usage?by=week", "by"), ("/v1/usage?days=9&by=minute", "days")):
        refused = town.ask(path)
        assert (refused.status_code, refused.json()["code"]) == (422, "SHR-PARAMETER")
        assert f"parameter {name} " in refused.json()["en"]["detail"]
        assert f"参数 {name} " in refused.json()["zh"]["detail"]


def test_a_wrong_body_is_told_what_one_looks_like(town: Town) -> None:
    said = [
        (BATCH, {"codes": [FIRM]}, "nothing but ", '"fields"'),
        (BATCH, {"keys": []}, "`keys`", '{"keys": ["…"]'),
    ]
    for path, body, what, example in said:
        told = town.ask(path, method="POST", json=body).json()
        assert told["code"] == "SHR-BODY"
        assert what in told["en"]["detail"]
        assert example in told["en"]["fix"]
        assert example in told["zh"]["fix"]
    assert example_of(LoginBody) == '{"person": …, "password": …}'
