"""How Chinese words are typed on a keyboard without Chinese: their syllables, and the other readings of a character."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec

MOST_READINGS = 6  # of a text; a longer list would find what nobody means


@cache
def available() -> bool:
    """Whether pypinyin is installed; without it words are found as they are written only."""
    return find_spec("pypinyin") is not None


def readings(text: str) -> list[tuple[str, ...]]:
    """The syllables of a text as it is read in its phrases, then with one character at a time read otherwise.

    What is not Chinese stays as it is, in lower case, as one syllable.
    """
    said = _said(text)
    found = [said]
    for place, others in enumerate(_others(text, said)):
        found += [(*said[:place], other, *said[place + 1 :]) for other in others]
    return found[:MOST_READINGS]


@cache
def _speaker() -> Callable[..., list[list[str]]]:
    # pypinyin reads its table of phrases when it is imported: whoever searches in Chinese characters never does.
    module = import_module("pypinyin")
    spoken: Callable[..., list[list[str]]] = module.pinyin
    return spoken


def _said(text: str) -> tuple[str, ...]:
    return tuple(one[0].strip() for one in _speaker()(text, style=0, errors=_kept) if one[0].strip())


def _kept(others: str) -> str:
    return others.casefold()


def _others(text: str, said: Sequence[str]) -> Iterator[list[str]]:
    every = [one for one in _speaker()(text, style=0, errors=_kept, heteronym=True) if one[0].strip()]
    if len(every) != len(said):  # phrases were read together
        return
    for first, many in zip(said, every, strict=True):
        either = [*many, *(one.replace("v", "u") for one in many)]  # keyboards write ü as v, some people as u
        yield [other for other in dict.fromkeys(either) if other != first]
