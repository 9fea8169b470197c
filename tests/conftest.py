"""Run long files first and full counts only when asked; let what tests write stay in memory."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

# The longest first; a file that is not named takes its turn after them.
LONG = (
    "shutong/test_demo_scheduler.py",
    "runs/test_kills.py",
    "runs/test_mode_kills.py",
    "runs/test_source_kills.py",
    "runs/test_follow.py",
    "runs/test_follow_kills.py",
    "docs/test_tutorial.py",
    "shutong/test_enterprises.py",
    "runs/test_recheck.py",
    "shutong/test_demo.py",
    "runs/test_steps.py",
    "quality/test_quality_differential.py",
    "warehouse/test_pairs.py",
    "runs/test_faults_databases.py",
    "warehouse/test_tables.py",
    "runs/test_modes.py",
    "warehouse/test_land_kills.py",
    "runs/test_bad_input.py",
    "runs/test_accept_server.py",
    "connectors/test_mysql_reader.py",
    "shutong/test_resource_commands.py",
    "quality/test_quality_check.py",
)
PROVE = os.environ.get("SHUTONG_PROVE") == "1"
MEMORY = Path("/dev/shm")
AVAILABLE = Path("/proc/meminfo")
ROOM = 6 << 30  # bytes; all tests together write less than one GB at a time


def _write_to_memory() -> None:
    """Let temporary folders lie in memory where there is plenty: half of the time goes into waiting for disks otherwise.

    A killed process leaves the same behind there, because what is lost with it is never what the system was given.
    `make prove`, whose sizes may not fit, writes to the disk; so does whoever says where by TMPDIR.
    """
    if "TMPDIR" in os.environ or PROVE or not MEMORY.is_dir():
        return
    available = int(AVAILABLE.read_text().partition("MemAvailable:")[2].split()[0]) << 10
    usable = os.access(MEMORY, os.W_OK) and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    if usable and min(available, shutil.disk_usage(MEMORY).free) >= ROOM:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


_write_to_memory()
gc.disable()  # while half a million things are imported that stay; collecting garbage begins with the tests


def pytest_collection_finish() -> None:
    """Migrate once, if at all; what was imported and collected is no garbage until the end: it is not looked through."""
    if "warehouse.state" in sys.modules:
        from migrated import install

        install()
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the items of long files before all others; within each kind the (random) order stays. Full counts wait."""
    here = Path(__file__).parent
    place = {here / name: at for at, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
    if not PROVE:
        waits = pytest.mark.skip(reason="make prove runs the full counts")
        for item in items:
            if item.get_closest_marker("prove"):
                item.add_marker(waits)
