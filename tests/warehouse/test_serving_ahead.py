"""A serving file that is read ahead lies in memory before the first question; one too large for the machine does not."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from warehouse import serving_ahead
from warehouse.serving import ServingStore, open_view
from warehouse.serving_build import Plan, build
from warehouse.serving_care import switch

ROWS = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("serving")
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE VIEW firms AS SELECT printf('K%08d', range) uscc, sha256(range::VARCHAR) said FROM range({ROWS})"
        )
        build(folder, connection, "firms", Plan(library="firms", key="uscc", generation=1))
    switch(folder, "firms", 1)
    return folder


def resident(file: Path) -> int:
    """Bytes of the file that this process sees without asking the system."""
    seen = Path("/proc/self/smaps").read_text().split(f"{file}\n")
    return sum(int(one.partition("Rss:")[2].split()[0]) << 10 for one in seen[1:])


def finished() -> None:
    for thread in threading.enumerate():
        if thread.name == "serving-ahead":
            thread.join(30)


def test_what_is_read_ahead_is_seen_without_asking_the_system(folder):
    store = ServingStore(folder, "firms", ahead=True)
    file = store.view().files[-1]
    finished()
    assert resident(file.path) >= file.size
    assert store.get("K00000007")["said"] == "7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451"


def test_nothing_is_read_ahead_unasked(folder):
    file = open_view(folder / "firms", 1).files[-1]
    finished()
    assert resident(file.path) < file.size


def test_a_file_too_large_for_the_memory_that_is_free_is_left_where_it_is(folder, tmp_path, monkeypatch):
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal: 99 kB\nMemAvailable:       64 kB\nBuffers: 1 kB\n")
    monkeypatch.setattr(serving_ahead, "_MEMORY", memory)
    store = ServingStore(folder, "firms", ahead=True)
    file = store.view().files[-1]
    finished()
    assert file.size > 64 << 10
    assert resident(file.path) < file.size
    assert store.get("K00000000") is not None


@pytest.mark.parametrize("where", ["", "api.slice", "api.slice/one", "memory"])
def test_a_file_too_large_for_the_container_is_left_where_it_is(folder, tmp_path, monkeypatch, where):
    inside = tmp_path / "api.slice" / "one"
    for one in (inside, tmp_path / "memory"):
        one.mkdir(parents=True)
    (inside / "memory.max").write_text("max\n")
    (tmp_path / where / ("memory.limit_in_bytes" if where == "memory" else "memory.max")).write_text("65536\n")
    group = tmp_path / "cgroup"
    group.write_text("4:memory:/elsewhere\n0::/api.slice/one\n")
    monkeypatch.setattr(serving_ahead, "_GROUP", group)
    monkeypatch.setattr(serving_ahead, "_GROUPS", tmp_path)
    file = open_view(folder / "firms", 1).files[-1]
    assert serving_ahead.bring_in(file) is None


def test_where_no_thread_can_be_had_questions_are_answered_all_the_same(folder, monkeypatch):
    def none(_self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    assert ServingStore(folder, "firms", ahead=True).get("K00000000") is not None
