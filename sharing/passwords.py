"""Passwords of people: Argon2id hashes, and which passwords are refused before anybody can guess them."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sharing.people_refusals import CrowdError, WeakPasswordError

SHORTEST, LONGEST = 12, 128  # characters
LEAST_DIFFERENT: Final = 5  # characters
SHORTEST_NAME: Final = 3  # letters of a name that may not stand in a password; of Chinese, two characters
AT_ONCE, PATIENCE = 2, 20.0  # hashes worked out at a time in a process, and seconds one waits for one's turn
RUN: Final = 4  # neighbours in a row, as in 1234 or dcba, that count as one character
_LIST = Path(__file__).with_name("passwords.txt")
_LEET = str.maketrans("0134578@$!", "oieastbasi")
_EDGE = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_T = TypeVar("_T")


class Passwords:
    """Makes and checks hashes: Argon2id with 19 MiB, two passes, one lane.

    No more than AT_ONCE at a time, so that a flood of log-ins takes neither the memory nor the cores of a worker.
    Raises CrowdError when one's turn does not come.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """What is stored: parameters, salt and hash."""
        return self._in_turn(lambda: self._hasher.hash(folded(password)))

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the password behind `stored`; where there is none the work is the same, and the answer no."""
        against, told = self._nobodys, folded(password[: LONGEST + 1])

        def check() -> bool:
            try:
                return self._hasher.verify(stored or against, told)
            except (VerificationError, InvalidHashError):
                return False

        return self._in_turn(check) and stored is not None and len(password) <= LONGEST

    def outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("a password that nobody has")

    def _in_turn(self, work: Callable[[], _T]) -> _T:
        if not self._turns.acquire(timeout=PATIENCE):
            raise CrowdError.of()
        try:
            return work()
        finally:
            self._turns.release()


def folded(password: str) -> str:
    """One spelling of what may be typed in several, by width or composition (NFKC)."""
    return unicodedata.normalize("NFKC", password.encode("utf-8", "replace").decode())


def refuse_weak(password: str, names: Iterable[str]) -> None:
    """WeakPasswordError: too short or long, too few different characters, often used, or it has one of the names."""
    told = folded(password)
    if not SHORTEST <= len(told) <= LONGEST:
        raise WeakPasswordError.length(SHORTEST, LONGEST)
    plain = told.casefold()
    if len(set(_without_runs(plain))) < LEAST_DIFFERENT:
        raise WeakPasswordError.plain()
    word = "".join(one for one in _EDGE.sub("", plain).translate(_LEET) if one.isalnum())
    if _often().fullmatch(word) or _often().fullmatch(plain):
        raise WeakPasswordError.often()
    if any(part in plain for name in names for part in _parts(name)):
        raise WeakPasswordError.named()


@cache
def _often() -> re.Pattern[str]:
    """Words of the list, one or several behind each other."""
    lines = _LIST.read_text(encoding="utf-8").split()
    return re.compile("(?:" + "|".join(re.escape(one) for one in sorted(lines, key=len, reverse=True)) + ")+")


def _parts(name: str) -> list[str]:
    parts = re.split(r"[\W_]+", folded(name).casefold())
    return [one for one in parts if len(one) >= (SHORTEST_NAME if one.isascii() else 2)]


def _without_runs(text: str) -> str:
    """The text with each run of neighbours, such as 1234 or dcba, as its first character alone."""
    found, start = [], 0
    while start < len(text):
        end = start + 1
        step = ord(text[end]) - ord(text[start]) if end < len(text) else 2
        while abs(step) <= 1 and end < len(text) and ord(text[end]) - ord(text[end - 1]) == step:
            end += 1
        long = end - start >= RUN
        found.append(text[start])
        start = end if long else start + 1
    return "".join(found)
