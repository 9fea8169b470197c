"""The composition root: the one place that picks back ends and puts the parts of a deployment together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from connectors.changes.feed import ChangeFeed
from connectors.changes.opening import open_changes
from connectors.manners import Limited, read_limits
from connectors.options import Secrets
from connectors.registry import open_source
from quality.orders import QualityOrders
from quality.store import QualityStore
from runs.resources import Resource
from runs.steps import Parts, Steps
from schemas.calendar import read_calendar
from schemas.lines import read as read_yaml
from schemas.reference_tables import reference_tables
from schemas.values import Json, Source
from shutong.deployment import Deployment, DeploymentSecrets, load
from shutong.layout import SetupError
from shutong.settings import Settings
from shutong.storage import places
from warehouse.state import State
from warehouse.store import ObjectStore
from warehouse.tables import Tables

ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Wired:
    """A deployment put together; `look` opens a source no resource file describes yet (kind, options, connection)."""

    deployment: Deployment
    state: State
    store: ObjectStore
    tables: Tables
    quality: QualityStore
    steps: Steps
    open_source: Callable[[Resource], Source]
    look: Callable[[str, Mapping[str, Json], Mapping[str, Json]], Source]
    parts: Parts
    open_changes: Callable[[Resource], ChangeFeed]
    orders: QualityOrders


@contextmanager
def open_deployment(
    settings: Settings, overrides: Mapping[str, Mapping[str, Json]] | None = None, elsewhere: Secrets | None = None
) -> Iterator[Wired]:
    """The deployment of those settings, its databases migrated, closed again on leaving.

    `overrides` replaces source options of resources for this process only: {resource id or name: {option: value}}.
    `elsewhere` is one more place that may know a secret.
    """
    deployment = load(settings)
    home = settings.home
    secrets = DeploymentSecrets(settings, elsewhere)
    with _explained(home):
        state = State(settings.state_url)
    with ExitStack() as opened:
        opened.callback(state.close)
        with _explained(home):
            state.migrate()
            where = places(settings, secrets)
            store, tables = where.store(), where.tables()
        opened.callback(tables.close)
        quality = QualityStore(state.engine)
        orders = QualityOrders(state.engine, read_calendar(home / "calendar.csv"))

        def filled(said: Mapping[str, Json]) -> dict[str, Json]:
            return {key: deployment.expand(value) for key, value in said.items()}

        def look(kind: str, options: Mapping[str, Json], connection: Mapping[str, Json]) -> Source:
            return open_source(kind, filled(options), filled(connection), secrets)

        def source(resource: Resource) -> Source:
            said = overrides or {}
            options = {**resource.options, **said.get(resource.name, {}), **said.get(resource.id, {})}
            found = look(resource.kind, options, deployment.connection(resource))
            return Limited(found, read_limits(resource.limits)) if resource.limits else found

        def changes(resource: Resource) -> ChangeFeed:
            following = resource.reading.following
            return open_changes(
                filled(resource.options),
                filled(deployment.connection(resource)),
                secrets,
                owner=f"{home.resolve()}:{resource.id}",
                slot=following.slot,
                publication=following.publication,
            )

        parts = Parts(
            state=state,
            store=store,
            tables=tables,
            quality=quality,
            serving=home / "serving",
            resources={one.id: one for one in deployment.resources},
            open_source=source,
            authority=read_authority(deployment),
            today=today,
            orders=orders,
            references=reference_tables(home / "references"),
        )
        yield Wired(deployment, state, store, tables, quality, Steps(parts), source, look, parts, changes, orders)


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Say what to do when the databases cannot be opened; never the address, which may hold a password."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        reason = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0]
        raise SetupError(
            "SYS-STATE",
            zh=f"无法打开部署的数据库（{home}/state 或 SHUTONG_STATE_URL）：{reason}",
            en=f"the databases of the deployment ({home}/state or SHUTONG_STATE_URL) cannot be opened: {reason}",
            fix_zh="检查目录权限、磁盘与 SHUTONG_STATE_URL；被锁定时稍后再试；文件损坏时从备份恢复",
            fix_en="Check folder permissions, the disk and SHUTONG_STATE_URL; try later when it is locked; restore a"
            " damaged file from a backup",
        ) from error


def today() -> date:
    """The date in Asia/Shanghai."""
    return datetime.now(ZONE).date()


def new_run_id() -> str:
    """An id for a run somebody started: sorts by time, unique."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}"


def read_authority(deployment: Deployment) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Whose word counts, per library and field, from departments.yaml (field `default`: all others)."""
    node = read_yaml(deployment.home / "departments.yaml")
    said = {
        library: {name: below.texts(name) for name in list(below.keys())}
        for library, below in node.named("authority").items()
    }
    for department in sorted({one for fields in said.values() for ruled in fields.values() for one in ruled}):
        deployment.department(department)  # a rule that names nobody would never count
    return said
