"""Combining few records in one pass over numbers comes to what SQL over all rows comes to."""

from __future__ import annotations

import random
from dataclasses import replace

import duckdb
import numpy as np
import pytest

from schemas.standard import Field, Standard
from warehouse import library_job, merge_pair, survivors
from warehouse.crosswalk import ENTITY, Contribution, sql_type
from warehouse.library_job import EVENTS, Job
from warehouse.merge_pair import NOW, WAS, Found
from warehouse.moved import NEW, OLD
from warehouse.survivors import Part
from warehouse.words import Words

SAID = {
    "uscc": ["'甲'", "'乙𠮷'", "''", "'a'", "'A'", "'a '"],
    "integer": ["0", "'-9223372036854775808'", "9223372036854775807"],
    "decimal": ["1.5", "'1.500000'", "-0.000001", "0", "'-0'", "'999999999999999999.999999'"],
    "date": ["DATE '0001-01-01'", "DATE '1900-02-28'", "DATE '9999-12-31'"],
    "datetime": [
        "TIMESTAMPTZ '2020-01-01 00:00:00+08'",
        "TIMESTAMPTZ '2019-12-31 16:00:00+00'",
        "TIMESTAMPTZ '1900-01-01 00:00:00+00'",
    ],
    "boolean": ["true", "false"],
}
OF_ALL_TYPES = Standard(
    name="t", version=1, zh="", en="", rules=(), key=("uscc",), order=(), identifiers=("uscc",),
    fields=(
        Field("uscc", "", "", "uscc"),
        *(Field(f"{kind}_{at}", "", "", kind, authority=("c",) * at) for kind in SAID for at in range(2)),
    ),
)  # fmt: skip
STOOD = {"none": [], "same": [(True, True)], "gone": [(True, False)], "new": [(False, True)],
         "other": [(True, False), (False, True)]}  # fmt: skip


def part(connection: duckdb.DuckDBPyConnection, chance: random.Random, number: int, department: str) -> Found:
    """A contribution that says something or nothing of some of twelve firms, as they were and as they are."""
    fields = [one for one in OF_ALL_TYPES.fields if one.name == "uscc" or chance.random() < 0.7]
    columns = [f"{WAS} VARCHAR", f"{NOW} VARCHAR", f"{OLD} BOOLEAN", f"{NEW} BOOLEAN"]
    columns += [f"{one.name} {sql_type(OF_ALL_TYPES, one.name)}" for one in fields]
    connection.execute(f"CREATE TABLE p{number} ({', '.join(columns)}, _observed VARCHAR)")
    rows = [
        [f"'K{firm}'"] * 2 + [str(old), str(new)]
        + ["NULL" if chance.random() < 0.3 else chance.choice(SAID[one.type]) for one in fields] + ["''"]
        for firm in range(12)
        for old, new in STOOD[chance.choice(list(STOOD))]
    ]  # fmt: skip
    for row in rows:
        connection.execute(f"INSERT INTO p{number} VALUES ({', '.join(row)})")
    one = Part(Contribution(f"{department}.r{number}", department, ""), f"p{number}", tuple(f.name for f in fields))
    return Found(one, f"SELECT * FROM p{number}")


@pytest.mark.parametrize("seed", range(3))
def test_fields_of_every_type_come_to_the_same_in_one_pass_and_by_sql(seed):
    chance = random.Random(seed)
    with duckdb.connect(config={"threads": 1}) as connection:
        found = [part(connection, chance, number, chance.choice("abc")) for number in range(4)]
        job = Job("t", OF_ALL_TYPES, tuple(one.part.contribution for one in found), {}, Words(), "2026-01-01")
        keys = "SELECT 'K' || range AS key FROM range(13)"
        compared = merge_pair.pair(connection, job, found, keys, "_after")
        events = connection.execute(f"FROM {EVENTS} ORDER BY ALL").fetchall()
        after = connection.execute("FROM _after ORDER BY ALL").fetchall()
        connection.unregister(EVENTS)
        told = []
        for into, flag, key in (("_before", OLD, WAS), ("_anew", NEW, NOW)):
            parts = []
            for number, one in enumerate(found):
                view = f"{into}_{number}"
                connection.execute(f"CREATE VIEW {view} AS SELECT *, {key} AS {ENTITY} FROM p{number} WHERE {flag}")
                parts.append(replace(one.part, relation=view))
            told.append(survivors.make(connection, OF_ALL_TYPES, parts, into))
        library_job.compare(connection, job, "_before", "_anew")
        assert connection.execute(f"FROM {EVENTS} ORDER BY ALL").fetchall() == events != []
        assert compared == survivors.summed((-1, told[0]), (1, told[1]))
        stands = f"WHERE uscc IN (SELECT {library_job.KEY} FROM {EVENTS}) ORDER BY ALL"
        assert connection.execute(f"FROM _anew {stands}").fetchall() == after != []


@pytest.mark.parametrize("parts", [1, 2, 7, 40])
def test_combinations_are_told_apart_however_many_fields_there_are(parts):
    chance = np.random.default_rng(parts)
    columns = [chance.integers(-1, min(parts, 2), 200) for _ in range(90)]
    columns = [np.concatenate([one, one[:50]]) for one in columns]
    firsts, numbers = merge_pair._different(columns, parts + 1)
    rows = list(zip(*(one.tolist() for one in columns), strict=True))
    assert [rows[firsts[number]] for number in numbers] == rows
    assert len(firsts) == len(set(rows))


def test_a_merge_of_single_rows_goes_in_one_pass_and_one_of_several_rows_a_key_does_not(tmp_path, monkeypatch):
    from test_merge_delta import A, B, Town

    gone, pair = [], merge_pair.pair
    monkeypatch.setattr(merge_pair, "pair", lambda *more: gone.append(pair(*more)) or gone[-1])
    town = Town(tmp_path)
    for step in (("upsert", 0, [A, B]), ("upsert", 0, [A | {"dom": "二"}]), ("upsert", 0, [A | {"id": "3"}])):
        town.act(*step)
        town.merge()
    assert [one is not None for one in gone] == [True, False]
    town.check()
    town.close()
