"""Long files begin first, so that no worker is left alone with one at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

# The longest first; a file that is not named takes its turn after them.
LONG = (
    "shutong/test_demo_scheduler.py",
    "runs/test_kills.py",
    "runs/test_follow.py",
    "runs/test_source_kills.py",
    "runs/test_follow_kills.py",
    "runs/test_mode_kills.py",
    "runs/test_faults_databases.py",
    "shutong/test_enterprises.py",
    "connectors/test_dialects.py",
    "runs/test_modes.py",
    "connectors/test_hard_rows.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the items of long files before all others; within each kind the (random) order stays."""
    here = Path(__file__).parent
    place = {here / name: at for at, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
