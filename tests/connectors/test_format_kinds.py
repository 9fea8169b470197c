"""Each kind of dropped file is read from a folder, packed or not, as one source with its columns and rejects."""

import gzip
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import SourceError, open_source
from connectors.files import csv_format, fixed_width
from connectors.options import Options


class NoSecrets:
    def get(self, name):
        raise KeyError(name)


def parquet():
    out = io.BytesIO()
    pq.write_table(pa.table({"名称": ["甲", "𠮷"], "code": ["330102199001011234", "018"]}), out)
    return out.getvalue()


KINDS = {
    "csv": ("d.csv", "名称,code\n甲,330102199001011234\n𠮷,018\n".encode("gb18030"), {"encoding": "auto"}),
    "txt": ("d.txt", "名称\tcode\n甲\t330102199001011234\n𠮷\t018\n".encode("utf-16"), {"encoding": "auto"}),
    "fixed": (
        "d.txt",
        "甲  330102199001011234\n𠮷018               \n".encode("gb18030"),
        {"encoding": "gbk", "widths": {"名称": 4, "code": 18}},
    ),
    "jsonl": ("d.jsonl", '{"名称": "甲", "code": 330102199001011234}\n{"名称": "𠮷", "code": "018"}\n'.encode(), {}),
    "xml": (
        "d.xml",
        '<?xml version="1.0" encoding="gb2312"?><r><f><名称>甲</名称><code>330102199001011234</code></f>'
        "<f><名称>𠮷</名称><code>018</code></f></r>".encode("gb18030"),
        {"record": "f"},
    ),
    "parquet": ("d.parquet", parquet(), {}),
}


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        (
            fixed_width,
            {"widths": [{"name": "a", "start": at, "length": 1} for at in (1, 2)]},
            "source.widths.*twice: a",
        ),
        (fixed_width, {"widths": {"a": 1, "_row": 1}}, "source.widths.*reserved: _row"),
        (csv_format, {"header": ["a", "a"]}, "source.header.*twice: a"),
    ],
)
def test_names_that_the_resource_file_gives_are_its_own_mistake(module, options, said):
    with pytest.raises(SourceError, match=f"SRC-OPTION.*{said}.*Correct the resource file"):
        module.open_format(Options(options, module.OPTIONS))


@pytest.mark.parametrize("packed", ["", ".gz", ".zip"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_dropped_file_of_each_kind_is_taken_once_with_every_character(tmp_path, kind, packed):
    name, data, options = KINDS[kind]
    if packed == ".zip":
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as file:
            file.writestr(name, data)
    else:
        (tmp_path / (name + packed)).write_bytes(gzip.compress(data) if packed else data)
    src = open_source(
        kind,
        {"path": "d.zip" if packed == ".zip" else name + packed, **options},
        {"folder": str(tmp_path)},
        NoSecrets(),
    )
    assert all(check.ok for check in src.check())
    assert list(src.stream().columns) == ["名称", "code"]
    assert src.estimate() == 2
    [split] = src.plan(None)
    batches = list(src.read(split))
    rows = [(row["名称"], row["code"], row["_reject"]) for batch in batches for row in batch.rows.to_pylist()]
    assert rows == [("甲", "330102199001011234", None), ("𠮷", "018", None)]
    assert src.plan(batches[-1].position) == []
    src.close()
