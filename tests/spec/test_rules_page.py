"""The pages of rules are what the standards and their examples say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from quality.suite import suite
from schemas.lines import read
from schemas.load import find_standard, read_rules

TOOL = Path(__file__).resolve().parents[2] / "tools" / "rules_page.py"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_of_rules_is_current(language: str) -> None:
    made = importlib.util.spec_from_file_location("rules_page", TOOL)
    assert made
    assert made.loader
    tool = importlib.util.module_from_spec(made)
    made.loader.exec_module(tool)
    assert tool.PAGES[language].read_text("utf-8") == tool.page(language), "run tools/rules_page.py --write"


def test_the_rules_that_the_page_shows_can_be_read() -> None:
    own = read(TOOL.parents[1] / "tests" / "spec" / "own_rules.yaml")
    rules = read_rules(own, find_standard("legal_person@1"))
    assert [rule.kind for rule in rules] == ["expectation", "condition", "code", "single", "reference"]
    codes = {"reg_state@1": frozenset({"1"})}
    assert len(suite(rules, codes).expectations) == len(rules)
