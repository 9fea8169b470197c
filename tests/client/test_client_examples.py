"""The examples of the page run against a real exchange just as they stand, in both languages alike."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from client_town import CODES, Exchange
from sharing_town import uscc

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = "91330106MA00001032"


def example(language: str, page: str = "client.md") -> str:
    found = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    assert len(found) == 1
    return found[0]


def around(exchange: Exchange) -> dict[str, str]:
    number, secret = exchange.signing
    return os.environ | {"ADDRESS": exchange.address, "KEY_ID": str(number), "SECRET": secret, "no_proxy": "*"}


@pytest.mark.parametrize("language", ["toml", "python", "bash", "java", "csharp"])
def test_both_languages_show_the_same_example(language: str) -> None:
    assert example(language) == example(language, "client.zh-CN.md")


def test_keys_that_are_shown_can_be_asked_for() -> None:
    shown = set(re.findall(r"\b9133[0-9A-Z]{14}\b", (DOCS / "client.md").read_text("utf-8")))
    assert len(shown) > 1
    assert shown == {uscc(one[:17]) for one in shown}


def test_the_signed_call_of_curl_is_answered(exchange: Exchange) -> None:
    script = example("bash").replace(SHOWN, CODES[1])
    done = subprocess.run(["bash", "-c", script], env=around(exchange), capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["data"]["uscc"] == CODES[1], told


@pytest.mark.prove
@pytest.mark.skipif(shutil.which("javac") is None, reason="no Java compiler here")
def test_the_signed_call_of_java_is_answered(exchange: Exchange, tmp_path: Path) -> None:
    program = tmp_path / "Lookup.java"
    program.write_text(example("java").replace(SHOWN, CODES[1]), "utf-8")
    done = subprocess.run(["java", str(program)], env=around(exchange), capture_output=True, text=True, check=True)
    status, _, receipt = done.stdout.strip().partition("\n")
    assert status.startswith("200 ")
    assert receipt.count(".") == 2
