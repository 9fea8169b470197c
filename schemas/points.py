"""The named instants at which a process may die: a test kills the process there and runs it again."""

from __future__ import annotations

import sys

POINTS = (
    "pull.batch_written",
    "pull.snapshot_written",
    "pull.files_durable",
    "pull.committed",
    "check.standardised",
    "check.kept",
    "check.recorded",
    "land.planned",
    "land.files_written",
    "land.quarantine_committed",
    "land.passed_committed",
    "land.released",
    "merge.written",
    "merge.committed",
    "merge.released",
    "publish.built",
    "publish.switched",
    "publish.recorded",
)
CARE = (  # of what is done beside the steps of a record
    "merge.bucket",
    "keyed.written",
    "fold.written",
    "compact.range",
    "compact.written",
    "compact.committed",
    "compact.released",
    "backup.dumped",
    "backup.written",
    "restore.loaded",
    "export.recorded",
    "export.written",
    "import.verified",
    "import.staged",
    "import.committed",
    "import.released",
    "rollback.head",
    "rollback.heads",
    "rollback.released",
)


def reached(point: str) -> None:
    """Tell whoever listens (`sys.addaudithook`, event `shutong.point`) that the process stands at `point`."""
    if point not in POINTS and point not in CARE:
        raise ValueError(point)
    sys.audit("shutong.point", point)
