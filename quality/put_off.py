"""Let others' imports of a module that is never used cost nothing: it is loaded when something of it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """What the block imports finds in the place of the module `name` one that has yet to load it.

    A module that is there already stays as it is. Who imports it after the block gets the module itself.
    """
    if name in sys.modules:
        yield
        return
    package, _, last = name.rpartition(".")
    holders = [vars(import_module(package))] if package else []
    stand_in = ModuleType(name)

    def step_aside() -> None:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        for holder in holders:
            if holder.get(last) is stand_in:
                del holder[last]

    def asked_for(wanted: str) -> object:
        step_aside()
        found: object = getattr(import_module(name), wanted)
        return found

    vars(stand_in)["__getattr__"] = asked_for
    sys.modules[name] = stand_in
    for holder in holders:
        holder[last] = stand_in
    try:
        yield
    finally:
        step_aside()
