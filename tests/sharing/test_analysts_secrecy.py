"""Whatever grant, rows and SQL come together, nothing outside the grant is told; and the engine underneath knows nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sql_town import BASE, FIRMS, Town, firm

from sharing.analysts import Analyst
from sharing.grants import Grants
from warehouse.errors import WarehouseError
from warehouse.site import FolderSite
from warehouse.sql_stream import Reading
from warehouse.sql_worker import Limits, Task, answer

TEXTS = ("uscc", "ent_name", "legal_rep_name", "legal_rep_id", "secret_note", "division")
DIVISIONS = ("330106", "330107", "330203", "330212", None)
SHAPES = (
    "SELECT * FROM {t}", "SELECT {c} FROM {t}", "SELECT x FROM {t} x", "SELECT COLUMNS('.*') FROM {t}",
    "SELECT min({c}), max({d}), string_agg({c}, '|'), list({d}) FROM {t}", "SELECT CAST({c} AS INTEGER) FROM {t}",
    "SELECT {c} FROM {t} WHERE CAST({d} AS INTEGER) > 0 OR true", "SELECT a.{c}, b.{d} FROM {t} a JOIN {t} b ON true",
    "SELECT {c}, lag({d}) OVER (ORDER BY {c}) FROM {t}", "SELECT strptime({c}, {d}) FROM {t}",
    "WITH q AS (SELECT {c} AS v FROM {t}) SELECT * FROM q WHERE v NOT IN (SELECT {d} FROM {t} WHERE {d} IS NOT NULL)",
    "SELECT {c} FROM {t} WHERE {d} LIKE '%' ORDER BY CAST({c} AS DATE)", "SELECT any_value({c}) FROM {t} GROUP BY {d}",
    "SELECT (SELECT {d} FROM {t})", "SELECT regexp_replace({c}, {d}, '') FROM {t} UNION ALL SELECT {d} FROM {t}",
)  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("secrecy"))
    yield made
    made.close()


@st.composite
def grants(draw) -> dict[str, object]:
    fields = draw(st.lists(st.sampled_from([*TEXTS, "capital", "unlanded"]), min_size=1, unique=True))
    clear = draw(st.lists(st.sampled_from(fields), unique=True))
    rows = draw(st.sampled_from([None, ["3301*"], ["330203", "330107"], ["33*"], ["9*"]]))
    said = {"id": "g", "department": "tax", "library": "legal_person", "fields": fields, "clear": clear,
            "purpose": {"matter": "m", "basis": "b"}, "until": "2999-12-31"}  # fmt: skip
    return said if rows is None else said | {"rows": {"division": rows}}


@settings(
    max_examples=120 if os.environ.get("SHUTONG_PROVE") else 5, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    grant=grants(),
    divisions=st.lists(st.sampled_from(DIVISIONS), min_size=1, max_size=6),
    asks=st.lists(
        st.tuples(st.sampled_from(SHAPES), st.sampled_from(TEXTS), st.sampled_from(TEXTS)), min_size=3, max_size=5
    ),
)
def test_nothing_outside_a_grant_is_told_whatever_is_asked(town, grant, divisions, asks):
    firms = [firm(number, division) for number, division in enumerate(divisions, 1)]
    town.put("base.legal_person", firms)
    town.grants.write_text(json.dumps({"grants": [grant]}), encoding="utf-8")
    plan = Grants(town.grants, {"legal_person": FIRMS}, {}).plan("tax", "legal_person")
    may = [plan.show(one, plan.steps) for one in firms if plan.admits(one)]
    service, analyst = town.analysts(), Analyst("wang", "tax")
    seen = service.ask(analyst, f"SELECT * FROM {BASE}").rows.to_pylist()
    assert sorted(map(str, seen)) == sorted(map(str, may))  # as the API shows the same records
    shown = {str(value) for row in may for value in row.values()}
    secret = {str(value) for one in firms for name, value in one.items() if name in {*TEXTS, "_hash"}} - shown
    # A division is short enough to stand in a text by chance, and one person's name may begin another's.
    secret = {one for one in secret if len(one) > len("330106") and not any(one in other for other in shown)}
    for shape, one, other in asks:
        try:
            told = str(service.ask(analyst, shape.format(t=BASE, c=one, d=other)).rows.to_pylist())
        except WarehouseError as error:
            told = str(error)
        assert [value for value in secret if value in told] == []


UNGUARDED = [
    "SELECT * FROM read_text('{file}')", "SELECT * FROM read_csv('{file}')", "FROM '{file}'", "SELECT * FROM glob('/*')",
    "COPY (SELECT 1) TO '{file}.out'",  "ATTACH '{file}.db'", "EXPORT DATABASE '{file}.d'",
    "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true", "SET threads = 9", "SET memory_limit = '99GB'",
    "RESET lock_configuration", "SELECT * FROM read_parquet('https://127.0.0.1/x')", "IMPORT DATABASE '/tmp'",
    "CREATE SECRET s (TYPE s3)", "SELECT * FROM town", "SELECT * FROM tables", "SELECT * FROM task",
    "SET temp_directory = '/tmp'",
]  # fmt: skip


@pytest.mark.parametrize("sql", UNGUARDED)
def test_even_what_is_not_looked_at_reaches_no_file_no_setting_and_no_variable(tmp_path, sql):
    """The second wall: DuckDB itself refuses, should a way past the first one ever be found.

    What it spills to is open to it: a folder of the query's own, which goes with it.
    """
    file = tmp_path / "secret.csv"
    file.write_text("name\nSECRET\n", encoding="utf-8")
    before = set(tmp_path.rglob("*"))
    readings = (Reading("base.f", "SELECT 1 AS one", (None,)),)
    text = sql.format(file=file)
    with pytest.raises(WarehouseError) as refused:
        answer(Task(text, readings, Limits(), FolderSite(tmp_path), Path(tmp_path)))
    assert "SECRET" not in str(refused.value)
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "spill"}
