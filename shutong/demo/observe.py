"""What the deployment arrived at, in the shape of the generator's ledger, read from what readers would see."""

from __future__ import annotations

from collections.abc import Mapping

from shutong.demo.ledger import Expected, ExpectedLibrary, Ledger, digest
from shutong.demo.rows import canonical
from shutong.wiring import Wired
from warehouse.merge import base_table


def observe(wired: Wired, ledger: Ledger) -> dict[str, object]:
    """Counts, rules and landed content per resource; records and one merged record per library."""
    return {
        "resources": {
            one.id: _resource(wired, one.id, ledger.resources.get(one.id)) for one in wired.deployment.resources
        },
        "libraries": {name: _library(wired, name, wanted) for name, wanted in ledger.libraries.items()},
    }


def _resource(wired: Wired, resource_id: str, expected: Expected | None) -> dict[str, object]:
    """The first batch that landed: later runs over the same content add nothing."""
    resource = wired.deployment.resource(resource_id)
    runs = [one for one in wired.state.runs(resource_id, 1000) if one.batch and one.decision != "repeat"]
    snapshot = wired.state.released(resource.table)
    if not runs or snapshot is None or expected is None:
        return {}
    first = runs[-1]
    rows = wired.tables.read(resource.table, snapshot, columns=expected.fields).select(expected.fields)
    found = wired.quality.rules(resource_id, first.run_id)
    return {
        "pulled": first.pulled,
        "landed": first.landed,
        "quarantined": first.quarantined,
        "superseded": first.superseded,
        "rules": {one.rule: one.rows for one in found if one.rows},
        "evaluated": sorted(one.rule for one in found if one.error is None),
        "digest": digest(zip(*(column.to_pylist() for column in rows.columns), strict=True)),
    }


def _library(wired: Wired, library: str, wanted: ExpectedLibrary) -> dict[str, object]:
    table = base_table(library)
    snapshot = wired.state.released(table)
    if snapshot is None:
        return {}
    key = wanted.sample[wanted.key]
    fields = list(wanted.sample)
    rows = wired.tables.read(table, snapshot, columns=fields, where=f'"{wanted.key}" = ?', params=[key]).to_pylist()
    return {
        "records": wired.tables.row_count(table, snapshot),
        "sample": dict(zip(fields, canonical(rows[0][name] for name in fields), strict=True)) if rows else {},
    }


def masked_well(answer: Mapping[str, object], sample: Mapping[str, str | None]) -> list[str]:
    """What is wrong with an answer: a clear field that is not the truth, a masked one that shows it."""
    data, masked = answer["data"], answer["masked"]
    assert isinstance(data, Mapping)  # noqa: S101 - the contract of a single look-up
    assert isinstance(masked, list)  # noqa: S101 - as above
    wrong = []
    for name, value in data.items():
        said, truth = canonical([value])[0], sample.get(name)
        if name in masked:
            if truth and said and truth in said:
                wrong.append(f"{name}: 未脱敏 | not masked")
        elif said != truth:
            wrong.append(f"{name}: 应为 {truth}，实为 {said} | expected {truth}, got {said}")
    return wrong
