"""What is measured, a process each: deliveries are made, received, merged, published; a day passes; a night's care."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rows

from runs.nightly import Nightly
from shutong.settings import read
from shutong.wiring import Wired, open_deployment
from warehouse.backup import Place

LIBRARY = "legal_person"
STEPS = ("deliver", "receive", "merge", "publish", "day", "care")
RESOURCES = {"scjg.firms": (rows.FIRMS, 2 / 3), "swj.taxed": (rows.TAXED, 1 / 3)}  # columns, share of all rows
PER_DAY = 0.01  # of the records, told anew
CARE_DAYS = 2  # of raw batches whose every byte the nightly round reads
DEPARTMENTS = """departments:
  - {id: scjg, zh: 市场监督管理局, en: Market Regulation}
  - {id: swj, zh: 税务局, en: Tax}
authority:
  legal_person: {default: [scjg, swj]}
"""


def lay_out(home: Path) -> None:
    """Two departments that drop CSV files, by the standard of legal persons with all of its rules."""
    home.mkdir(parents=True)
    (home / "departments.yaml").write_text(DEPARTMENTS, "utf-8")
    for name, (columns, _) in RESOURCES.items():
        department, _, short = name.partition(".")
        path = home / "resources" / department / f"{short}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(
            f"resource: {short}\ntitle: {{zh: 企业, en: Firms}}\nstandard: legal_person@1\n"
            f'source: {{kind: csv, folder: "{{home}}/drops/{short}"}}\ngate: {{max_percent: 50}}\n'
            f"map: {{{', '.join(f'{column}: {column}' for column in columns)}}}\n",
            "utf-8",
        )


def share(count: int, name: str) -> int:
    """How many of all rows a resource delivers."""
    return max(1, round(count * RESOURCES[name][1]))


def deliver(count: int, home: Path) -> dict[str, object]:
    """Make the first deliveries."""
    lay_out(home)
    for name, (columns, _) in RESOURCES.items():
        rows.deliver(home / "drops" / name.partition(".")[2] / "first.csv", share(count, name), columns)
    return {}


def receive(count: int, home: Path) -> dict[str, object]:
    """Pull, check and land all of them; whether every row has its fate."""
    fates = 0
    with opened(home) as wired:
        for name in RESOURCES:
            told = wired.steps.ingest(name, f"first-{name}")
            fates += told.landed + told.quarantined + told.superseded
    return {"same": fates == sum(share(count, name) for name in RESOURCES)}


def merge(count: int, home: Path) -> dict[str, object]:
    """Merge the library, all of it; one record for every firm whose code is right."""
    with opened(home) as wired:
        made = wired.steps.merge(LIBRARY, "first-merge")
    firms = share(count, "scjg.firms")
    return {"same": made.records == firms - len(range(7, firms, 100)), "records": made.records}


def publish(_count: int, home: Path) -> dict[str, object]:
    """Build the serving store."""
    with opened(home) as wired:
        made = wired.steps.publish(LIBRARY, "first-publish")
    return {"same": made.records > 0, "records": made.records}


def day(count: int, home: Path) -> dict[str, object]:
    """One per cent of the firms told anew: received, merged and published as changes."""
    wanted = max(1, round(share(count, "scjg.firms") * PER_DAY))
    rows.deliver(home / "drops" / "firms" / "second.csv", wanted, rows.FIRMS, salt=1)
    with opened(home) as wired:
        told = wired.steps.ingest("scjg.firms", "day-firms")
        wired.steps.merge(LIBRARY, "day-merge")
        made = wired.steps.publish(LIBRARY, "day-publish")
    whole = told.landed + told.quarantined + told.superseded == wanted
    return {"same": whole and made.changed, "records": wanted}


def care(_count: int, home: Path) -> dict[str, object]:
    """The nightly round; every table written anew, as on the worst of nights."""
    settings = read({"SHUTONG_HOME": str(home)})
    with opened(home) as wired:
        place = Place(home / "backups", settings.state_url, f"sqlite:///{home}/state/catalog.db")
        night = Nightly(wired.parts, place)
        written = [one.table for one in night.compact(always=True)]
        list(night.expire())
        list(night.sweep())
        errors = [error for looked in night.verify(CARE_DAYS) for error in looked.errors]
        night.back_up()
    return {"same": not errors and bool(written)}


@contextmanager
def opened(home: Path) -> Iterator[Wired]:
    """The deployment as every command opens it."""
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        yield wired


def size(*folders: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def used() -> float:
    """CPU seconds of this process and of those it has waited for."""
    return sum(
        one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main(step: str, count: int, home: Path) -> None:
    """Do one step and print what it cost, and what lies on the disk by then."""
    before = used()
    acts: dict[str, Callable[[int, Path], dict[str, object]]] = {
        "deliver": deliver,
        "receive": receive,
        "merge": merge,
        "publish": publish,
        "day": day,
        "care": care,
    }
    said = acts[step](count, home)
    disk = {
        "delivered_bytes": size(home / "drops"),
        "raw_bytes": size(home / "warehouse" / "land"),
        "table_bytes": size(home / "warehouse" / "tables"),
        "serving_bytes": size(home / "serving"),
        "home_bytes": size(home) - size(home / "drops"),
    }
    print(json.dumps({"cpu": used() - before, **disk, **said}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
