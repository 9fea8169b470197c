"""What the sharing API shares, from the deployment of this process's settings; each of its workers calls `config`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from runs.facts import OURS
from runs.resources import Resource
from schemas.standard import Standard
from schemas.values import Json
from sharing.catalog import CatalogEntry, Library, SharingConfig
from sharing.directory import Directory
from sharing.directory_values import Usage
from sharing.forms import read_forms
from sharing.grants import PERSONAL_LEVEL
from sharing.ingest_terms import Counter
from sharing.proxies import networks_of
from shutong.applying import applications_of
from shutong.deployment import Deployment, DeploymentSecrets, load
from shutong.logging_in import door_of
from shutong.operating import operating_of
from shutong.settings import Settings, read
from shutong.trusting import trust_of
from warehouse.serving import ServingStore
from warehouse.serving_log import ChangeLog
from warehouse.state import State

DEPLOYMENT_SECRET = "deployment"  # noqa: S105 - the name of a secret
PUSH = "push"  # the kind of source that waits to be sent batches
PERSONAL_KEYS = ("citizen_id",)  # a library keyed by one of these types is asked by POST only


@dataclass(frozen=True, slots=True)
class Told:
    """What answers say about the generation they come from."""

    id: str
    rows: int
    published_at: str
    freshness: Mapping[str, str]


class Served:
    """A serving store as the sharing service sees one."""

    def __init__(self, store: ServingStore) -> None:
        self._store = store
        self.get, self.get_many, self.find, self.page = store.get, store.get_many, store.find, store.page
        self._told: Told | None = None

    def info(self) -> Told:
        """The generation in force."""
        now = self._store.info()
        name = f"{now.library}-{now.id}"
        if self._told is None or self._told.id != name:
            self._told = Told(name, now.rows, now.published_at, now.freshness)
        return self._told


class Changes:
    """What changed in a serving store, as the sharing service asks for it."""

    def __init__(self, store: ServingStore, served: Served) -> None:
        self._log, self._served, self._library = ChangeLog(store), served, store.library
        self.between = self._log.between

    def begin(self) -> tuple[str, int, Told]:
        """The log's own name, the number of the generation in force, and that generation."""
        span, view = self._log.begin()
        return span.epoch, view.info.id, self._served.info()

    def named(self, generation: int) -> str:
        """A generation as answers name it."""
        return f"{self._library}-{generation}"


def config() -> SharingConfig:
    """The configuration of this process: settings from the environment, the deployment from its folder."""
    return config_of(read())


def config_of(settings: Settings) -> SharingConfig:
    """The configuration for given settings."""
    deployment = load(settings)
    state = State(settings.state_url)
    state.migrate()
    secrets = DeploymentSecrets(settings)
    libraries, served = _libraries(deployment), _served(deployment)
    return SharingConfig(
        engine=state.engine,
        grants=settings.home / "grants.yaml",
        meter=settings.home / "meter",
        secret=_metering(secrets),
        catalog=tuple(_entry(resource, state) for resource in deployment.resources),
        libraries=libraries,
        served=served,
        forms=read_forms(settings.home / "forms", {n: one.standard for n, one in {**libraries, **served}.items()}),
        claims=settings.api_claims,
        pushes=_pushes(deployment, state, secrets),
        applications=applications_of(deployment, state.engine),
        trust=trust_of(settings),
        webhook_networks=networks_of(settings.webhook_networks),
        operating=operating_of(settings),
        directory=partial(_directory, deployment, state),
        people=door_of(deployment, state.engine),
    )


def _directory(deployment: Deployment, state: State, usage: Usage) -> Directory:
    from shutong.listing import listing  # what it imports, a worker needs when somebody looks into the directory

    return listing(deployment, state.engine, stores(deployment), usage)


def metering_secret(settings: Settings) -> bytes:
    """The secret under which the ledger keeps what is personal, and from which the keys of receipts are derived."""
    load(settings)
    return _metering(DeploymentSecrets(settings))


def _metering(secrets: DeploymentSecrets) -> bytes:
    return hashlib.sha256(secrets.get(DEPLOYMENT_SECRET).encode()).digest()


def _pushes(deployment: Deployment, state: State, secrets: DeploymentSecrets) -> Mapping[str, Counter]:
    if not any(one.kind == PUSH for one in deployment.resources):
        return {}  # and nothing is imported of what takes batches
    from shutong.push import counters

    return counters(deployment, state, secrets)


def stores(deployment: Deployment) -> Mapping[str, Library]:
    """All that can be asked by key, libraries and served resources, by name and id."""
    return {**_libraries(deployment), **_served(deployment)}


def _libraries(deployment: Deployment) -> dict[str, Library]:
    found: dict[str, Library] = {}
    for standard in (*(one.standard for one in deployment.resources), *deployment.received.values()):
        name = standard.library
        if name is None or (name in found and found[name].standard.version >= standard.version):
            continue
        key = standard.key[0]
        personal = standard.field(key).type in PERSONAL_KEYS
        store = ServingStore(deployment.home / "serving", name, ahead=True)
        found[name] = _opened(standard, store, key, personal=personal)
    return found


def _served(deployment: Deployment) -> dict[str, Library]:
    """The resources whose files say `serve`; the key of one may be a phone number, so its level is looked at too."""
    found: dict[str, Library] = {}
    for one in deployment.resources:
        if one.serve is None:
            continue
        key = one.standard.field(one.standard.key[0])
        personal = key.type in PERSONAL_KEYS or key.level >= PERSONAL_LEVEL
        store = ServingStore(deployment.home / "serving", one.id, ahead=True)
        found[one.id] = _opened(one.standard, store, key.name, personal=personal)
    return found


def _opened(standard: Standard, store: ServingStore, key: str, *, personal: bool) -> Library:
    served = Served(store)
    return Library(standard, served, personal, key, Changes(store, served))


def _entry(resource: Resource, state: State) -> CatalogEntry:
    def freshness() -> Mapping[str, Json]:
        good = next(
            (run for run in state.runs(resource.id, 50) if run.status == "done" and run.trigger not in OURS), None
        )
        return {
            "last_landed": good.finished_at if good else None,
            "expected_within": str(resource.expect_within) if resource.expect_within else None,
        }

    return CatalogEntry(
        resource=resource.id,
        department=resource.department,
        title_zh=resource.zh,
        title_en=resource.en,
        standard=resource.standard,
        fields=tuple(resource.columns),
        library=resource.standard.library,
        schedule=resource.schedule,
        freshness=freshness,
    )
