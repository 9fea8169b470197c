"""A place of secrets that knows one: the password of the database a test reads."""

from __future__ import annotations


class Vault:
    """Gives the password under whatever name it is asked for."""

    def __init__(self, password: str) -> None:
        self.password = password

    def get(self, name: str) -> str:
        return self.password
