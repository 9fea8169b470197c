"""The small deployment with applications and grants in its database beside those of the file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from application_office import CLERK, PROVIDER, PURPOSE, WHY, at
from sharing_town import FIRMS, GRANTS, PEOPLE, Town, build, configure

from schemas.calendar import read_calendar
from sharing.app import create_app
from sharing.application_tables import EPOCH, METADATA
from sharing.application_values import Subject
from sharing.applications import Applications
from sharing.catalog import SharingConfig
from sharing.clocks import Clocks, SharingPolicy
from sharing.grant_acts import GrantActs
from sharing.grant_register import BUMP_FILE
from sharing.grant_terms import Terms

FEW = "grants:\n" + GRANTS[GRANTS.index("  - id: bank-old") : GRANTS.index("  - id: school-small")]
LASTS = "2999-12-31"
ANY = SharingPolicy(longest=10**6)


def applying(config: SharingConfig, *, bump: bool = True) -> Applications:
    """The applications of the town's database; without `bump` made as if on another host."""
    subjects = {
        "legal_person": Subject("legal_person", "market", FIRMS, served=True),
        "population": Subject("population", "police", PEOPLE, served=True),
    }
    where = config.meter / BUMP_FILE if bump else None
    return Applications(config.engine, Clocks(read_calendar(), ANY), subjects, where)


def applied(folder: Path) -> SharingConfig:
    """The town's configuration over a folder that `open_town` laid out."""
    config = configure(folder)
    return replace(config, applications=applying(config))


def open_town(folder: Path, grants: str = FEW) -> Town:
    """Lay the town out and open it; nobody has a grant of the database yet."""
    town = build(folder, grants)
    town.desk.close()
    METADATA.create_all(town.config.engine)
    with town.config.engine.begin() as connection:
        connection.execute(sa.insert(EPOCH).values(id=1, changes=0, epoch=0))
    town.config = applied(folder)
    town.app = create_app(town.config)
    town.firms = town.config.libraries["legal_person"].records
    return town


def give(town: Town, terms: Terms, client: str | None = None, subject: str = "legal_person") -> str:
    """A grant of the tax department, applied for and approved."""
    every = town.config.applications
    one = every.file(CLERK, subject, terms, PURPOSE, at(1), client)
    if one.grant is None:
        one = every.approve(one.id, PROVIDER, WHY, at(1))
    return str(one.grant)


def acts(town: Town, *, bump: bool = True) -> GrantActs:
    """What is done to the town's grants, from beside its service."""
    return GrantActs(applying(town.config, bump=bump))


def served() -> SharingConfig:
    """The factory a real server of the town is started with; its folder comes from the test."""
    return applied(Path(os.environ["TOWN_FOLDER"]))
