"""A small deployment as `shutong init` lays it out, once for all tests of a file."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from unit_files import TOP


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """The folder of a fresh deployment."""
    home = tmp_path_factory.mktemp("deployment") / "home"
    told = {**os.environ, "SHUTONG_HOME": str(home), "PYTHONPATH": str(TOP)}
    subprocess.run(
        [sys.executable, "-m", "shutong", "init", "--example", "enterprises"], env=told, check=True, capture_output=True
    )
    return home
