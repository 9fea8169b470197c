"""A bundle as one file: members under a signed list of their names, sizes and digests; read without ever unpacking it.

The file is a ZIP whose members are stored as they are: `manifest.json`, its signature, and `data/…` in the order of the
manifest. Nothing is believed before the signature is, no name of a member is ever used as a path, and no size is
believed that the file itself does not have.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

from warehouse import bundle_seal
from warehouse.bundle_errors import BundleError, damaged, not_ours, unknown_signer
from warehouse.bundle_keys import Card, Keys
from warehouse.bundle_manifest import manifest
from warehouse.bundle_seal import Out, Plain, Sealing

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
_MOST, _LINE, _ENCRYPTED = 32 << 20, 64, 0x1  # bytes of a manifest; of a signature; a flag of ZIP
_AT_ONCE = 1 << 20
# What zipfile raises over a file that was changed, or a disk that cannot be read.
_BROKEN = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, struct.error)
ROWS, GONE, MERGE = "rows", "gone", "merge"  # what a member holds: rows, keys of rows that go, how it was merged


@dataclass(frozen=True, slots=True)
class Member:
    """One part of a bundle: of which table, what it holds, how many rows; bytes in the file, and once decrypted."""

    name: str
    table: str
    kind: str
    rows: int
    size: int
    plain: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """A table of the library: how many rows it has with this bundle, what tells them apart, their order in files.

    `whole`: the rows are all its contents, and not changes since the bundle before.
    """

    table: str
    rows: int
    key: tuple[str, ...]
    sort: tuple[str, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle says of itself; nothing in it is personal, so that it may be read before it is opened.

    `previous` is the bundle it goes on from; `shape` the digest of the standard's key and fields; `merged_at` when the
    sender merged the library, `began` when for the first time; `key` the content key, wrapped for `receiver`.
    """

    format: int
    id: str
    library: str
    standard: str
    shape: str
    previous: str | None
    began: str
    merged_at: str
    made_at: str
    by: str
    signer: str
    receiver: str | None
    key: str | None
    parts: tuple[Part, ...]
    members: tuple[Member, ...]

    @property
    def plain_bytes(self) -> int:
        """Bytes of all members once they are decrypted."""
        return sum(one.plain for one in self.members)

    def of(self, table: str, kind: str) -> list[Member]:
        """The members of a table of one kind."""
        return [one for one in self.members if (one.table, one.kind) == (table, kind)]


class Writing:
    """A bundle being written; it is one when `finish` returns."""

    def __init__(self, file: BinaryIO, bundle: str, receiver: Card | None) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._key = bundle_seal.new_key() if receiver else None
        wrapped = bundle_seal.wrap(self._key, receiver.opens, bundle) if receiver and self._key else None
        self.key = base64.b64encode(wrapped).decode() if wrapped else None
        self.members: list[Member] = []

    @contextmanager
    def member(self, table: str, kind: str) -> Iterator[tuple[Plain, Callable[[int], None]]]:
        """Where the next member goes, and whom to tell how many rows it has."""
        name, rows = f"data/{len(self.members):06}", [0]
        with self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
            counted = _Digest(cast("Out", file))
            sink = Sealing(counted, self._key, name) if self._key else Plain(counted)
            yield sink, lambda count: rows.__setitem__(0, count)
            sink.close()
        self.members.append(Member(name, table, kind, rows[0], counted.size, sink.taken, counted.digest.hexdigest()))

    def finish(self, bundle: Bundle, keys: Keys) -> None:
        """Write the manifest and its signature."""
        content = json.dumps(asdict(bundle), ensure_ascii=False, indent=1).encode()
        self._zip.writestr(zipfile.ZipInfo(MANIFEST), content)
        self._zip.writestr(zipfile.ZipInfo(SIGNATURE), keys.sign(content))
        self._zip.close()


class _Digest:
    def __init__(self, out: Out) -> None:
        self._out, self.digest, self.size = out, hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        self.size += len(content)
        return self._out.write(content)


class Reading:
    """A bundle being read, once its signature was verified."""

    def __init__(self, file: BinaryIO, whole: zipfile.ZipFile, bundle: Bundle, signer: str) -> None:
        self._file, self._zip, self.bundle, self.signer = file, whole, bundle, signer
        self._key: bytes | None = None

    def verify(self, told: Callable[[int], None] = lambda _: None) -> None:
        """Compare every member with its digest; `told` is how many bytes were looked at so far."""
        looked = 0
        for one in self.bundle.members:
            digest = hashlib.sha256()
            for piece in self._pieces(one):
                digest.update(piece)
                looked += len(piece)
                told(looked)
            if digest.hexdigest() != one.sha256:
                raise damaged(f"成员 {one.name} 的摘要不符", f"the digest of its member {one.name} is another")

    def open_with(self, keys: Keys) -> None:
        """Open what is encrypted; WH-BUNDLE-RECEIVER where it is encrypted to somebody else."""
        if self.bundle.receiver is None or self.bundle.key is None:
            return
        to = Card.read(self.bundle.receiver)
        if to != keys.card:
            raise not_ours(to.fingerprint)
        try:
            wrapped = base64.b64decode(self.bundle.key, validate=True)
        except ValueError:
            raise damaged("内容密钥不完整", "its content key is incomplete") from None
        self._key = bundle_seal.unwrap(wrapped, keys.opening, self.bundle.id)

    def content(self, one: Member) -> Iterator[bytes]:
        """The bytes of a member, decrypted; never more than it says."""
        left = one.plain
        with self._member(one) as file:
            pieces = (
                bundle_seal.opened(file, self._key, one.name) if self._key else iter(lambda: file.read(_AT_ONCE), b"")
            )
            for piece in pieces:
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left:
            raise damaged(f"成员 {one.name} 的大小不符", f"its member {one.name} has another size than it says")

    def _pieces(self, one: Member) -> Iterator[bytes]:
        with self._member(one) as file:
            yield from iter(lambda: file.read(_AT_ONCE), b"")

    @contextmanager
    def _member(self, one: Member) -> Iterator[BinaryIO]:
        try:
            with self._zip.open(one.name) as file:
                yield cast("BinaryIO", file)
        except _BROKEN as error:
            raise damaged(f"成员 {one.name} 读不出来", f"its member {one.name} cannot be read") from error


@contextmanager
def reading(path: Path, trusted: Mapping[str, Card]) -> Iterator[Reading]:
    """Open a bundle whose manifest one of the `trusted` signed (partner → card), everything about its form looked at.

    What it says of itself is believed as far as it makes sense (bundle_manifest). Raises WH-BUNDLE-SIGNER,
    WH-BUNDLE-DAMAGED or WH-BUNDLE-FORMAT.
    """
    with path.open("rb") as file:
        try:
            whole = zipfile.ZipFile(file)
        except _BROKEN as error:
            raise damaged("不是完整的数据包文件", "it is no whole bundle") from error
        with whole:
            infos = {one.filename: one for one in whole.infolist()}
            if len(infos) != len(whole.infolist()):
                raise damaged("有重名成员", "it has two members of one name")
            size = path.stat().st_size
            for one in infos.values():
                stored = one.compress_type == zipfile.ZIP_STORED and one.file_size == one.compress_size
                if not stored or one.flag_bits & _ENCRYPTED or one.file_size > size:
                    raise damaged(
                        f"成员 {one.filename!r} 的形式不对", f"its member {one.filename!r} is not as it must be"
                    )
            content, signature = _small(whole, infos, MANIFEST, _MOST), _small(whole, infos, SIGNATURE, _LINE)
            signer = next((name for name, card in trusted.items() if card.signed(content, signature)), None)
            if signer is None:
                raise unknown_signer(_claimed(content))
            bundle = _bundle(content)
            if bundle.signer != trusted[signer].text:
                raise damaged("签名方与清单所写不符", "it is signed by another than its manifest says")
            _refuse_others(bundle, infos, size)
            yield Reading(file, whole, bundle, signer)


def _small(whole: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    if name not in infos or infos[name].file_size > most:
        raise damaged(f"没有 {name}", f"it has no {name}")
    try:
        return whole.read(name)
    except _BROKEN as error:
        raise damaged(f"{name} 读不出来", f"its {name} cannot be read") from error


def _claimed(content: bytes) -> str:
    """The fingerprint of who a manifest nobody vouches for says has signed it."""
    try:
        return Card.read(str(json.loads(content)["signer"])).fingerprint
    except (ValueError, KeyError, TypeError, RecursionError, BundleError):
        return "?"


def _bundle(content: bytes) -> Bundle:
    said = manifest(content)
    parts = tuple(Part(**dict(one)) for one in said.parts)
    members = tuple(Member(**dict(one)) for one in said.members)
    return Bundle(**{**dict(said), "parts": parts, "members": members})


def _refuse_others(bundle: Bundle, infos: Mapping[str, zipfile.ZipInfo], size: int) -> None:
    names = [one.name for one in bundle.members]
    if {*names, MANIFEST, SIGNATURE} != {*infos} or len(names) + 2 != len(infos):
        raise damaged("成员与清单不一致", "its members are not those it lists")
    if (
        any(infos[one.name].file_size != one.size for one in bundle.members)
        or sum(m.size for m in bundle.members) > size
    ):
        raise damaged("成员大小与清单不一致", "its members have other sizes than it lists")
