"""Make the files of secrets a deployment in parts needs, each readable by the one program that reads it, none twice."""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

SHUTONG, POSTGRES = 10001, 999  # the users of the containers; on a machine of its own `--owner` says who


def contents(host: str) -> Mapping[str, str]:
    """The files by name; the same password stands in those that must agree."""
    password, access, secret = secrets.token_hex(24), secrets.token_hex(8), secrets.token_hex(24)
    identity = {
        "name": "shutong",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    return {
        "postgres_password": password,
        "pgpass": f"{host}:5432:*:shutong:{password}\n",
        "secrets_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "s3.json": json.dumps({"identities": [identity]}),
        "s3_access_key": access,
        "s3_secret_key": secret,
    }


def for_cluster(made: Mapping[str, str], host: str) -> Mapping[str, str]:
    """What becomes two Secrets of a cluster: the environment of every pod, and the keys Airflow's chart asks for."""
    environment = {
        "PGPASSWORD": made["postgres_password"],
        "SHUTONG_SECRET_DEPLOYMENT": secrets.token_hex(32),
        "SHUTONG_SECRET_S3_ACCESS_KEY": made["s3_access_key"],
        "SHUTONG_SECRET_S3_SECRET_KEY": made["s3_secret_key"],
    }
    return {
        "cluster.env": "".join(f"{name}={value}\n" for name, value in environment.items()),
        "connection": f"postgresql+psycopg2://shutong:{made['postgres_password']}@{host}/airflow",
        "fernet-key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "api-secret-key": secrets.token_hex(32),
        "jwt-secret": secrets.token_hex(32),
    }


def write(folder: Path, made: Mapping[str, str], owners: Mapping[str, int], owner: int) -> list[str]:
    """Write the files and return their names; where one is there, running services know it, and nothing is written."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    present = sorted(name for name in made if (folder / name).exists())
    if present:
        raise SystemExit(f"{folder} 中已有 {', '.join(present)} | already there; nothing was written")
    for name, text in made.items():
        number = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(number, "w") as file:
            file.write(text)
            if os.geteuid() == 0:
                os.fchown(number, owners.get(name, owner), -1)
    return sorted(made)


def main() -> None:
    """Write the folder and name what was made, never what is in it."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("folder", type=Path)
    asked.add_argument("--host", default="postgres", help="where PostgreSQL answers: its service, or a machine")
    asked.add_argument("--owner", type=int, default=SHUTONG, help="number of the user shutong: `id -u shutong`")
    asked.add_argument("--postgres", type=int, default=POSTGRES, help="number of the user PostgreSQL runs as")
    asked.add_argument("--cluster", action="store_true", help="also what becomes Secrets of a cluster")
    given = asked.parse_args()
    made = contents(given.host)
    if given.cluster:
        made = {**made, **for_cluster(made, given.host)}
    print("\n".join(write(given.folder, made, {"postgres_password": given.postgres}, given.owner)))


if __name__ == "__main__":
    main()
