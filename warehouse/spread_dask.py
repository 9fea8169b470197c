"""Spread work over the workers of a Dask cluster that is there already."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from warehouse.errors import WarehouseError
from warehouse.spread import MEMORY, ClusterError, Room, workers_lost

V = TypeVar("V")
R = TypeVar("R")
REACHED_WITHIN = 60.0  # seconds


class Dask:
    """The workers a client of `distributed` speaks to; each thread of a worker does one piece of work at a time."""

    room = Room(1, MEMORY)

    def __init__(self, client: Any, killed: type[Exception]) -> None:  # noqa: ANN401 - distributed.Client
        self._client, self._killed = client, killed
        self.workers = 1

    def wait_for(self, workers: int) -> None:
        """Until so many have come; WH-CLUSTER when they do not."""
        try:
            self._client.wait_for_workers(workers, timeout=REACHED_WITHIN)
        except TimeoutError as missing:
            raise ClusterError(
                "WH-CLUSTER",
                zh="Dask 集群没有工作进程",
                en="the Dask cluster has no workers",
                fix_zh="在各工作机器上运行：dask worker 主机:端口 --nthreads 1",
                fix_en="Run on the machines that work: dask worker host:port --nthreads 1",
            ) from missing
        self.workers = sum(self._client.nthreads().values())

    def each(self, act: Callable[[V], R], values: Sequence[V]) -> list[R]:
        """See warehouse.spread.Spread."""
        # Not pure: asked for again, the same bucket is done again, for its files may have been swept.
        asked = self._client.map(act, values, pure=False, retries=0)
        try:
            return list(self._client.gather(asked))
        except self._killed as lost:
            raise workers_lost() from lost
        finally:
            self._client.cancel(asked)


@contextmanager
def cluster(address: str) -> Iterator[Dask]:
    """The workers of the scheduler at `host:port`; WH-DRIVER without `distributed`, WH-CLUSTER when nobody answers.

    They are spoken to in TLS where Dask's configuration has a certificate for clients.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as missing:
        raise WarehouseError(
            "WH-DRIVER",
            zh="尚未安装 Dask 的客户端 distributed",
            en="distributed, the client of Dask, is not installed",
            fix_zh="运行：pip install 'shutong[cluster]'；工作机器同样安装",
            fix_en="Run: pip install 'shutong[cluster]', on the workers too",
        ) from missing
    try:
        secured = distributed.Security().get_connection_args("client")["ssl_context"] is not None
        where = f"{'tls' if secured else 'tcp'}://{address}"
        client = distributed.Client(where, timeout=REACHED_WITHIN, set_as_default=False)
    except (OSError, TimeoutError) as gone:
        raise ClusterError(
            "WH-CLUSTER",
            zh=f"{address} 没有 Dask 调度器应答",
            en=f"no Dask scheduler answers at {address}",
            fix_zh="检查地址，以及 dask scheduler 与 dask worker 是否在运行",
            fix_en="Check the address, and that dask scheduler and dask worker are running there",
        ) from gone
    with client:
        found = Dask(client, distributed.KilledWorker)
        found.wait_for(1)
        yield found
