"""The state of every departmental system after so many rounds of change, computed from the seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from shutong.demo.copies import clean_copies, population_row, registry_row
from shutong.demo.defects import injure
from shutong.demo.ledger import Expected, Ledger, expect, log, merged
from shutong.demo.rows import LAYOUTS, POPULATION, REGISTRY, TAXPAYER, Layout, Row, Value, settle
from shutong.demo.truth import make_person, make_world, mobile

FILES = 4  # CSV files of the first drop
UNTAKEN = 20  # persons in the file that never gets its `.ok`


@dataclass(slots=True)
class Scene:
    """What every system holds: resource id → rows; population files by name; the persons in the file without `.ok`."""

    seed: int
    firms: int
    persons: int
    round: int
    copies: dict[str, list[Row]]
    files: dict[str, list[Row]]
    untaken: dict[str, list[Row]]
    truth: dict[str, dict[Value, Mapping[str, str | None]]]
    drops: dict[str, Expected] = field(default_factory=dict)

    def ledger(self) -> Ledger:
        """What must come of it all."""
        for layout in LAYOUTS:
            settle(self.copies[layout.resource], layout)
        return Ledger(
            seed=self.seed,
            sizes={"firms": self.firms, "persons": self.persons},
            round=self.round,
            resources={layout.resource: expect(self.copies[layout.resource], layout) for layout in LAYOUTS},
            libraries={name: merged(self.copies, name) for name in ("legal_person", "population")},
            defects=[entry for layout in LAYOUTS for entry in self._log(layout)],
            untaken=sorted(self.untaken),
            drops=self.drops,
        )

    def _log(self, layout: Layout) -> list[dict[str, object]]:
        return log(self.copies[layout.resource], layout, self.truth[layout.resource])


def make_scene(seed: int, *, firms: int, persons: int, rounds: int = 0) -> Scene:
    """The systems as generated from that seed, then changed `rounds` times."""
    world = make_world(seed, firms=firms, persons=persons)
    clean = clean_copies(world, seed)
    truth: dict[str, dict[Value, Mapping[str, str | None]]] = {
        layout.resource: {row.expected[layout.key]: dict(row.received) for row in clean[layout.resource]}
        for layout in LAYOUTS
    }
    copies = {
        layout.resource: injure(clean[layout.resource], layout, _rng(f"{seed}:{layout.resource}")) for layout in LAYOUTS
    }
    people = copies[POPULATION.resource]
    size = -(-len(people) // FILES)
    files = {f"population_20250101_{part + 1}.csv": people[part * size : (part + 1) * size] for part in range(FILES)}
    taken = {person.id_no for person in world.persons}
    rng = _rng(f"{seed}:untaken")
    untaken = {"population_20250102_unfinished.csv": [population_row(make_person(rng, taken)) for _ in range(UNTAKEN)]}
    scene = Scene(seed, firms, persons, 0, copies, files, untaken, truth)
    for number in range(1, rounds + 1):
        _change(scene, number, taken)
    return scene


def _rng(name: str) -> Random:
    return Random(name)  # noqa: S311 - a reproducible world, not a secret


def _change(scene: Scene, number: int, taken: set[str]) -> None:
    """About two in a hundred records change, one in two hundred is new; the population's come as one more file."""
    rng = _rng(f"{scene.seed}:round:{number}")
    scene.round = number
    day = date(2025, 1, 1) + timedelta(days=number)
    registry, taxpayers = scene.copies[REGISTRY.resource], scene.copies[TAXPAYER.resource]
    people = scene.copies[POPULATION.resource]
    fresh = _some(rng, registry, REGISTRY, 0.02)
    for row in fresh:
        _keep(row, REGISTRY, {"phone": mobile(rng), "appr_date": day})
    newcomers = make_world(scene.seed * 1000 + number, firms=max(1, scene.firms // 200), persons=50)
    founded = [registry_row(firm) for firm in newcomers.firms]
    registry.extend(founded)
    moved = _some(rng, taxpayers, TAXPAYER, 0.02)
    for row in moved:
        _keep(row, TAXPAYER, {"phone": mobile(rng)})
    drop = [row.copy() for row in _some(rng, people, POPULATION, 0.02)]
    for row in drop:
        _keep(row, POPULATION, {"phone": mobile(rng)})
    drop += [population_row(make_person(rng, taken)) for _ in range(max(1, scene.persons // 200))]
    rng.shuffle(drop)
    scene.files[f"population_{day + timedelta(days=2):%Y%m%d}_1.csv"] = drop
    settle(drop, POPULATION)
    scene.drops = {
        REGISTRY.resource: _read_again(registry, [*fresh, *founded], REGISTRY),
        TAXPAYER.resource: _read_again(taxpayers, moved, TAXPAYER),
        POPULATION.resource: expect(drop, POPULATION),
    }
    people.extend(drop)
    for layout, rows in ((REGISTRY, registry), (POPULATION, people)):
        for row in rows:
            scene.truth[layout.resource].setdefault(row.expected[layout.key], dict(row.received))


def _read_again(rows: list[Row], fresh: list[Row], layout: Layout) -> Expected:
    """What a second reading of the whole table makes of it: only what is new lands, the rest is there already."""
    settle(rows, layout)
    whole, landed = expect(rows, layout), expect(fresh, layout)
    there = whole.pulled - whole.quarantined - landed.pulled
    return replace(whole, landed=landed.pulled, superseded=there, digest=landed.digest)


def _some(rng: Random, rows: list[Row], layout: Layout, share: float) -> list[Row]:
    """A sample of rows that have no defect and are the only one of their key."""
    keys = [row.expected[layout.key] for row in rows]
    alone = {key: place for place, key in enumerate(keys)}
    counted = [place for place, key in enumerate(keys) if alone[key] == place]
    several = {key for place, key in enumerate(keys) if alone[key] != place}
    fit = [rows[place] for place in counted if keys[place] not in several and not rows[place].defects]
    return rng.sample(fit, max(1, int(len(rows) * share)))


def _keep(row: Row, layout: Layout, values: Mapping[str, Value]) -> None:
    for name, value in values.items():
        row.expected[name] = value
        row.received[layout.fields[name]] = value.isoformat() if isinstance(value, date) else str(value)
