"""Spread work over whoever does it: this process, processes of this machine, or the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol, TypeVar

from warehouse.errors import WarehouseError

V = TypeVar("V")
R = TypeVar("R")
TRIES = 4  # of a value whose worker dies
MEMORY = "700MB"  # of DuckDB for one bucket; the rest is spilled


class WorkersLostError(WarehouseError):
    """Workers died over the same piece of work again and again; nothing of it was committed."""

    retryable = True


class ClusterError(WarehouseError):
    """A cluster that cannot be reached."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Room:
    """What one piece of work may take: threads of DuckDB (None: all of the machine's) and its memory ("700MB")."""

    threads: int | None = None
    memory: str | None = None


class Spread(Protocol):
    """Does the same with many values, each of which may be done more than once, and answers in their order.

    `workers` do it at once. `act` and the values are sent to other processes: `act` is a function of a module, or a
    partial of one. The first error of `act` is raised; what a dying worker was about is done again by another.
    """

    room: Room
    workers: int

    def each(self, act: Callable[[V], R], values: Sequence[V]) -> list[R]:
        """What `act` answers for every value."""
        ...


class Here:
    """The process itself does one after the other."""

    room = Room()
    workers = 1

    def each(self, act: Callable[[V], R], values: Sequence[V]) -> list[R]:
        """See Spread."""
        return [act(one) for one in values]


class Processes:
    """As many processes of this machine, each on one thread."""

    room = Room(1, MEMORY)

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def each(self, act: Callable[[V], R], values: Sequence[V]) -> list[R]:
        """See Spread."""
        done: dict[int, R] = {}
        for _try in range(TRIES):
            left = [place for place in range(len(values)) if place not in done]
            if not left:
                break
            # A process that forks takes locks along that threads hold, so none does; one that dies takes its pool down.
            with ProcessPoolExecutor(min(self.workers, len(left)), get_context("spawn")) as pool:
                asked: dict[int, Future[R]] = {}
                with suppress(BrokenExecutor):
                    for place in left:
                        asked[place] = pool.submit(act, values[place])
                for place, answer in asked.items():
                    try:
                        done[place] = answer.result()
                    except BrokenExecutor:
                        continue
                    except BaseException:
                        pool.shutdown(wait=False, cancel_futures=True)
                        raise
        if len(done) < len(values):
            raise workers_lost()
        return [done[place] for place in range(len(values))]


@contextmanager
def opened(where: str) -> Iterator[Spread]:
    """Whoever is meant by `local`, `processes:4` or `dask://host:port`; WH-SPREAD-WHERE when nobody is."""
    kind, _, more = where.partition(":")
    if where == "local":
        yield Here()
    elif kind == "processes" and more.isdigit() and int(more):
        yield Processes(int(more))
    elif kind == "dask" and more.startswith("//"):
        from warehouse.spread_dask import cluster

        with cluster(more.removeprefix("//")) as found:
            yield found
    else:
        raise WarehouseError(
            "WH-SPREAD-WHERE",
            zh=f"不认识 {where}",
            en=f"nobody is meant by {where}",
            fix_zh="写 local、processes:4 或 dask://主机:端口",
            fix_en="Write local, processes:4 or dask://host:port",
        )


def workers_lost() -> WorkersLostError:
    """The error of who gives up on workers that die."""
    return WorkersLostError(
        "WH-WORKERS-LOST",
        zh=f"工作进程连续 {TRIES} 次中途消失，未提交任何内容",
        en=f"workers died over the same piece of work {TRIES} times; nothing was committed",
        fix_zh="查看工作进程的内存与日志；增加 --buckets 使每份更小，再重试",
        fix_en="Look at the memory and the logs of the workers; try again with more --buckets, each is smaller then",
    )
