"""The documentation: nothing is left out, nothing it names is missing, generated parts are current."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import click
import pytest

from shutong.cli import main
from shutong.late import LateCommand
from shutong.settings import SETTINGS

TOP = Path(__file__).resolve().parents[2]
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@cache
def text_of(page: Path) -> str:
    """What a page says."""
    return page.read_text()


@cache
def every_command() -> dict[str, click.Command]:
    """Every command that does something, imported, by the words one types."""
    return dict(commands(main))


@cache
def tool(name: str) -> ModuleType:
    """A script of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, TOP / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def commands(group: click.Group, before: str = "shutong") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by the words one types."""
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from commands(one, f"{before} {name}")
        else:
            yield f"{before} {name}", one.real() if isinstance(one, LateCommand) else one


def said(language: str) -> str:
    """Everything the pages of one language say, on one line."""
    chinese = [page for page in PAGES if "zh-CN" in page.name]
    pages = chinese if language == "zh" else [page for page in PAGES if page not in chinese]
    return " ".join(" ".join(text_of(page) for page in pages).split())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_command_is_shown_in_both_languages(language):
    everything = said(language)
    missing = [words for words in every_command() if words not in everything]
    assert missing == []


def test_every_command_a_page_shows_exists():
    known = every_command()
    wrong = []
    for page in PAGES:
        for line in re.findall(r"(?<![\w/.-])shutong ([a-z]+(?: [a-z]+)?)", text_of(page)):
            first, _, second = line.partition(" ")
            group = main.commands.get(first)
            if isinstance(group, click.Group):
                if f"shutong {first} {second}" not in known and not isinstance(group.commands.get(second), click.Group):
                    wrong.append(f"{page.name}: shutong {line}")
            elif group is None:
                wrong.append(f"{page.name}: shutong {line}")
    assert wrong == []


def test_every_option_a_page_shows_exists():
    wrong = []
    for words, one in every_command().items():
        known = {name for option in one.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        for page in (page for page in PAGES if words in text_of(page)):
            for rest in re.findall(rf"{words}((?: +[^\s`#;|]+)*)", text_of(page)):
                wrong += [
                    f"{page.name}: {words} {name}" for name in re.findall(r"--[a-z-]+", rest) if name not in known
                ]
    assert wrong == []


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_every_setting_stands_in_the_readme(page):
    text = (TOP / page).read_text()
    assert [one.name for one in SETTINGS if f"| `{one.name}` |" not in text] == []


def test_the_tables_of_settings_are_current():
    settings_table = tool("settings_table")
    for name, language in settings_table.PAGES.items():
        text = (TOP / name).read_text()
        assert settings_table.BETWEEN.search(text)
        assert settings_table.renewed(text, language) == text, "run tools/settings_table.py --write"


def test_the_error_codes_are_current():
    error_codes = tool("error_codes")
    assert error_codes.PAGE.read_text() == error_codes.page(), "run tools/error_codes.py --write"


def test_the_error_codes_include_one_raised_in_every_package_that_raises():
    found = {code.partition("-")[0] for code in tool("error_codes").codes()}
    assert found == {"STD", "SRC", "QUA", "WH", "RUN", "SHR", "SYS"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_somewhere_in_the_repository(page):
    targets = [target.partition("#")[0] for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_readme_opens_with_the_two_commands_and_a_picture(page):
    text = (TOP / page).read_text()
    opening = text.split("## ")[0]
    assert opening.index("make demo") < opening.index("make test") < opening.index("![")


def test_every_make_target_a_page_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    named = {
        word
        for page in PAGES
        for word in re.findall(r"(?:`|^)(?:ONCE=1 )?make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


@pytest.mark.parametrize("page", sorted((TOP / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_page_has_its_twin_in_the_other_language(page):
    if page.name in ("errors.md", "databases.md"):  # one page in both
        return
    twin = page.name.replace(".zh-CN.md", ".md") if ".zh-CN" in page.name else page.name.replace(".md", ".zh-CN.md")
    assert (page.parent / twin).exists()


def test_every_dependency_has_its_line_and_every_line_its_dependency():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *project["dependency-groups"]["dev"],
    ]
    names = {re.split(r"[\[<>=~! ]", one)[0] for one in wanted}
    text = (TOP / "docs" / "adr" / "0002-dependencies.md").read_text()
    assert [name for name in sorted(names) if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)] == []
    assert set(re.findall(r"^\| ([a-z][\w.-]+) \|", text, re.MULTILINE)) - {"package"} <= names


@pytest.mark.parametrize("page", sorted((TOP / "docs" / "adr").glob("*.md")), ids=lambda page: page.name)
def test_a_decision_stands_on_forty_lines(page):
    assert len(page.read_text().splitlines()) <= 40


@pytest.mark.parametrize("picture", sorted((TOP / "docs" / "pictures").glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_asks_nobody_for_anything(picture):
    text = picture.read_text()
    assert re.findall(r"(?:href|src)=|url\(|@import|@font-face|<script", text) == []
