"""Put together who is told what over which channels, from a deployment's people.yaml and the settings of mail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import cast

from quality.orders_values import DATA_MANAGER, Actor
from runs.alarms.people import Channel, Directory, Person, read_people
from runs.alarms.refusals import unknown_person
from runs.alarms.store import Alarms
from runs.alarms.watch import Sender, Watch
from schemas.values import Check
from shutong.deployment import Deployment, DeploymentSecrets
from shutong.settings import Settings
from shutong.wiring import ZONE, Wired


def now() -> datetime:
    """The present instant, in Asia/Shanghai."""
    return datetime.now(ZONE)


def directory(deployment: Deployment) -> Directory:
    """Everybody in people.yaml, as the file says."""
    return read_people(deployment.home / "people.yaml", [one.id for one in deployment.departments])


def told(deployment: Deployment) -> Check:
    """Whether anybody hears of alarms, on which channels; it warns where nobody does, and says what to do."""
    everybody, mail = directory(deployment), bool(deployment.settings.smtp.host)
    there = (deployment.home / "people.yaml").exists()
    reached = [one for one in everybody.people if one.webhook or (mail and one.mail)]
    if reached:
        zh, en = f"{len(reached)}/{len(everybody.people)} 人可收到", f"{len(reached)} of {len(everybody.people)} people"
        return Check("alarms", ok=True, zh=zh, en=en)
    zh, en = "没有 people.yaml：不看告警，逾期工单不升级，", "no people.yaml: nothing is watched, no order goes up, "
    fix_zh, fix_en = f"请在 {deployment.home} 写 people.yaml", f"write people.yaml in {deployment.home}"
    if there:
        zh, en = "people.yaml 中无人能收到消息，", "nobody in people.yaml can be reached, "
        fix_zh = "请给人员写 webhook，或写 mail 并设置 SHUTONG_SMTP_HOST"
        fix_en = "give people a webhook, or mail together with SHUTONG_SMTP_HOST"
    return Check(
        "alarms",
        ok=True,
        zh=f"{zh}出错也无人知道；{fix_zh}",
        en=f"{en}nobody is told of failures; {fix_en}",
        warns=True,
    )


def person(deployment: Deployment, name: str) -> Person:
    """The person of that id; RUN-PERSON-UNKNOWN when there is none."""
    everybody = directory(deployment)
    found = everybody.find(name)
    if found is None:
        raise unknown_person(name, [one.id for one in everybody.people])
    return found


def actor_of(deployment: Deployment, name: str) -> Actor:
    """The person of that id as people.yaml knows them; anybody else was let in as a data manager by somebody else."""
    found = directory(deployment).find(name)
    return found.actor if found is not None else Actor(f"airflow:{name}", "-", frozenset({DATA_MANAGER}))


@contextmanager
def senders(settings: Settings, everybody: Directory) -> Iterator[dict[Channel, Sender]]:
    """The channels that are set up, closed again on leaving; mail needs SHUTONG_SMTP_HOST."""
    from runs.alarms.mail import Mailer, MailServer, Security
    from runs.alarms.webhook import Webhooks

    secrets, smtp = DeploymentSecrets(settings), settings.smtp
    found: dict[Channel, Sender] = {"webhook": Webhooks(everybody.webhooks, secrets)}
    if smtp.host:
        security = cast("Security", smtp.security)
        server = MailServer(smtp.host, smtp.port, security, smtp.user, sender=smtp.sender, ca=smtp.ca)
        found["mail"] = Mailer(server, secrets)
    try:
        yield found
    finally:
        for one in found.values():
            one.close()


@contextmanager
def watching(wired: Wired) -> Iterator[Watch]:
    """Everything a look at the alarms needs. Without a mail server nobody has an address for mail."""
    everybody, settings = directory(wired.deployment), wired.deployment.settings
    if not settings.smtp.host:
        everybody = replace(everybody, people=tuple(replace(one, mail=None) for one in everybody.people))
    from shutong.applying import applications_of, waiting
    from shutong.logging_in import besieged
    from shutong.telling import unheard

    with senders(settings, everybody) as channels:
        yield Watch(
            wired.state.engine,
            wired.deployment.resources,
            wired.orders,
            Alarms(wired.state.engine),
            everybody,
            channels,
            lambda at: [
                *waiting(applications_of(wired.deployment, wired.state.engine), at),
                *besieged(wired.deployment, wired.state.engine),
                *unheard(wired.state.engine),
            ],
        )
