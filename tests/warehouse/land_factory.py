"""Arrange batches for the tests of pulling and landing: records in, a warehouse in a folder out."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from schemas.partition import Partition
from schemas.values import Batch, Manifest, Position, RuleCount, Verdict
from warehouse import landed
from warehouse.checked import CheckedWriter, kept_check
from warehouse.keep import keep, received
from warehouse.land import Landing, land, landed_table, quarantine_table
from warehouse.lock import FileLocks
from warehouse.s3 import Bucket, BucketSite
from warehouse.s3_store import BucketStore
from warehouse.state import State
from warehouse.state.locks import AdvisoryLocks
from warehouse.store import LocalStore
from warehouse.tables import Tables

RESOURCE = "market.base"
FIELDS = {"code": "编号", "day": "日期", "name": "名称"}


@dataclass(frozen=True)
class Record:
    """One record as received; `day` is an ISO date or None, `ok` says whether the check lets it pass.

    `gone`: the source says that it deleted the record.
    """

    code: str | None
    day: str | None
    name: str | None
    ok: bool = True
    gone: bool = False


def deletion(code: str | None, day: str | None = None) -> Record:
    """What a source that knows of deletes says of one: the key, sometimes a date, and nothing else."""
    return Record(code, day, None, gone=True)


class Warehouse:
    """A warehouse opened as wiring opens it: in a folder with SQLite, or in a bucket or with the database named."""

    def __init__(self, folder: Path, bucket: Bucket | None = None, url: str | None = None) -> None:
        locks = AdvisoryLocks(url) if url else FileLocks(folder / "locks")
        new = url is not None or not (folder / "state.db").exists()
        self.state = State(url or f"sqlite:///{folder}/state.db")
        if new:
            self.state.migrate()
        self.store = LocalStore(folder, locks) if bucket is None else BucketStore(bucket, folder, locks)
        site = folder / "tables" if bucket is None else BucketSite(bucket.below("tables"), folder / "tables")
        self.tables = Tables(site, self.state.url, locks)
        self.partition: Partition | None = None

    def close(self) -> None:
        self.state.close()
        self.tables.close()

    def pull(self, records: list[Record], run: str, *, cut: int = 3, resource: str = RESOURCE) -> Manifest:
        self.state.start_run(run, resource)
        return keep(self.store, self.state, resource, run, batches(records, cut))

    def check(self, manifest: Manifest, records: list[Record]) -> None:
        self.keep(manifest, *standardise(received(self.store, manifest), records))

    def keep(self, manifest: Manifest, table: pa.Table, verdict: Verdict, columns: Mapping[str, str] = FIELDS) -> None:
        """Keep a standardised table and its verdict as a check does, `columns` being field → source column."""
        form = landed.form(table.schema, columns, manifest)
        form = replace(form, schema=self.tables.shape(landed_table(manifest.resource), form.schema))
        with CheckedWriter(self.store, manifest, form, key=("code",)) as writer:
            for batch in table.to_batches():
                writer.write(batch)
            writer.keep(verdict)

    def land(self, manifest: Manifest, run: str | None = None, *, resource: str = RESOURCE) -> Landing:
        return land(
            self.store,
            self.state,
            self.tables,
            manifest,
            kept_check(self.store, manifest),
            resource=resource,
            key=("code",),
            order=("day",),
            run=run,
            partition=self.partition,
        )

    def ingest(self, records: list[Record], run: str, *, resource: str = RESOURCE) -> Landing:
        manifest = self.pull(records, run, resource=resource)
        self.check(manifest, records)
        return self.land(manifest, run, resource=resource)

    def landed(self, resource: str = RESOURCE) -> list[dict[str, object]]:
        return self._rows(landed_table(resource), "code", without=("_landed_at",))

    def quarantined(self, resource: str = RESOURCE) -> list[dict[str, object]]:
        return self._rows(quarantine_table(resource), "_row", without=("landed_at",))

    def _rows(self, table: str, key: str, without: tuple[str, ...]) -> list[dict[str, object]]:
        if not self.tables.exists(table):
            return []
        rows = self.tables.read(table, self.state.released(table)).to_pylist()
        kept = [{name: value for name, value in row.items() if name not in without} for row in rows]
        return sorted(kept, key=lambda row: (str(row[key]), str(row)))


def batches(records: list[Record], cut: int):
    """The records as a source yields them, `cut` at a time."""
    for at in range(0, max(len(records), 1), cut):
        part = records[at : at + cut]
        columns = {
            "_row": pa.array(range(at + 1, at + len(part) + 1), pa.int64()),
            **{name: pa.nulls(len(part), pa.string()) for name in ("_reject", "_detail", "_line")},
            "编号": pa.array([None if r.code is None else r.code.lower() for r in part], pa.string()),
            "日期": pa.array([r.day for r in part], pa.string()),
            "名称": pa.array([r.name for r in part], pa.string()),
        }
        if any(one.gone for one in records):
            columns["_op"] = pa.array(["D" if one.gone else None for one in part], pa.string())
        yield Batch(pa.record_batch(columns), Position({"rows": at + len(part)}))


def standardise(raw: pa.Table, records: list[Record]) -> tuple[pa.Table, Verdict]:
    """What mapping and checking would make of it: codes in capitals, days as dates."""
    days = [None if r.day is None else dt.date.fromisoformat(r.day) for r in records]
    columns = {name: raw[name] for name in ("_row", "_reject", "_detail", "_line")}
    if "_op" in raw.column_names:
        columns["_op"] = raw["_op"]
    columns["code"] = pa.array([r.code for r in records], pa.string())
    columns["code__repaired"] = pa.array([r.code is not None and r.code != r.code.lower() for r in records], pa.bool_())
    columns["day"], columns["name"] = pa.array(days, pa.date32()), pa.array([r.name for r in records], pa.string())
    columns |= {f"raw:{name}": raw[name] for name in FIELDS.values()}
    bad = [row for row, record in enumerate(records, 1) if not record.ok]
    violations = pa.table(
        {"_row": pa.array(bad, pa.int64()), "rules": pa.array([["r1", "r2"]] * len(bad), pa.list_(pa.string()))}
    )
    counts = (RuleCount("r1", "error", len(bad), len(records)),)
    verdict = Verdict(len(records), counts, violations, pa.array(bad, pa.int64()), "pass", "", "", {})
    return pa.table(columns), verdict


def in_a_process_of_its_own(work, *, die_at: str | None = None) -> int:
    """Fork, do the work there, and return its exit status; with `die_at` it SIGKILLs itself at that point."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if die_at is not None:
                sys.addaudithook(
                    lambda event, args: die(die_at) if (event, args) == ("shutong.point", (die_at,)) else None
                )
            work()
            status = 0
        except Exception:  # noqa: BLE001 - told, and the status says that it failed
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def die(_point: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
