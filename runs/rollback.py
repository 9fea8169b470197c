"""Take releases of a resource or a library back: who may, what follows at once, and what is served afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from quality.orders_refusals import plain_words
from quality.orders_values import DATA_MANAGER, Actor, day_of
from runs.errors import RunError, unknown_resource
from warehouse.land import lock_name, quarantine_table
from warehouse.rollback import Choice, Going, Target, choices, plan, roll_back
from warehouse.upkeep import library_tables

if TYPE_CHECKING:
    from runs.batch import Parts
    from runs.steps import Steps


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How going back came out: what changed, and the library that was merged and published after it, if any."""

    going: Going
    library: str | None


def target(parts: Parts, name: str) -> Target:
    """A resource or a library as what goes back together. Raises RUN-RESOURCE-UNKNOWN."""
    libraries = {one.standard.library for one in parts.resources.values()} | {*parts.received}
    if name in libraries:
        return Target(name, library_tables(name), partial(parts.tables.lock, f"merge-{name}"))
    if name not in parts.resources:
        raise unknown_resource(name, sorted([*parts.resources, *(one for one in libraries if one)]))
    tables = (parts.resources[name].table, quarantine_table(name))
    return Target(name, tables, partial(parts.store.lock, lock_name(name)))


def releases(parts: Parts, name: str, limit: int = 20) -> list[Choice]:
    """The releases that moved a resource or a library, newest first."""
    return choices(parts.state, parts.tables, target(parts, name), limit)


def look(parts: Parts, name: str, back_to: int) -> Going:
    """What going back to a release would change; nothing is changed."""
    return plan(parts.state, parts.tables, target(parts, name), back_to)


def take_back(  # noqa: PLR0917 - what, to where, by whom, why and when, in the order they are said
    steps: Steps, parts: Parts, name: str, back_to: int, by: Actor, why: str, at: datetime, run: str,
) -> TakenBack:  # fmt: skip
    """Go back to a release; what answers queries follows: a resource's own records and the library it contributes to.

    A library that is gone back to stays so until its next merge, which takes what has landed by then. Called again
    after a crash it ends in the same. Raises RUN-ROLLBACK-RIGHT and what warehouse.rollback raises.
    """
    if DATA_MANAGER not in by.roles:
        raise _no_right(by)
    words, one = plain_words(why, day_of(at)), target(parts, name)
    going = roll_back(parts.state, parts.tables, one, back_to, run=run, who=by.id, why=words)
    resource = parts.resources.get(name)
    library = name if resource is None else resource.standard.library
    if resource is not None:
        steps.serve(name)
    if library is None or parts.state.released(library_tables(library)[0]) is None:
        return TakenBack(going, None)
    if resource is not None:
        steps.merge(library, f"{run}-{library}")
    if parts.state.publication(library) is not None:
        steps.publish(library, f"{run}-{library}")
    return TakenBack(going, library)


def _no_right(by: Actor) -> RunError:
    return RunError(
        "RUN-ROLLBACK-RIGHT",
        zh=f"{by.id}（{by.department}）不能回退发布",
        en=f"{by.id} ({by.department}) may not take releases back",
        fix_zh="由数据管理员（data_manager）办理；角色登记在部署目录的 people.yaml",
        fix_en="This is for a data manager; roles stand in people.yaml of the deployment",
    )
