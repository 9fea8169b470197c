"""A mapped file that somebody cuts while it is open is an error, and does not end the process that reads it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from test_serving import firm, generation_file, publish

from warehouse import keyed
from warehouse.serving import ServingStore, TornGenerationError

ROWS = 50_000


@pytest.mark.parametrize("name", ["records", "ends", "found-0"])
def test_a_twin_that_is_cut_while_it_is_open_is_damaged_and_does_not_end_the_process(tmp_path, name):
    record = b"\2\0x"  # one more than the length of its one text, and the text
    (tmp_path / "records").write_bytes(record * ROWS)
    ends = np.zeros((ROWS + 1, 2), np.uint64)
    ends[:, 0] = np.arange(ROWS + 1) * len(record)
    ends.tofile(tmp_path / "ends")
    np.zeros(ROWS, np.uint64).tofile(tmp_path / "found-0")
    twin = keyed.Twin(tmp_path, "file", keyed.Seal("lens", ROWS, len(record) * ROWS, 2, {keyed.OWN: (ROWS, 0)}))
    last, wanted = np.array([ROWS - 1]), np.zeros(1, np.uint64)
    assert len(twin.find(keyed.OWN, wanted)) == 1
    assert twin.texts(twin.rows(last), ["name"]).column(0).to_pylist() == ["x"]
    os.truncate(tmp_path / name, 4096)
    with pytest.raises(keyed.DamagedTwinError):
        twin.rows(last)
    if name != "records":  # which finding a row does not look at
        with pytest.raises(keyed.DamagedTwinError):
            twin.find(keyed.OWN, wanted)


def test_a_serving_file_that_is_cut_while_it_is_open_is_torn(tmp_path):
    made = publish(tmp_path, [firm("X")])
    store = ServingStore(tmp_path, "firms")
    assert store.get("X") is not None
    os.truncate(generation_file(tmp_path / "firms", made.id), 4096)
    for ask in (lambda: store.get("X"), lambda: store.get_many(["X"]), lambda: store.page({})):
        with pytest.raises(TornGenerationError, match="shutong library publish firms"):
            ask()
