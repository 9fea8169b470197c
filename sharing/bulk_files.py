"""The files of a bulk job: its keys, the answers to each chunk, and the result they are put together to."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from sharing.bulk_refusals import bad_file

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK: Final = 1000  # keys answered, charged and recorded at a time
MOST_KEYS: Final = 1_000_000
LARGEST: Final = 64 << 20  # bytes of a file of keys
ROOM: Final = 2 << 30  # bytes that must be free on the disk for a job to be taken
_LONGEST_LINE: Final = 4096  # bytes; a key has up to 200 characters
_KEYS, _RECEIPTS, _RESULT, _LOCK, _RIGHTS = "keys", "receipts", "result", "lock", "rights"
_BOM: Final = b"\xef\xbb\xbf"


class KeyFile:
    """Writes the keys of a file as it comes in, one a line; nothing is held in memory."""

    def __init__(self, stream: BinaryIO, key_field: str) -> None:
        self._stream, self._heads = stream, {"key", key_field.lower()}
        self._rest, self._line, self.keys = b"", 0, 0

    def take(self, part: bytes) -> None:
        """The next bytes. Raises MalformedError SHR-JOB-FILE."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._put(line)
        if len(self._rest) > _LONGEST_LINE:
            raise bad_file(self._line + 1, "过长", "too long")

    def end(self) -> int:
        """There are no more bytes; how many keys there are. Raises MalformedError SHR-JOB-FILE."""
        self._put(self._rest)
        self._rest = b""
        if not self.keys:
            raise bad_file(max(1, self._line), "没有键", "no key")
        return self.keys

    def _put(self, raw: bytes) -> None:
        self._line += 1
        if len(raw) > _LONGEST_LINE:
            raise bad_file(self._line, "过长", "too long")
        line = raw.removeprefix(_BOM) if self._line == 1 else raw
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            raise bad_file(self._line, "不是 UTF-8", "not UTF-8") from None
        if (text[:1] == '"' or "," in text) and "\r" not in text:
            text = next(csv.reader([text]), [""])[0].strip()
        if not text or (not self.keys and text.lower() in self._heads):
            return
        if "\n" in text or "\r" in text:
            raise bad_file(self._line, "键中有换行", "a line break within a key")
        self.keys += 1
        if self.keys > MOST_KEYS:
            raise bad_file(self._line, f"超过 {MOST_KEYS} 个键", f"more than {MOST_KEYS} keys")
        self._stream.write(text.encode() + b"\n")


class JobFolder:
    """Where the files of one job lie; only the owner of the deployment can read them."""

    def __init__(self, home: Path, job: str) -> None:
        self.path = home / job

    def make(self) -> BinaryIO:
        """Make it; gives the file of keys to write to."""
        self.path.mkdir(parents=True, mode=0o700)
        return os.fdopen(os.open(self.path / _KEYS, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")

    def remove(self) -> None:
        """Take everything away."""
        shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """True while nobody else works on the job; what holds it is let go of when a process dies, however."""
        if not self.path.is_dir():
            yield False
            return
        with (self.path / _LOCK).open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def keys(self, place: int) -> list[str]:
        """The keys of the chunk that begins at byte `place`."""
        with (self.path / _KEYS).open("rb") as stream:
            stream.seek(place)
            lines = [line for _ in range(CHUNK) if (line := stream.readline())]
            return [line.decode().removesuffix("\n") for line in lines]

    def put(self, chunk: int, table: pa.Table) -> bytes:
        """Keep the answers of a chunk, durably; gives the hash of the file."""
        import pyarrow as pa

        path = self._part(chunk)
        made = path.with_suffix(".tmp")
        with pa.OSFile(str(made), "wb") as out, pa.ipc.new_file(
            out, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
        ) as stream:  # fmt: skip
            stream.write_table(table)
        digest = _synced(made)
        made.replace(path)
        _synced_folder(self.path)
        return digest

    def has(self, chunk: int) -> bool:
        """Whether the answers of a chunk are there."""
        return self._part(chunk).exists()

    def found(self, chunk: int) -> list[bool]:
        """Of each key of a chunk, whether it had a record."""
        import pyarrow as pa

        with pa.OSFile(str(self._part(chunk))) as source:
            told: list[bool] = pa.ipc.open_file(source).read_all().column("_found").to_pylist()
        return told

    def drop(self, chunk: int) -> None:
        """The answers of a chunk that could not be recorded: they count for nothing."""
        self._part(chunk).unlink(missing_ok=True)

    def receipt(self, text: str) -> None:
        """Add the receipt of a chunk."""
        with (self.path / _RECEIPTS).open("a", encoding="ascii") as out:
            out.write(text + "\n")

    def rights(self) -> list[bytes]:
        """By which rights its chunks were answered, each wording once."""
        path = self.path / _RIGHTS
        return path.read_bytes().splitlines() if path.exists() else []

    def note(self, rights: bytes) -> None:
        """Keep the rights that a chunk is answered by; `rights` is one line."""
        if rights not in self.rights():
            with (self.path / _RIGHTS).open("ab") as out:
                out.write(rights + b"\n")
                out.flush()
                os.fsync(out.fileno())

    @property
    def receipts(self) -> Path:
        """The receipts of the chunks, one a line."""
        return self.path / _RECEIPTS

    @property
    def result(self) -> Path:
        """The result, once it was put together."""
        return self.path / _RESULT

    def finish(self, chunks: int, form: str) -> tuple[int, str] | None:
        """Put the first so many chunks together; the result's bytes and SHA-256. None where there is no answer."""
        parts = [self._part(chunk) for chunk in range(chunks)]
        if not parts:
            return None
        made = self.result.with_suffix(".tmp")
        _WRITERS[form](made, parts, _schema(parts))
        digest = _synced(made).hex()
        made.replace(self.result)
        _synced_folder(self.path)
        return self.result.stat().st_size, digest

    def tidy(self) -> None:
        """The keys, and answers that are in the result, are not kept twice."""
        (self.path / _KEYS).unlink(missing_ok=True)
        for part in self.path.glob("*.part"):
            part.unlink()

    def _part(self, chunk: int) -> Path:
        return self.path / f"{chunk:06d}.part"


def _schema(parts: Sequence[Path]) -> pa.Schema:
    """The columns of the result: a field that was masked in some chunks, and in others not, is text."""
    import pyarrow as pa

    schemas = []
    for part in parts:
        with pa.OSFile(str(part)) as source:
            schemas.append(pa.ipc.open_file(source).schema)
    first = schemas[0]
    kinds = [{one.field(name).type for one in schemas} for name in first.names]
    return pa.schema(
        [pa.field(name, kind.pop() if len(kind) == 1 else pa.string())
         for name, kind in zip(first.names, kinds, strict=True)]
    )  # fmt: skip


def _tables(parts: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    import pyarrow as pa

    for part in parts:
        with pa.OSFile(str(part)) as source:
            yield pa.ipc.open_file(source).read_all().replace_schema_metadata(None).cast(schema)


def _write_csv(path: Path, parts: Sequence[Path], schema: pa.Schema) -> None:
    from sharing.formats import csv_of

    with path.open("wb") as out:
        for place, table in enumerate(_tables(parts, schema)):
            out.write(csv_of(table, header=not place))


def _write_arrow(path: Path, parts: Sequence[Path], schema: pa.Schema) -> None:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, schema, options=options) as stream:
        for table in _tables(parts, schema):
            stream.write_table(table)


def _write_parquet(path: Path, parts: Sequence[Path], schema: pa.Schema) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, schema, compression="zstd") as out:
        held: list[pa.Table] = []
        for table in _tables(parts, schema):
            held.append(table)
            if len(held) == 100:  # noqa: PLR2004 row groups of 100,000 rows
                out.write_table(pa.concat_tables(held))
                held.clear()
        if held:
            out.write_table(pa.concat_tables(held))


_WRITERS: Final = {"csv": _write_csv, "arrow": _write_arrow, "parquet": _write_parquet}


def _synced(path: Path) -> bytes:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").digest()


def _synced_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
