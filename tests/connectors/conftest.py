"""Servers the tests of several files read from: started once for all of them."""

import pytest
from present import needs

from infra.testing import postgres


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL of our own; each test file makes its own tables."""
    needs(postgres)
    with postgres.running() as running:
        yield running
