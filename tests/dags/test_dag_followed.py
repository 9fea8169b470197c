"""A resource that is followed by the log of its database is left out of the schedule."""

from __future__ import annotations

from shutong.index import read_index


def test_a_followed_resource_has_no_dag(home):
    from dags.shutong_dags import build

    name = "scjg.enterprise_base" if (home / "resources/scjg/enterprise_base.yaml").exists() else None
    chosen = next(one for one in read_index(home) if name in (None, one.resource))
    path = home / "resources" / chosen.department / f"{chosen.name}.yaml"
    dag = f"ingest__{chosen.department}__{chosen.name}"
    assert dag in build()
    kept = [line for line in path.read_text().splitlines() if not line.startswith(("read:", "source:", "limits:"))]
    kept = [line for line in kept if not line.startswith("  ") or "source" not in line]
    path.write_text("\n".join([*kept, "source: {kind: sql, table: t}", "read: {mode: cdc}", ""]))
    assert dag not in build()
    assert not [one for one in build().values() if dag in str(one)]
