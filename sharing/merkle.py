"""Merkle trees as RFC 6962 hashes them: one root over many records, and a short proof that one is among them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def root(entries: Sequence[bytes]) -> bytes:
    """The root over the entries in their order; SHA-256 of nothing when there are none."""
    level = [_leaf(one) for one in entries]
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else hashlib.sha256(b"").digest()


def path(entries: Sequence[bytes], index: int) -> Sequence[bytes]:
    """The hashes that lead from entry number `index` to the root, the lowest first."""
    level, found = [_leaf(one) for one in entries], []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            found.append(level[beside])
        level, index = _above(level), index >> 1
    return found


def root_of(entry: bytes, index: int, size: int, way: Sequence[bytes]) -> bytes | None:
    """The root to which the `path` leads from the entry with that number of `size`; None when it cannot be one."""
    if not 0 <= index < size:
        return None
    found, rest, last = _leaf(entry), list(way), size - 1
    while last:
        if index % 2 or index < last:
            if not rest:
                return None
            beside = rest.pop(0)
            found = _node(beside, found) if index % 2 else _node(found, beside)
        index, last = index >> 1, last >> 1
    return found if not rest else None


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return pairs + list(level[len(level) & ~1 :])


def _leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
