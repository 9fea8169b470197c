"""Who may log in to a deployment: its people.yaml, login.yaml and secrets as the door for people, and its alarms."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import sqlalchemy as sa

from quality.orders_values import written
from runs.alarms.conditions import Condition
from sharing.lockout import Gate
from sharing.oidc import Provider
from sharing.people import People
from sharing.people_door import PeopleDoor
from sharing.people_terms import LoginTerms, is_local, read_terms
from shutong.deployment import Deployment, DeploymentSecrets
from shutong.trusting import DEPLOYMENT_SECRET


def terms_of(deployment: Deployment) -> LoginTerms:
    """login.yaml, or what is usual. People open this machine's address, unless the file names another."""
    settings = deployment.settings
    plain = f"http://{settings.api_host}:{settings.api_port}"
    return read_terms(deployment.home / "login.yaml", plain if is_local(settings.api_host) else LoginTerms().public)


def door_of(deployment: Deployment, engine: sa.Engine) -> PeopleDoor:
    """The door for the people of a deployment. Raises StandardError for login.yaml, SetupError for its secret."""
    terms, secrets = terms_of(deployment), DeploymentSecrets(deployment.settings)
    secret = hashlib.sha256(secrets.get(DEPLOYMENT_SECRET).encode()).digest()
    provider = None
    if terms.oidc is not None:
        named = terms.oidc.client_secret
        provider = Provider(terms.oidc, terms.public, secret, secrets.get(named) if named else None, engine)
    people = People(deployment.home / "people.yaml", [one.id for one in deployment.departments])
    return PeopleDoor(engine, people, terms, secret, provider)


def besieged(deployment: Deployment, engine: sa.Engine) -> list[Condition]:
    """Accounts and networks with so many failed log-ins that somebody must look."""
    terms = terms_of(deployment)
    found = []
    for one in Gate(engine).besieged({"account": terms.account, "network": terms.network}):
        kind, _, name = one.told.partition(" ")
        what = (f"{one.count} 次登录失败", f"{one.count} failed log-ins")
        todo = f"shutong person unlock {'--network ' if kind == 'network' else ''}{name}"
        since = written(datetime.fromtimestamp(one.since, UTC))
        title_zh, title_en = ("网络地址", "network") if kind == "network" else ("账号", "account")
        found.append(
            Condition("locked", f"log-in {one.told}", "", title_zh, title_en, since, *what,
                      f"核实后 {todo}", f"look into it, then {todo}")
        )  # fmt: skip
    return found
