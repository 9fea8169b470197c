"""A manifest that a partner signed is believed as far as it makes sense: every value is looked at before it is used."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.standard import Field, Standard
from warehouse.bundle_errors import BundleError
from warehouse.bundle_file import (
    MANIFEST,
    MERGE,
    ROWS,
    SIGNATURE,
    Bundle,
    Member,
    Part,
    Reading,
    Writing,
    _bundle,
    reading,
)
from warehouse.bundle_import import _readable, of_standard
from warehouse.bundle_keys import Keys
from warehouse.bundle_manifest import FORMAT, merged
from warehouse.bundle_seal import TAG

KEYS = Keys.new()
AT = "2026-01-01T00:00:00.000000+08:00"
MERGED = {
    "rules": {
        "key": ["uscc"], "order": [], "identifiers": ["uscc"], "fields": [["uscc", "uscc", []]],
        "contributions": [{"resource": "a.b", "department": "a", "table": "t", "order": None}],
        "words": {"changes": [], "decisions": []},
    },
    "told": {
        "records": 1, "unlinked": {"a.b": 0}, "whole": True,
        "compared": [{"field": "name", "department": "a", "other": "b", "records": 2, "differing": 1}],
    },
}  # fmt: skip
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 1 << 70, 10**4000, 0.5, "", "../x", "\x00", "x" * 4000, [], [[]], {}, {"a": {}}]),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The manifest of a whole bundle of one row, as it is written."""
    file = tmp_path_factory.mktemp("bundle") / "whole"
    with file.open("w+b") as out:
        writing = Writing(out, "firms-20260101-0123456789ab", None)
        for place, content in ((("records", ROWS), b"rows"), (("", MERGE), json.dumps(MERGED).encode())):
            with writing.member(*place) as (sink, count_of):
                sink.write(content)
                count_of(1)
        parts = (Part("records", 1, ("uscc",), ("uscc",), whole=True),)
        whole = Bundle(
            FORMAT, "firms-20260101-0123456789ab", "firms", "firms@1", "0" * 16, None, AT, AT, AT, "省", KEYS.card.text,
            None, None, parts, tuple(writing.members),
        )  # fmt: skip
        writing.finish(whole, KEYS)
    with zipfile.ZipFile(file) as read:
        return {"file": file, "manifest": json.loads(read.read(MANIFEST))}


def places(said: object, path: tuple = ()) -> Iterator[tuple]:
    """Every place in a JSON value."""
    if path:
        yield path
    if isinstance(said, dict | list):
        for name in said if isinstance(said, dict) else range(len(said)):
            yield from places(said[name], (*path, name))


def changed(said: object, path: tuple, value: object, how: str) -> object:
    """The value with another at one place, without it, or with a name beside it that nobody knows."""
    new = copy.deepcopy(said)
    at = new
    for step in path[:-1]:
        at = at[step]
    if how == "gone":
        del at[path[-1]]
    elif how == "more" and isinstance(at, dict):
        at["nobody_knows"] = value
    else:
        at[path[-1]] = value
    return new


def signed_anew(made: dict, folder: Path, content: bytes) -> Path:
    file = folder / "changed"
    with zipfile.ZipFile(made["file"]) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            signature = {MANIFEST: content, SIGNATURE: KEYS.sign(content)}
            new.writestr(name, signature.get(name, old.read(name)))
    return file


def seen(file: Path) -> Bundle:
    with reading(file, {"province": KEYS.card}) as got:
        got.verify()
        return got.bundle


def refused(error: BundleError, *codes: str) -> None:
    assert error.code in codes
    assert len(error.en) < 400


def test_what_was_written_is_read(made: dict) -> None:
    assert seen(made["file"]).plain_bytes > 0
    assert merged(json.dumps(MERGED).encode()) == MERGED


@given(data=st.data())
def test_a_manifest_with_anything_wrong_in_it_is_refused_or_makes_sense_though_its_signer_is_known(
    made: dict, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(list(places(made["manifest"]))))
    new = changed(made["manifest"], path, data.draw(WRONG), data.draw(st.sampled_from(["other", "gone", "more"])))
    file = signed_anew(made, tmp_path_factory.getbasetemp(), _written(new))
    try:
        bundle = seen(file)
    except BundleError as error:
        refused(error, "WH-BUNDLE-DAMAGED", "WH-BUNDLE-FORMAT")
        return
    assert all(type(one.rows) is int and one.rows >= 0 for one in (*bundle.parts, *bundle.members))
    assert isinstance(bundle.merged_at, str)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"\xff", b"{}", b'{"format": 2}', b'{"format": "1"}', b"[" * 100_000, b'{"format": NaN}'],
)
def test_a_manifest_that_is_none_is_refused(made: dict, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BundleError, match=r"WH-BUNDLE-(DAMAGED|FORMAT)"):
        seen(signed_anew(made, tmp_path, content))
    with pytest.raises(BundleError, match="WH-BUNDLE-SIGNER"), reading(tmp_path / "changed", {"b": Keys.new().card}):
        pass


@pytest.mark.parametrize("key", ["密钥", "=", "AAAA", ""])
def test_a_content_key_that_is_none_is_refused(made: dict, tmp_path: Path, key: str) -> None:
    pieces = [one | {"size": one["size"] + TAG} for one in made["manifest"]["members"]]
    new = made["manifest"] | {"receiver": KEYS.card.text, "key": key, "members": pieces}
    bundle = _bundle(_written(new))
    file = tmp_path / "none"
    with file.open("w+b") as out, zipfile.ZipFile(out, "w") as whole, pytest.raises(BundleError) as told:
        Reading(out, whole, bundle, "province").open_with(KEYS)
    refused(told.value, "WH-BUNDLE-DAMAGED")


def test_members_that_were_signed_and_hold_no_rows_are_refused(tmp_path: Path) -> None:
    file, member = tmp_path / "rows", Member("data/000000", "records", ROWS, 400, 9, 9, "0" * 64)
    rows = pa.table({"uscc": [f"91{number:016}" for number in range(400)], "name": ["𠮷"] * 400})
    pq.write_table(
        rows, file, compression="zstd", use_dictionary=["name"], column_encoding={"uscc": "DELTA_BYTE_ARRAY"}
    )
    whole, why = file.read_bytes(), set()
    for place in range(0, len(whole), 60):
        file.write_bytes(whole[:place] + b"\xa5" * 60 + whole[place + 60 :])
        for read in (lambda: duckdb.read_parquet(str(file)).fetchall(), lambda: pq.read_table(file)):
            try:
                with _readable(member):
                    read()
            except BundleError as error:
                refused(error, "WH-BUNDLE-DAMAGED")
                why.add(type(error.__cause__))
    assert {duckdb.Error, duckdb.InvalidInputException, OSError} <= why


STANDARD = Standard(
    name="firm", version=1, zh="企业", en="firm", library="firms", rules=(), key=("uscc",), order=(),
    identifiers=("uscc",),
    fields=(Field("uscc", "统一社会信用代码", "USCC", "uscc"), Field("reg_capital", "注册资本", "capital", "capital")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "harm"),
    [
        ("'9' uscc, 1::DECIMAL(24, 6) reg_capital, '' _sources, ['a'] _departments, 7 AS former", None),
        ("'9' uscc, 1::DECIMAL(24, 6) reg_capital, ['a'] _departments", "_sources"),
        ("'9' uscc, '1' reg_capital, '' _sources, ['a'] _departments", "reg_capital"),
        ("'9' uscc, 1::DECIMAL(18, 2) reg_capital, '' _sources, ['a'] _departments", "reg_capital"),
        ("'9' uscc, 1::DECIMAL(24, 6) reg_capital, '' _sources, '[\"a\"]' _departments", "_departments"),
    ],
)
def test_records_have_the_columns_of_the_standard_and_no_other(columns: str, harm: str | None) -> None:
    member = Member("data/000000", "records", ROWS, 1, 9, 9, "0" * 64)
    rows = duckdb.sql(f"SELECT {columns}")
    if harm is None:
        assert of_standard(rows, STANDARD, member).columns == ["uscc", "reg_capital", "_sources", "_departments"]
        return
    with pytest.raises(BundleError) as told:
        of_standard(rows, STANDARD, member)
    refused(told.value, "WH-BUNDLE-DAMAGED")
    assert harm in told.value.en


def test_a_disk_that_is_full_is_not_told_as_a_damaged_bundle() -> None:
    member = Member("data/000000", "records", ROWS, 1, 9, 9, "0" * 64)
    for error in (OSError(28, "No space left on device"), duckdb.IOException("IO Error: disk full"), MemoryError()):
        with pytest.raises(type(error)), _readable(member):
            raise error


@given(data=st.data())
def test_what_is_said_of_the_merge_is_looked_at_too(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(places(MERGED))))
    new = changed(MERGED, path, data.draw(WRONG), data.draw(st.sampled_from(["other", "gone"])))
    try:
        said = merged(_written(new))
    except BundleError as error:
        refused(error, "WH-BUNDLE-DAMAGED")
        return
    assert isinstance(said["told"]["records"], int)
    assert {one["resource"].count(".") for one in said["rules"]["contributions"]} <= {1}


def _written(said: object) -> bytes:
    return json.dumps(said).encode()
