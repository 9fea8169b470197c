"""Engines that run the portable queries, each as a function from queries to what they answer."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from readers import sail_server

from infra.testing import spark as sparks
from infra.testing.postgres import free_port

Asked = Callable[[Mapping[str, str]], dict[str, pa.Table]]  # queries by name → answers by name
WITHIN = 1_800  # seconds: ten million records on a busy machine
_SPARK = """
import json, sys
from pyspark.sql import SparkSession
master, folder = sys.argv[1:]
settings = {
    "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "700m", "spark.executor.memory": "1g", "spark.executor.cores": "1",
    "spark.sql.session.timeZone": "Asia/Shanghai", "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.ansi.enabled": "true", "spark.sql.shuffle.partitions": "8",
    "spark.scheduler.minRegisteredResourcesRatio": "1", "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
}
builder = SparkSession.builder.master(master)
for name, value in settings.items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
for name, query in json.load(open(f"{folder}/queries.json")).items():
    session.sql(query).write.parquet(f"{folder}/{name}")
print("executors", session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1)
session.stop()
"""


@contextmanager
def sail(_folder: Path) -> Iterator[Asked]:
    """A Sail server; no Java."""
    with sail_server() as ask:
        yield lambda queries: {name: ask(query) for name, query in queries.items()}


@contextmanager
def spark(folder: Path) -> Iterator[Asked]:
    """A Spark cluster of a master and two workers of one core, processes of their own; answers lie in the folder."""
    prepared = sparks.prepared()
    port = free_port()
    master = f"spark://127.0.0.1:{port}"
    (home,) = sparks.HOME.glob("lib/python3*/site-packages/pyspark")
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": str(prepared.python),
    }

    def start(kind: str, *said: str) -> subprocess.Popen[bytes]:
        command = [home / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1", *said]
        return subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=folder
        )

    def ask(queries: Mapping[str, str]) -> dict[str, pa.Table]:
        (folder / "queries.json").write_text(json.dumps(queries))
        command = [prepared.python, "-c", _SPARK, master, str(folder)]
        done = subprocess.run(command, env=environment, check=False, timeout=WITHIN, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]
        assert "executors 2" in done.stdout
        return {name: _read(folder / name) for name in queries}

    running: list[subprocess.Popen[bytes]] = []
    try:
        running.append(start("master.Master", "--port", str(port), "--webui-port", "0"))
        running += [
            start(
                "worker.Worker",
                "--cores",
                "1",
                "--memory",
                "1500m",
                "--webui-port",
                "0",
                "--work-dir",
                str(folder / f"worker-{n}"),
                master,
            )
            for n in range(2)
        ]
        yield ask
    finally:
        for one in running:
            one.terminate()
        for one in running:
            with suppress(subprocess.TimeoutExpired):
                one.wait(20)
            one.kill()


def _read(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("*.parquet"))])
