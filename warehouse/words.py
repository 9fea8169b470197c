"""Apply what people said about keys: this one became that one, this row belongs there, these two stay apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

APART = ""  # the decision that nothing is joined


@dataclass(frozen=True, slots=True)
class Words:
    """Statements that an old key became a new one, and decisions about what was held: its id → a key, or APART."""

    changes: frozenset[tuple[str, str]] = frozenset()
    decisions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """Something that would make one firm or person of two, and therefore waits for a human.

    `reason` is one of contradiction (identifiers of one row lead to different keys), shared (several keys use the
    identifier), cycle, split (one key became two) or joined (two keys became one). `said` is what was received.
    """

    id: str
    reason: str
    candidates: tuple[str, ...]
    resource: str = ""
    said: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0


def resolve(words: Words) -> tuple[dict[str, str], list[Held]]:
    """Which key each old key became in the end, and the statements that are not applied because they need a decision.

    Statements that hang together are taken together. A plain chain a → b → c is applied; whatever else would make one
    of two is held until somebody decides which key stands for all of them, or that they stay apart.
    """
    renamed: dict[str, str] = {}
    held = []
    for edges in _together(words.changes):
        keys = sorted({key for edge in edges for key in edge})
        number = hashlib.sha256("\x1f".join(keys).encode()).hexdigest()[:20]
        decided = words.decisions.get(number)
        reason = _wrong(edges)
        if decided == APART:
            continue
        if decided in keys or reason is None:
            last = decided if decided in keys else next(key for key in keys if all(key != old for old, _ in edges))
            renamed |= {key: last for key in keys if key != last}
        else:
            told = {old: " ".join(new for one, new in sorted(edges) if one == old) for old, _ in sorted(edges)}
            held.append(Held(number, reason, tuple(keys), said=told, rows=len(edges)))
    return renamed, sorted(held, key=lambda one: one.id)


def _wrong(edges: Sequence[tuple[str, str]]) -> str | None:
    olds, news = [old for old, _ in edges], [new for _, new in edges]
    if len(set(olds)) < len(olds):
        return "split"
    if len(set(news)) < len(news):
        return "joined"
    return "cycle" if set(olds) == set(news) else None


def _together(edges: Iterable[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Edges grouped so that those of two groups have no key in common."""
    groups: list[tuple[set[str], list[tuple[str, str]]]] = []
    for edge in sorted(edges):
        if edge[0] == edge[1]:
            continue
        keys, mine = set(edge), [edge]
        for group in [one for one in groups if one[0] & keys]:
            keys, mine = keys | group[0], mine + group[1]
            groups.remove(group)
        groups.append((keys, mine))
    return [mine for _, mine in groups]
