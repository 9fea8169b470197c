"""Exit 0 when a service answers that it is well: `healthy.py URL [--part scheduler] [--status 403]`; for containers."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request

SECONDS = 4.0


def healthy(url: str, part: str | None, status: int) -> bool:
    """Whether the address answers with that status and, where a part of it is named, that this part is healthy."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - an address of our own network
            code, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        code, body = error.code, b""
    except OSError:
        return False
    if code != status or part is None:
        return bool(code == status)
    try:
        return bool(json.loads(body)[part]["status"] == "healthy")
    except (ValueError, KeyError, TypeError):
        return False


def main() -> int:
    """Ask once."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("url")
    asked.add_argument("--part", help="a part of Airflow's /api/v2/monitor/health")
    asked.add_argument("--status", type=int, default=200)
    given = asked.parse_args()
    return 0 if healthy(given.url, given.part, given.status) else 1


if __name__ == "__main__":
    sys.exit(main())
