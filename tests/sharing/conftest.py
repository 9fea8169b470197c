"""The small deployment that the sharing tests ask."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sharing_town import Town, build


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    built = build(tmp_path)
    yield built
    built.desk.close()
    built.config.engine.dispose()
