"""Values spread otherwise than before are told of where their gate lets them pass, and not a second time when held."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from small_deployment import add_resource, csv_source, lay_out, write_small_standard

from quality.gate_history import Observed
from quality.gate_store import GateStore
from quality.store import QUALITY_RUN
from runs.alarms.spread import of_spread
from runs.resources import load_resources
from warehouse.state.database import migrate, open_engine

FIRMS = "scjg.firms"


@pytest.fixture
def town(tmp_path):
    """Check a run of 1,000 rows, of which so many have no domicile, and say what people are told then."""
    home = lay_out(tmp_path)
    path = add_resource(home, csv_source(), standard=write_small_standard(home))
    path.write_text(path.read_text().replace("max_percent: 50", "max_percent: 50, drift: {runs: 2, act: warn}"))
    engine = open_engine("sqlite://")
    migrate(engine)
    resources = load_resources(home)

    def told(run, empty, decision="pass"):
        row = {"resource": FIRMS, "run": run, "department": "scjg", "batch": run, "rows": 1000, "quarantined": 0}
        row |= {"decision": decision, "reason_zh": "", "reason_en": "", "results": "{}"}
        with engine.begin() as connection:
            at = f"2026-09-01T09:00:0{run[-1]}.000000+08:00"
            connection.execute(sa.insert(QUALITY_RUN).values(**row, checked_at=at))
        seen = Observed({"domicile": {"": empty, "·": 1000 - empty}, "ent_name": {"·": 1000}})
        GateStore(engine).keep(FIRMS, run, seen)
        return [(one.kind, one.resource, one.what_en) for one in of_spread(engine, resources)]

    yield told
    engine.dispose()


def test_people_hear_of_fields_that_are_spread_otherwise_until_that_is_usual(town):
    drifting = [("drifting", FIRMS, "not spread as before: domicile; the data landed")]
    assert town("r1", 10) == [], "nothing to hold it against"
    assert town("r2", 12) == []
    assert town("r3", 400, "warn") == drifting
    assert town("r4", 420, "warn") == drifting
    assert town("r5", 410) == [], "both good runs before were so"


def test_a_run_that_was_held_for_it_is_told_of_as_held_alone(town):
    town("r1", 10)
    assert town("r2", 400, "hold") == []
