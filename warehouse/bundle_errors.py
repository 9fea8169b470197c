"""What can be wrong with a bundle, its signer, its receiver or its place in the chain, and what to do then."""

from __future__ import annotations

from warehouse.errors import WarehouseError


class BundleError(WarehouseError):
    """A bundle cannot be made or taken; nothing was changed."""


def damaged(why_zh: str, why_en: str) -> BundleError:
    """The file is not what its sender wrote."""
    return BundleError(
        "WH-BUNDLE-DAMAGED",
        zh=f"数据包已损坏或被改动：{why_zh}；未导入任何内容",
        en=f"the bundle is damaged or was changed: {why_en}; nothing was imported",
        fix_zh="用 sha256sum 与发送方核对文件，重新拷贝后再导入",
        fix_en="Compare the file with the sender's by sha256sum, copy it again, then import it",
    )


def unknown_signer(fingerprint: str) -> BundleError:
    """Nobody we know signed it."""
    return BundleError(
        "WH-BUNDLE-SIGNER",
        zh=f"签名方（指纹 {fingerprint}）不在 bundles.yaml 的 partners 中；未导入任何内容",
        en=f"it is signed by {fingerprint}, who is not among the partners of bundles.yaml; nothing was imported",
        fix_zh="电话核对指纹后，把对方 shutong bundle keys 显示的名片写入 bundles.yaml",
        fix_en="Compare the fingerprint by telephone, then write the card that shutong bundle keys shows there into"
        " bundles.yaml",
    )


def not_ours(fingerprint: str) -> BundleError:
    """It is encrypted to somebody else."""
    return BundleError(
        "WH-BUNDLE-RECEIVER",
        zh=f"数据包加密给另一部署（指纹 {fingerprint}），本部署打不开",
        en=f"the bundle is encrypted to another deployment ({fingerprint}) and cannot be opened here",
        fix_zh="把本部署 shutong bundle keys 显示的名片交给发送方，请其重新导出",
        fix_en="Give the sender the card that shutong bundle keys shows here, and ask for a new export",
    )


def bad_card(name: str) -> BundleError:
    """A card or key is no card or key."""
    return BundleError(
        "WH-BUNDLE-CARD",
        zh=f"{name} 的名片不完整或抄写有误",
        en=f"the card of {name} is incomplete or was copied wrongly",
        fix_zh="在对方部署执行 shutong bundle keys，完整复制以 stb1- 开头的一行",
        fix_en="Run shutong bundle keys in that deployment and copy the whole line that begins with stb1-",
    )


def bad_keys() -> BundleError:
    """Our own private keys cannot be read."""
    return BundleError(
        "WH-BUNDLE-KEYS",
        zh="密钥 bundle_keys 不是数据包密钥",
        en="the secret bundle_keys holds no keys of bundles",
        fix_zh="从备份恢复该密钥；遗失时执行 shutong bundle keys --new，并把新名片交给各合作方",
        fix_en="Restore that secret; if it is lost run shutong bundle keys --new and give every partner the new card",
    )


def other_standard(library: str, theirs: str, ours: str) -> BundleError:
    """Sender and receiver do not mean the same by a record."""
    return BundleError(
        "WH-BUNDLE-STANDARD",
        zh=f"数据包中 {library} 按标准 {theirs} 编制，本部署登记的是 {ours}，二者字段或主键不同；未导入",
        en=f"{library} comes in the standard {theirs}, while {ours} is written down here, and their fields or keys"
        " differ; nothing was imported",
        fix_zh="把发送方的标准文件放入 standards/，在 bundles.yaml 中写明该版本，再导入",
        fix_en="Put the sender's standard file into standards/, name that version in bundles.yaml, then import again",
    )


def wrong_order(bundle: str, needs: str | None, stands: str | None) -> BundleError:
    """An increment whose predecessor is not what stands here."""
    return BundleError(
        "WH-BUNDLE-ORDER",
        zh=f"增量包 {bundle} 接在 {needs} 之后，而本部署现为 {stands or '尚无'}；未导入",
        en=f"the increment {bundle} follows {needs}, while {stands or 'nothing'} stands here; nothing was imported",
        fix_zh=f"先导入 {needs}；没有时请发送方执行 shutong library export --since {stands or '（不写，导出全量）'}",
        fix_en=f"Import {needs} first; without it ask the sender for "
        + (f"shutong library export --since {stands}" if stands else "a whole export, without --since"),
    )


def older(bundle: str, at: str, stands: str) -> BundleError:
    """What stands is newer."""
    return BundleError(
        "WH-BUNDLE-OLDER",
        zh=f"数据包 {bundle} 是 {at} 的状态，本部署已有更新的 {stands}；未导入",
        en=f"the bundle {bundle} is of {at}, and the newer {stands} stands here; nothing was imported",
        fix_zh="无需处理；确要回到旧状态时用 shutong backup restore",
        fix_en="Nothing is to be done; to go back on purpose use shutong backup restore",
    )


def own_library(library: str) -> BundleError:
    """The library is merged here from resources of our own."""
    return BundleError(
        "WH-BUNDLE-OWN",
        zh=f"基础库 {library} 由本部署自己的资源归并，不能被数据包覆盖",
        en=f"the library {library} is merged here from resources of this deployment; no bundle takes its place",
        fix_zh="在 bundles.yaml 的 sends 中为它写 as: 另一名称，再导入",
        fix_en="Give it another name in bundles.yaml (sends: …, as: <name>), then import again",
    )


def not_agreed(library: str, partner: str, *, sending: bool) -> BundleError:
    """bundles.yaml does not allow it."""
    word = "receives" if sending else "sends"
    return BundleError(
        "WH-BUNDLE-AGREED",
        zh=f"bundles.yaml 中没有写明 {partner} {'可以得到' if sending else '可以提供'} {library}",
        en=f"bundles.yaml does not say that {partner} may {'be given' if sending else 'give us'} {library}",
        fix_zh=f"由数据管理员在 {partner} 的 {word} 中加入 {library}",
        fix_en=f"A data manager adds {library} to {word} of {partner}",
    )


def no_room(folder: str, needed: int, free: int) -> BundleError:
    """The disk is too small for what comes."""
    return BundleError(
        "WH-BUNDLE-ROOM",
        zh=f"导入约需 {needed / 1e9:,.2f} GB，{folder} 所在磁盘只剩 {free / 1e9:,.2f} GB；未导入",
        en=f"the import needs about {needed / 1e9:,.2f} GB, the disk of {folder} has {free / 1e9:,.2f} GB left; nothing"
        " was imported",
        fix_zh="清理磁盘或扩容后再导入",
        fix_en="Make room or enlarge the disk, then import again",
    )


def since_unknown(library: str, since: str) -> BundleError:
    """There is no such bundle to go on from."""
    return BundleError(
        "WH-BUNDLE-SINCE",
        zh=f"没有 {library} 的数据包或快照 {since}，或其数据已按期清理，不能在其后导出增量",
        en=f"there is no bundle or snapshot {since} of {library} to go on from, or its rows have expired",
        fix_zh="用 shutong bundle list 查看可用的数据包，或不写 --since 导出全量",
        fix_en="See which there are with shutong bundle list, or export the whole library, without --since",
    )


def nothing_new(library: str, since: str) -> BundleError:
    """The library is as it was."""
    return BundleError(
        "WH-BUNDLE-NOTHING",
        zh=f"基础库 {library} 自 {since} 以来没有变化，未生成数据包",
        en=f"nothing has changed in the library {library} since {since}; no bundle was made",
        fix_zh="下次归并后再导出",
        fix_en="Export again after the next merge",
    )


def file_there(path: str) -> BundleError:
    """A file of that name exists."""
    return BundleError(
        "WH-BUNDLE-FILE",
        zh=f"文件 {path} 已存在，未覆盖",
        en=f"the file {path} exists; it was not written over",
        fix_zh="换一个文件名，或先移走旧文件",
        fix_en="Choose another name, or move the old file away",
    )


def differs(library: str, table: str, found: int, said: int) -> BundleError:
    """What landed is not what the sender counted."""
    return BundleError(
        "WH-BUNDLE-DIFFERS",
        zh=f"导入 {library} 的 {table} 后有 {found:,} 行，发送方记为 {said:,} 行；已放弃，原有内容未变",
        en=f"{table} of {library} would have {found:,} rows, the sender counted {said:,}; it was given up, what stood"
        " still stands",
        fix_zh="请发送方不写 --since 导出全量，再导入",
        fix_en="Ask the sender for a whole export, without --since, and import that",
    )
