"""Arrange two deployments that exchange libraries as bundles: a province that merges one, and a city that takes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_deployment import (
    LIBRARY,
    SMALL_STANDARD,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    lay_out,
    opened,
    write_small_standard,
)

from shutong.cli import main

TAKEN = "province_legal_person"  # what the city calls the library


def asked(home: Path, *words: str) -> tuple[int, dict]:
    """A command with --json: its exit code and answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHUTONG_HOME", str(home))
        done = CliRunner().invoke(main, [*words, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, json.loads(done.stdout)


def answered(home: Path, *words: str) -> dict:
    """The answer of a command that must succeed."""
    status, told = asked(home, *words)
    assert status == 0, told
    return told


def refused(home: Path, *words: str) -> str:
    """The code of the error a command must end in, told with what to do in both languages."""
    status, told = asked(home, *words)
    assert status == 1, told
    assert all(told["error"][name] for name in ("zh", "en", "fix_zh", "fix_en"))
    return str(told["error"]["code"])


def acquaint(province: Path, city: Path) -> None:
    """Write each other's cards into both deployments, and what was agreed."""
    cards = {home: answered(home, "bundle", "keys")["card"] for home in (province, city)}
    (province / "bundles.yaml").write_text(
        f"name: province\npartners:\n  city: {{card: {cards[city]}, receives: [{LIBRARY}]}}\n", encoding="utf-8"
    )
    (city / "bundles.yaml").write_text(
        f"name: city\npartners:\n  province:\n    card: {cards[province]}\n"
        f"    sends: {{{LIBRARY}: {{standard: {SMALL_STANDARD}, as: {TAKEN}}}}}\n",
        encoding="utf-8",
    )


def town(folder: Path) -> tuple[Path, Path]:
    """Both deployments, acquainted; two departments' firms are merged in the province."""
    province, city = (taker(folder / name) for name in ("province", "city"))
    add_resource(province, csv_source(), standard=SMALL_STANDARD)
    add_resource(province, csv_source("tax"), department="swj", standard=SMALL_STANDARD)
    deliver(province, "0", [firm(1), firm(2), firm(3, "丙𠮷有限公司")], [firm(2, "乙（税）"), firm(4, "丁")])
    acquaint(province, city)
    return province, city


def taker(home: Path) -> Path:
    """A deployment that knows the standard and has no resources."""
    write_small_standard(lay_out(home))
    return home


def deliver(home: Path, name: str, registered: list[list[str]], taxed: list[list[str]]) -> None:
    """What two departments deliver, merged."""
    with opened(home) as wired:
        for folder, resource, rows in (("drops", "scjg.firms", registered), ("tax", "swj.firms", taxed)):
            if rows:
                drop(home, f"{name}.csv", rows, folder=folder)
                wired.steps.ingest(resource, f"{name}-{resource}")
        wired.steps.merge(LIBRARY, f"m{name}")


def said(home: Path, library: str, number: int) -> list[tuple[object, ...]]:
    """Who said what about a firm, in the clear."""
    told = asked(home, "library", "explain", library, code(number), "--clear")[1]["statements"]
    return [tuple(one[name] for name in ("field", "department", "resource", "value", "rank", "chosen", "observed_at"))
            for one in told]  # fmt: skip


def history_of(home: Path, library: str) -> list[tuple[object, ...]]:
    """Every change of a library since it began."""
    told = answered(home, "library", "changes", library, "--from", "2020-01-01", "--to", "2099-01-01", "--clear")
    return [tuple(one.values()) for one in told["changes"]]
