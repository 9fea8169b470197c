"""Lay the demo's deployment out, run its tax service, ingest everything by the steps: the demo without a scheduler."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from runs.reports import Report
from schemas.load import BUILT_IN
from shutong.demo import run as demo
from shutong.demo import systems
from shutong.demo.ledger import Ledger
from shutong.layout import init
from shutong.running import answers
from shutong.settings import Settings, read
from shutong.supervisor import Supervisor
from shutong.wiring import Wired, open_deployment

FIRMS, PERSONS = 250, 250
LIBRARIES = ("legal_person", "population")


def lay_out(home: Path) -> Ledger:
    """The example's folder with its departmental systems in it; their ledger."""
    init(home, demo.EXAMPLE)
    return systems.generate(home, firms=FIRMS, persons=PERSONS)


def settings(home: Path) -> Settings:
    return read({"SHUTONG_HOME": str(home)})


@contextmanager
def opened(home: Path) -> Iterator[Wired]:
    """The deployment with its tax service, a real process, answering."""
    program = demo._tax_program(settings(home))
    url = re.search(r"http://127\.0\.0\.1:\d+", (home / "connections.yaml").read_text())
    assert url
    with Supervisor(home / "logs") as supervisor, open_deployment(settings(home)) as wired:
        supervisor.start(program)
        supervisor.wait(lambda: answers(f"{url[0]}/health"), ("税务接口", "the tax service"), 60, pause=0.05)
        assert httpx.get(f"{url[0]}/health", trust_env=False).json() == {"status": "up"}
        yield wired


def ingest(wired: Wired, run: str, resources: Iterable[str] = ()) -> dict[str, Report]:
    """What the scheduled DAGs do: every resource, then both libraries. Reports by resource."""
    names = tuple(resources) or tuple(one.id for one in wired.deployment.resources)
    reports = {name: wired.steps.ingest(name, f"{run}-{name.replace('.', '-')}", trigger="schedule") for name in names}
    for library in LIBRARIES:
        wired.steps.merge(library, f"{run}-{library}")
        wired.steps.publish(library, f"{run}-{library}")
    return reports


def standard_without(home: Path, standard: str, *rules: str) -> None:
    """A copy of a built-in standard in the deployment, those rules deleted from it."""
    text = (BUILT_IN / f"{standard}.yaml").read_text(encoding="utf-8")
    for rule in rules:
        text, found = re.subn(rf"^  - id: {rule}\n(?:    .*\n)+", "", text, flags=re.MULTILINE)
        assert found == 1, rule
    (home / "standards").mkdir(exist_ok=True)
    (home / "standards" / f"{standard}.yaml").write_text(text, encoding="utf-8")
