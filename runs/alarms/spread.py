"""See which resources deliver values spread otherwise than before, where their gate warns of it and lets them pass."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from quality.gate_history import drifting
from quality.gate_store import GateStore
from quality.store import QUALITY_RUN
from runs.alarms.conditions import Condition
from runs.resources import Resource
from warehouse.state.database import reading

_SHOWN = 5  # fields named in a message


def of_spread(engine: sa.Engine, resources: Sequence[Resource]) -> list[Condition]:
    """Resources whose newest check found fields drifting; one that was held for it is told of as held."""
    found = []
    for one in resources:
        wanted = one.gate.shift
        last = None if wanted is None else _newest(engine, one.id)
        if wanted is None or last is None or last["decision"] == "hold":
            continue
        store, run = GateStore(engine), str(last["run"]).partition("#")[0]
        usual = store.seen(one.id, list(store.rows_before(one.id, run, wanted.runs)))
        fields = drifting(wanted, store.seen(one.id, [run]), usual)
        if fields:
            more = " …" if len(fields) > _SHOWN else ""
            found.append(
                Condition(
                    "drifting",
                    *(one.id, one.department, one.zh, one.en),
                    str(last["checked_at"]),
                    f"{len(fields)} 个字段的分布与此前不同（{'、'.join(fields[:_SHOWN])}{more}），已入库",
                    f"not spread as before: {', '.join(fields[:_SHOWN])}{more}; the data landed",
                    f"shutong quality show {one.id} 查看，并与来源部门核实",
                    f"look with shutong quality show {one.id}, and ask the department",
                )
            )
    return found


def _newest(engine: sa.Engine, resource: str) -> sa.RowMapping | None:
    columns = (QUALITY_RUN.c.run, QUALITY_RUN.c.decision, QUALITY_RUN.c.checked_at)
    query = sa.select(*columns).where(QUALITY_RUN.c.resource == resource)
    with reading(engine) as connection:
        newest = query.order_by(QUALITY_RUN.c.checked_at.desc(), QUALITY_RUN.c.run.desc()).limit(1)
        return connection.execute(newest).mappings().first()
