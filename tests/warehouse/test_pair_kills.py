"""Killed at random while it lands, in every pair of place and catalog, and run again, a process loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pairs import PAIRS, assert_released, fresh, run_kills

SEED, PROVEN_KILLS = 7, 52  # the last for each pair
pytestmark = [pytest.mark.kills]


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_killed_at_random_in_every_pair_nothing_is_lost_or_doubled(
    tmp_path: Path, bucket_server, database_server
) -> None:
    pairs = {kind: fresh(kind, tmp_path / kind, bucket_server, database_server) for kind in PAIRS}
    truths = run_kills(tmp_path / "plan", pairs, kills=PROVEN_KILLS, seed=SEED, patience=3500)
    for kind, truth in truths.items():
        warehouse = pairs[kind].open()
        assert {row["code"]: row["name"] for row in warehouse.landed()} == truth, kind
        assert len(warehouse.landed()) == len(truth), kind
        assert_released(warehouse)
        warehouse.close()
