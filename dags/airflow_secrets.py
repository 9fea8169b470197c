"""Passwords of Airflow's connections as secrets of ours: a secret's name is a connection's id."""

from __future__ import annotations

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException


class AirflowConnections:
    """Secrets by the id of an Airflow connection, whatever backend Airflow keeps it in."""

    def get(self, name: str) -> str:
        """The connection's password; LookupError when there is no such connection or it has none."""
        try:
            password = Connection.get(name).password
        except AirflowNotFoundException:
            raise LookupError(name) from None
        if not password:
            raise LookupError(name)
        return str(password)
