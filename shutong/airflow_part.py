"""Run one part of a deployment's Airflow in the place of this process: `python -m shutong.airflow_part scheduler`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from shutong.airflow_service import Airflow, prepare
from shutong.running import environment, pools
from shutong.settings import read

SETUP = "setup"


def airflow() -> Airflow:
    """The deployment's Airflow; what the environment says of it, its database for one, goes before what we would."""
    settings = read()
    made = prepare(settings.home, settings.airflow_port, environment(settings))
    return replace(made, environment={**made.environment, **os.environ})


def main(arguments: list[str]) -> int:
    """Become the part asked for; `setup` creates or upgrades the database and its pools, and ends."""
    part = arguments[0] if len(arguments) == 1 else ""
    made = airflow()
    if part == SETUP:
        made.migrate()
        made.import_pools(pools(read()))
        return 0
    known = {one.command[3]: one for one in made.programs()}
    if part not in known:
        sys.stderr.write(f"python -m shutong.airflow_part {'|'.join((SETUP, *known))}\n")
        return 2
    program = known[part]
    os.execve(program.command[0], program.command, program.environment)  # noqa: S606 - our own interpreter
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
