"""The shape of a text: which kind of character stands where, so that a value can be spoken of without being told."""

from __future__ import annotations

import re
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

LONGEST = 60  # characters of a shape that are told
_KINDS = (("[0-9]", "9"), ("[A-Za-z]", "A"), (r"\p{Han}", "汉"), (r"[^9A汉\p{P}\p{S}\s]", "?"))
_SPACES = re.compile(r"[\t\r\n\v\f]")


def shape(text: str) -> str:
    """9 for a digit, A for a Latin letter, 汉 for a Chinese character, ? for another letter, others as they stand;
    repeated ones counted: `9{17}A`.
    """
    return str(shapes(pa.array([text]))[0].as_py())


def shapes(values: pa.Array) -> pa.Array:
    """The shape of each text; null of a null. Worth its price on distinct values."""
    for pattern, kind in _KINDS:
        values = pc.replace_substring_regex(values, pattern, kind)
    encoded = pc.dictionary_encode(values)
    return pa.array([_counted(one) for one in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)


def _counted(kinds: str) -> str:
    parts = []
    for kind, run in groupby(_SPACES.sub(" ", kinds)):
        many = sum(1 for _ in run)
        parts.append(kind if many == 1 else f"{kind}{{{many}}}")
    told = "".join(parts)
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 1]}…"
