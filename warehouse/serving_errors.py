"""What can be wrong with a serving store: not published, not indexed, damaged, or rows that have no key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from warehouse.errors import WarehouseError


class NotPublishedError(WarehouseError):
    """The library has no serving generation yet; the same call works once it has been published."""

    retryable: ClassVar[bool] = True

    def __init__(self, library: str) -> None:
        super().__init__(
            "WH-NOT-PUBLISHED",
            zh=f"基础库 {library} 尚未发布，暂不能按键查询",
            en=f"library {library} is not published yet, so it cannot be looked up",
            fix_zh="先接入并归并该库的资源，再执行发布：shutong library publish " + library,
            fix_en="Ingest and merge its resources, then publish it: shutong library publish " + library,
        )


class NotIndexedError(WarehouseError):
    """A look-up by a field for which the generation has no secondary key."""

    def __init__(self, library: str, name: str, known: Iterable[str]) -> None:
        listed = ", ".join(known) or "-"
        super().__init__(
            "WH-NOT-INDEXED",
            zh=f"基础库 {library} 不能按 {name} 查询",
            en=f"library {library} cannot be looked up by {name}",
            fix_zh=f"可用的查询字段：{listed}",
            fix_en=f"Fields it can be looked up by: {listed}",
        )


class BadPageError(WarehouseError):
    """A page asked for with a mark that no page gave."""

    def __init__(self, library: str) -> None:
        super().__init__(
            "WH-PAGE-MARK",
            zh=f"查询基础库 {library} 的翻页标记无效",
            en=f"the page mark is none that library {library} gave",
            fix_zh="从第一页重新查询，原样带回上一页给出的标记",
            fix_en="Begin with the first page again, and hand back the mark of the page before as it is",
        )


class TornGenerationError(WarehouseError):
    """The generation that CURRENT names is missing, damaged or cannot be read."""

    def __init__(self, library: str, generation: int, why: str) -> None:
        super().__init__(
            "WH-TORN-GENERATION",
            zh=f"基础库 {library} 的发布文件 {generation} 无法读取（{why}）",
            en=f"the published file {generation} of library {library} cannot be read ({why})",
            fix_zh=f"重新发布：shutong library publish {library} --rebuild",
            fix_en=f"Publish it again: shutong library publish {library} --rebuild",
        )


class KeyUnusableError(WarehouseError):
    """Rows that cannot be served by key: the key is null, empty or not unique."""

    def __init__(self, library: str, key: str, empty: int, repeated: int) -> None:
        super().__init__(
            "WH-SERVING-KEY",
            zh=f"基础库 {library} 无法按 {key} 发布：{empty} 行为空，{repeated} 行重复",
            en=f"library {library} cannot be served by {key}: {empty} rows have none, {repeated} rows repeat one",
            fix_zh=f"重新归并后再发布：shutong library merge {library}",
            fix_en=f"Merge it again, then publish: shutong library merge {library}",
        )
