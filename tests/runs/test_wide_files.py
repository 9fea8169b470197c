"""A file of a thousand columns goes the whole way: each row lands, is quarantined, or is kept as a reject."""

from __future__ import annotations

from pathlib import Path

from small_deployment import HEADER, add_resource, csv_source, drop, firm, landed, lay_out, opened, quarantined

WIDE = 1_000


def test_a_file_of_a_thousand_columns_lands_and_its_wrong_rows_are_told_apart(tmp_path: Path) -> None:
    home = lay_out(tmp_path)
    add_resource(home, csv_source())
    more = [f"附加{at}" for at in range(WIDE - len(HEADER))]
    rows = [[*firm(number), *["𠮷"] * len(more)] for number in range(200)]
    rows[7] = rows[7][:-1]
    rows[9][0] = "91330300MA00000000"
    drop(home, "firms.csv", rows, [*HEADER, *more])
    with opened(home) as wired:
        report = wired.steps.ingest("scjg.firms", "wide")
        assert (report.pulled, report.landed, report.quarantined) == (200, 198, 2)
        assert len(landed(wired)) == 198
        assert sorted(quarantined(wired)) == [8, 10]
