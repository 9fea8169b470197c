"""Every option the page on sources shows is one that a source, a resource file or a limit takes."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connectors import open_source
from connectors.manners import read_limits
from runs.drift import read_drift
from runs.reading import read_reading
from schemas.lines import read

TOP = Path(__file__).resolve().parents[2]
WSDL = TOP / "tests" / "connectors" / "wsdl" / "firms.wsdl"
PAGES = ("sources.md", "sources.zh-CN.md")
REACHED = {
    "sql": {"url": "sqlite:////nowhere.db"},
    "rest": {"url": "http://127.0.0.1:1"},
    "soap": {"url": "http://127.0.0.1:1"},
}


class Vault:
    def get(self, name):
        return "secret"


def entries(page):
    """Each top-level entry of each YAML block, with the lines below it."""
    text = (TOP / "docs" / page).read_text()
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^(?:[a-z_]+:.*\n(?: +.*\n)*)", block, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_every_source_shown_can_be_opened(page, tmp_path):
    path, kinds = tmp_path / "r.yaml", set()
    for one in entries(page):
        if not one.startswith("source:"):
            continue
        path.write_text(one.replace("{home}/x.wsdl", str(WSDL)))
        source = read(path).node("source")
        options = {key: source.plain(key) for key in source.keys()}  # noqa: SIM118 - a Node is no dict
        kinds.add(kind := options.pop("kind"))
        open_source(kind, options, REACHED.get(kind, {"folder": "/nowhere"}), Vault()).close()
    assert kinds >= {"sql", "csv", "fixed", "xml", "rest", "soap", "push"}


@pytest.mark.parametrize("page", PAGES)
def test_every_way_of_reading_limit_and_policy_shown_is_understood(page, tmp_path):
    path = tmp_path / "r.yaml"
    seen = set()
    for one in entries(page):
        name = one.partition(":")[0]
        path.write_text(one)
        seen.add(name)
        if name == "read":
            swept = "key_sweep" in one
            assert read_reading(read(path), "sql", {"cursor": {"column": "c"}} if swept else {})
        elif name == "limits":
            assert read_limits(YAML(typ="safe").load(one)["limits"]).rows_per_second
        elif name == "drift":
            assert read_drift(read(path))
    assert seen == {"connections", "source", "read", "limits", "drift"}
