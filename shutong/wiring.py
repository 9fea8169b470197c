"""The composition root: the one place that picks back ends and puts the parts of a deployment together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connectors import registry
from connectors.options import Secrets
from schemas.calendar import read_calendar
from schemas.lines import read as read_yaml
from schemas.reference_tables import reference_tables
from schemas.values import Json, Source
from shutong.deployment import Deployment, DeploymentSecrets, load
from shutong.layout import SetupError
from shutong.settings import Settings
from shutong.storage import Places, places

if TYPE_CHECKING:  # a command imports, with the part it asks for, the libraries of that part
    from connectors.changes.feed import ChangeFeed
    from quality.orders import QualityOrders
    from quality.store import QualityStore
    from runs.resources import Resource
    from runs.steps import Parts, Steps
    from warehouse.state import State
    from warehouse.store import ObjectStore
    from warehouse.tables import Tables

ZONE = ZoneInfo("Asia/Shanghai")


class Wired:
    """A deployment put together; each part is opened when it is first asked for, and stays open until `opened` ends.

    SYS-STATE when a database cannot be opened.
    """

    def __init__(
        self,
        deployment: Deployment,
        overrides: Mapping[str, Mapping[str, Json]],
        secrets: Secrets,
        opened: ExitStack,
    ) -> None:
        self.deployment = deployment
        self._overrides, self._secrets, self._opened = overrides, secrets, opened
        self._home = deployment.home

    @cached_property
    def _places(self) -> Places:
        with _explained(self._home):
            return places(self.deployment.settings, self._secrets)

    @cached_property
    def state(self) -> State:
        """The state database, migrated."""
        with _explained(self._home):
            from warehouse.state import State

            state = State(self.deployment.settings.state_url)
            self._opened.callback(state.close)
            state.migrate()
        return state

    @cached_property
    def store(self) -> ObjectStore:
        """Where raw files rest."""
        where = self._places
        with _explained(self._home):
            return where.store()

    @cached_property
    def tables(self) -> Tables:
        """The tables of the warehouse."""
        where = self._places
        with _explained(self._home):
            tables = where.tables()
        self._opened.callback(tables.close)
        return tables

    @cached_property
    def resources(self) -> Mapping[str, Resource]:
        """The resources by id."""
        return {one.id: one for one in self.deployment.resources}

    @cached_property
    def quality(self) -> QualityStore:
        """What each check found."""
        from quality.store import QualityStore

        return QualityStore(self.state.engine)

    @cached_property
    def orders(self) -> QualityOrders:
        """The work orders, due by the deployment's calendar."""
        from quality.orders import QualityOrders

        return QualityOrders(self.state.engine, read_calendar(self._home / "calendar.csv"))

    @cached_property
    def parts(self) -> Parts:
        """Everything the steps work with."""
        from runs.batch import Parts
        from warehouse.upkeep import Kept

        storage = self.deployment.settings.storage
        return Parts(
            state=self.state,
            store=self.store,
            tables=self.tables,
            quality=self.quality,
            serving=self._home / "serving",
            resources=self.resources,
            open_source=self.open_source,
            authority=read_authority(self.deployment),
            today=today,
            orders=self.orders,
            references=reference_tables(self._home / "references"),
            kept=Kept(storage.keep_releases, storage.keep_days, storage.keyed_twins),
            received=self.deployment.received,
        )

    @cached_property
    def steps(self) -> Steps:
        """The steps: pull, check, land, merge, publish."""
        from runs.steps import Steps

        return Steps(self.parts)

    def look(self, kind: str, options: Mapping[str, Json], connection: Mapping[str, Json]) -> Source:
        """A source no resource file describes yet."""
        return registry.open_source(kind, self._filled(options), self._filled(connection), self._secrets)

    def open_source(self, resource: Resource) -> Source:
        """The source of a resource, its options replaced where somebody asked for it."""
        said = self._overrides
        options = {**resource.options, **said.get(resource.name, {}), **said.get(resource.id, {})}
        found = self.look(resource.kind, options, self.deployment.connection(resource))
        if not resource.limits:
            return found
        from connectors.manners import Limited, read_limits

        return Limited(found, read_limits(resource.limits))

    def open_changes(self, resource: Resource) -> ChangeFeed:
        """The log of the database a resource is read from."""
        from connectors.changes.opening import open_changes

        following = resource.reading.following
        return open_changes(
            self._filled(resource.options),
            self._filled(self.deployment.connection(resource)),
            self._secrets,
            owner=f"{self._home.resolve()}:{resource.id}",
            slot=following.slot,
            publication=following.publication,
        )

    def _filled(self, said: Mapping[str, Json]) -> dict[str, Json]:
        return {key: self.deployment.expand(value) for key, value in said.items()}


@contextmanager
def open_deployment(
    settings: Settings, overrides: Mapping[str, Mapping[str, Json]] | None = None, elsewhere: Secrets | None = None
) -> Iterator[Wired]:
    """The deployment of those settings; its databases are migrated when they are opened, and closed on leaving.

    `overrides` replaces source options of resources for this process only: {resource id or name: {option: value}}.
    `elsewhere` is one more place that may know a secret.
    """
    with ExitStack() as opened:
        yield Wired(load(settings), overrides or {}, DeploymentSecrets(settings, elsewhere), opened)


@contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Say what to do when the databases cannot be opened; never the address, which may hold a password."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, ImportError, OSError) as error:
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
