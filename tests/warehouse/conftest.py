"""A bucket store and a PostgreSQL, started once for the tests of each process that asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from land_kills import FIRST
from pairs import Pair, fresh
from present import needs

from infra.testing import postgres, seaweed


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[seaweed.Seaweed]:
    with seaweed.running() as running:
        yield running


@pytest.fixture(scope="session")
def database_server() -> Iterator[postgres.Postgres]:
    needs(postgres)
    with postgres.running() as running:
        yield running


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, bucket_server) -> Pair:
    """A warehouse in a bucket with one landing, for tests of what goes wrong there; some files make other pairs."""
    made = fresh("bucket-sqlite", tmp_path_factory.mktemp("faults"), bucket_server, None)
    warehouse = made.open()
    warehouse.ingest(FIRST, "run-1")
    warehouse.close()
    return made
