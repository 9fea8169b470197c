"""A bucket store and a PostgreSQL, started once for the tests of each process that asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
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
