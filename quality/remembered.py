"""Let Great Expectations work out what it knows of an expectation once per validation and not dozens of times."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from great_expectations.core.id_dict import IDDict
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

_MADE: ContextVar[dict[Any, tuple[Any, Any]] | None] = ContextVar("made", default=None)
_PLAIN = frozenset({str, int, float, bool, type(None)})
_SHORT = 20  # values of a list that are compared; longer ones are known by being the same list
_configured, _identified, _built = Expectation.configuration, IDDict.to_id, ExpectationConfiguration.to_domain_obj


def _configuration(expectation: Any) -> Any:  # noqa: ANN401 - GX
    """What the property gave before: a copy of it, since some of its readers write into it."""
    made = _MADE.get()
    if made is None:
        return _configured.fget(expectation)
    key = ("configuration", id(expectation))
    if key not in made:
        made[key] = (expectation, _configured.fget(expectation))
    first = made[key][1]
    again = copy.copy(first)
    again.__dict__.update({key: value.copy() for key, value in first.__dict__.items() if isinstance(value, dict)})
    return again


def _kwargs(name: str) -> Callable[[Any], dict[str, Any]]:
    """The method of this name, which looks at the configuration once for each of its keys."""
    original = getattr(Expectation, name)

    def remembered(expectation: Any) -> dict[str, Any]:  # noqa: ANN401 - GX
        made = _MADE.get()
        if made is None:
            return dict(original(expectation))
        key = (name, id(expectation))
        if key not in made:
            made[key] = (expectation, original(expectation))
        return dict(made[key][1])

    return remembered


def _to_id(values: Any, id_keys: Any = None, id_ignore_keys: Any = None) -> Any:  # noqa: ANN401 - GX
    """A digest of the values, which are the same for dozens of metrics."""
    made = _MADE.get()
    if made is None or id_keys is not None or id_ignore_keys is not None:
        return _identified(values, id_keys, id_ignore_keys)
    key = ("id", type(values), _content(values))
    if key not in made:
        made[key] = (list(values.values()), _identified(values))
    return made[key][1]


def _to_domain_obj(configuration: Any) -> Any:  # noqa: ANN401 - GX
    """The expectation of a configuration: equal ones get the same."""
    made = _MADE.get()
    if made is None:
        return _built(configuration)
    key = ("expectation", _content(vars(configuration)))
    if key not in made:
        held = [vars(configuration).copy(), *(dict(one) for one in vars(configuration).values() if type(one) is dict)]
        made[key] = (held, _built(configuration))
    return made[key][1]


def _content(value: Any) -> Any:  # noqa: ANN401 - any value
    """Something to compare by: equal for equal values; what is long or unknown equals only itself."""
    kind = type(value)
    if kind in _PLAIN:
        return kind, value
    if isinstance(value, dict):
        return kind, tuple([(name, _content(one)) for name, one in value.items()])
    if kind in (list, tuple) and len(value) <= _SHORT:
        return kind, tuple(map(_content, value))
    return kind, id(value)


Expectation.configuration = property(_configuration)
Expectation._get_domain_kwargs = _kwargs("_get_domain_kwargs")  # noqa: SLF001 - GX asks itself
Expectation._get_success_kwargs = _kwargs("_get_success_kwargs")  # noqa: SLF001 - dto.
IDDict.to_id = _to_id
ExpectationConfiguration.to_domain_obj = _to_domain_obj


@contextmanager
def configurations() -> Iterator[None]:
    """Expectations do not change while the block lasts; elsewhere all is as Great Expectations has it."""
    known = _MADE.get()
    token = _MADE.set({} if known is None else known)  # a block within a block goes on with what is known
    try:
        yield
    finally:
        _MADE.reset(token)
