"""A library travels as a signed file: what came is what was there, whoever said it, and nothing else is taken."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from bundle_town import TAKEN, answered, asked, deliver, history_of, refused, said, taker, town
from click.testing import CliRunner
from forks import done, struck
from small_deployment import LIBRARY, code, firm, opened, shown

from schemas.points import CARE
from shutong.cli import main
from warehouse import bundle_import
from warehouse.bundle_keys import Keys
from warehouse.serving import ServingStore

PARTS = ("", "_xref", "_history", "_attr")
SEED, PROVEN_KILLS = 3, 60


@dataclass
class Town:
    """A province that made a bundle of all, and one of what changed since."""

    province: Path
    city: Path
    whole: Path
    step: Path
    made: list[dict]

    def taker(self, folder: Path) -> Path:
        """The city once more, with its keys, before anything came."""
        new = taker(folder)
        for name in ("bundles.yaml", "secrets.enc"):
            shutil.copy2(self.city / name, new / name)
        shutil.copytree(self.city / "keys", new / "keys")
        return new


def exported(home: Path, file: Path, *more: str) -> dict:
    return answered(home, "library", "export", LIBRARY, "--to", str(file), "--for", "city", *more)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Town:
    folder = tmp_path_factory.mktemp("bundles")
    province, city = town(folder)
    whole, step = folder / "whole", folder / "step"
    made = [exported(province, whole)]
    deliver(province, "1", [firm(2, "新名", "2025-01-01"), firm(5)], [])
    made += [exported(province, file, "--since", "last") for file in (step, folder / "the same")]
    return Town(province, city, whole, step, made)


def rows(home: Path, library: str) -> list[list[dict[str, object]]]:
    with opened(home) as wired:
        return [shown(wired, f"base.{library}{part}", frozenset()) for part in PARTS]


def same_on_both(town: Town, city: Path) -> None:
    assert rows(town.province, LIBRARY) == rows(city, TAKEN)
    for number in (1, 2, 4):
        assert said(town.province, LIBRARY, number) == said(city, TAKEN, number)
    assert history_of(town.province, LIBRARY) == history_of(city, TAKEN)


def test_a_library_and_then_what_changed_in_it_arrive_whole(homes: Town) -> None:
    city = homes.city
    first = answered(city, "library", "import", str(homes.whole))
    assert (first["library"], first["records"], first["changed"]) == (TAKEN, 4, True)
    assert answered(city, "library", "import", str(homes.whole)) == {**first, "changed": False}
    second = answered(city, "library", "import", str(homes.step))
    assert (second["records"], second["changed"]) == (5, True)
    assert refused(city, "library", "merge", TAKEN) == "RUN-LIBRARY-RECEIVED"
    assert asked(city, "warehouse", "verify")[0] == 0
    answered(city, "warehouse", "compact", "--always")
    same_on_both(homes, city)
    told = answered(city, "library", "explain", TAKEN, code(2), "--clear")
    assert (told["bundle"]["bundle"], told["bundle"]["sender"]) == (second["bundle"], "province")
    assert answered(city, "explain", code(2))["bundles"][TAKEN]["bundle"] == second["bundle"]
    answered(city, "library", "publish", TAKEN)
    assert ServingStore(city / "serving", TAKEN).get(code(2))["ent_name"] == "新名"
    assert answered(city, "library", "import", str(homes.whole))["changed"] is False
    assert answered(city, "bundle", "list")["received"][TAKEN]["bundle"] == second["bundle"]
    assert agreement(city, TAKEN) == agreement(homes.province, LIBRARY)


def agreement(home: Path, library: str) -> list[tuple[int, int]]:
    """Of what departments say about the same: how much is equal, and all, as the scores of a library have it."""
    told = answered(home, "quality", "scores", "--group", "library", "--library", library)["scores"]
    found = [(one["a"], one["b"]) for each in told for one in each["indicators"] if one["code"] == "0401"]
    assert found
    assert found[0][1] > 0
    return found


def test_what_a_bundle_holds_is_closed_to_all_but_its_receiver_and_told_to_whoever_knows_the_signer(
    homes: Town,
) -> None:
    assert [one["encrypted"] for one in homes.made] == [True] * 3
    content = homes.whole.read_bytes()
    assert "丙𠮷有限公司".encode() not in content
    assert b"PAR1" not in content
    assert stat.S_IMODE(homes.whole.stat().st_mode) == 0o600
    assert code(1).encode() not in content
    told = answered(homes.city, "bundle", "show", str(homes.step))
    assert (told["signer"], told["previous"], told["rows"]["records"]) == ("province", homes.made[0]["id"], 5)
    listed = {one["id"] for one in answered(homes.province, "bundle", "list")["sent"]}
    assert {one["id"] for one in homes.made} <= listed


def test_an_export_is_refused_where_it_was_not_agreed_or_has_nothing_to_go_on_from(homes: Town, tmp_path: Path) -> None:
    def wrong(*words: str, to: str = "new", partner: str = "city") -> str:
        return refused(homes.province, "library", "export", *words, "--to", str(tmp_path / to), "--for", partner)

    (tmp_path / "old").write_text("mine")
    assert wrong(LIBRARY, to="old") == "WH-BUNDLE-FILE"
    assert wrong(LIBRARY, partner="nobody") == "SYS-PARTNER-UNKNOWN"
    assert wrong("population") == "WH-BUNDLE-AGREED"
    assert wrong(LIBRARY, "--since", "yesterday") == "WH-BUNDLE-SINCE"
    assert wrong(LIBRARY, "--since", homes.made[1]["id"]) == "WH-BUNDLE-NOTHING"
    assert [one.name for one in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "mine"


def test_what_was_lost_on_the_way_is_made_once_more_as_the_same_bundle(homes: Town) -> None:
    assert homes.made[1]["id"] == homes.made[2]["id"]
    assert homes.made[2]["previous"] == homes.made[0]["id"]


def test_an_export_that_fails_forgets_nothing_that_was_made_before(homes: Town, tmp_path: Path) -> None:
    before = answered(homes.province, "bundle", "list")["sent"]
    to = str(tmp_path / "no folder" / "file")
    again = ("library", "export", LIBRARY, "--since", homes.made[0]["id"], "--for", "city", "--to", to)
    assert refused(homes.province, *again) == "RUN-EXPORT-FILE"
    assert {one["id"] for one in answered(homes.province, "bundle", "list")["sent"]} == {one["id"] for one in before}


def test_nobody_reads_along_in_a_file_that_lay_there_before_the_export(homes: Town, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("")
    (tmp_path / "new.part").symlink_to(theirs)
    exported(homes.province, tmp_path / "new", "--plain")
    assert theirs.read_text() == ""
    assert (tmp_path / "new").lstat().st_mode == stat.S_IFREG | 0o600


def test_show_names_what_it_tells_in_the_language_of_the_reader(homes: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUTONG_HOME", str(homes.city))
    for lang, words in (("zh", ("签名方", "接在其后")), ("en", ("signer", "follows"))):
        monkeypatch.setenv("SHUTONG_LANG", lang)
        told = CliRunner().invoke(main, ["bundle", "show", str(homes.step)])
        assert all(one in told.stdout for one in (*words, "province", homes.made[0]["id"])), told.output


def test_two_libraries_that_come_may_not_have_one_name_here(homes: Town, tmp_path: Path) -> None:
    city = homes.taker(tmp_path / "city")
    said = (city / "bundles.yaml").read_text("utf-8")
    (city / "bundles.yaml").write_text(said + said.partition("partners:\n")[2].replace("province:", "region:"), "utf-8")
    assert refused(city, "bundle", "list") == "STD-YAML-VALUE"


def test_an_increment_without_its_predecessor_is_refused_with_the_name_of_what_is_missing(
    homes: Town, tmp_path: Path
) -> None:
    city = homes.taker(tmp_path / "city")
    status, told = asked(city, "library", "import", str(homes.step))
    assert (status, told["error"]["code"]) == (1, "WH-BUNDLE-ORDER")
    assert homes.made[0]["id"] in told["error"]["fix_en"]


def test_nothing_is_taken_from_who_is_not_known_not_for_us_not_agreed_or_in_another_standard(
    homes: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city, file = homes.taker(tmp_path / "city"), str(homes.whole)
    agreed = (city / "bundles.yaml").read_text(encoding="utf-8")
    card = agreed.partition("card: ")[2].split()[0]

    def with_agreed(text: str) -> str:
        (city / "bundles.yaml").write_text(text, encoding="utf-8")
        return refused(city, "library", "import", file)

    assert with_agreed(agreed.replace(card, Keys.new().card.text)) == "WH-BUNDLE-SIGNER"
    assert with_agreed(agreed.replace(card, card[:-1])) == "WH-BUNDLE-CARD"
    assert with_agreed(agreed.replace(f"{{{LIBRARY}:", "{population:")) == "WH-BUNDLE-AGREED"
    assert with_agreed(agreed.replace("small_firm@1", "legal_person@1")) == "WH-BUNDLE-STANDARD"
    (city / "bundles.yaml").write_text(agreed, encoding="utf-8")
    room = SimpleNamespace(free=1 << 10)
    with monkeypatch.context() as patch:
        patch.setattr(bundle_import.shutil, "disk_usage", lambda _: room)
        assert refused(city, "library", "import", file) == "WH-BUNDLE-ROOM"
    answered(city, "bundle", "keys", "--new", "--yes")
    assert refused(city, "library", "import", file) == "WH-BUNDLE-RECEIVER"
    with opened(city) as wired:
        assert wired.tables.names() == []


def flipped(name: str) -> Callable[[Path], None]:
    """Another byte in the middle of a member."""

    def act(file: Path) -> None:
        with zipfile.ZipFile(file) as whole:
            info = whole.getinfo(name)
        with file.open("r+b") as out:
            out.seek(info.header_offset + 30 + len(name) + info.file_size // 2 + 20)
            byte = out.read(1)[0]
            out.seek(-1, os.SEEK_CUR)
            out.write(bytes([byte ^ 1]))

    return act


def listed_wrongly(at: int, value: int) -> Callable[[Path], None]:
    """Another byte in the ZIP's own entry of its first member."""

    def act(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[content.index(b"PK\x01\x02") + at] = value
        file.write_bytes(content)

    return act


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size * 2 // 3)


def more(name: str, kind: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    """One more member, of a megabyte of nothing."""

    def act(file: Path) -> None:
        with zipfile.ZipFile(file, "a", kind) as whole:
            whole.writestr(name, bytes(1 << 20))

    return act


@pytest.mark.parametrize(
    "harm",
    [
        flipped("data/000000"),
        flipped("manifest.json"),
        flipped("manifest.sig"),
        listed_wrongly(8, 1 << 5),
        listed_wrongly(8, 1 << 6),
        listed_wrongly(45, 0xFF),
        cut,
        more("../../outside"),
        more("data/999999"),
        more("bomb", zipfile.ZIP_DEFLATED),
        lambda file: file.write_bytes(b"nothing of a bundle"),
    ],
    ids=["data", "manifest", "signature", "patched", "strong", "far", "cut", "outside", "unlisted", "bomb", "other"],
)
def test_a_file_that_is_not_what_was_signed_is_refused_before_anything_is_read_from_it(
    homes: Town, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    file = Path(shutil.copy(homes.whole, tmp_path / "harmed"))
    harm(file)
    assert refused(homes.city, "bundle", "show", str(file)) in ("WH-BUNDLE-DAMAGED", "WH-BUNDLE-SIGNER")
    assert not (tmp_path.parent / "outside").exists()


def test_in_the_clear_only_when_asked_for(homes: Town, tmp_path: Path) -> None:
    told = exported(homes.province, tmp_path / "plain", "--plain")
    assert told["encrypted"] is False
    with zipfile.ZipFile(tmp_path / "plain") as whole:
        assert whole.read("data/000000")[:4] == b"PAR1"
        assert json.loads(whole.read("manifest.json"))["receiver"] is None
    city = homes.taker(tmp_path / "city")
    assert answered(city, "library", "import", str(tmp_path / "plain"))["records"] == 5
    same_on_both(homes, city)


def test_a_bundle_that_was_taken_back_is_taken_again(homes: Town, tmp_path: Path) -> None:
    city = homes.taker(tmp_path / "city")
    (city / "people.yaml").write_text("people:\n  - {id: wang, name: 王伟, roles: [data_manager]}\n", encoding="utf-8")
    for file in (homes.whole, homes.step):
        answered(city, "library", "import", str(file))
    first = answered(city, "warehouse", "releases", TAKEN)["releases"][-1]["release"]
    words = ("--yes", "--by", "wang", "--why", "看一看")
    answered(city, "warehouse", "rollback", TAKEN, "--to", str(first), *words)
    assert answered(city, "bundle", "list")["received"][TAKEN]["bundle"] == homes.made[0]["id"]
    assert said(city, TAKEN, 5) == []
    assert answered(city, "library", "import", str(homes.step))["changed"] is True
    same_on_both(homes, city)


def test_after_going_back_another_increment_stands_on_what_was_gone_back_to(tmp_path: Path) -> None:
    province, city = town(tmp_path)
    (city / "people.yaml").write_text("people:\n  - {id: wang, name: 王伟, roles: [data_manager]}\n", encoding="utf-8")
    first = exported(province, tmp_path / "0")["id"]
    answered(city, "library", "import", str(tmp_path / "0"))
    for number in ("1", "2"):
        deliver(province, number, [firm(2, f"改名 {number}", f"2025-01-0{number}")], [])
        exported(province, tmp_path / number, "--since", first)
    answered(city, "library", "import", str(tmp_path / "1"))
    release = answered(city, "warehouse", "releases", TAKEN)["releases"][-1]["release"]
    went = ("--yes", "--by", "wang", "--why", "误报送")
    answered(city, "warehouse", "rollback", TAKEN, "--to", str(release), *went)
    answered(city, "library", "import", str(tmp_path / "2"))
    assert [rows(city, TAKEN)[0]] == [rows(province, LIBRARY)[0]]
    assert said(province, LIBRARY, 2) == said(city, TAKEN, 2)


def dying(point: str, work: Callable[[], object]) -> int:
    """Do the work in a process that kills itself at a point; its exit status."""

    def act() -> None:
        def heard(event: str, args: tuple[object, ...]) -> None:
            if (event, args) == ("shutong.point", (point,)):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(heard)
        work()

    return done(act)


@pytest.mark.kills
def test_killed_at_any_point_an_export_leaves_no_file_and_an_import_nothing_to_be_seen(
    homes: Town, tmp_path: Path
) -> None:
    file, city = tmp_path / "file", homes.taker(tmp_path / "city")
    for point in (one for one in CARE if one.startswith("export.")):
        assert dying(point, lambda: exported(homes.province, file, "--since", homes.made[0]["id"])) == signal.SIGKILL
        assert not file.exists()
    assert exported(homes.province, file, "--since", homes.made[0]["id"])["id"] == homes.made[1]["id"]
    assert not list(tmp_path.glob("*.part"))
    answered(city, "library", "import", str(homes.whole))
    before = rows(city, TAKEN)
    for point in (one for one in CARE if one.startswith("import.")):
        assert dying(point, lambda: asked(city, "library", "import", str(file))) == signal.SIGKILL
        if point != "import.released":
            assert rows(city, TAKEN) == before
    assert answered(city, "library", "import", str(file))["changed"] is False
    same_on_both(homes, city)
    assert {one["status"] for one in answered(city, "runs")["runs"]} == {"done"}
    assert not [one for one in (city / "warehouse" / "tables" / "bundles").rglob("*") if one.is_file()]


@pytest.mark.kills
@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_killed_at_random_an_import_ends_in_the_same_library(homes: Town, tmp_path: Path) -> None:
    chance, died, patience, number = random.Random(SEED), 0, 2.0, 0
    while died < PROVEN_KILLS:
        number += 1
        city = homes.taker(tmp_path / f"city-{number}")
        for file in (homes.whole, homes.step):
            work = partial(answered, city, "library", "import", str(file))
            killed, took = struck(work, chance.uniform(0, patience))
            died += killed
            patience = patience if killed else max(0.3, 0.9 * took)
            answered(city, "library", "import", str(file))
        same_on_both(homes, city)
        shutil.rmtree(city)
