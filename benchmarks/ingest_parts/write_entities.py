"""Write the made-up table as tab-separated text: python write_entities.py <file> <rows>."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ingest_parts.entities import chunks


def main(path: Path, rows: int) -> None:
    r"""Write `rows` rows, \\N for null."""
    with path.open("wb") as file:
        for chunk in chunks(rows):
            lines = pc.binary_join_element_wise(*chunk.columns, "\t", null_handling="replace", null_replacement="\\N")
            ended = pc.binary_join_element_wise(lines, "", "\n")
            _, offsets, content = ended.buffers()
            file.write(memoryview(content)[: int.from_bytes(memoryview(offsets)[4 * len(ended) :][:4], "little")])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
