"""The portable queries come to the library that the whole merge makes, in DuckDB and in Sail; in Spark for prove."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_merge_delta import STEP, WHO, Town

from warehouse import portable
from warehouse.library_job import Job
from warehouse.library_state import LibraryState
from warehouse.merge import merge


def job_of(town):
    """The merge that `small` was made by, by the rules of the town."""
    inputs = {one.table: town.state.released(one.table) for one in WHO if town.state.released(one.table)}
    there = tuple(one for one in WHO if one.table in inputs)
    return Job("small", town.standard, there, inputs, LibraryState(town.state.engine).words("small"), "")


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, min_size=4, max_size=8))
def test_in_duckdb_random_histories_come_to_the_same(tmp_path_factory, steps):
    town = Town(tmp_path_factory.mktemp("town"))
    for step in steps:
        town.act(*step)
    job = job_of(town)
    if job.contributions:
        made = merge(town.state, town.tables, "small", town.standard, WHO, whole=True)
        asked = portable.texts(job, [town.tables.columns(one.table) for one in job.contributions])
        with town.tables.connect() as connection:
            for number, one in enumerate(job.contributions):
                rows = town.tables.relation(one.table, job.inputs[one.table])
                connection.execute(f"CREATE TEMP VIEW {portable.INPUT.format(number)} AS FROM {rows}")
            records, links, (compared,) = (
                connection.execute(one).to_arrow_table().to_pylist()
                for one in (asked.records, asked.links, asked.compared)
            )
        assert in_order(records) == in_order(town.rows("small"))
        assert in_order(links) == in_order(town.rows("small", "_xref"))
        assert asked.counted(compared) == made.compared
    town.close()


def in_order(rows):
    return sorted(rows, key=repr)
