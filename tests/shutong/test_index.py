"""The index of resources that scheduling reads: follows every file, survives a broken one, parses nothing twice."""

from __future__ import annotations

import json
import os

import pytest

from runs import resources
from shutong.index import IndexEntry, read_index
from shutong.layout import init

TAXPAYER = "resources/swj/taxpayer.yaml"


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    init(home, "zhejiang")
    return home


@pytest.fixture
def parsed(monkeypatch):
    """The names of the resource files read since."""
    names = []
    real = resources.load_resource

    def load_resource(path, standards):
        names.append(path.name)
        return real(path, standards)

    monkeypatch.setattr(resources, "load_resource", load_resource)
    return names


def rewrite(path, text):
    """Change a file, its time of change too however coarse the clock of the file system."""
    now = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(now + 1_000_000_000, now + 1_000_000_000))


def test_it_holds_what_scheduling_needs_by_id(home):
    entries = read_index(home)
    assert [one.resource for one in entries] == sorted(one.resource for one in entries)
    assert [one for one in entries if one.resource == "swj.taxpayer"] == [
        IndexEntry(
            "swj.taxpayer", "swj", "taxpayer", "纳税人登记信息", "Registered taxpayers", "*/1 * * * *", "legal_person"
        )
    ]


def test_a_second_reading_parses_no_yaml_and_says_the_same(home, parsed):
    first = read_index(home)
    assert len(parsed) == 5
    assert read_index(home) == first
    assert len(parsed) == 5


def test_a_changed_file_is_noticed(home):
    read_index(home)
    path = home / TAXPAYER
    rewrite(path, path.read_text().replace("*/1 * * * *", "0 2 * * *"))
    assert {one.resource: one.schedule for one in read_index(home)}["swj.taxpayer"] == "0 2 * * *"


def test_a_file_added_or_removed_is_noticed(home):
    read_index(home)
    path = home / TAXPAYER
    path.with_name("payer.yaml").write_text(path.read_text().replace("resource: taxpayer", "resource: payer"))
    path.unlink()
    assert {"swj.payer"} == {one.resource for one in read_index(home) if one.department == "swj"}


def test_a_broken_file_keeps_its_last_good_entry_and_is_logged_with_its_line(home, caplog):
    before = read_index(home)
    path = home / TAXPAYER
    rewrite(path, path.read_text().replace("standard: legal_person@1", "standard: legal_persn@1"))
    assert read_index(home) == before
    assert "taxpayer.yaml" in caplog.text
    assert "STD-UNKNOWN" in caplog.text
    assert read_index(home) == before, "and still when nothing changed since"


def test_a_file_that_was_never_right_has_no_entry_and_hinders_no_other(home):
    (home / TAXPAYER).write_text("resource: [")
    assert len(read_index(home)) == 4


def test_a_broken_file_set_right_counts_again(home):
    read_index(home)
    path = home / TAXPAYER
    good = path.read_text()
    rewrite(path, "resource: [")
    read_index(home)
    rewrite(path, good.replace("*/1 * * * *", "@daily"))
    assert {one.resource: one.schedule for one in read_index(home)}["swj.taxpayer"] == "@daily"


def test_no_half_written_index_is_left_beside_it(home):
    read_index(home)
    assert [path.name for path in (home / "state").iterdir()] == ["index.json"]
    assert json.loads((home / "state" / "index.json").read_text())["entries"].keys() == {
        str(path.relative_to(home)) for path in home.glob("resources/*/*.yaml")
    }
