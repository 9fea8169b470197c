"""The small town with every part the service has: applications, directory, served resource, grants of every operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from applied_town import open_town
from directory_town import made
from sharing_town import FIRM, PERSON, Shelf, Town

from schemas.values import Json
from sharing.app import create_app
from sharing.catalog import Library
from sharing.directory import Directory
from sharing.directory_values import Measured
from sharing.keys import Keys

SUBJECTS = {
    "library: legal_person": ("firms", "[uscc, ent_name, division]", "[ent_name]", "[ent_name]"),
    "library: population": ("people", "[citizen_id, name]", "[name]", "[name]"),
    "resource: market.enterprise_base": ("served", "[uscc, ent_name]", "[ent_name]", "[ent_name]"),
}
# Department, last day and daily quota: one that may, one whose grants have ended, one that has used up what it may.
HOLDERS = (("tax", "2999-12-31", ""), ("bank", "2020-01-01", ""), ("school", "2999-12-31", "quota: {per_day: 1}"))
MATTER = "%E7%A8%8E%E5%8A%A1%E7%99%BB%E8%AE%B0"  # 税务登记, the matter of every grant


def grants() -> str:
    """A grant of every subject for every holder."""
    written = [
        f"""  - id: {department}-{name}
    department: {department}
    {subject}
    fields: {fields}
    find: {find}
    clear: {find}
    verify: {verify}
    purpose: {{matter: 税务登记, basis: 税收征收管理法第十五条}}
    until: {until}
    {quota}
"""
        for subject, (name, fields, find, verify) in SUBJECTS.items()
        for department, until, quota in HOLDERS
    ]
    return "grants:\n" + "".join(written)


@dataclass
class Page:
    """What a fake library finds."""

    records: list[dict[str, Json]]
    after: str | None = None


class FindingShelf(Shelf):
    """A library in memory that can be sought in."""

    def page(
        self, equal: Mapping[str, str], *, prefix: tuple[str, str] | None = None, limit: int = 100,
        after: str | None = None, keep: object = None,
    ) -> Page:  # fmt: skip
        name, value = prefix or ("", "")
        found = [
            dict(row) for row in self.rows.values()
            if all(str(row.get(field)) == one for field, one in equal.items()) and str(row.get(name, "")).startswith(value)
        ]  # fmt: skip
        return Page(found[:limit])


def whole(folder: Path) -> Town:
    """Everything, open; `keys` has `gone` too, a key of the tax department that was revoked."""
    town = open_town(folder, grants())
    town.desk.close()
    entries = list(made(folder / "directory").entries.values())
    measured = {"market.firms": Measured(records=2, score=97.5, trend=(("2026-10", 97.5),), calls=3)}
    libraries = {
        name: replace(one, records=FindingShelf(dict(one.records.rows))) for name, one in town.config.libraries.items()
    }
    firms = libraries["legal_person"]
    config = replace(
        town.config,
        libraries=libraries,
        served={"market.enterprise_base": Library(firms.standard, firms.records, personal=False, key_field="uscc")},
        directory=lambda _usage: Directory(entries, lambda: measured),
        meter=folder / "whole-meter",
    )
    town.config, town.app = config, create_app(config)
    keys = Keys(config.engine)
    town.keys["gone"] = keys.issue("tax", "gone")
    keys.revoke(max(one.id for one in keys.list()))
    for path, body in (
        (f"/v1/libraries/legal_person/records/{FIRM}", None),
        ("/v1/libraries/population/records", {"key": PERSON}),
        (f"/v1/resources/market.enterprise_base/records/{FIRM}", None),
    ):
        spent = town.ask(path, "school", "POST" if body else "GET", **({"json": body} if body else {}))
        assert spent.status_code == 200, spent.text
    return town
