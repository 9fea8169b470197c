"""The pages of rules are what the standards and their examples say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "rules_page.py"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_of_rules_is_current(language: str) -> None:
    made = importlib.util.spec_from_file_location("rules_page", TOOL)
    assert made
    assert made.loader
    tool = importlib.util.module_from_spec(made)
    made.loader.exec_module(tool)
    assert tool.PAGES[language].read_text("utf-8") == tool.page(language), "run tools/rules_page.py --write"
