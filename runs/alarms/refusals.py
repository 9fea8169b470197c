"""Why a message did not arrive."""

from __future__ import annotations

from typing import ClassVar

from runs.errors import RunError


class NotDelivered(RunError):
    """The message did not arrive this time; it is tried again."""

    retryable: ClassVar[bool] = True


class LineDown(NotDelivered):
    """The server that takes messages does not; the others for it wait for the next round as well."""


class Refused(RunError):
    """The address takes no messages, now or later."""


def unknown_person(person: str, known: list[str]) -> RunError:
    """Nobody of that id stands in people.yaml."""
    return RunError(
        "RUN-PERSON-UNKNOWN",
        zh=f"people.yaml 中没有人员 {person}；已有：{'、'.join(known) or '无'}",
        en=f"there is nobody called {person} in people.yaml; there are: {', '.join(known) or 'none'}",
        fix_zh="在部署目录的 people.yaml 中登记，"
        "例如 people: [{id: wang, name: 王伟, department: scjg, roles: [lead]}]",
        fix_en="Register them in people.yaml of the deployment, for example"
        " people: [{id: wang, name: Wang Wei, department: scjg, roles: [lead]}]",
    )
