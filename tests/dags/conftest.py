"""A deployment for the factory to read, and an Airflow of our own: its folder is set before it is first imported."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from shutong.layout import init

EXAMPLE = "zhejiang"


@pytest.fixture(scope="session")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as `shutong init` lays it out; read only, tests that change files take one of their own."""
    home = tmp_path_factory.mktemp("deployment") / "home"
    init(home, EXAMPLE)
    return home


@pytest.fixture(scope="session")
def airflow(laid_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Airflow imported with a folder of its own; what it does to logging is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    folder = tmp_path_factory.mktemp("airflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(folder))
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "false")
        patch.setenv("SHUTONG_HOME", str(laid_out))
        patch.delenv("SHUTONG_STATE_URL", raising=False)
        import dags.shutong_dags

        assert dags.shutong_dags
        root.handlers[:], root.level = handlers, level
        yield folder


@pytest.fixture
def home(airflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment that the test may change, and that the DAGs read."""
    assert airflow.is_dir()
    home = tmp_path / "home"
    init(home, EXAMPLE)
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    return home
