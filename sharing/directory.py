"""The directory of a deployment: every resource and library with its code, its metadata and what is measured of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import orjson

from schemas.values import Json
from sharing.directory_file import core_of, read_classes, twice
from sharing.directory_search import Index
from sharing.directory_values import AUTHORITY, Core, Entry, Listed, Measured, Provider, measured_json
from sharing.errors import NotFoundError

Measure = Callable[[], Mapping[str, Measured]]


class Directory:
    """The entries by id, the search over them, and what is measured at each showing. Safe for threads."""

    def __init__(self, entries: Sequence[Entry], measure: Measure = dict) -> None:
        self.entries = {one.id: one for one in entries}
        self._measure = measure
        self._codes = {one.code: one for one in entries if one.code}

    @cached_property
    def index(self) -> Index:
        """The search; made when somebody first searches."""
        return Index(tuple(self.entries.values()))

    @cached_property
    def mark(self) -> str:
        """What the written part of every entry amounts to: changes when any of them does."""
        written = [one.content() for one in self.entries.values()]
        return hashlib.sha256(orjson.dumps(written)).hexdigest()[:32]

    def entry(self, name: str) -> Entry:
        """The entry of that id or code. Raises NotFoundError SHR-NO-RESOURCE."""
        found = self.entries.get(name) or self._codes.get(name)
        if found is None:
            raise NotFoundError.resource(name)
        return found

    def measured(self) -> Mapping[str, Measured]:
        """What is measured of the entries, by id."""
        return self._measure()

    def shown(self, name: str) -> dict[str, Json]:
        """One entry with what is measured of it, JSON-ready."""
        entry = self.entry(name)
        return entry.content() | {"measured": measured_json(self.measured().get(entry.id, Measured()))}


def by_code(directory: Directory) -> list[Entry]:
    """The entries by code, those without one last."""
    return sorted(directory.entries.values(), key=lambda one: (not one.code, one.code, one.id))


def directory_of(
    listed: Sequence[Listed],
    providers: Mapping[str, Provider],
    folder: Path,
    measure: Measure = dict,
    kept: Mapping[str, str] | None = None,
) -> Directory:
    """The directory of what is listed, from its files in `folder`; `kept` are the codes given before, by id.

    Raises StandardError with file and line where a file cannot be used, see `directory_file`.
    """
    classes = read_classes(folder)
    cores = {one.id: core_of(one, folder, classes) for one in listed}
    codes = _codes(cores, kept or {})
    named = defaultdict(list)
    for one in listed:
        for name in {one.id, one.standard.name, codes[one.id]}:
            named[name].append(codes[one.id])
    nobody = Provider("", AUTHORITY)
    entries = [
        Entry(
            one,
            providers.get(one.provider, nobody),
            cores[one.id],
            codes[one.id],
            _related(cores[one.id], named, codes[one.id]),
            one.items,
        )
        for one in listed
    ]
    return Directory(entries, measure)


def _related(core: Core, named: Mapping[str, Sequence[str]], own: str) -> tuple[str, ...]:
    """The codes of what it names, itself left out."""
    found = (one for name in core.related for one in named.get(name, ()))
    return tuple(dict.fromkeys(one for one in found if one not in {"", own}))


def code(core: Core, number: int) -> str:
    """类 1 位、项 2 位、目 3 位、细目, then the number: 102000/000001."""
    return f"{core.classification.replace('/', '')}/{number:06}"


def _codes(cores: Mapping[str, Core], kept: Mapping[str, str]) -> dict[str, str]:
    """A code for each: what its file says, else the one it had, else the lowest that is free in its class."""
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for one, core in cores.items():
        if core.number is not None and core.classification:
            found[one] = code(core, core.number)
            if found[one] in taken:
                raise twice(cores[taken[found[one]]], core, found[one])
            taken[found[one]] = one
    for one, core in cores.items():
        had = kept.get(one, "")
        if one not in found and core.classification and had.startswith(code(core, 0)[:-6]) and had not in taken:
            found[one] = had
            taken[had] = one
    reserved = set(taken) | set(kept.values())  # a code is never given to another
    for one, core in sorted(cores.items()):
        if one in found:
            continue
        number = 1
        while core.classification and code(core, number) in reserved:
            number += 1
        found[one] = code(core, number) if core.classification else ""
        reserved.add(found[one])
    return found
