"""Let Great Expectations write down the configuration of an expectation once per validation and not ten times."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from great_expectations.expectations.expectation import Expectation

_MADE: ContextVar[dict[int, tuple[Any, Any]] | None] = ContextVar("made", default=None)
_original = Expectation.configuration


def _configuration(expectation: Any) -> Any:  # noqa: ANN401 - GX
    """What the property gave before: a copy of it, since some of its readers write into it."""
    made = _MADE.get()
    if made is None:
        return _original.fget(expectation)
    if id(expectation) not in made:
        made[id(expectation)] = (expectation, _original.fget(expectation))
    first = made[id(expectation)][1]
    again = copy.copy(first)
    again.__dict__.update({key: value.copy() for key, value in first.__dict__.items() if isinstance(value, dict)})
    return again


Expectation.configuration = property(_configuration)


@contextmanager
def configurations() -> Iterator[None]:
    """Expectations do not change while the block lasts; elsewhere all is as Great Expectations has it."""
    token = _MADE.set({})
    try:
        yield
    finally:
        _MADE.reset(token)
