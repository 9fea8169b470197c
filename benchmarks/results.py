"""Print what a benchmark measured, a line per figure, and whether a target was missed."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def told(
    figures: Mapping[str, float], targets: Mapping[str, float], at_most: Collection[str], same: str, *, judged: bool
) -> bool:
    """Whether every figure keeps its target and `same`, which says that all sides answered alike, is 1.

    Targets are to be reached, those of the figures in `at_most` not to be passed. Unjudged figures, as of a small run,
    are shown beside their targets as n/a; answers that differ are wrong at any size.
    """
    missed = False
    for name, value in figures.items():
        target = 1.0 if name == same else targets.get(name)
        kept = target is None or (value <= target if name in at_most else value >= target)
        state = "n/a" if target is None or not (judged or name == same) else "ok" if kept else "short"
        missed |= state == "short"
        print(f"RESULT {name} {value:.2f} target {'none' if target is None else f'{target:g}'} {state}")
    return not missed
