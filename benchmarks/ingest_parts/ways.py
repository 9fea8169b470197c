"""The ways of reading that are compared, each run by itself: python ways.py <way> '<plan as JSON>'.

A way imports what it needs and then runs; only the running is timed. The last line it prints is JSON: rows, seconds,
CPU seconds of this process, its peak memory in MiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from schemas.values import Batch, Source

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

Plan = dict[str, Any]  # url, table, folder, and what a way wants besides
Work = Callable[[], int]  # does it; returns the rows
FEW = {"where": "pripid < 10"}


class NoSecrets:
    """The benchmark's address holds its password."""

    def get(self, name: str) -> str:
        """Nothing is kept."""
        raise LookupError(name)


def ours_raw(plan: Plan) -> Work:
    """The product's way: the connector's batches made durable with manifest and position."""
    from warehouse.keep import keep_pieces
    from warehouse.state import State
    from warehouse.store import LocalStore

    folder = Path(plan["folder"])
    state = State(f"sqlite:///{folder}/state.db")
    state.migrate()

    def pull(run: str, options: Plan) -> int:
        state.start_run(run, "scjg.ent")
        with _batches(plan, options) as batches:
            pieces = keep_pieces(LocalStore(folder), state, "scjg.ent", run, batches)
        return sum(one.rows for one in pieces)

    pull("first", FEW)  # brings in what is imported late
    return lambda: pull("second", plan.get("options", {}))


def ours_read(plan: Plan) -> Work:
    """The connector alone: batches read and let go."""

    def count(options: Plan) -> int:
        with _batches(plan, options) as batches:
            return sum(batch.rows.num_rows for batch in batches)

    count(FEW)
    return lambda: count(plan.get("options", {}))


@contextmanager
def _batches(plan: Plan, options: Plan) -> Iterator[Iterator[Batch]]:
    from connectors.registry import open_source

    source = open_source("sql", {"table": plan["table"], **options}, {"url": plan["url"]}, NoSecrets())
    try:
        yield (batch for split in source.plan(None) for batch in source.read(split))
    finally:
        source.close()


def ours_standardised(plan: Plan) -> Work:
    """Read, standardised as the legal-person standard says, and kept as a check keeps it: sorted row groups, streaming.

    The rules are not evaluated: that happens on whole tables so far.
    """
    from datetime import date

    import pyarrow as pa

    from schemas.code_lists import load
    from schemas.load import find_standard
    from schemas.mapping import resolve, standardise, standardise_batches
    from schemas.values import Manifest, Position, Verdict
    from warehouse import landed
    from warehouse.checked import CheckedWriter
    from warehouse.store import LocalStore

    standard, today = find_standard("legal_person@1"), date(2025, 1, 1)
    codes = {one.codes: load(one.codes).spellings for one in standard.fields if one.codes}

    def work(options: Plan, run: str) -> int:
        files = (f"land/scjg/ent/d/{run}/part-00000.parquet",)
        manifest = Manifest("scjg.ent", run, run, 0, 0, "", files, (), Position(), "")
        rows = 0
        with _batches(plan, options) as batches, ExitStack() as stack:
            raw = (batch.rows for batch in batches)
            first = next(raw)
            mapping = resolve(standard, first.schema.names, {})
            schema = standardise(
                pa.Table.from_batches([first.slice(0, 1)]), standard, mapping, codes, today
            ).table.schema
            writer = stack.enter_context(
                CheckedWriter(
                    LocalStore(Path(plan["folder"])), manifest, landed.form(schema, mapping, manifest), key=("uscc",)
                )
            )
            for made in standardise_batches(chain((first,), raw), standard, mapping, codes, today):
                for part in made.table.to_batches():
                    writer.write(part)
                    rows += part.num_rows
            none = pa.array([], pa.int64())
            violations = pa.table({"_row": none, "rules": pa.array([], pa.list_(pa.string()))})
            writer.keep(Verdict(rows, (), violations, none, "pass", "", "", {}))
        return rows

    work(FEW, "first")
    return lambda: work(plan.get("options", {}), "second")


def ours_checked(plan: Plan) -> Work:
    """The product's whole way of one resource: pulled, standardised, checked by every rule, landed in a sorted table.

    CPU seconds and peak memory of each step go to standard error.
    """
    from datetime import date

    import quality.check  # noqa: F401 - an import is no work
    from quality.orders import QualityOrders
    from quality.store import QualityStore
    from runs.batch import Parts, check_batch, land_batch
    from runs.resources import load_resource
    from schemas.calendar import Calendar
    from warehouse.keep import keep_pieces
    from warehouse.state import State
    from warehouse.store import LocalStore
    from warehouse.tables import Tables

    folder = Path(plan["folder"])
    path = folder / "resources" / "scjg" / "ent.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "resource: ent\ntitle: {zh: 企业登记, en: Registrations}\nstandard: legal_person@1\n"
        "source: {kind: csv, folder: unused}\ngate: {max_percent: 100}\n",
        encoding="utf-8",
    )
    resource = load_resource(path, [])
    state, store = State(f"sqlite:///{folder}/state.db"), LocalStore(folder)
    state.migrate()
    parts = Parts(
        state=state,
        store=store,
        tables=Tables(folder / "tables", state.url),
        quality=QualityStore(state.engine),
        serving=folder / "serving",
        resources={resource.id: resource},
        open_source=no_source,
        authority={},
        today=lambda: date(2025, 1, 1),
        orders=QualityOrders(state.engine, Calendar()),
    )

    def work(run: str, options: Plan) -> int:
        state.start_run(run, resource.id)
        with step_told("pull"), _batches(plan, options) as batches:
            pieces = keep_pieces(store, state, resource.id, run, batches)
        state.step(run, "pull", batch=pieces[-1].batch)
        for piece in pieces:
            with step_told("standardise and check"):
                check_batch(parts, resource, piece)
            with step_told("land"):
                land_batch(parts, resource, piece, run)
        return sum(one.rows for one in pieces)

    work("first", FEW)  # brings in what is imported late
    return lambda: work("second", plan.get("options", {}))


def no_source(resource: object) -> Source:
    """The benchmark opens its source itself."""
    raise LookupError(resource)


@contextmanager
def step_told(name: str) -> Iterator[None]:
    """Say on standard error what a step took of this process."""
    began, before = time.perf_counter(), time.process_time()
    yield
    took = f"{time.perf_counter() - began:.1f} s, CPU {time.process_time() - before:.1f} s"
    print(f"    {name}: {took}, peak so far {peak_mib():.0f} MiB", file=sys.stderr, flush=True)


def peak_mib() -> float:
    """The most memory this process ever had."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def dlt_connectorx(plan: Plan) -> Work:
    """A copy by dlt to Parquet through its fastest backend; nothing is checked."""
    return _dlt(plan, "connectorx")


def dlt_pyarrow(plan: Plan) -> Work:
    """A copy by dlt to Parquet through the backend its documentation starts with; nothing is checked."""
    return _dlt(plan, "pyarrow")


def _dlt(plan: Plan, backend: str) -> Work:
    import dlt
    from dlt.sources.sql_database import sql_table

    home, rows = Path(plan["folder"]), int(plan["rows"])
    destination = dlt.destinations.filesystem(bucket_url=f"file://{home}/lake")

    def pipeline_to(name: str) -> dlt.Pipeline:
        return dlt.pipeline(name, destination=destination, dataset_name=name, pipelines_dir=str(home / name))

    # A first run brings in what dlt imports late.
    pipeline_to("first").run([{"a": 1}], table_name="first", loader_file_format="parquet")

    def work() -> int:
        pipeline = pipeline_to("raw")
        table = sql_table(credentials=plan["url"], table=plan["table"], backend=backend)
        pipeline.run(table, loader_file_format="parquet", write_disposition="append")
        counted = pipeline.last_trace.last_normalize_info.row_counts[plan["table"]]
        if counted != rows:
            raise ValueError(f"dlt copied {counted} rows of {rows}")
        return rows

    return work


def pandas_naive(plan: Plan) -> Work:
    """What a script would do: read_sql, string methods, the two check digits by apply, sort, to_parquet."""
    import pandas as pd
    import sqlalchemy as sa

    from ingest_parts.naive import checked

    def work() -> int:
        engine = sa.create_engine(plan["url"])
        frame = pd.read_sql(f"SELECT * FROM {plan['table']} LIMIT {int(plan['rows'])}", engine)
        made = checked(frame)
        made.sort_values("uniscid").to_parquet(Path(plan["folder"]) / "checked.parquet")
        engine.dispose()
        return len(made)

    return work


def main(name: str, plan: Plan) -> None:
    """Run one way and say what it took."""
    work = globals()[name](plan)
    began, before = time.perf_counter(), time.process_time()
    rows = work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - before
    peak = peak_mib()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu += children.ru_utime + children.ru_stime
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu": cpu, "mib": peak}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
