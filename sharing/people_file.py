"""Write a person into people.yaml as one would by hand: what others wrote there, comments too, stays as it is."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from runs.alarms.people import Person, read_people

PRIVATE = 0o640


def write_person(path: Path, person: str, said: Mapping[str, str | list[str]], departments: Collection[str]) -> Person:
    """Add the person, or change of theirs what is `said`; an empty text takes a key away.

    The file is written only when it will read well. Raises StandardError, which names file and line.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    read_people(path, departments)  # what is wrong already is told before anything is touched
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = yaml.load(text) or CommentedMap()
    people = found.setdefault("people", CommentedSeq())
    one = next((entry for entry in people if entry["id"] == person), None)
    if one is None:
        one = CommentedMap(id=person)
        one.fa.set_flow_style()
        people.append(one)
    for key, value in said.items():
        if value in ("", []):
            one.pop(key, None)
        else:
            one[key] = _listed(value) if isinstance(value, list) else value
    out = StringIO()
    yaml.dump(found, out)
    made = read_people(path, departments, out.getvalue()).find(person)
    if made is None:
        raise LookupError(person)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.touch(PRIVATE if not path.exists() else path.stat().st_mode & 0o777)
        fresh.write_text(out.getvalue(), encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return made


def _listed(values: list[str]) -> CommentedSeq:
    found = CommentedSeq(values)
    found.fa.set_flow_style()
    return found
