"""Find the rows that violate rules, in what checks kept: some of each rule for a report, or all of them for a file."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quality.reports.values import Cell, CheckLine, FailingRow, Language, RuleLine, Sample
from quality.reports.workbook import write_rows
from runs.errors import RunError
from runs.resources import Resource
from schemas.values import BAD, RECEIVED, REJECT, REPAIRED, ROW, Json, Manifest
from shutong.commands.quality_report_reader import Reader, Readers, misplaced
from shutong.wiring import Wired
from warehouse.checked import KeptCheck, kept_check
from warehouse.errors import WarehouseError
from warehouse.keep import received_rows

SUFFIXES = (".csv", ".xlsx", ".parquet")
LONGEST = 300  # characters of a value that a report shows
BATCHES = 50  # looked into for samples of one resource
_HOW = ("clear", "masked", "shape")
_HEADS = ("resource", "run", "batch", "row", "key", "rules")


@dataclass(frozen=True, slots=True)
class Rows:
    """The failing rows of one checked batch, for one reader."""

    wired: Wired
    resource: Resource
    check: CheckLine
    manifest: Manifest
    kept: KeptCheck
    reader: Reader

    def numbers(self, wanted: Collection[str] | None, most: int | None) -> Mapping[int, tuple[str, ...]]:
        """Row number → rules it violates; of `wanted` rules only, and at most so many rows of each."""
        with self.kept.store.open(self.kept.violations) as stream:
            table = pq.read_table(stream)
        found = table.combine_chunks()
        if wanted is not None or most is not None:
            found = found.take(pa.array(_chosen(found["rules"], wanted, most)))
        rows = zip(found[ROW].to_pylist(), found["rules"].to_pylist(), strict=True)
        return {row: tuple(rules) for row, rules in rows}

    def shown(self, wanted: Mapping[int, tuple[str, ...]], *, whole: bool = False) -> Iterator[FailingRow]:
        """Those rows as the reader may see them: the values that the rules look at, or `whole` all fields."""
        looks = {str(one["id"]): (str(one["kind"]), frozenset(self._fields(one))) for one in self.kept.rules}
        for checked in _groups(self.kept, np.array(sorted(wanted), np.int64)):
            numbers = np.sort(checked[ROW].to_numpy())
            came = {
                row[ROW]: row
                for batch in received_rows(self.wired.store, self.manifest, numbers)
                for row in batch.to_pylist()
            }
            for record in checked.sort_by(ROW).to_pylist():
                number = record[ROW]
                yield self._row(record, came.get(number, {}), wanted[number], looks, whole=whole)

    def _row(
        self,
        record: Mapping[str, Json],
        came: Mapping[str, Json],
        rules: tuple[str, ...],
        looks: Mapping[str, tuple[str, frozenset[str]]],
        *,
        whole: bool,
    ) -> FailingRow:
        known = [looks[rule] for rule in rules if rule in looks]
        reject = came.get(REJECT)
        hidden = misplaced([kind for kind, _ in known], None if reject is None else str(reject))
        hidden = hidden or not self.reader.admits(record)
        looked_at = {field for _, fields in known for field in fields}
        repaired = {field for kind, fields in known if kind == "repaired" for field in fields}
        cells = [
            self._cell(one.name, record, came, hidden=hidden, repaired=one.name in repaired and not whole)
            for one in self.resource.standard.fields
            if one.name in self.kept.columns and (whole or one.name in looked_at)
        ]
        key = [self._cell(name, record, came, hidden=hidden).shown for name in self.resource.standard.key]
        row = int(str(record[ROW]))
        if not whole:
            cells = [replace(one, shown=_begun(one.shown)) for one in cells]
        return FailingRow(self.check.run, self.check.batch, row, _begun("|".join(key)), rules, tuple(cells))

    def _cell(
        self, name: str, record: Mapping[str, Json], came: Mapping[str, Json], *, hidden: bool, repaired: bool = False
    ) -> Cell:
        """A value as it was understood, else as it came; of a repaired one both."""
        value, received = (
            None if one is None else str(one) for one in (record.get(name), came.get(self.kept.columns.get(name, "")))
        )
        field = self.resource.standard.field(name)
        if value is None:
            return self.reader.cell(field, received, hidden=hidden, understood=False)
        now = self.reader.cell(field, value, hidden=hidden)
        if not repaired or received is None:
            return now
        before = self.reader.cell(field, received, hidden=hidden)
        return replace(now, shown=f"{before.shown} → {now.shown}", how=max(before.how, now.how, key=_HOW.index))

    def _fields(self, rule: Mapping[str, Json]) -> Iterator[str]:
        """The fields a rule looks at: its columns, and those that received columns feed."""
        feeds = {source: field for field, source in self.kept.columns.items()}
        columns = rule["columns"]
        for column in columns if isinstance(columns, list) else []:
            name = str(column)
            if name.startswith(RECEIVED):
                yield feeds.get(name.removeprefix(RECEIVED), "")
            else:
                yield name.removesuffix(BAD).removesuffix(REPAIRED)


def _begun(text: str) -> str:
    """A long text's beginning: a report shows what is wrong, files of rows hold all of it."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _chosen(rules: pa.ChunkedArray, wanted: Collection[str] | None, most: int | None) -> npt.NDArray[np.int64]:
    """The places of rows that violate a wanted rule, the first so many of each rule."""
    lists = rules.combine_chunks() if isinstance(rules, pa.ChunkedArray) else rules
    parents = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    names = pc.dictionary_encode(pc.list_flatten(lists))
    of = names.indices.to_numpy()
    held = [np.empty(0, np.int64)]
    for place, name in enumerate(names.dictionary.to_pylist()):
        if wanted is None or name in wanted:
            held.append(parents[of == place][:most])
    return np.unique(np.concatenate(held))


def _groups(kept: KeptCheck, wanted: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
    """The wanted rows as checked, a row group at a time; a group that holds none is not read but for its numbers."""
    for path in kept.files:
        with kept.store.open(path) as stream, pq.ParquetFile(stream) as file:
            names = [name for name in file.schema_arrow.names if name == ROW or name in kept.columns]
            for number in range(file.num_row_groups):
                here = np.isin(file.read_row_group(number, columns=[ROW])[ROW].to_numpy(), wanted)
                if here.any():
                    yield file.read_row_group(number, columns=names).filter(pa.array(here))


def batches(wired: Wired, resource: Resource, checks: Sequence[CheckLine], reader: Reader) -> Iterator[Rows]:
    """The checked batches whose findings are still kept, each once, as the checks come."""
    seen: set[str] = set()
    for check in checks:
        if check.resource != resource.id or check.batch in seen:
            continue
        seen.add(check.batch)
        manifests = wired.state.manifests(resource.id, batch=check.batch, limit=1)
        try:
            kept = kept_check(wired.store, manifests[0]) if manifests else None
        except (WarehouseError, OSError):
            continue  # expired since
        if kept is not None:
            yield Rows(wired, resource, check, manifests[0], kept, reader)


def samples(
    wired: Wired, readers: Readers, most: int, command: Callable[[str, str, str], str]
) -> Callable[[Sequence[RuleLine], Sequence[CheckLine]], Iterator[Sample]]:
    """What a report asks for failing rows: at most `most` of each rule, the newest batches first."""

    def find(lines: Sequence[RuleLine], checks: Sequence[CheckLine]) -> Iterator[Sample]:
        for resource in wired.deployment.resources:
            wanted = [one.rule for one in lines if one.resource == resource.id]
            if not wanted or not most:
                continue
            found = _some(batches(wired, resource, checks, readers.of(resource)), wanted, most)
            for rule, kept in found.items():
                if kept:
                    yield Sample(resource.id, rule, tuple(kept), command(resource.id, rule, kept[0].run))

    return find


def _some(found: Iterator[Rows], wanted: Sequence[str], most: int) -> Mapping[str, list[FailingRow]]:
    """At most `most` rows of each rule, from the first batches that have any."""
    kept: dict[str, list[FailingRow]] = {rule: [] for rule in wanted}
    for rows in islice(found, BATCHES):
        lacking = [rule for rule in wanted if len(kept[rule]) < most]
        if not lacking:
            break
        for row in rows.shown(rows.numbers(lacking, most)):
            for rule in row.rules:
                if rule in kept and len(kept[rule]) < most:
                    kept[rule].append(row)
    return kept


def export(  # noqa: PLR0917 - what, of which, for whom, where
    wired: Wired,
    readers: Readers,
    checks: Sequence[CheckLine],
    wanted: Collection[str] | None,
    path: Path,
    lang: Language,
    progress: Callable[[int], None],
) -> Counter[str]:
    """Write every failing row of the checks, or of `wanted` rules of them, as CSV, XLSX or Parquet; counts by rule.

    The file is for its owner alone. RunError: RUN-EXPORT-SUFFIX for another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RunError(
            "RUN-EXPORT-SUFFIX",
            zh=f"不能导出为 {path.name}",
            en=f"cannot export as {path.name}",
            fix_zh=f"文件名以 {'、'.join(SUFFIXES)} 结尾",
            fix_en=f"Let the name end in {', '.join(SUFFIXES)}",
        )
    resources = [one for one in wired.deployment.resources if any(check.resource == one.id for check in checks)]
    fields = {one.name: one for resource in resources for one in resource.standard.fields}
    heads = [*_HEADS, *((one.en if lang == "en" else one.zh) or name for name, one in fields.items())]
    counts = Counter[str]()

    def lines() -> Iterator[list[str]]:
        for resource in resources:
            for rows in batches(wired, resource, checks, readers.of(resource)):
                for row in rows.shown(rows.numbers(wanted, None), whole=True):
                    counts.update(row.rules if wanted is None else set(row.rules) & set(wanted))
                    counts[""] += 1
                    if counts[""] % 50_000 == 0:
                        progress(counts[""])
                    cells = {cell.field: cell.shown for cell in row.cells}
                    place = [resource.id, row.run, row.batch, str(row.row), row.key, ", ".join(row.rules)]
                    yield place + [cells.get(name, "") for name in fields]

    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"):
        path.chmod(0o600)
    _write(path, heads, lines())
    return counts


def _write(path: Path, heads: Sequence[str], lines: Iterator[list[str]]) -> None:
    if path.suffix.lower() == ".xlsx":
        write_rows(path, "rows", heads, lines)
    elif path.suffix.lower() == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(heads)
            writer.writerows([_inert(value) for value in line] for line in lines)
    else:
        schema = pa.schema([(name, pa.string()) for name in _apart(heads)])
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while some := list(islice(lines, 10_000)):
                writer.write_table(pa.table([pa.array(column, pa.string()) for column in zip(*some)], schema=schema))  # noqa: B905 - all lines are as long as the heading


def _apart(heads: Sequence[str]) -> list[str]:
    """Headings that differ, as columns of a table must."""
    seen, made = Counter[str](), []
    for head in heads:
        seen[head] += 1
        made.append(head if seen[head] == 1 else f"{head} ({seen[head]})")
    return made


def _inert(value: str) -> str:
    """A cell that a spreadsheet takes as text, never as a formula."""
    return f"'{value}" if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
