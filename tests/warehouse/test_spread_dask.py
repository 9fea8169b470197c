"""A Dask cluster of two worker processes rebuilds a library as one process does, also when a worker dies."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import spreading
from test_merge import BOTH, STANDARD, contents, deployment, land, registry_rows, tax_rows

from infra.testing.postgres import free_port
from warehouse.errors import WarehouseError
from warehouse.merge import merge
from warehouse.spread import opened
from warehouse.spread_merge import Spreading

HERE = Path(__file__).parent
installed = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="distributed is not installed")


# As the commands of Dask do, each in a process of its own, but what they import is imported once.
CLUSTER = """
import json, os, sys
import spreading
from distributed.cli import dask_scheduler, dask_worker
started = json.loads(sys.argv[1])
for kind, *said in started:
    if os.fork() == 0:
        {"scheduler": dask_scheduler, "worker": dask_worker}[kind].main(["--host", "127.0.0.1", "--no-dashboard", *said])
for _ in started:
    os.wait()
"""


@contextmanager
def cluster(folder, workers, protocol="tcp", **told):
    """A scheduler and its workers, each a process of its own and `told` more; the scheduler's host and port."""
    address = f"127.0.0.1:{free_port()}"
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]), **told}
    worker = ["worker", f"{protocol}://{address}", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder)]
    said = [["scheduler", "--port", address.rpartition(":")[2], "--protocol", protocol], *[worker] * workers]
    command = [sys.executable, "-c", CLUSTER, json.dumps(said)]
    every = subprocess.Popen(command, env=surroundings, cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield address
    finally:
        os.killpg(every.pid, signal.SIGKILL)
        every.wait()


@installed
def test_two_workers_of_which_one_dies_make_the_same_library(tmp_path):
    state, tables = deployment(tmp_path)
    land(state, tables, BOTH[0].table, registry_rows(), "run-1")
    land(state, tables, BOTH[1].table, tax_rows(), "run-2")
    with cluster(tmp_path, 2) as address, opened(f"dask://{address}") as spread:
        spread.wait_for(2)
        dying = Spreading(spread, 3, partial(spreading.combine_or_die, tmp_path))
        made = merge(state, tables, "legal_person", STANDARD, BOTH, whole=True, spreading=dying)
    assert (tmp_path / "died").exists()
    found = contents(state, tables)
    alone = merge(state, tables, "legal_person", STANDARD, BOTH, whole=True)
    assert contents(state, tables) == found
    assert (made.records, made.compared, made.unlinked) == (alone.records, alone.compared, alone.unlinked)
    tables.close()
    state.close()


@installed
def test_a_cluster_whose_configuration_has_certificates_is_spoken_to_in_tls(tmp_path):
    import dask
    import distributed  # noqa: F401 - its configuration must be there before, or it goes with what is set below

    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    asked = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=dask", "-days", "2"]
    subprocess.run([*asked, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    parts = {who: {"cert": certificate, "key": key} for who in ("client", "scheduler", "worker")}
    configured = {"distributed": {"comm": {"require-encryption": True, "tls": {"ca-file": certificate, **parts}}}}
    (tmp_path / "tls.yaml").write_text(json.dumps(configured))
    with (
        cluster(tmp_path, 1, "tls", DASK_CONFIG=str(tmp_path / "tls.yaml")) as address,
        dask.config.set(dask.config.merge(dask.config.config, configured)),
        opened(f"dask://{address}") as spread,
    ):
        assert spread.each(abs, [-1, 2]) == [1, 2]


@installed
def test_a_scheduler_that_does_not_answer_is_told_with_its_address(monkeypatch):
    monkeypatch.setattr("warehouse.spread_dask.REACHED_WITHIN", 0.2)
    with pytest.raises(WarehouseError) as told, opened(f"dask://127.0.0.1:{free_port()}"):
        pass
    assert (told.value.code, told.value.retryable) == ("WH-CLUSTER", True)


def test_without_the_client_of_dask_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(WarehouseError, match="shutong\\[cluster\\]") as told, opened("dask://127.0.0.1:8786"):
        pass
    assert told.value.code == "WH-DRIVER"


@pytest.mark.prove
@pytest.mark.timeout(7_200)
def test_ten_million_firms_of_three_departments_are_rebuilt_alike_by_one_process_and_by_two_workers():
    """On two processes, and on Dask where it is installed; ratios are the benchmark's to judge."""
    command = [sys.executable, HERE.parents[1] / "benchmarks" / "cluster.py"]
    surroundings = {one: said for one, said in os.environ.items() if one != "TMPDIR"}  # 20 GB lie on the disk
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True)
    assert "RESULT cluster_same 1.00" in done.stdout
