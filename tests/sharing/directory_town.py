"""A directory of three resources, and the small town that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sharing_town import FIRMS, PEOPLE, Town
from sharing_town import build as build_town

from sharing.app import create_app
from sharing.directory import Directory, directory_of
from sharing.directory_values import Listed, Measured, Provider, Words

MARKET = Provider("market", Words("省市场监督管理局", "Market Regulation"), "11330000EX00000108")


def made(folder: Path, **files: str) -> Directory:
    """Two resources of one standard and one of another, with what their files say."""
    for name, text in files.items():
        path = folder / "market" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    listed = [
        Listed(
            "market.firms", "resource", Words("企业登记", "Firms"), "market", FIRMS, ("uscc", "ent_name", "capital")
        ),
        Listed("market.shops", "resource", Words("𠮷林个体户", "Shops"), "market", FIRMS, ("uscc", "ent_name")),
        Listed("police.people", "resource", Words("户籍", "People"), "police", PEOPLE),
    ]
    return directory_of(listed, {"market": MARKET}, folder)


@contextmanager
def served(folder: Path) -> Iterator[Town]:
    """The town with its directory."""
    built = build_town(folder)
    entries = list(made(folder / "directory").entries.values())
    asked = []

    def directory(usage):
        def measure():
            asked.append(usage("2026-01-01"))
            return {"market.firms": Measured(records=2, score=97.5, trend=(("2026-10", 97.5),), calls=3)}

        return Directory(entries, measure)

    app = create_app(replace(built.config, directory=directory))
    opened = Town(built.folder, built.config, app, built.keys, built.firms, built.people)
    yield opened
    opened.desk.close()
    built.desk.close()
    built.config.engine.dispose()
