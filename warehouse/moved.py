"""Hold two snapshots of a table side by side: which files they share, how much must be read to tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema

from warehouse import scan
from warehouse.site import name

OLD, NEW = "_in_old", "_in_new"  # columns: whether the row was in the old snapshot, and whether it is in the new one


@dataclass(frozen=True, slots=True)
class Between:
    """Two snapshots of one table; every row of either has a place (file, row) that tells in which of them it is."""

    old: scan.Plan
    new: scan.Plan

    @property
    def same(self) -> bool:
        """Whether they have the same files."""
        return files_of(self.old).keys() == files_of(self.new).keys() and self.old.deletes == self.new.deletes

    @property
    def rewritten(self) -> int:
        """Rows of the files that only one of them has: what has to be read to tell them apart."""
        old, new = files_of(self.old), files_of(self.new)
        return sum(one.record_count for path, one in (old | new).items() if not (path in old and path in new))

    @property
    def schema(self) -> Schema:
        """The columns of either snapshot: the older one has more where the newer goes back to an earlier state."""
        return max(self.new.schema, self.old.schema, key=lambda one: len(one.fields))  # columns are only ever added


def files_of(planned: scan.Plan) -> dict[str, DataFile]:
    """The data files of a snapshot by what DuckDB calls them."""
    return {name(one.file_path): one for one in planned.data}
