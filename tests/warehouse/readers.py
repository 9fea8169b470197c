"""The readers of Iceberg that must see in our tables what we see, each as a function from a place to rows."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.any_pb2 import Any as Packed
from pyarrow import flight

from infra.testing import spark as sparks
from warehouse.site import name as file_name
from warehouse.tables import Tables

SAIL_WITHIN = 60.0  # seconds
_SPARK = """
import sys
from pyspark.sql import SparkSession
place, target, jars = sys.argv[1:]
settings = {
    "spark.jars": jars, "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1", "spark.driver.memory": "700m", "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
builder = SparkSession.builder.master("local[1]")
for name, value in settings.items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
session.read.format("iceberg").load(place).coalesce(1).write.parquet(target)
session.stop()
"""


@dataclass(frozen=True)
class Made:
    """A table as it stands: who wrote it, its name, its newest snapshot, and a folder for what a reader needs."""

    tables: Tables
    name: str
    snapshot: int
    folder: Path

    @property
    def metadata(self) -> str:
        """The location of its newest metadata file."""
        return self.tables._load(self.name).metadata_location

    @property
    def place(self) -> str:
        """The location of the table."""
        return self.tables._load(self.name).location()


def ours(made: Made) -> pa.Table:
    return made.tables.read(made.name, made.snapshot)


def pyiceberg(made: Made) -> pa.Table:
    return made.tables._load(made.name).scan(snapshot_id=made.snapshot).to_arrow()


def polars(made: Made) -> pa.Table:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")  # else it warns that another package would be faster
        frame = pl.scan_iceberg(made.tables._load(made.name), snapshot_id=made.snapshot).collect()
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def iceberg_scan(made: Made) -> pa.Table:
    with duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"}) as connection:
        for extension in ("avro", "iceberg"):
            connection.execute(f"LOAD '{_extension(extension)}'")
        return connection.execute("FROM iceberg_scan(?)", [file_name(made.metadata)]).to_arrow_table()


def _extension(name: str) -> Path:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    assert found is not None
    assert found.origin is not None
    (file,) = Path(found.origin).parent.glob(f"extensions/v{duckdb.__version__}/{name}.duckdb_extension")
    return file


def sail(made: Made) -> pa.Table:
    with sail_server() as ask:
        return ask(f"SELECT * FROM iceberg.`{made.place}`")


@contextmanager
def sail_server() -> Iterator[Callable[[str], pa.Table]]:
    """A Sail of its own, as what answers a query."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sysconfig.get_path("scripts")) / "sail"
    server = subprocess.Popen([program, "flight", "server", "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + SAIL_WITHIN
        while not _listens(port):
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        with flight.connect(f"grpc://127.0.0.1:{port}") as client:
            yield partial(_asked, client)
    finally:
        server.kill()
        server.wait()


def _asked(client: flight.FlightClient, query: str) -> pa.Table:
    # Flight SQL: a statement is a message with one text, packed with its name.
    said = query.encode()
    length, left = bytearray(), len(said)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    length.append(left)
    kind = "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    statement = Packed(type_url=kind, value=b"\n" + bytes(length) + said).SerializeToString()
    info = client.get_flight_info(flight.FlightDescriptor.for_command(statement))
    return client.do_get(info.endpoints[0].ticket).read_all()


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def spark(made: Made) -> pa.Table:
    prepared = sparks.prepared()
    # Without a catalog Spark finds the newest metadata by a number; what they name stands where it stood.
    place, target = made.folder / "numbered", made.folder / "as-spark-reads-it"
    (place / "metadata").mkdir(parents=True)
    shutil.copy(file_name(made.metadata), place / "metadata" / "v1.metadata.json")
    (place / "metadata" / "version-hint.text").write_text("1")
    jars = ",".join(map(str, prepared.jars))
    subprocess.run([prepared.python, "-c", _SPARK, f"file://{place}", str(target), jars], check=True, timeout=1_200)
    return pa.concat_tables(pq.read_table(file) for file in sorted(target.glob("*.parquet")))


Reader = Callable[[Made], pa.Table]
