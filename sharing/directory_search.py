"""Search the directory: Chinese words, pinyin and its initials, names of fields, codes from their beginning; ranked.

Distinct texts lie end to end in one string per way of spelling, so that a word is sought at the speed of `str.find`.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from schemas.values import Json
from sharing import pinyin
from sharing.directory_values import Entry

LONGEST_QUERY = 100  # characters; what is longer is cut
MOST_WORDS = 8
# How much a word found there counts; an item counts less than the title however often it is named.
_WEIGHTS = {"title": 100, "code": 90, "id": 60, "keyword": 50, "class": 40, "provider": 30, "item": 20, "abstract": 10}
_WHOLE, _BEGINS, _WITHIN = 3, 2, 1
_SPELT = 0.6  # of the weight of what is written: a word typed in pinyin means less surely what was found


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry that has every word; `items` are the names of those in which one was found."""

    entry: Entry
    points: float
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Only:
    """What to leave of the directory: a department's, a share type (1, 2, 3), a theme (a class by code or name)."""

    department: str | None = None
    share: str | None = None
    theme: str | None = None

    def keeps(self, entry: Entry) -> bool:
        """Whether the entry is left."""
        if self.department not in {None, entry.provider.id, entry.provider.name.zh, entry.provider.code}:
            return False
        if self.share not in {None, entry.core.share}:
            return False
        if self.theme is None:
            return True
        classified = f"{entry.core.classification}/"
        return classified.startswith(f"{self.theme}/") or any(
            self.theme in {one.zh, one.en} for one in entry.core.classes
        )


def fold(text: str) -> str:
    """Widths and cases made one; rare characters such as 𠮷 stay what they are."""
    return unicodedata.normalize("NFKC", text).casefold()


class _Spelling:
    """Texts end to end; `owners` says whose each is, `syllables` where a match may begin (None: anywhere)."""

    def __init__(self, texts: Iterable[tuple[int, Sequence[str]]], *, whole: bool) -> None:
        owners, starts, parts, begins, at = [], [], [], set(), 0
        for owner, said in texts:
            owners.append(owner)
            starts.append(at)
            parts.append("".join(said))
            place = at
            for one in said:
                begins.add(place)
                place += len(one)
            at += len(parts[-1]) + 1
        self.owners, self.starts, self.joined = owners, [*starts, at], "\n".join(parts) + "\n"
        self.begins = None if whole else begins

    def find(self, word: str) -> Iterator[tuple[int, int]]:
        """(owner, how well) of each text that has the word, once for each text."""
        at = self.joined.find(word)
        while at >= 0:
            if self.begins is not None and at not in self.begins:
                at = self.joined.find(word, at + 1)
                continue
            place = bisect_right(self.starts, at) - 1
            start, end = self.starts[place], self.starts[place + 1] - 1
            yield (
                self.owners[place],
                _BEGINS if at == start and at + len(word) < end else _WHOLE if at == start else _WITHIN,
            )
            at = self.joined.find(word, end)


class Index:
    """The search over the entries of a directory; safe for threads, made once."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        said: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        chinese: set[str] = set()
        for number, entry in enumerate(entries):
            for where, text, item in _texts(entry):
                if text:
                    said[fold(text)].append((number, where, item))
                    if where != "abstract" and not text.isascii():
                        chinese.add(fold(text))
        self._texts = list(said)
        self._places = list(said.values())
        self._chinese = chinese
        self._written = _Spelling(((at, (text,)) for at, text in enumerate(self._texts)), whole=True)

    @cached_property
    def _spelt(self) -> tuple[_Spelling, _Spelling]:
        """Syllables, and their initials; made when somebody first types letters."""
        read = [
            (at, one) for at, text in enumerate(self._texts) if text in self._chinese for one in pinyin.readings(text)
        ]
        initials = {
            (at, "".join(one[0] if one.isascii() and one.isalpha() else one for one in said)) for at, said in read
        }
        return (
            _Spelling(read, whole=False),
            _Spelling(((at, (said,)) for at, said in sorted(initials)), whole=True),
        )

    def find(self, query: str, only: Only | None = None) -> list[Hit]:
        """The entries that have every word of the query, the best first; without words all, by id."""
        words = fold(query[:LONGEST_QUERY]).split()[:MOST_WORDS]
        wanted = only or Only()
        kept = {number for number, entry in enumerate(self.entries) if wanted.keeps(entry)}
        points: dict[int, float] = dict.fromkeys(kept, 0.0)
        items: dict[int, dict[str, None]] = defaultdict(dict)
        for word in words:
            best = self._word(word, items)
            points = {number: sofar + best[number] for number, sofar in points.items() if number in best}
        hits = [Hit(self.entries[number], sum_, tuple(items[number])) for number, sum_ in points.items()]
        return sorted(hits, key=lambda hit: (-hit.points, hit.entry.id))

    def _word(self, word: str, items: dict[int, dict[str, None]]) -> dict[int, float]:
        """Points of one word by entry: where it counts most, not how often it is there."""
        best: dict[int, float] = {}

        def count(text: int, well: int, share: float) -> None:
            for number, where, item in self._places[text]:
                if where == "code" and well == _WITHIN:
                    continue
                worth = _WEIGHTS[where] * well * share
                if worth > best.get(number, 0.0):
                    best[number] = worth
                if item:
                    items[number][item] = None

        for text, well in self._written.find(word):
            count(text, well, 1.0)
        if word.isascii() and word.isalnum() and not word.isdigit() and pinyin.available():
            for spelling in self._spelt:
                for text, well in spelling.find(word):
                    count(text, well, _SPELT)
        return best


def told(hit: Hit) -> dict[str, Json]:
    """A hit, JSON-ready."""
    return hit.entry.summary() | {"matched_items": list(hit.items[:10])}


def _texts(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """(where, text, item) of everything an entry is found by."""
    core = entry.core
    yield "title", entry.listed.title.zh, ""
    yield "title", entry.listed.title.en, ""
    yield "code", entry.code, ""
    yield "id", entry.id, ""
    yield "provider", entry.provider.name.zh, ""
    yield "provider", entry.provider.name.en, ""
    yield "provider", entry.provider.id, ""
    yield "abstract", core.abstract.zh, ""
    yield "abstract", core.abstract.en, ""
    for word in core.keywords:
        yield "keyword", word, ""
    for one in core.classes:
        yield "class", one.zh, ""
    for item in entry.items:
        yield "item", item.zh, item.name
        yield "item", item.en, item.name
        yield "item", item.name, item.name
