"""Airflow stays in dags: whoever only runs the sharing API or the command line need not have it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> Iterator[str]:
    """The top-level names of everything a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", ["schemas", "connectors", "quality", "warehouse", "runs", "sharing", "shutong"])
def test_only_dags_imports_airflow(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert [str(path) for path in files if {"airflow", "dags"} & set(imported(path))] == []


def test_the_dags_do_import_airflow_and_little_else():
    names = {name for path in (ROOT / "dags").glob("*.py") for name in imported(path)}
    assert "airflow" in names
    assert not names & {"great_expectations", "duckdb", "pyiceberg", "lmdb", "fastapi", "pandas", "sqlalchemy"}
