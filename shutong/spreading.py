"""Open what a worker needs to do its share of spread work, by its own deployment; and the options that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

from warehouse import spread_merge
from warehouse.spread import Here, Spread, opened
from warehouse.spread_merge import Bucket, Piece, Spreading
from warehouse.tables import Tables

if TYPE_CHECKING:
    from runs.batch import Parts
    from runs.recheck import Judging, Numbers, Share

F = TypeVar("F", bound=Callable[..., object])
AT_LEAST = 4  # buckets per worker of a machine, where nobody says how many: the last ones even out


def combine(bucket: Bucket) -> Piece:
    """Combine a bucket as a worker does that is not the process which began the merge.

    It reads its own SHUTONG_HOME: the same storage, and secrets that never travel.
    """
    from shutong.deployment import DeploymentSecrets
    from shutong.settings import read
    from shutong.storage import places

    settings = read()
    tables = places(settings, DeploymentSecrets(settings)).tables()
    try:
        return spread_merge.combine(tables, bucket)
    finally:
        tables.close()


def judge(share: Share) -> Numbers:
    """Judge quarantined rows, likewise."""
    from runs import recheck
    from shutong.settings import read
    from shutong.wiring import open_deployment

    with open_deployment(read()) as wired:
        return recheck.judge(wired.parts, share)


@contextmanager
def shared(tables: Tables, where: str, buckets: int | None) -> Iterator[Spreading | None]:
    """How a merge is spread over whoever `where` means; None where neither was asked for."""
    with _asked(where, buckets) as found:
        if found is None:
            yield None
        else:
            here = isinstance(found[0], Here)
            yield Spreading(*found, partial(spread_merge.combine, tables) if here else combine)


@contextmanager
def shared_check(parts: Parts, where: str, buckets: int | None) -> Iterator[Judging | None]:
    """How a check of what lies in quarantine is spread; None where neither was asked for."""
    from runs import recheck

    with _asked(where, buckets) as found:
        if found is None:
            yield None
        else:
            here = isinstance(found[0], Here)
            yield recheck.Judging(*found, partial(recheck.judge, parts) if here else judge)


@contextmanager
def _asked(where: str, buckets: int | None) -> Iterator[tuple[Spread, int] | None]:
    if where == "local" and buckets is None:
        yield None
        return
    with opened(where) as spread:
        yield spread, buckets or AT_LEAST * spread.workers


def buckets_option(command: F) -> F:
    """Let a command be told into how many pieces to cut its work."""
    said = "分成多少份 | into how many pieces"
    return click.option("--buckets", type=click.IntRange(1, 100_000), default=None, help=said)(command)


def where_option(command: F) -> F:
    """Let a command be told who does the pieces."""
    said = "由谁执行：local、processes:N、dask://主机:端口 | who does them: local, processes:N, dask://host:port"
    return click.option("--on", "where", default="local", metavar="WHERE", help=said)(command)
