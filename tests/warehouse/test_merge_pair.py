"""Combining few records in one pass over numbers comes to what SQL over all rows comes to."""

from __future__ import annotations

import numpy as np
import pytest

from warehouse import merge_pair


@pytest.mark.parametrize("parts", [1, 2, 7, 40])
def test_combinations_are_told_apart_however_many_fields_there_are(parts):
    chance = np.random.default_rng(parts)
    columns = [chance.integers(-1, min(parts, 2), 200) for _ in range(90)]
    columns = [np.concatenate([one, one[:50]]) for one in columns]
    firsts, numbers = merge_pair._different(columns, parts + 1)
    rows = list(zip(*(one.tolist() for one in columns), strict=True))
    assert [rows[firsts[number]] for number in numbers] == rows
    assert len(firsts) == len(set(rows))


def test_a_merge_of_single_rows_goes_in_one_pass_and_one_of_several_rows_a_key_does_not(tmp_path, monkeypatch):
    from test_merge_delta import A, B, Town

    gone, pair = [], merge_pair.pair
    monkeypatch.setattr(merge_pair, "pair", lambda *more: gone.append(pair(*more)) or gone[-1])
    town = Town(tmp_path)
    for step in (("upsert", 0, [A, B]), ("upsert", 0, [A | {"dom": "二"}]), ("upsert", 0, [A | {"id": "3"}])):
        town.act(*step)
        town.merge()
    assert [one is not None for one in gone] == [True, False]
    town.check()
    town.close()
