"""Make any dlt resource a source of ours: its Arrow tables or records as exact text, no pipeline, no state of dlt's."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import pyarrow as pa

from connectors.databases.ahead import Ahead
from connectors.databases.errors import scrub
from connectors.databases.values import BYTES
from connectors.errors import SourceError, SourceUnavailable, changed
from connectors.files.parquet_format import ParquetFormat, exact
from connectors.options import Options, Secrets, secret, wrong
from connectors.rest_json import batch_of, columns_of
from connectors.rows import CHUNK, check_names, first_rows, record_batch
from connectors.tried import first_row, tried
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

if TYPE_CHECKING:
    from dlt.extract import DltResource

OPTIONS = ("resource", "args", "secrets", "stream", "bytes", "max_field_bytes", "timeouts")
_MIB = 1 << 20
_LOST = (OSError, TimeoutError, EOFError)  # what waiting may mend; requests' errors are OSErrors


def open_dlt(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> DltBridge:
    """A source of kind `dlt`; OPTIONS are allowed, a connection is not needed.

    `resource` is `package.module:name` of a function marked `@dlt.resource` or `@dlt.source`, in a package installed
    beside Shutong. `args` are its arguments, `secrets` those that are secrets (argument → name of the secret), `stream`
    the resource wanted of a source that has several.
    """
    del connection
    return DltBridge(Options(options, OPTIONS), secrets)


class DltBridge:
    """One dlt resource, read whole each time."""

    def __init__(self, options: Options, secrets: Secrets) -> None:
        self._named = options.text("resource")
        module, _, name = self._named.partition(":")
        if not module or not name.isidentifier():
            raise wrong("source.resource", "须为 模块:名称", "must be module:name", ("package.module:function",))
        self._module, self._name, self._stream = module, name, options.maybe("stream")
        written = options.value("args")
        if written is not None and not isinstance(written, dict):
            raise wrong("source.args", "须为一组键值", "must be a mapping")
        self._args: dict[str, Json] = dict(written or {})
        # Asked for when they are needed, and again each time: a token may be renewed between two reads.
        self._wanted, self._secrets = options.texts("secrets"), secrets
        encoding = options.choice("bytes", "hex", BYTES)
        self._format = ParquetFormat(encoding, options.whole("max_field_bytes", 64 * _MIB, least=1))
        timeouts = options.under("timeouts", ("silence",))
        self._silence = timeouts.number("silence", 600.0) if timeouts else 600.0

    def check(self) -> list[Check]:
        """Whether the module can be imported, and whether a first record comes."""
        return tried(
            self._named,
            {"import": lambda: type(self._found()).__name__, "read": lambda: first_row(self.preview(1).num_rows)},
        )

    def discover(self) -> list[StreamInfo]:
        """The resource itself."""
        return [self.stream()]

    def stream(self) -> StreamInfo:
        """Its name; which columns there are is only seen in what it yields."""
        return StreamInfo(self._named, {}, declared=False)

    def preview(self, rows: int = 20) -> pa.Table:
        """The first rows; the resource is not asked for more."""
        return first_rows(self._batches(rows), rows)

    def estimate(self) -> int | None:
        """Nobody knows."""
        return None

    def plan(self, position: Position | None) -> list[Split]:  # noqa: ARG002 - read whole each time
        """All of it, in one split."""
        return [Split(self._named)]

    def read(self, split: Split) -> Iterator[Batch]:  # noqa: ARG002 - there is only one
        """Everything the resource yields; the position comes with the last batch."""
        held: Batch | None = None
        for batch in self._batches(CHUNK):
            if held is not None:
                yield held
            held = batch
        yield replace(held or record_batch([], [], 1, {}), position=Position())

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _batches(self, size: int) -> Iterator[Batch]:
        ahead = Ahead(lambda: self._rows(size), self._named, limit=16 * _MIB, silence=self._silence)
        try:
            for rows in ahead:
                yield Batch(rows)
        finally:
            ahead.close()

    def _rows(self, size: int) -> Iterator[pa.RecordBatch]:
        """What the resource yields as text, in batches of `size` rows at most."""
        values = {argument: secret(self._secrets, name) for argument, name in self._wanted.items()}
        names: dict[str, None] = {}
        first = 1
        try:
            for piece in _pieces(self._resource(self._found(), values), size):
                made = self._batch(piece, names, first)
                first += made.rows.num_rows
                yield made.rows
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - a resource is somebody else's code
            raise self._failed(error, values) from None

    def _batch(self, piece: pa.RecordBatch | list[object], names: dict[str, None], first: int) -> Batch:
        if isinstance(piece, pa.RecordBatch):
            check_names(piece.schema.names, self._named)
            return self._format.batch(piece, piece.schema.names, first)
        records = [exact(each) for each in piece]
        names.update(dict.fromkeys(columns_of(records)))
        return batch_of(records, list(names), first, self._named)

    def _found(self) -> object:
        """The object `resource` names; SRC-DLT-MODULE when its module is not installed."""
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"  # read by dlt when it is imported
        try:
            import_module("dlt")
        except ImportError as error:
            raise SourceError(
                "SRC-DRIVER",
                zh=f"未安装 dlt：{error}",
                en=f"dlt is not installed: {error}",
                fix_zh="请运行 pip install 'shutong[dlt]'",
                fix_en="Run pip install 'shutong[dlt]'.",
            ) from error
        try:
            module = import_module(self._module)
        except ImportError as error:
            raise SourceError(
                "SRC-DLT-MODULE",
                zh=f"无法导入 {self._module}：{error}",
                en=f"{self._module} cannot be imported: {error}",
                fix_zh="请把它打成包，用运行数通的 Python 安装（pip install），或把所在目录写入服务的 PYTHONPATH；"
                "数通的数据目录不会被搜索",
                fix_en="Make it a package and pip install it with the Python that runs Shutong, or put its folder on "
                "the service's PYTHONPATH; folders of Shutong's own data are not searched.",
            ) from error
        if not hasattr(module, self._name):
            public = [name for name in vars(module) if not name.startswith("_")]
            raise changed(("名称", "name"), self._module, [self._name], public)
        found: object = getattr(module, self._name)
        return found

    def _resource(self, found: object, values: Mapping[str, str]) -> Iterable[object]:
        from dlt.extract import DltResource, DltSource
        from dlt.extract.reference import SourceFactory

        arguments = {**self._args, **values}
        made = found
        # Nothing else is ever called: a resource file must not be a way to run any function there is.
        if isinstance(found, SourceFactory) or (arguments and isinstance(found, DltResource)):
            made = found(**arguments)
        if isinstance(made, DltSource):
            return self._chosen(made.resources)
        if not isinstance(made, DltResource):
            raise wrong(
                "source.resource",
                "不是 dlt 资源；函数须用 @dlt.resource 或 @dlt.source 标注",
                "is no dlt resource; a function must be marked @dlt.resource or @dlt.source",
                ("package.module:function",),
            )
        return made

    def _chosen(self, resources: Mapping[str, DltResource]) -> Iterable[object]:
        names = list(resources)
        name = self._stream or (names[0] if len(names) == 1 else "")
        if name not in resources:
            raise wrong("source.stream", f"不能是 {name or '空'}", f"cannot be {name or 'left out'}", names)
        chosen: Iterable[object] = resources[name]
        return chosen

    def _failed(self, error: Exception, values: Mapping[str, str]) -> SourceError:
        causes = list(itertools.islice(_causes(error), 10))
        said = str(causes[-1]) or type(causes[-1]).__name__
        for value in values.values():
            said = scrub(said, value)
        if any(isinstance(cause, _LOST) for cause in causes):
            return SourceUnavailable(
                "SRC-DLT-UNAVAILABLE",
                zh=f"{self._named} 暂时无法读取：{said}",
                en=f"{self._named} cannot be read now: {said}",
                fix_zh="稍后会重试；若持续，请检查其地址、网络和账号",
                fix_en="It will be tried again; if it persists check its address, the network and the account.",
            )
        return SourceError(
            "SRC-DLT-FAILED",
            zh=f"{self._named} 出错：{type(causes[-1]).__name__}：{said}",
            en=f"{self._named} failed: {type(causes[-1]).__name__}: {said}",
            fix_zh="请检查 source.args，或告知编写该资源的人",
            fix_en="Check source.args, or tell those who wrote the resource.",
        )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, the innermost last."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__


def _pieces(items: Iterable[object], size: int) -> Iterator[pa.RecordBatch | list[object]]:
    """Arrow batches as they come, in pieces of `size` rows at most; single records gathered until there are so many."""
    gathered: list[object] = []
    for item in items:
        data = getattr(item, "data", item) if type(item).__name__ == "DataItemWithMeta" else item
        if hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
            if gathered:
                yield gathered
                gathered = []
            table = pa.Table.from_batches([data]) if isinstance(data, pa.RecordBatch) else pa.table(data)
            yield from table.to_batches(max_chunksize=size)
            continue
        gathered += data if isinstance(data, list) else [data]
        while len(gathered) >= size:
            yield gathered[:size]
            gathered = gathered[size:]
    if gathered:
        yield gathered
