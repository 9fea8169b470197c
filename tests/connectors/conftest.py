"""Servers the tests of several files read from: started once for all of them."""

import os

import pytest

from infra.testing import postgres


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL of our own; each test file makes its own tables."""
    try:
        postgres.binaries()
    except FileNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("PostgreSQL is not installed")
    with postgres.running() as running:
        yield running
