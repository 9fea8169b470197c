"""The program that serves the sharing API of a deployment: `python -m shutong.serve_api`."""

from __future__ import annotations

from sharing.serve import serve
from shutong.settings import read


def main() -> None:
    """Serve until SIGINT or SIGTERM, on the address and port of the settings."""
    settings = read()
    serve(
        "shutong.api:config", settings.api_host, settings.api_port, settings.api_workers,
        settings.operation.drain_seconds,
    )  # fmt: skip


if __name__ == "__main__":
    main()
