"""Work that tests send to other processes: functions of a module, as workers find them."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from warehouse import spread_merge
from warehouse.spread_merge import Bucket, Piece
from warehouse.tables import Tables


def combine(folder: Path, bucket: Bucket) -> Piece:
    """Combine a bucket of the deployment in that folder, as a worker does: with tables it opens itself."""
    tables = Tables(folder / "warehouse", f"sqlite:///{folder / 'catalog.db'}")
    try:
        return spread_merge.combine(tables, bucket)
    finally:
        tables.close()


def combine_or_die(folder: Path, bucket: Bucket) -> Piece:
    """The same; the first worker with the last bucket dies when it has combined the rows, before it tells anybody."""
    mark = folder / "died"
    if bucket.number == bucket.of - 1 and not mark.exists():
        mark.touch()
        sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event == "shutong.point" else None)
    return combine(folder, bucket)
